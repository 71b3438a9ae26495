package exporter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/templates"
)

func newSet(tb testing.TB, cfg templates.Config) *templates.Set {
	tb.Helper()
	set, err := templates.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// sessionOf is fakeSession with a set of its own.
func sessionOf(t *testing.T, cfg Config) (*Session, *fakeTransport, *reader) {
	t.Helper()
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	f := &fakeTransport{repeat: true}
	return newSession(cfg, f), f, newReader(t, cfg.Templates)
}

// streamOf is fakeStream with a set of its own.
func streamOf(t *testing.T, cfg Config, open func(context.Context) (link, error)) *Stream {
	t.Helper()
	cfg.URL = "udp://collector:4739"
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	s := newStream(cfg, open)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// nics adds interfaces first to last, and one VRF, to a domain.
func nics(inventory *templates.Inventory, domain uint32, first, last int) {
	for i := first; i <= last; i++ {
		inventory.Add(domain, templates.Interface{Index: uint32(i), Name: fmt.Sprintf("nic%d", i), Description: "vnet"}, templates.VRF{ID: 1, Name: "vnet"})
	}
}

var (
	withNames = []templates.OptionsKind{"interfaces", "vrfs", "sampling"}
	protocols = []templates.Protocol{templates.IPFIX, templates.NetFlow9}
)

// sameInBoth is a text with the sequence numbers of a protocol: IPFIX's come first,
// then those of NetFlow version 9.
func sameInBoth(p templates.Protocol, lines ...string) []string {
	for i, l := range lines {
		parts := strings.SplitN(l, "|", 3)
		lines[i] = parts[0] + map[bool]string{true: parts[1], false: fmt.Sprint(i)}[p == templates.IPFIX] + parts[2]
	}
	return lines
}

// TestSessionAnnounces: options data records come before the first flows, with each
// refresh, and for new names at once.
func TestSessionAnnounces(t *testing.T) {
	for _, protocol := range protocols {
		synctest.Test(t, func(t *testing.T) {
			inventory := &templates.Inventory{}
			nics(inventory, 7, 1, 2)
			set := newSet(t, templates.Config{Protocol: protocol, Options: withNames})
			s, f, c := sessionOf(t, Config{Templates: set, Inventory: inventory})
			send := func(n int) {
				export(t, s, 7, n, v4)
				flush(t, s)
			}
			send(2)
			send(1)
			nics(inventory, 7, 3, 4)
			nics(inventory, 8, 9, 9) // another domain's
			send(1)
			time.Sleep(time.Minute)
			send(1)
			want := sameInBoth(
				protocol,
				"domain 7 seq |0|: 2 templates, options template, options template, options template, 1 sampling, interfaces 1 2, 1 vrfs, 2 flows",
				"domain 7 seq |6|: 1 flows",
				"domain 7 seq |7|: interfaces 3 4, 1 flows",
				"domain 7 seq |10|: 2 templates, options template, options template, options template, 1 sampling, interfaces 1 2 3 4, 1 vrfs, 1 flows",
			)
			if diff := cmp.Diff(want, c.readAll(f.messages)); diff != "" {
				t.Errorf("%s: messages (-want +got):\n%s", protocol, diff)
			}
			if st := s.Stats(); st.Records != 5 || st.Options != 12 || st.Templates != 10 || st.Messages != 4 {
				t.Errorf("%s: stats %+v", protocol, st)
			}
		})
	}
}

// TestStreamAnnounces is the same for a Stream, whose templates go apart; and what
// was said is said again on each new connection, once.
func TestStreamAnnounces(t *testing.T) {
	for _, protocol := range protocols {
		synctest.Test(t, func(t *testing.T) {
			inventory := &templates.Inventory{}
			nics(inventory, 7, 1, 2)
			set := newSet(t, templates.Config{Protocol: protocol, Options: withNames})
			var links []*fakeLink
			s := streamOf(t, Config{Templates: set, Inventory: inventory}, func(context.Context) (link, error) {
				links = append(links, &fakeLink{repeat: true})
				return links[len(links)-1], nil
			})
			send := func(n int) { sendSome(t, s, n, n); settleDown(t, s) }
			send(1) // before there is a connection
			send(2)
			nics(inventory, 7, 3, 3)
			send(3)
			time.Sleep(time.Minute)
			send(4)
			want := sameInBoth(
				protocol,
				"domain 7 seq |0|: 2 templates, options template, options template, options template",
				"domain 7 seq |0|: 1 sampling, interfaces 1 2, 1 vrfs, 1 flows",
				"domain 7 seq |5|: 1 flows",
				"domain 7 seq |6|: interfaces 3, 1 flows",
				"domain 7 seq |8|: 2 templates, options template, options template, options template",
				"domain 7 seq |8|: 1 sampling, interfaces 1 2 3, 1 vrfs, 1 flows",
			)
			c := newReader(t, set)
			if diff := cmp.Diff(want, c.readAll(links[0].messages)); diff != "" {
				t.Errorf("%s: first session (-want +got):\n%s", protocol, diff)
			}
			// What is delivered is not sent again, but must be said again.
			links[0].done = 3
			wantDelivered(t, s, 3)
			if st := s.Stats(); st.KeptMessages != 1 || st.KeptRecords != 1 || st.Records != 4 || st.Options != 10 {
				t.Errorf("%s: stats %+v", protocol, st)
			}
			links[0].err = errors.New("gone")
			wantDelivered(t, s, 3)
			time.Sleep(time.Second)
			settleDown(t, s)
			send(5)
			want = sameInBoth(
				protocol,
				"domain 7 seq |0|: 2 templates, options template, options template, options template",
				"domain 7 seq |0|: 1 sampling, interfaces 1 2 3, 1 vrfs, 1 flows", // kept
				"domain 7 seq |6|: 1 flows",
			)
			c.session()
			if diff := cmp.Diff(want, c.readAll(links[1].messages)); diff != "" {
				t.Errorf("%s: second session (-want +got):\n%s", protocol, diff)
			}
			links[1].done = s.backlog.end()
			wantDelivered(t, s, 5)
			links[1].err = errors.New("gone again")
			wantDelivered(t, s, 5)
			send(6) // while nobody is there
			time.Sleep(2 * time.Second)
			settleDown(t, s)
			send(7)
			want = sameInBoth(
				protocol,
				"domain 7 seq |0|: 2 templates, options template, options template, options template",
				"domain 7 seq |0|: 1 flows",
				"domain 7 seq |1|: 1 sampling, interfaces 1 2 3, 1 vrfs, 1 flows",
			)
			c.session()
			if diff := cmp.Diff(want, c.readAll(links[2].messages)); diff != "" {
				t.Errorf("%s: third session (-want +got):\n%s", protocol, diff)
			}
			if st := s.Stats(); st.Records != 7 || st.ResentRecords != 1 || st.Options != 20 {
				t.Errorf("%s: stats %+v", protocol, st)
			}
			if id, err := s.Delivered(t.Context()); id != 5 || err != nil {
				t.Errorf("%s: Delivered = %d, %v, want 5", protocol, id, err)
			}
			links[2].done = s.backlog.end()
			wantDelivered(t, s, 7)
		})
	}
}

// TestReportIsOfTheSession: statistics are those of the domain in this session.
func TestReportIsOfTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := newSet(t, templates.Config{Options: []templates.OptionsKind{"statistics"}})
		lost := templates.NotSent{Flows: 11, Packets: 22, Octets: 33}
		s, f, _ := sessionOf(t, Config{Templates: set, NotSent: func() templates.NotSent { return lost }})
		export(t, s, 8, 3, v4)
		export(t, s, 7, 40, v4)
		flush(t, s)
		octets := 0
		for _, m := range f.messages[1:] {
			octets += len(m)
		}
		time.Sleep(time.Minute)
		export(t, s, 7, 1, v4)
		flush(t, s)
		last := string(f.messages[len(f.messages)-1])
		if err := set.OptionsRecords(&templates.Report{Domain: 7, Messages: 2, Records: 40, Octets: uint64(octets), NotSent: lost}, func(tpl *templates.OptionsTemplate, record []byte) error {
			if !strings.Contains(last, string(record)) {
				t.Errorf("%s: no % x in % x", tpl.Name, record, last)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSpreadTemplates: templates that do not fit into one message take several,
// before the first flow.
func TestSpreadTemplates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := newSet(t, templates.Config{
			Preset: "akvorado", Biflow: true, MaxMessageBytes: 512, Enterprise: templates.Enterprise{Number: 32473},
			Options: []templates.OptionsKind{"interfaces", "vrfs", "sampling", "statistics", "flow_keys", "types"},
		})
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, 1)
		cfg := Config{Templates: set, Inventory: inventory, MaxMessageBytes: 512}
		s, f, c := sessionOf(t, cfg)
		both := v4
		both.ReversePackets, both.ReverseOctets = 1, 2
		for _, r := range []templates.Record{v4, both, v6} {
			export(t, s, 7, 3, r)
		}
		flush(t, s)
		texts := c.readAll(f.messages)
		if n := strings.Count(strings.Join(texts, "\n"), "options template"); n != 7 {
			t.Errorf("%d options templates, want 7:\n%s", n, strings.Join(texts, "\n"))
		}
		if s.Stats().Templates != 11 || c.records != 9 {
			t.Errorf("%d templates, %d flows; want 11 and 9", s.Stats().Templates, c.records)
		}
		for n := range c.lengths {
			if n > 512 {
				t.Errorf("a message has %d octets", n)
			}
		}
		// The same over a link that is busy between two of them.
		fake := &fakeLink{}
		busy := &busyLink{fakeLink: fake}
		stream := streamOf(t, cfg, func(context.Context) (link, error) { return busy, nil })
		sendSome(t, stream, 1, 1)
		for range 20 {
			settleDown(t, stream)
		}
		c = newReader(t, set)
		if texts := strings.Join(c.readAll(fake.messages), "\n"); c.records != 1 || strings.Count(texts, "options template") != 7 || stream.Stats().Templates != 11 {
			t.Errorf("over a busy link:\n%s", texts)
		}
	})
}

// busyLink takes each second message only.
type busyLink struct {
	*fakeLink
	calls int
}

func (l *busyLink) send(b []byte, upTo uint64) error {
	if l.calls++; l.calls%2 == 0 {
		return errBusy
	}
	return l.fakeLink.send(b, upTo)
}

func TestTooLargeForAMessage(t *testing.T) {
	set := newSet(t, templates.Config{Enterprise: templates.Enterprise{Number: 32473}})
	r := v4
	r.Context = &templates.Context{Rule: strings.Repeat("r", 900)}
	const want = "a record of 965 octets does not fit into a message of 600"
	s, _, _ := sessionOf(t, Config{Templates: set, MaxMessageBytes: 600})
	if err := s.Export(t.Context(), 1, &r); err == nil || err.Error() != want {
		t.Errorf("Export = %v, want %s", err, want)
	}
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLink{all: true}
		stream := streamOf(t, Config{Templates: set, MaxMessageBytes: 600}, func(context.Context) (link, error) { return f, nil })
		if err := stream.Export(t.Context(), 1, &r); err == nil || err.Error() != want {
			t.Errorf("Export = %v, want %s", err, want)
		}
		sendSome(t, stream, 1, 1)
		if id, err := stream.Drain(t.Context()); id != 1 || err != nil {
			t.Errorf("Drain = %d, %v", id, err)
		}
	})
}

// TestAnnouncingDoesNotAllocate: asking for names with each message takes no
// memory.
func TestAnnouncingDoesNotAllocate(t *testing.T) {
	inventory := &templates.Inventory{}
	nics(inventory, 1, 1, 100)
	cfg := Config{URL: "file:/dev/null", Templates: newSet(t, templates.Config{Options: withNames}), Inventory: inventory}
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	export(t, s, 1, 100, v4)
	if n := testing.AllocsPerRun(20, func() { export(t, s, 1, 1000, v4) }); n != 0 {
		t.Errorf("1000 records take %v allocations, want none", n)
	}
	if s.Stats().Options != 102 {
		t.Errorf("%d options data records, want 102", s.Stats().Options)
	}
	stream, err := NewStream(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for i := range 300 {
		streamThousand(t, stream, uint64(i+1))
	}
	id := uint64(300)
	if n := testing.AllocsPerRun(20, func() { id++; streamThousand(t, stream, id) }); n != 0 {
		t.Errorf("1000 records of a stream take %v allocations, want none", n)
	}
}
