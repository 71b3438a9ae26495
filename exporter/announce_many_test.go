package exporter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/templates"
)

// TestManyInterfaces: the names of 10 000 interfaces go out by and by, with a tenth
// of the rate; flows go on between them, never behind more than two messages. What
// is left goes out at the end, at the configured rate.
func TestManyInterfaces(t *testing.T) {
	const many, rate = 10_000, 500
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 1, 1, many)
		set := newSet(t, templates.Config{Options: withNames})
		s, f, c := sessionOf(t, Config{Templates: set, Inventory: inventory, Rate: rate})
		begin := time.Now()
		for time.Since(begin) < 20*time.Minute {
			export(t, s, 1, 500, v4)
		}
		wantNamesBetweenFlows(t, c, f.messages, 2)
		if share := float64(c.options) / float64(c.options+c.records); share > 1.05/optionsShare || share < 0.05 {
			t.Errorf("options data records are %.1f %% of all", 100*share)
		}
		if n := c.interfaces[many]; n < 4 {
			t.Errorf("the last interface was named %d times", n)
		}
		all := newReader(t, set)
		for i, m := range f.messages {
			if all.read(m); len(all.interfaces) == many {
				if took, want := f.times[i].Sub(begin), optionsShare*many*time.Second/rate; took > want*105/100 {
					t.Errorf("%d names took %v beside flows, want %v", many, took, want)
				}
				break
			}
		}

		s, f, c = sessionOf(t, Config{Templates: set, Inventory: inventory, Rate: rate})
		begin = time.Now()
		export(t, s, 1, 1, v4)
		flush(t, s)
		if took, want := time.Since(begin), many*time.Second/rate; took < want*98/100 || took > want*102/100 {
			t.Errorf("%d names took %v, want %v", many, took, want)
		}
		if c.read(f.messages[0]); c.records == 0 || f.times[0].Sub(begin) > 100*time.Millisecond {
			t.Errorf("the flow left after %v, or behind names", f.times[0].Sub(begin))
		}
		c.readAll(f.messages[1:])
		if len(c.interfaces) != many || c.records != 1 || c.options != many+2 {
			t.Errorf("%d names, %d flows, %d options data records", len(c.interfaces), c.records, c.options)
		}
	})
}

// wantNamesBetweenFlows reads messages, and wants no more than so many without flows
// between two with flows.
func wantNamesBetweenFlows(t *testing.T, c *reader, messages [][]byte, most int) {
	t.Helper()
	without := 0
	for _, m := range messages {
		records, options := c.records, c.options
		if c.read(m); c.records > records {
			without = 0
		} else if c.options > options {
			without++
		}
		if without > most {
			t.Fatalf("%d messages of names, one behind the other", without)
		}
	}
}

// lane does what a lane of the service does for a while: a few flows every now and
// then, and a look every 50 ms. It returns the longest that a flow was held up.
func lane(t *testing.T, s *Stream, id *int, flows int, every, d time.Duration) (longest time.Duration) {
	t.Helper()
	begin := time.Now()
	last, flushed := begin, true
	for next := begin; time.Since(begin) < d; {
		if flows > 0 && !time.Now().Before(next) {
			at := time.Now()
			for range flows {
				*id++
				sendSome(t, s, *id, *id)
			}
			longest = max(longest, time.Since(at))
			next, last, flushed = next.Add(every), time.Now(), false
		}
		if !flushed && time.Since(last) >= 100*time.Millisecond {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			flushed = true
		}
		if _, err := s.Delivered(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(min(50*time.Millisecond, max(time.Until(next), time.Millisecond)))
	}
	return longest
}

// TestStreamManyInterfaces: names are kept within the same memory as flows; a
// canceled Export goes on where it was; and whether flows come seldom, or not at
// all, all names are told with a tenth of the rate.
func TestStreamManyInterfaces(t *testing.T) {
	const many, rate = 10_000, 5000
	for _, flows := range []int{0, 4} {
		synctest.Test(t, func(t *testing.T) {
			inventory := &templates.Inventory{}
			nics(inventory, 7, 1, many)
			set := newSet(t, templates.Config{Options: withNames})
			f := &fakeLink{repeat: true, all: true, busy: true}
			var there atomic.Bool
			s := streamOf(t, Config{Templates: set, Inventory: inventory, Rate: rate, MaxKeptBytes: 1 << 17, TemplateRefresh: time.Hour}, func(context.Context) (link, error) {
				if !there.Load() {
					return nil, errors.New("not there")
				}
				return f, nil
			})
			id := 0
			fill := func() {
				for {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					err := s.Export(ctx, 7, &v4)
					cancel()
					if s.backlog.used > 1<<17 {
						t.Fatalf("%d bytes are kept", s.backlog.used)
					}
					if errors.Is(err, context.DeadlineExceeded) {
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					id++
				}
			}
			fill() // while nobody is there
			there.Store(true)
			time.Sleep(30 * time.Second)
			settleDown(t, s)
			fill() // while it takes nothing
			before, kept := id, s.backlog.kept.len()
			f.busy = false
			begin := time.Now()
			if longest := lane(t, s, &id, flows, 80*time.Millisecond, optionsShare*many*105/100*time.Second/rate); longest > 2*time.Second {
				t.Errorf("a flow was held up for %v", longest)
			}
			if s.announcer.waiting.len() > 0 {
				t.Errorf("names are left after %v", time.Since(begin))
			}
			if _, err := s.Drain(t.Context()); err != nil || id < before || kept == 0 {
				t.Errorf("Drain: %v", err)
			}
			c := newReader(t, set)
			c.readAll(f.messages)
			if len(c.interfaces) != many || c.options != many+2 || c.records != id {
				t.Errorf("%d names, %d options data records, %d flows; want each name once and %d flows", len(c.interfaces), c.options, c.records, id)
			}
			if st := s.Stats(); st.Records != uint64(id) || st.Options != uint64(c.options) || st.KeptRecords != 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

// TestStreamAnnouncesWhatGotLostMidway: a connection that ends while names go out
// costs none of them, though no flows come any more.
func TestStreamAnnouncesWhatGotLostMidway(t *testing.T) {
	const many = 2000
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, many)
		set := newSet(t, templates.Config{Options: withNames})
		var links []*mortalLink
		s := streamOf(t, Config{Templates: set, Inventory: inventory, Rate: 1000, MaxKeptBytes: 1 << 15}, func(context.Context) (link, error) {
			life := 5 * time.Second
			if len(links) == 2 {
				life = time.Hour
			}
			links = append(links, &mortalLink{&fakeLink{all: true}, time.Now().Add(life)})
			return links[len(links)-1], nil
		})
		sendSome(t, s, 1, 1)
		id := 1
		lane(t, s, &id, 0, 0, 40*time.Second)
		if id, err := s.Drain(t.Context()); id != 1 || err != nil {
			t.Errorf("Drain = %d, %v", id, err)
		}
		if len(links) != 3 {
			t.Fatalf("%d connections, want 3", len(links))
		}
		c := newReader(t, set)
		for i, l := range links {
			c.session()
			clear(c.interfaces)
			c.readAll(l.messages)
			if n := len(c.interfaces); i < 2 && (n < 300 || n > 700) || i == 2 && n != many {
				t.Errorf("connection %d got %d names", i+1, n)
			}
		}
		if c.records != 1 {
			t.Errorf("%d flows, want one", c.records)
		}
	})
}

// mortalLink fails from a time on.
type mortalLink struct {
	*fakeLink
	dies time.Time
}

func (l *mortalLink) flush() error {
	if !time.Now().Before(l.dies) {
		return errors.New("gone")
	}
	return nil
}

// TestStreamDoesNotRepeatToNobody: a collector that is away for hours does not cost
// the backlog a refresh a minute.
func TestStreamDoesNotRepeatToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, 100)
		set := newSet(t, templates.Config{Options: withNames})
		s := streamOf(t, Config{Templates: set, Inventory: inventory}, func(context.Context) (link, error) { return nil, errors.New("not there") })
		for n := range 120 {
			sendSome(t, s, n+1, n+1)
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
		options := 0
		for i := range s.backlog.kept.len() {
			options += int(s.backlog.kept.at(i).options)
		}
		if options != 102 {
			t.Errorf("%d options data records are kept, want 102", options)
		}
	})
}

// TestStreamAnnouncesThroughTrouble: whatever happens to connections and whenever
// names come, what is said to be delivered has arrived, each session is in order,
// and the last one knows all names.
func TestStreamAnnouncesThroughTrouble(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			random, luck := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			set := newSet(t, templates.Config{Protocol: protocols[seed%2], Options: withNames})
			inventory := &templates.Inventory{}
			var current *fakeLink
			c := newReader(t, set)
			read := 0 // messages of current
			arrived := make(map[uint64]bool)
			var lasts atomic.Bool
			begin := time.Now()
			s := streamOf(t, Config{Templates: set, Inventory: inventory, MaxKeptBytes: 1 << 15, Rate: int(seed%3) * 5000}, func(context.Context) (link, error) {
				if luck.IntN(3) == 0 {
					return nil, errors.New("not there")
				}
				f := &fakeLink{repeat: luck.IntN(2) == 0, wait: time.Duration(luck.IntN(2)) * time.Second}
				if luck.IntN(2) == 0 && !lasts.Load() {
					f.life = time.Minute
				}
				return f, nil
			})
			// here returns how many messages the connection has taken that there is.
			here := func() int {
				if s.link == nil {
					return 0
				}
				if f := s.link.(*fakeLink); f != current {
					current, read, c = f, 0, newReader(t, set)
				}
				return len(current.messages)
			}
			deliver := func(count int) {
				here()
				for ; read < count; read++ {
					c.read(current.messages[read])
					current.done = max(current.done, current.upTo[read])
				}
				for n := range c.flows {
					arrived[n] = true
				}
			}
			total, named := 0, 0
			one := func(domain uint32) {
				r := v4
				total++
				r.Octets = uint64(total)
				for {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
					err := s.Export(ctx, domain, &r)
					cancel()
					if err == nil {
						break
					}
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Fatal(err)
					}
					time.Sleep(100 * time.Millisecond)
					deliver(here())
				}
				s.Mark(uint64(total))
			}
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
			}
			for range 500 {
				one(uint32(7 + random.IntN(2)))
				switch random.IntN(12) {
				case 0, 1:
					look()
				case 2:
					nics(inventory, uint32(7+random.IntN(2)), named+1, named+random.IntN(40))
					named += 40
				case 3:
					if n := here(); n > read {
						deliver(read + random.IntN(n-read+1))
						look()
					}
				case 4:
					if here(); s.link != nil && random.IntN(2) == 0 {
						current.err = fmt.Errorf("died at %d", total)
					}
				case 5:
					time.Sleep(time.Duration(random.IntN(30)) * time.Second)
				case 6:
					_ = s.Flush(t.Context())
					synctest.Wait()
				}
			}
			lasts.Store(true)
			for range 2 { // a connection that lasts, and a word to each domain
				for here(); s.link == nil || !s.connected(time.Now()) || current.life > 0; here() {
					look()
					time.Sleep(time.Second)
					synctest.Wait()
					deliver(here())
				}
				one(7)
				one(8)
			}
			for id := uint64(0); id < uint64(total) || s.announcer.waiting.len() > 0; {
				_ = s.Flush(t.Context())
				time.Sleep(2 * time.Second)
				deliver(here())
				var err error
				if id, err = s.Delivered(t.Context()); err != nil {
					t.Fatal(err)
				}
				if time.Since(begin) > 10*time.Hour {
					t.Fatalf("seed %d: %d of %d are delivered, %d domains wait", seed, id, total, s.announcer.waiting.len())
				}
			}
			_ = s.Flush(t.Context())
			deliver(here())
			look()
			if len(arrived) != total {
				t.Errorf("seed %d: %d flows arrived, want %d", seed, len(arrived), total)
			}
			for _, domain := range []uint32{7, 8} {
				interfaces, _ := inventory.Names(domain, 0, 0)
				for _, i := range interfaces {
					if c.interfaces[i.Index] == 0 {
						t.Fatalf("seed %d: the last session was not told of interface %d of domain %d", seed, i.Index, domain)
					}
				}
			}
			if st := s.Stats(); st.Records != uint64(total) || st.KeptBytes != 0 {
				t.Errorf("seed %d: stats %+v", seed, st)
			}
		})
	}
}
