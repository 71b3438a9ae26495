package exporter

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/templates"
)

// TestStatisticsAreTold: statistics change, so they are told again over TCP and into
// files as well, where nothing gets lost; the rest is told once.
func TestStatisticsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, 3)
		set := newSet(t, templates.Config{Options: []templates.OptionsKind{"interfaces", "sampling", "statistics"}})
		cfg := Config{Templates: set, Inventory: inventory}
		session, f, _ := sessionOf(t, cfg)
		f.repeat = false
		fake := &fakeLink{all: true}
		stream := streamOf(t, cfg, func(context.Context) (link, error) { return fake, nil })
		for n := range 120 {
			export(t, session, 7, 100, v4)
			flush(t, session)
			sendSome(t, stream, 1000*n+1, 1000*n+100)
			settleDown(t, stream)
			time.Sleep(time.Minute)
		}
		for _, messages := range [][][]byte{f.messages, fake.messages} {
			c := newReader(t, set)
			texts := strings.Join(c.readAll(messages), "\n")
			if n := strings.Count(texts, "1 exported, 1 not-sent"); n != 120 {
				t.Errorf("statistics were told %d times in two hours, want 120", n)
			}
			if c.options != 2*120+4 || strings.Count(texts, "1 sampling") != 1 {
				t.Errorf("%d options data records, want no more than 4 besides", c.options)
			}
		}
		// What they say is what was sent before.
		last := f.messages[len(f.messages)-5] // five messages a minute
		d := *session.domains[7]
		sum := uint64(0)
		for _, m := range f.messages[:len(f.messages)-5] {
			sum += uint64(len(m))
		}
		want := &templates.Report{Domain: 7, Messages: d.messages - 5, Records: d.records - 100, Octets: sum}
		if err := set.OptionsRecords(want, func(o *templates.OptionsTemplate, record []byte) error {
			if o.Kind == templates.OptionsStatistics && !strings.Contains(string(last), string(record)) {
				t.Errorf("%s: no % x in % x", o.Name, record, last)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRenewalKeepsTheShare: a DTLS session is replaced every minute, in which not
// all names can be told. Each has its turn, and flows keep nine tenths.
func TestRenewalKeepsTheShare(t *testing.T) {
	const many, rate = 10_000, 500
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, many)
		set := newSet(t, templates.Config{Options: withNames})
		var links []*fakeLink
		s := streamOf(t, Config{Templates: set, Inventory: inventory, Rate: rate}, func(context.Context) (link, error) {
			links = append(links, &fakeLink{repeat: true, all: true, life: time.Minute})
			return links[len(links)-1], nil
		})
		begin := time.Now()
		for n := 1; time.Since(begin) < 20*time.Minute; n++ {
			sendSome(t, s, n, n)
			if n%1000 == 1 {
				settleDown(t, s)
			}
		}
		c := newReader(t, set)
		for _, l := range links {
			c.session()
			wantNamesBetweenFlows(t, c, l.messages, 2)
		}
		if share := float64(c.options) / float64(c.options+c.records); share > 1.05/optionsShare || share < 0.05 || len(links) < 15 {
			t.Errorf("options data records are %.1f %% of all, in %d sessions", 100*share, len(links))
		}
		for i := range uint32(many) {
			if n := c.interfaces[i+1]; n < 4 || n > 8 {
				t.Fatalf("interface %d was named %d times in 20 minutes", i+1, n)
			}
		}
	})
}

// TestNamesDoNotHoldUpFlows: flows that come now and then wait for no more than two
// messages of names, and all names are told in time; a new name is told before its
// first flow even then.
func TestNamesDoNotHoldUpFlows(t *testing.T) {
	const many, rate = 2000, 500
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, many)
		set := newSet(t, templates.Config{Options: withNames})
		f := &fakeLink{repeat: true, all: true}
		s := streamOf(t, Config{Templates: set, Inventory: inventory, Rate: rate, BestEffort: true}, func(context.Context) (link, error) { return f, nil })
		c := newReader(t, set)
		id := 0
		if longest := lane(t, s, &id, 4, 80*time.Millisecond, optionsShare*many*105/100*time.Second/rate); longest > 100*time.Millisecond {
			t.Errorf("a flow was held up for %v", longest)
		}
		if c.readAll(f.messages); len(c.interfaces) != many {
			t.Errorf("%d names were told, want %d", len(c.interfaces), many)
		}
		lane(t, s, &id, 4, 80*time.Millisecond, 30*time.Second) // into a refresh
		if s.announcer.waiting.len() == 0 {
			t.Error("no names are left to be told again")
		}
		// A collector that takes nothing for a while finds one message of them.
		settleDown(t, s)
		f.busy = true
		lane(t, s, &id, 0, 0, 5*time.Second)
		if n := s.backlog.kept.len(); n != 1 {
			t.Errorf("%d messages of names wait, want one", n)
		}
		f.busy = false
		settleDown(t, s)
		f.messages = nil
		nics(inventory, 7, many+1, many+5)
		sendSome(t, s, id+1, id+1)
		settleDown(t, s)
		if text := newTextOf(t, c, f.messages); !strings.Contains(text, "interfaces 2001 2002 2003 2004 2005") || strings.Contains(strings.Split(text, "2001")[0], "flows") {
			t.Errorf("new names do not come before the flow: %s", text)
		}
	})
}

// newTextOf reads what comes after messages that nobody has read.
func newTextOf(t *testing.T, c *reader, messages [][]byte) string {
	t.Helper()
	c.next = map[uint32]uint32{7: sequenceOf(messages[0])}
	return strings.Join(c.readAll(messages), "\n")
}

func sequenceOf(m []byte) uint32 {
	return uint32(m[8])<<24 | uint32(m[9])<<16 | uint32(m[10])<<8 | uint32(m[11])
}

// TestDomainsTakeTurns: the names of a domain without flows come between those of a
// domain that has flows and names without end.
func TestDomainsTakeTurns(t *testing.T) {
	const many, few, rate = 10_000, 500, 500
	for _, stream := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			inventory := &templates.Inventory{}
			nics(inventory, 7, 1, many)
			nics(inventory, 8, many+1, many+few)
			set := newSet(t, templates.Config{Options: withNames})
			cfg := Config{Templates: set, Inventory: inventory, Rate: rate}
			session, transport, c := sessionOf(t, cfg)
			f := &fakeLink{repeat: true, all: true}
			s := streamOf(t, cfg, func(context.Context) (link, error) { return f, nil })
			for begin, n := time.Now(), 0; time.Since(begin) < time.Minute; n++ {
				domain := uint32(7)
				if n == 0 {
					domain = 8
				}
				r := v4
				out := session.Export
				if stream {
					out = s.Export
				}
				if err := out(t.Context(), domain, &r); err != nil {
					t.Fatal(err)
				}
			}
			c.readAll(transport.messages)
			c.readAll(f.messages)
			told := [2]int{}
			for i := range c.interfaces {
				if i > many {
					told[1]++
				} else {
					told[0]++
				}
			}
			if told[0] < 300 || told[1] != few {
				t.Errorf("stream %v: %d names of the domain with flows, %d of the other, want %d", stream, told[0], told[1], few)
			}
		})
	}
}

// TestNamesWithoutARate: without a rate, a message of names goes before a message of
// flows, and the rest when no flows come.
func TestNamesWithoutARate(t *testing.T) {
	const many = 5000
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, many)
		set := newSet(t, templates.Config{Options: withNames})
		f := &fakeLink{all: true}
		s := streamOf(t, Config{Templates: set, Inventory: inventory}, func(context.Context) (link, error) { return f, nil })
		sendSome(t, s, 1, 1000)
		settleDown(t, s)
		c := newReader(t, set)
		wantNamesBetweenFlows(t, c, f.messages, 1)
		if n := len(c.interfaces); n < 300 || n > 1000 || c.records != 1000 {
			t.Errorf("%d names beside %d flows", n, c.records)
		}
		read := len(f.messages)
		id := 0
		lane(t, s, &id, 0, 0, 5*time.Second)
		if c.readAll(f.messages[read:]); len(c.interfaces) != many || c.options != many+2 {
			t.Errorf("%d names, %d options data records", len(c.interfaces), c.options)
		}
	})
}

// TestSyncWithADeadline: flows are sent first, and names leave time to see whether
// they arrive.
func TestSyncWithADeadline(t *testing.T) {
	const many, rate = 10_000, 500
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, many)
		set := newSet(t, templates.Config{Options: withNames})
		s, f, c := sessionOf(t, Config{Templates: set, Inventory: inventory, Rate: rate})
		export(t, s, 7, 10, v4)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		if err := s.Sync(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 1200*time.Millisecond || took < 500*time.Millisecond {
			t.Errorf("Sync took %v of 2 s", took)
		}
		if c.readAll(f.messages); c.records != 10 || len(c.interfaces) < rate*8/10 {
			t.Errorf("%d flows, %d names", c.records, len(c.interfaces))
		}
		if err := s.Sync(t.Context()); err != nil {
			t.Error(err)
		}
		c = newReader(t, set)
		if c.readAll(f.messages); len(c.interfaces) != many || c.options != many+2 {
			t.Errorf("%d names, %d options data records at the end", len(c.interfaces), c.options)
		}
	})
}
