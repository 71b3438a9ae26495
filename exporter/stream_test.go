package exporter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeLink keeps what it is sent, and delivers what it is told to.
type fakeLink struct {
	messages [][]byte
	upTo     []uint64 // of messages
	done     uint64   // what poll says
	all      bool     // everything is delivered at once
	busy     bool
	err      error
	repeat   bool
	wait     time.Duration // probe
	life     time.Duration
	settle   time.Duration
	closed   bool
	times    []time.Time
}

func (f *fakeLink) send(b []byte, upTo uint64) error {
	switch {
	case f.err != nil:
		return f.err
	case f.busy:
		return errBusy
	}
	f.messages = append(f.messages, append([]byte(nil), b...))
	f.upTo = append(f.upTo, upTo)
	f.times = append(f.times, time.Now())
	if f.all {
		f.done = upTo
	}
	return nil
}
func (f *fakeLink) flush() error                   { return f.err }
func (f *fakeLink) poll(time.Time) (uint64, error) { return f.done, f.err }
func (f *fakeLink) repeatTemplates() bool          { return f.repeat }
func (f *fakeLink) probe() time.Duration           { return f.wait }
func (f *fakeLink) settleTime() time.Duration      { return f.settle }
func (f *fakeLink) renew() time.Duration           { return f.life }
func (f *fakeLink) close(bool)                     { f.closed = true }

// fakeStream is a stream whose links come from open.
func fakeStream(t *testing.T, cfg Config, open func(context.Context) (link, error)) *Stream {
	t.Helper()
	cfg.Templates, cfg.URL = generic(t), "tcp://collector:4739"
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	s := newStream(cfg, open)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func sendSome(t *testing.T, s *Stream, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		r := v4
		r.Octets = uint64(n)
		if err := s.Export(t.Context(), 7, &r); err != nil {
			t.Fatal(err)
		}
		s.Mark(uint64(n))
	}
}

func wantDelivered(t *testing.T, s *Stream, want uint64) {
	t.Helper()
	if id, err := s.Delivered(t.Context()); id != want || err != nil {
		t.Errorf("Delivered = %d, %v, want %d", id, err, want)
	}
}

// settleDown lets an attempt end, and the stream see that.
func settleDown(t *testing.T, s *Stream) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStreamEachLinkIsASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var links []*fakeLink
		s := fakeStream(t, Config{}, func(context.Context) (link, error) {
			links = append(links, &fakeLink{})
			return links[len(links)-1], nil
		})
		sendSome(t, s, 1, 30)
		settleDown(t, s)
		r := v6
		if err := s.Export(t.Context(), 8, &r); err != nil {
			t.Fatal(err)
		}
		settleDown(t, s)
		links[0].done = 1
		wantDelivered(t, s, 23)
		links[0].err = errors.New("gone")
		wantDelivered(t, s, 23)
		if !links[0].closed || s.Stats().Connected {
			t.Error("a link that failed is still used")
		}
		sendSome(t, s, 31, 32)
		time.Sleep(time.Second)
		settleDown(t, s)
		want := []string{
			"domain 7 seq 0: templates 256 257",
			"domain 7 seq 0: 256x23",
			"domain 7 seq 23: 256x7",
			"domain 8 seq 0: templates 256 257",
			"domain 8 seq 0: 257x1",
		}
		if diff := cmp.Diff(want, outlines(t, links[0].messages)); diff != "" {
			t.Errorf("first session (-want +got):\n%s", diff)
		}
		want = []string{
			"domain 7 seq 0: templates 256 257",
			"domain 7 seq 0: 256x7",
			"domain 8 seq 0: templates 256 257",
			"domain 8 seq 0: 257x1",
			"domain 7 seq 7: 256x2",
		}
		if diff := cmp.Diff(want, outlines(t, links[1].messages)); diff != "" {
			t.Errorf("second session (-want +got):\n%s", diff)
		}
		links[1].done = 4
		wantDelivered(t, s, 32)
		got := s.Stats()
		if got.Records != 33 || got.ResentRecords != 8 || got.Templates != 8 || got.Messages != 10 || got.Connections != 2 || got.Reconnects != 1 ||
			got.Failures != 1 || !got.Connected || got.KeptMessages != 0 || got.KeptBytes != 0 || got.LastError == nil {
			t.Errorf("stats %+v", got)
		}
	})
}

// TestStreamMarks: with links that deliver what they like and die when they like,
// an id is delivered when all of it is, and not before.
func TestStreamMarks(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			var current *fakeLink
			opened := 0
			s := fakeStream(t, Config{MaxKeptBytes: 40_000, MaxRecords: 1 + random.IntN(30)}, func(context.Context) (link, error) {
				opened++
				if opened%3 == 2 {
					return nil, errors.New("not now")
				}
				current = &fakeLink{repeat: opened%2 == 0, wait: time.Duration(opened%2) * time.Second}
				return current, nil
			})
			arrived := make(map[uint64]bool) // what current said to be delivered
			look := func() {
				id, err := s.Delivered(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for n := range id {
					if !arrived[n+1] {
						t.Fatalf("seed %d: %d is delivered, but %d has not arrived", seed, id, n+1)
					}
				}
				if int(id) < len(arrived) && s.backlog.kept.len() == 0 && !s.backlog.open {
					t.Fatalf("seed %d: nothing is kept, but only %d is delivered", seed, id)
				}
			}
			deliver := func(count int) {
				for i, m := range current.messages[:count] {
					current.done = max(current.done, current.upTo[i])
					for at := 16; at < len(m); {
						length := int(m[at+2])<<8 | int(m[at+3])
						for r := at + 4; m[at] == 1 && r < at+length; r += 60 {
							arrived[binary.BigEndian.Uint64(m[r+octetsAt[256]:])] = true
						}
						at += length
					}
				}
			}
			const total = 2000
			for n := 1; n <= total; n++ {
				r := v4
				r.Octets = uint64(n)
				for {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
					err := s.Export(ctx, uint32(n/50%3), &r)
					cancel()
					if err == nil {
						break
					}
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Fatal(err)
					}
					time.Sleep(100 * time.Millisecond)
					if s.link != nil && current != nil && len(current.messages) > 0 {
						deliver(len(current.messages) - random.IntN(2))
					}
				}
				s.Mark(uint64(n))
				switch random.IntN(20) {
				case 0:
					look()
				case 1:
					_ = s.Flush(t.Context())
					synctest.Wait()
				case 2:
					if s.link != nil && len(current.messages) > 0 {
						deliver(random.IntN(len(current.messages) + 1))
						look()
					}
				case 3:
					if s.link != nil && random.IntN(3) == 0 {
						current.err = fmt.Errorf("died at %d", n)
					}
				case 4:
					time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
				}
			}
			for id := uint64(0); id < total; {
				_ = s.Flush(t.Context())
				time.Sleep(2 * time.Second)
				if s.link != nil {
					deliver(len(current.messages))
				}
				var err error
				if id, err = s.Delivered(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if len(arrived) != total {
				t.Errorf("seed %d: %d records arrived, want %d", seed, len(arrived), total)
			}
			if st := s.Stats(); st.Records != total || st.KeptBytes != 0 {
				t.Errorf("seed %d: stats %+v", seed, st)
			}
		})
	}
}

func TestStreamMarkOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLink{all: true}
		s := fakeStream(t, Config{}, func(context.Context) (link, error) { return f, nil })
		s.Mark(1) // nothing was exported for it
		wantDelivered(t, s, 1)
		sendSome(t, s, 2, 2)
		s.Mark(3)
		wantDelivered(t, s, 1) // not flushed
		settleDown(t, s)
		wantDelivered(t, s, 3)
		s.Mark(4)
		wantDelivered(t, s, 4)
	})
}

func TestStreamKeepsNoMoreThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLink{}
		open := errors.New("not there")
		s := fakeStream(t, Config{MaxKeptBytes: 1 << 17}, func(context.Context) (link, error) {
			if open != nil {
				return nil, open
			}
			return f, nil
		})
		exported := 0
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := s.Export(ctx, 1, &v4)
			cancel()
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				break
			}
			exported++
			s.Mark(uint64(exported))
		}
		if used := s.backlog.used; used > 1<<17 || used < 1<<17-2*(DefaultMaxMessageBytes+costOfKept) {
			t.Errorf("%d bytes are kept, want nearly %d", used, 1<<17)
		}
		if n := s.backlog.chunks.len(); n > 3 {
			t.Errorf("%d chunks are in use", n)
		}
		// An Export that waits goes on when the collector is back.
		open, f.all = nil, true
		done := make(chan error)
		go func() { done <- s.Export(context.Background(), 1, &v4) }()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Mark(uint64(exported) + 1)
		if id, err := s.Drain(t.Context()); err != nil || id != uint64(exported)+1 {
			t.Errorf("Drain = %d, %v, want %d", id, err, exported+1)
		}
	})
}

func TestStreamConfigErrors(t *testing.T) {
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{URL: "tcp://h"}, `collector "tcp://h": want a port, like tcp://h:4739`},
		{Config{URL: "udp://h:1", MaxMessageBytes: 65508}, "max message bytes: want 65507 at most with udp://, got 65508"},
		{Config{URL: "dtls://h:1", MaxMessageBytes: 16385}, "max message bytes: want 16384 at most with dtls://, got 16385"},
		{Config{URL: "tcp://h:1", MaxKeptBytes: 5599}, "max kept bytes: want at least four messages, 5600, got 5599"},
		{Config{URL: "tcp://h:1", TLS: TLS{CAFile: "ca.pem"}}, "tls: want a URL tls://host:port or dtls://host:port with TLS settings, got tcp"},
		{Config{URL: "tls://h:1", TLS: TLS{MinVersion: "1.1"}}, `tls min version: want 1.2 or 1.3, got "1.1"`},
		{Config{URL: "dtls://h:1", TLS: TLS{MinVersion: "1.3"}}, "tls min version: want 1.2 with dtls://, which does not speak 1.3 yet; use tls://, or leave it out"},
		{Config{URL: "tls://h:1", TLS: TLS{CertFile: "c.pem"}}, "tls key file: want one beside the certificate file"},
		{Config{URL: "tls://h:1", TLS: TLS{KeyFile: "k.pem"}}, "tls cert file: want one beside the key file"},
		{Config{URL: "tls://h:1", TLS: TLS{CAFile: "/nowhere/ca.pem"}}, "collector tls://h:1: CA file: open /nowhere/ca.pem: no such file or directory"},
		{Config{URL: "tls://h:1", TLS: TLS{CAFile: "/dev/null"}}, "collector tls://h:1: CA file /dev/null: holds no certificate"},
		{Config{URL: "tls://h:1", LocalAddress: "eth0"}, `collector tls://h:1: local address: want an IP address, got "eth0"`},
	} {
		tc.cfg.Templates = generic(t)
		if _, err := NewStream(tc.cfg); err == nil || err.Error() != tc.want {
			t.Errorf("NewStream = %v\nwant %s", err, tc.want)
		}
	}
}
