package flowgen

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// follower checks that the tuples of one NIC are possible lives.
type follower struct {
	t     *testing.T
	kind  Kind
	begin int64 // of the first window, Unix milliseconds
	sweep int64 // NSG: phase of the C rows, -1 before the first
	open  map[connKey]*history
	moves map[connKey][4]uint64 // all that a connection of the model is to move, in the order of a tuple

	continued int // lives with three C rows or more
	moved     int // lives seen from B to E with data both ways
	huge      int // deltas above 2^32 bytes
	retries   int // denied again
}

// history is what is known of one open connection.
type history struct {
	last     tuple
	updates  int
	complete bool // its B was seen
	sum      [4]uint64
}

func (f *follower) errorf(u *tuple, format string, args ...any) {
	f.t.Helper()
	f.t.Errorf("%v %+v: %s", f.kind, *u, fmt.Sprintf(format, args...))
}

func (f *follower) add(u *tuple) {
	k := u.key()
	l := f.open[k]
	if u.state == "D" {
		if l != nil && l.last.state != "D" {
			f.errorf(u, "denied while open")
		} else if l != nil && u.ms-l.last.ms < 10_000 {
			f.retries++
		}
		f.open[k] = &history{last: *u}
		return
	}
	if l != nil && l.last.state == "D" {
		f.errorf(u, "allowed after it was denied")
	}
	if f.kind == NSGv1 {
		if l != nil && u.ms-l.last.ms < 3_600_000 {
			f.errorf(u, "5-tuple again within an hour")
		}
		f.open[k] = &history{last: *u}
		return
	}
	if u.state == "B" {
		if l != nil {
			f.errorf(u, "begins while open since %+v", l.last)
		}
		f.open[k] = &history{last: *u, complete: true}
		return
	}
	if l == nil { // began before the log: the row before this one may be there too
		if u.ms-f.begin > continueMs {
			f.errorf(u, "nothing came before")
		}
		l = &history{last: tuple{state: "?", ms: u.ms - continueMs}}
		f.open[k] = l
	}
	gap := u.ms - l.last.ms
	if gap > continueMs || gap < 0 {
		f.errorf(u, "%d ms after the last row", gap)
	}
	if u.state == "C" {
		if gap != continueMs && (f.kind == VNet || l.last.state == "C") {
			f.errorf(u, "%d ms after the last row, want 5 minutes", gap)
		}
		if f.kind == NSG {
			if f.sweep < 0 {
				f.sweep = u.ms % continueMs
			}
			if u.ms%continueMs != f.sweep {
				f.errorf(u, "not in the sweep at %d", f.sweep)
			}
		}
		l.updates++
	}
	for i, n := range u.counters {
		l.sum[i] += n
	}
	for way := 0; way < 4; way += 2 {
		if packets, bytes := u.counters[way], u.counters[way+1]; bytes < 40*packets || bytes > 1500*packets {
			f.errorf(u, "%d packets cannot be %d bytes", packets, bytes)
		} else if bytes > 1<<32 {
			f.huge++
		}
	}
	l.last = *u
	if u.state == "E" {
		f.end(u, l)
		delete(f.open, k)
	}
}

func (f *follower) end(u *tuple, l *history) {
	if f.kind == NSG && l.complete && l.updates == 0 && (u.counters[2] != 0 || u.counters[3] != 0) {
		f.errorf(u, "a short NSG flow with a way back")
	}
	if !l.complete {
		return
	}
	if want, ok := f.moves[u.key()]; ok { // else it was never seen between two records
		if f.kind == NSG && l.updates == 0 {
			want[2], want[3] = 0, 0
		}
		if l.sum != want {
			f.errorf(u, "%d rows add up to %d, want %d", l.updates+1, l.sum, want)
		}
		delete(f.moves, u.key())
	}
	if l.sum[0] == 0 || l.sum[1] == 0 {
		f.errorf(u, "moved nothing")
	}
	if l.updates >= 3 {
		f.continued++
	}
	if l.sum[3] > 0 {
		f.moved++
	}
}

// learn notes what the connections between two records are to move.
func (f *follower) learn(n *nic) {
	address := func(b []byte) netip.Addr { return netip.MustParseAddr(string(b)) }
	for i := range n.live {
		c := &n.live[i]
		p := &profiles[c.profile]
		if p.denied {
			continue
		}
		k := connKey{address(n.appendVM(nil, c.v6)), address(n.appendPeer(nil, p, &event{peer: c.peer, v6: c.v6})), int(c.source), int(c.dest), p.udp}
		if p.inbound {
			k.src, k.dst = k.dst, k.src
		}
		f.moves[k] = [4]uint64{c.packets[0], c.octets[0], c.packets[1], c.octets[1]}
	}
}

// finish checks that what is open at the end was told of in the last 5 minutes.
func (f *follower) finish(end int64) {
	for _, l := range f.open {
		if f.kind == NSGv1 || l.last.state == "D" {
			continue
		}
		if age := end - l.last.ms; age > continueMs+1000 { // NSG times are whole seconds
			f.errorf(&l.last, "silent for %d ms", age)
		}
	}
}

// TestLives runs whole logs through every rule about tuples, records and sums.
func TestLives(t *testing.T) {
	for _, cfg := range []Config{
		{Kind: VNet, NICs: 3, Minutes: 130, Tuples: 150, Seed: 1, IPv6: true},
		{Kind: VNet, NICs: 1, Minutes: 40, Tuples: 4000, Seed: 2},
		{Kind: VNet, NICs: 20, Minutes: 30, Tuples: 1, Seed: 3},
		{Kind: NSG, NICs: 3, Minutes: 130, Tuples: 150, Seed: 4, IPv6: true},
		{Kind: NSG, NICs: 1, Minutes: 40, Tuples: 4000, Seed: 5},
		{Kind: NSG, NICs: 20, Minutes: 30, Tuples: 1, Seed: 6},
		{Kind: NSGv1, NICs: 2, Minutes: 70, Tuples: 300, Seed: 7, IPv6: true},
		{Kind: NSGv1, NICs: 5, Minutes: 30, Tuples: 1, Seed: 8},
	} {
		t.Run(fmt.Sprintf("%v-%d", cfg.Kind, cfg.Tuples), func(t *testing.T) {
			t.Parallel()
			testLives(t, cfg)
		})
	}
}

func testLives(t *testing.T, cfg Config) {
	g := newGenerator(t, cfg)
	var want Totals
	var sum follower
	for nic := range cfg.NICs {
		begin, _ := g.nics[nic].timing.window(start, 0)
		f := follower{t: t, kind: cfg.Kind, begin: begin, sweep: -1, open: map[connKey]*history{}, moves: map[connKey][4]uint64{}}
		for minute := range cfg.Minutes {
			r := readRecord(t, cfg.Kind, g.AppendRecord(nil, nic, minute))
			r.sum(&want)
			checkRecord(t, g, nic, minute, &r)
			for _, a := range r.arrays {
				for i := range a.tuples {
					f.add(&a.tuples[i])
				}
			}
			f.learn(&g.nics[nic])
		}
		_, end := g.nics[nic].timing.window(start, cfg.Minutes-1)
		f.finish(end)
		sum.continued += f.continued
		sum.moved += f.moved
		sum.huge += f.huge
		sum.retries += f.retries
		if t.Failed() {
			t.FailNow()
		}
	}
	if diff := cmp.Diff(want, g.Totals()); diff != "" {
		t.Errorf("Totals (-read +got):\n%s", diff)
	}
	if cfg.Tuples < 100 {
		return
	}
	if sum.retries == 0 {
		t.Error("no connection was denied twice")
	}
	if cfg.Kind != NSGv1 && (sum.continued == 0 || sum.moved == 0 || sum.huge == 0) {
		t.Errorf("%d lives with three C rows, %d whole lives, %d deltas above 2^32 bytes, want some of each", sum.continued, sum.moved, sum.huge)
	}
}

// checkRecord holds what is true of each record alone.
func checkRecord(t *testing.T, g *Generator, nic, minute int, r *record) {
	t.Helper()
	at := g.RecordTime(nic, minute)
	if !r.raw.Time.Equal(at) || r.mac != g.nics[nic].mac {
		t.Errorf("record %d has time %v and MAC %s, want %v and %s", minute, r.raw.Time, r.mac, at, g.nics[nic].mac)
	}
	resolution := int64(1)
	if g.cfg.Kind != VNet {
		resolution = 1000
	}
	from, to := g.nics[nic].timing.window(start, minute)
	rules := map[string]bool{}
	count := 0
	for _, a := range r.arrays {
		if rules[a.rule] {
			t.Errorf("record %d: rule %s twice", minute, a.rule)
		}
		rules[a.rule] = true
		last := int64(0)
		for _, u := range a.tuples {
			count++
			if u.ms < last {
				t.Errorf("record %d: %+v goes back in time", minute, u)
			}
			last = u.ms
			if age := at.Sub(time.UnixMilli(u.ms)); age < 2*time.Second || age > 64*time.Second {
				t.Errorf("record %d of %v: tuple %v old", minute, at, age)
			}
			if u.ms/resolution < from/resolution || u.ms >= to {
				t.Errorf("record %d: tuple at %d, window is %d to %d", minute, u.ms, from, to)
			}
			checkTuple(t, g, nic, &a, &u)
		}
	}
	if count == 0 {
		t.Errorf("record %d is empty", minute)
	}
}

func checkTuple(t *testing.T, g *Generator, nic int, a *array, u *tuple) {
	t.Helper()
	n := &g.nics[nic]
	vm, peer := u.src, u.dst
	if u.inbound {
		vm, peer = u.dst, u.src
	}
	if s := vm.String(); s != n.vm4 && s != n.vm6 {
		t.Errorf("%+v: the NIC has %s and %s", *u, n.vm4, n.vm6)
	}
	if vm.Is4() != peer.Is4() || vm.Is6() && !g.cfg.IPv6 {
		t.Errorf("%+v: wrong family", *u)
	}
	local := a.rule == ruleNames[vnetIn] || a.rule == ruleNames[vnetOut]
	if peer.IsPrivate() != local {
		t.Errorf("%+v: rule %s", *u, a.rule)
	}
	if g.cfg.Kind != VNet {
		return
	}
	if want := map[bool]string{false: "NX", true: "X"}[local]; u.encryption != want {
		t.Errorf("%+v: encryption, want %s", *u, want)
	}
	if byPlatform := a.acl == "00000000-0000-0000-0000-000000000000"; byPlatform != (a.rule == "PlatformRule") {
		t.Errorf("rule %s of aclID %s", a.rule, a.acl)
	}
}

// TestMix holds the proportions of a large log.
func TestMix(t *testing.T) {
	f := func(kind Kind, tuples int, ipv6 bool, bytesPerTuple [2]float64) {
		t.Helper()
		const minutes = 65
		g := newGenerator(t, Config{Kind: kind, NICs: 1, Minutes: minutes, Tuples: tuples, Seed: 11, IPv6: ipv6})
		var b []byte
		size, live := 0, 0
		for minute := range minutes {
			b = g.AppendRecord(b[:0], 0, minute)
			size += len(b)
			if minute == 0 {
				live = len(g.nics[0].live)
			}
			if now := len(g.nics[0].live); now > 2*live+20 {
				t.Fatalf("%v: %d connections in memory after minute %d, %d after the first", kind, now, minute, live)
			}
		}
		got := g.Totals()
		between := func(what string, value, low, high float64) {
			t.Helper()
			if value < low || value > high {
				t.Errorf("%v: %s is %.3f, want %.2f to %.2f", kind, what, value, low, high)
			}
		}
		n := float64(got.Tuples)
		mean := float64(tuples)
		between("mean of tuples", n/minutes, .97*mean, 1.03*mean)
		between("size of a tuple", float64(size)/n, bytesPerTuple[0], bytesPerTuple[1])
		between("share of inbound", float64(got.Inbound)/n, .25, .5)
		between("share of denied", float64(got.Denied)/n, .04, .16)
		if kind != NSGv1 {
			between("share of C and E", float64(got.Continuing+got.Ended)/n, .45, .6)
			between("B per E", float64(got.Begun)/float64(got.Ended), .95, 1.05)
		}
		if ipv6 {
			between("share of IPv6", float64(got.IPv6)/n, .22, .28)
		}
	}
	f(VNet, 3000, false, [2]float64{78, 84})
	f(VNet, 3000, true, [2]float64{85, 91})
	f(NSG, 3000, false, [2]float64{71, 77})
	f(NSG, 3000, true, [2]float64{77, 84})
	f(NSGv1, 3000, false, [2]float64{56, 62})
	f(NSGv1, 3000, true, [2]float64{62, 69})
}

// TestTakesAddUp cuts lives at random places.
func TestTakesAddUp(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		lifeMs := 1 + r.Int64N(14_400_000)
		c := conn{start: 1_795_226_400_000, end: 1_795_226_400_000 + lifeMs, busyMs: 1 + r.Int64N(lifeMs)}
		for way := range 2 {
			c.packets[way] = r.Uint64() >> (36 + r.IntN(28))
			c.octets[way] = c.packets[way] * (40 + r.Uint64N(1460))
		}
		var sum counters
		for at := c.start; at < c.end; {
			at = min(at+1+r.Int64N(300_000), c.end)
			d := c.take(at)
			sum.sentPackets += d.sentPackets
			sum.sentOctets += d.sentOctets
			sum.receivedPackets += d.receivedPackets
			sum.receivedOctets += d.receivedOctets
		}
		want := counters{c.packets[0], c.octets[0], c.packets[1], c.octets[1]}
		if sum != want {
			t.Fatalf("life of %d ms: sum %+v, want %+v", lifeMs, sum, want)
		}
	}
}

func TestTake(t *testing.T) {
	f := func(c conn, at int64, want counters) {
		t.Helper()
		if got := c.take(at); got != want {
			t.Errorf("take(%d) of %+v = %+v, want %+v", at, c, got, want)
		}
	}
	c := conn{start: 1000, end: 3000, busyMs: 1000, packets: [2]uint64{10, 4}, octets: [2]uint64{1000, 6}}
	f(c, 1000, counters{})
	f(c, 1500, counters{5, 500, 2, 3})
	f(c, 1199, counters{1, 100, 0, 0})
	f(c, 2000, counters{10, 1000, 4, 6})
	f(c, 3000, counters{10, 1000, 4, 6})
	c.told = [2]uint64{10, 3}
	f(c, 3000, counters{0, 0, 1, 2})
	big := conn{end: 14_400_000, busyMs: 14_400_000, packets: [2]uint64{1 << 31}, octets: [2]uint64{1500 << 31}}
	f(big, 7_200_000, counters{1 << 30, 1500 << 30, 0, 0})
}
