package exporter

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"flow2ipfix/internal/ipaddr"
	"flow2ipfix/templates"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func generic(tb testing.TB) *templates.Set {
	tb.Helper()
	set, err := templates.New(templates.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

var (
	v4 = templates.Record{Source: ipaddr.MustParse("10.0.0.4"), Destination: ipaddr.MustParse("192.0.2.9"), Packets: 1, Octets: 40}
	v6 = templates.Record{IPv6: true, Source: ipaddr.MustParse("fd00::4"), Destination: ipaddr.MustParse("2001:db8::9"), Packets: 1, Octets: 60}
)

// fakeTransport keeps what it is sent, and when.
type fakeTransport struct {
	messages [][]byte
	times    []time.Time
	err      error
	repeat   bool
	gathers  int // so many messages leave together; 0: each alone
	sent     func()
}

func (f *fakeTransport) send(_ context.Context, b []byte) (held bool, err error) {
	if f.err != nil {
		return false, f.err
	}
	f.messages = append(f.messages, append([]byte(nil), b...))
	f.times = append(f.times, time.Now())
	if held = f.gathers > 0 && len(f.messages)%f.gathers != 0; !held && f.sent != nil {
		f.sent()
	}
	return held, nil
}
func (f *fakeTransport) flush(context.Context) error { return f.err }
func (f *fakeTransport) sync(context.Context) error  { return f.err }
func (f *fakeTransport) repeatTemplates() bool       { return f.repeat }
func (f *fakeTransport) close() error                { return nil }

func fakeSession(t *testing.T, cfg Config) (*Session, *fakeTransport) {
	t.Helper()
	cfg.Templates = generic(t)
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	f := &fakeTransport{repeat: true}
	return newSession(cfg, f), f
}

func export(t *testing.T, s *Session, domain uint32, n int, r templates.Record) {
	t.Helper()
	for range n {
		if err := s.Export(t.Context(), domain, &r); err != nil {
			t.Fatal(err)
		}
	}
}

func flush(t *testing.T, s *Session) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// outline reads a message by the rules of RFC 7011 §3, written here a second
// time, and returns it as text: domain, sequence number, and its sets.
func outline(t *testing.T, m []byte) string {
	t.Helper()
	if len(m) < 16 || binary.BigEndian.Uint16(m) != 10 || int(binary.BigEndian.Uint16(m[2:])) != len(m) {
		t.Fatalf("no IPFIX header for %d octets: % x", len(m), m[:min(len(m), 16)])
	}
	text := fmt.Sprintf("domain %d seq %d:", binary.BigEndian.Uint32(m[12:]), binary.BigEndian.Uint32(m[8:]))
	for b := m[16:]; len(b) > 0; {
		if len(b) < 4 {
			t.Fatalf("half a set header: % x", b)
		}
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			t.Fatalf("set %d has %d octets, %d are left", id, n, len(b))
		}
		switch body := b[4:n]; id {
		case 2:
			text += " templates"
			for len(body) > 0 {
				text += fmt.Sprintf(" %d", binary.BigEndian.Uint16(body))
				body = body[4+4*int(binary.BigEndian.Uint16(body[2:])):]
			}
		case 256, 257:
			size := map[uint16]int{256: 60, 257: 84}[id]
			if len(body)%size != 0 {
				t.Fatalf("set %d has %d octets of records of %d", id, len(body), size)
			}
			text += fmt.Sprintf(" %dx%d", id, len(body)/size)
		default:
			t.Fatalf("unknown set %d", id)
		}
		b = b[n:]
	}
	return text
}

func outlines(t *testing.T, messages [][]byte) []string {
	t.Helper()
	var all []string
	for _, m := range messages {
		all = append(all, outline(t, m))
	}
	return all
}
