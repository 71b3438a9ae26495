package exporter

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/templates"
)

// departures is what leaves, and when. It gathers as UDP does, and sometimes the
// machine has something else to do before anything leaves.
type departures struct {
	random   *rand.Rand
	stall    time.Duration // the longest
	messages [][]byte
	times    []time.Time
	batches  []int // how many messages left with each call

	taken   []time.Time // when what is held was taken
	longest time.Duration
}

func (d *departures) take(b []byte) {
	if len(d.taken) == maxSegments || d.random.IntN(20) == 0 { // or b has another size
		d.leave()
	}
	d.messages = append(d.messages, append([]byte(nil), b...))
	d.taken = append(d.taken, time.Now())
}

func (d *departures) leave() {
	if len(d.taken) == 0 {
		return
	}
	d.longest = max(d.longest, time.Since(d.taken[0]))
	if d.random.IntN(50) == 0 {
		time.Sleep(time.Duration(d.random.Int64N(int64(d.stall))))
	}
	for range d.taken {
		d.times = append(d.times, time.Now())
	}
	d.batches = append(d.batches, len(d.taken))
	d.taken = d.taken[:0]
}

type leavingTransport struct {
	fakeTransport
	*departures
}

func (f *leavingTransport) send(_ context.Context, b []byte) (bool, error) {
	f.take(b)
	return true, nil
}
func (f *leavingTransport) flush(context.Context) error { f.leave(); return nil }

type leavingLink struct {
	fakeLink
	*departures
	last uint64
}

func (f *leavingLink) send(b []byte, upTo uint64) error           { f.take(b); f.last = upTo; return nil }
func (f *leavingLink) flush() error                               { f.leave(); f.done = f.last; return nil }
func (f *leavingLink) poll(time.Time) (delivered uint64, _ error) { return f.done, nil }

// pacedExporter is what Session and Stream have in common.
type pacedExporter interface {
	Export(ctx context.Context, domain uint32, r *templates.Record) error
	Flush(ctx context.Context) error
}

// TestPacingIsSmooth: no 10 ms carry more than twice their share, or a message and
// their share where that is more: of flows that come all at once, after none came
// for a while, or by and by; with templates and options data records in between; and
// also when timers are late. The rate holds, and no more leaves at once than may.
func TestPacingIsSmooth(t *testing.T) {
	for _, rate := range []int{1000, 20_000, 500_000} {
		for _, messageBytes := range []int{DefaultMaxMessageBytes, 9000} {
			cfg := Config{Rate: rate, MaxMessageBytes: messageBytes, TemplateRefresh: 700 * time.Millisecond}
			name := fmt.Sprintf("%d records a second in messages of %d", rate, messageBytes)
			t.Run("Session/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg, d := pacedConfig(t, cfg)
					s := newSession(cfg, &leavingTransport{fakeTransport{repeat: true}, d})
					testPacing(t, cfg, s, s.domains, d, func() {})
				})
			})
			t.Run("Stream/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg, d := pacedConfig(t, cfg)
					l := &leavingLink{fakeLink{repeat: true}, d, 0}
					s := newStream(cfg, func(context.Context) (link, error) { return l, nil })
					defer func() { _ = s.Close() }()
					settleDown(t, s)
					testPacing(t, cfg, s, s.domains, d, func() {
						if _, err := s.Delivered(t.Context()); err != nil {
							t.Fatal(err)
						}
					})
				})
			})
		}
	}
}

func pacedConfig(t *testing.T, cfg Config) (Config, *departures) {
	t.Helper()
	cfg.Inventory = &templates.Inventory{}
	nics(cfg.Inventory, 1, 1, 300)
	cfg.Templates = newSet(t, templates.Config{Options: withNames})
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	return cfg, &departures{random: rand.New(rand.NewPCG(uint64(cfg.Rate), 1)), stall: 3 * time.Millisecond}
}

// testPacing exports in several ways; tick is called now and then.
func testPacing(t *testing.T, cfg Config, s pacedExporter, domains map[uint32]*domain, d *departures, tick func()) {
	t.Helper()
	records := [2]templates.Record{v4, v6}
	n := 0
	export := func() {
		n++
		if err := s.Export(t.Context(), uint32(1+n/5000%3), &records[d.random.IntN(40)/39]); err != nil {
			t.Fatal(err)
		}
	}
	length := min(5*time.Second, max(400*time.Millisecond, 50_000*time.Second/time.Duration(cfg.Rate)))
	for range 2 { // all at once
		begin, before := time.Now(), n
		for time.Since(begin) < length {
			for range 100 {
				export()
			}
			tick()
		}
		share := float64(n-before) / float64(cfg.Rate) / time.Since(begin).Seconds()
		if share < 0.85 || share > 1.02 { // options data records have a tenth
			t.Errorf("%.1f %% of the rate is used", 100*share)
		}
		if d.longest > 0 {
			t.Errorf("a message has waited for others for %v", d.longest)
		}
		flushExporter(t, s)
		time.Sleep(10 * time.Second)
	}
	gathered := len(d.batches)
	for begin := time.Now(); time.Since(begin) < length; { // by and by
		some := d.random.IntN(1 + cfg.Rate/50)
		for range some {
			export()
		}
		time.Sleep(time.Duration(float64(some) / float64(cfg.Rate) * d.random.Float64() * 2.4 * float64(time.Second)))
		switch d.random.IntN(6) {
		case 0:
			flushExporter(t, s)
		case 1, 2:
			tick()
		}
	}
	flushExporter(t, s)
	d.leave()
	t.Logf("%d records in %d messages, with %d and %d calls", n, len(d.messages), gathered, len(d.batches)-gathered)
	d.check(t, &cfg, domains, n)
}

func flushExporter(t *testing.T, s pacedExporter) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// check looks at what has left.
func (d *departures) check(t *testing.T, cfg *Config, domains map[uint32]*domain, flows int) {
	t.Helper()
	const window = 10 * time.Millisecond
	share := cfg.Rate * int(window) / int(time.Second)
	// How many records a message has, the sequence number of the next one says.
	sizes, all := make([]int, len(d.messages)), 0
	next := make(map[uint32]uint32)
	for id, domain := range domains {
		next[id] = domain.sequence
	}
	for i, m := range slices.Backward(d.messages) {
		id, sequence := binary.BigEndian.Uint32(m[12:]), binary.BigEndian.Uint32(m[8:])
		sizes[i] = int(next[id] - sequence)
		next[id] = sequence
		all += sizes[i]
	}
	largest := slices.Max(sizes)
	if all <= flows || all > flows*5/4 || largest > cfg.MaxRecords {
		t.Errorf("%d records have left, %d in one message; want %d flows and some names", all, largest, flows)
	}
	most, first, carried := 0, 0, 0
	for i, n := range sizes {
		carried += n
		for d.times[i].Sub(d.times[first]) >= window {
			carried -= sizes[first]
			first++
		}
		most = max(most, carried)
	}
	late := cfg.Rate * int(d.stall) / int(time.Second)
	if limit := max(2*share, largest+share+late); most > limit {
		t.Errorf("%d records within %v, want at most %d", most, window, limit)
	}
	at, together, alone := 0, 0, max(cfg.Rate*int(bucket)/int(time.Second), largest)
	for _, n := range d.batches {
		sum := 0
		for range n {
			sum += sizes[at]
			at++
		}
		together = max(together, sum)
	}
	if together > alone {
		t.Errorf("%d records with one call, want at most %d", together, alone)
	}
	t.Logf("at most %d records in %v, share is %d; %d with one call, the largest message has %d", most, window, share, together, largest)
}

// TestLimiterGathers: what comes in quick succession is gathered as long as the
// bucket lasts, and what leaves late costs then.
func TestLimiterGathers(t *testing.T) {
	l := newLimiter(&Config{Rate: 20_000}) // 100 records at once
	l.gather = true
	now := time.Unix(1_700_000_000, 0)
	for i, step := range []struct {
		after   time.Duration
		records int
		delay   time.Duration
		leave   bool
	}{
		{0, 20, 0, true}, // nobody knows whether more comes
		{together, 20, 0, false},
		{together, 20, 0, false},
		{together, 20, 0, false},
		{together, 20, 0, true}, // and 8 records later, there is room for 8
		{0, 20, 600 * time.Microsecond, true},
		{600 * time.Microsecond, 20, 0, true}, // which was put off
		{time.Second, 20, 0, true},
		{0, 20, 0, false},
		{0, 20, 0, false},
		{time.Second, 20, 0, true}, // with the two before it, which are 60 records at once
		{0, 20, 0, false},
		{0, 20, 0, true},
		{0, 20, time.Millisecond, true},
		{time.Millisecond, 20, 0, true},
		{time.Second, 0, 0, true}, // templates cost nothing
		{0, 0, 0, false},
		{0, 500, 20 * time.Millisecond, true}, // a bucket that deep is not full
		{time.Second, 500, 0, true},
	} {
		now = now.Add(step.after)
		if d := l.delay(now, step.records); d != step.delay {
			t.Errorf("step %d: the message is to wait for %v, want %v", i, d, step.delay)
		}
		if l.delay(now, step.records) > 0 {
			continue
		}
		if leave := l.pass(now, step.records); leave != step.leave {
			t.Errorf("step %d: what is gathered leaves: %v, want %v", i, leave, step.leave)
		}
	}
}

// TestLimiterLeavesAlone: at a low rate nothing is gathered.
func TestLimiterLeavesAlone(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for rate, together := range map[int]bool{gatherRate - 1: false, gatherRate: true} {
		l := newLimiter(&Config{Rate: rate})
		l.pass(now, 20)
		if leave := l.pass(now, 20); leave == together {
			t.Errorf("at %d records/s the second message leaves alone: %v", rate, leave)
		}
	}
}
