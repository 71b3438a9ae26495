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

// TestManyInterfaces: the names of 10 000 interfaces go out at the configured rate;
// flows go on between them, and take most of the rate.
func TestManyInterfaces(t *testing.T) {
	const many, rate = 10_000, 500
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 1, 1, many)
		set := newSet(t, templates.Config{Options: withNames})
		s, f, c := sessionOf(t, Config{Templates: set, Inventory: inventory, Rate: rate})
		begin := time.Now()
		export(t, s, 1, 1, v4)
		flush(t, s)
		if took, want := time.Since(begin), many*time.Second/rate; took < want*98/100 || took > want*102/100 {
			t.Errorf("%d names took %v, want %v", many, took, want)
		}
		c.readAll(f.messages)
		f.messages = f.messages[:0]
		for len(c.interfaces) != many || c.records != 1 || c.options != many+2 {
			t.Fatalf("%d names, %d flows, %d options data records", len(c.interfaces), c.records, c.options)
		}
		begin = time.Now()
		for time.Since(begin) < 20*time.Minute {
			export(t, s, 1, 500, v4)
		}
		flush(t, s)
		before := c.options
		c.readAll(f.messages)
		if share := float64(c.options-before) / float64(c.options-before+c.records); share > 1.0/optionsShare || share < 0.05 {
			t.Errorf("options data records are %.0f %% of all", 100*share)
		}
		if n := c.interfaces[many]; n < 4 {
			t.Errorf("the last interface was named %d times", n)
		}
	})
}

// TestStreamManyInterfaces: names wait for room, as flows do, and are kept within
// the same memory; a canceled Export goes on where it was.
func TestStreamManyInterfaces(t *testing.T) {
	const many, rate = 10_000, 5000
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, many)
		set := newSet(t, templates.Config{Options: withNames})
		var f *fakeLink
		var there atomic.Bool
		s := streamOf(t, Config{Templates: set, Inventory: inventory, Rate: rate, MaxKeptBytes: 1 << 17}, func(context.Context) (link, error) {
			if !there.Load() {
				return nil, errors.New("not there")
			}
			f = &fakeLink{repeat: true, all: true}
			return f, nil
		})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := s.Export(ctx, 7, &v4); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Export = %v, want a wait for room", err)
			}
			cancel()
			if s.backlog.used > 1<<17 {
				t.Errorf("%d bytes are kept", s.backlog.used)
			}
		}
		there.Store(true)
		time.Sleep(30 * time.Second)
		begin := time.Now()
		sendSome(t, s, 1, 1)
		if id, err := s.Drain(t.Context()); id != 1 || err != nil {
			t.Errorf("Drain = %d, %v", id, err)
		}
		if took, want := time.Since(begin), many*time.Second/rate; took < want*97/100 || took > want*110/100 {
			t.Errorf("%d names took %v, want %v", many, took, want)
		}
		c := newReader(t, set)
		c.readAll(f.messages)
		if len(c.interfaces) != many || c.records != 1 {
			t.Errorf("%d names, %d flows; want %d and one", len(c.interfaces), c.records, many)
		}
		// A piece of what waited came twice, no more.
		if c.options > many+2+4*namesAtOnce {
			t.Errorf("%d options data records, want %d and few more", c.options, many+2)
		}
		if st := s.Stats(); st.Records != 1 || st.Options != uint64(c.options) || st.KeptRecords != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestStreamAnnouncesWhatGotLostMidway: a connection that ends while names go out
// costs none of them.
func TestStreamAnnouncesWhatGotLostMidway(t *testing.T) {
	const many = 2000
	synctest.Test(t, func(t *testing.T) {
		inventory := &templates.Inventory{}
		nics(inventory, 7, 1, many)
		set := newSet(t, templates.Config{Options: withNames})
		var links []*mortalLink
		s := streamOf(t, Config{Templates: set, Inventory: inventory, Rate: 1000, MaxKeptBytes: 1 << 15}, func(context.Context) (link, error) {
			life := time.Second
			if len(links) == 2 {
				life = time.Hour
			}
			links = append(links, &mortalLink{&fakeLink{all: true}, time.Now().Add(life)})
			return links[len(links)-1], nil
		})
		sendSome(t, s, 1, 1)
		if id, err := s.Drain(t.Context()); id != 1 || err != nil {
			t.Errorf("Drain = %d, %v", id, err)
		}
		if len(links) != 3 {
			t.Fatalf("%d connections, want 3", len(links))
		}
		c := newReader(t, set)
		c.readAll(links[2].messages)
		if len(c.interfaces) != many || c.records != 1 {
			t.Errorf("the last connection got %d names and %d flows, want %d and one", len(c.interfaces), c.records, many)
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
			var c *reader
			read := 0 // messages of current
			arrived := make(map[uint64]bool)
			s := streamOf(t, Config{Templates: set, Inventory: inventory, MaxKeptBytes: 1 << 15, Rate: int(seed%3) * 5000}, func(context.Context) (link, error) {
				if luck.IntN(3) == 0 {
					return nil, errors.New("not there")
				}
				current = &fakeLink{repeat: luck.IntN(2) == 0, wait: time.Duration(luck.IntN(2)) * time.Second}
				c, read = newReader(t, set), 0
				return current, nil
			})
			deliver := func(count int) {
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
					if s.link != nil {
						deliver(len(current.messages))
					}
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
					if s.link != nil && len(current.messages) > 0 {
						deliver(read + random.IntN(len(current.messages)-read+1))
						look()
					}
				case 4:
					if s.link != nil && random.IntN(2) == 0 {
						current.err = fmt.Errorf("died at %d", total)
					}
				case 5:
					time.Sleep(time.Duration(random.IntN(30)) * time.Second)
				case 6:
					_ = s.Flush(t.Context())
					synctest.Wait()
				}
			}
			for range 2 { // a connection that lasts, and a word to each domain
				for s.link == nil || !s.connected(time.Now()) {
					look()
					time.Sleep(time.Second)
				}
				one(7)
				one(8)
			}
			for id := uint64(0); id < uint64(total); {
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
