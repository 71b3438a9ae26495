// Package flowgen makes synthetic Azure flow logs that look like Azure's own:
// the JSON of virtual network flow logs (version 4) and of network security
// group flow logs (versions 1 and 2), the blob names they are stored under, and
// the way such a blob grows minute by minute.
//
// It lives off a small traffic model: every network interface (NIC) opens
// connections that have addresses, a life and counters, and the records are
// what Azure would log about them. The model of a NIC depends on the seed and
// the number of the NIC alone, so NICs may be asked for in any order, and the
// same Config gives the same bytes on every machine. Only connections that are
// alive are kept in memory.
//
// What does not live here: anything that reads flow logs, the storage service
// (this package writes files only), and malformed input. A flow between two
// NICs of one Generator is not logged twice; the peers inside a virtual network
// are machines without a log of their own.
package flowgen

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Kind is the kind and version of a flow log.
type Kind int

const (
	// VNet is a virtual network flow log, version 4: milliseconds, 13 fields.
	// See https://learn.microsoft.com/azure/network-watcher/vnet-flow-logs-overview.
	VNet Kind = iota
	// NSG is a network security group flow log, version 2: seconds, 13 fields.
	// See https://learn.microsoft.com/azure/network-watcher/nsg-flow-logs-overview.
	NSG
	// NSGv1 is a network security group flow log, version 1: seconds, 8 fields,
	// flow starts only, no counters.
	NSGv1
)

// String names the kind as "vnet-v4", "nsg-v2" or "nsg-v1".
func (k Kind) String() string {
	switch k {
	case VNet:
		return "vnet-v4"
	case NSG:
		return "nsg-v2"
	case NSGv1:
		return "nsg-v1"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Limits of a Config. Up to MaxTuples a 5-tuple is never used by two
// connections that are alive at once.
const (
	MaxNICs    = 1 << 16
	MaxMinutes = 1 << 20
	MaxTuples  = 1_000_000
)

// Config says what to generate. The same Config gives the same bytes.
type Config struct {
	Kind    Kind
	NICs    int       // network interfaces, each with a MAC address of its own; 1 to MaxNICs
	Start   time.Time // first minute, in UTC and cut to the minute; the first record's time lies in it
	Minutes int       // records per NIC; 1 to MaxMinutes
	Tuples  int       // mean number of tuples in a record; 1 to MaxTuples
	Seed    uint64
	IPv6    bool // about a quarter of the connections are IPv6
}

// Totals counts what has been generated so far. Sent is the direction from the
// initiator of a connection to the responder, received the other one, whatever
// the NIC's own role: fields 9 and 10, and 11 and 12 of a tuple.
type Totals struct {
	Records uint64
	Tuples  uint64 // Begun + Continuing + Ended + Denied = Inbound + Outbound
	IPv6    uint64 // tuples with IPv6 addresses

	Begun      uint64 // state B; in NSGv1 every allowed tuple
	Continuing uint64 // state C
	Ended      uint64 // state E
	Denied     uint64 // state D; in NSG and NSGv1 decision D

	Inbound  uint64 // direction I
	Outbound uint64 // direction O

	PacketsSent     uint64
	BytesSent       uint64
	PacketsReceived uint64
	BytesReceived   uint64
}

func (t *Totals) add(u *Totals) {
	t.Records += u.Records
	t.Tuples += u.Tuples
	t.IPv6 += u.IPv6
	t.Begun += u.Begun
	t.Continuing += u.Continuing
	t.Ended += u.Ended
	t.Denied += u.Denied
	t.Inbound += u.Inbound
	t.Outbound += u.Outbound
	t.PacketsSent += u.PacketsSent
	t.BytesSent += u.BytesSent
	t.PacketsReceived += u.PacketsReceived
	t.BytesReceived += u.BytesReceived
}

// Generator makes the records of one Config. It is for one goroutine at a time,
// except Totals, BlobPath and RecordTime, which may be called from any.
type Generator struct {
	cfg      Config
	networks []network
	nics     []nic
	traffic  traffic
	texts    tupleTexts

	// Tuples of the record in work, and their order; reused by the next record.
	events []event
	keys   []uint64

	mu     sync.Mutex
	totals Totals
}

// nic is one network interface and its traffic.
type nic struct {
	net    *network
	mac    string
	vm4    string // its addresses
	vm6    string
	timing timing

	rng     rand.PCG
	minute  int                 // the next record to make
	carry   uint64              // fraction of an arrival left over, in 1/2^16
	serials [numProfiles]uint64 // connections opened so far, plus a start that is the NIC's own
	live    []conn              // connections with tuples still to come
}

// New checks cfg and returns a Generator at its first minute.
func New(cfg Config) (*Generator, error) {
	cfg.Start = cfg.Start.UTC().Truncate(time.Minute)
	if err := cfg.check(); err != nil {
		return nil, err
	}
	g := &Generator{
		cfg:      cfg,
		networks: makeNetworks(cfg),
		nics:     make([]nic, cfg.NICs),
		traffic:  newTraffic(cfg.Kind, cfg.Tuples),
		texts:    newTupleTexts(cfg.Kind),
	}
	for i := range g.nics {
		g.initNIC(i)
	}
	return g, nil
}

func (cfg Config) check() error {
	if cfg.Kind < VNet || cfg.Kind > NSGv1 {
		return fmt.Errorf("kind: want vnet-v4, nsg-v2 or nsg-v1 (got %v)", cfg.Kind)
	}
	for _, f := range []struct {
		name     string
		got, max int
	}{
		{"nics", cfg.NICs, MaxNICs},
		{"minutes", cfg.Minutes, MaxMinutes},
		{"tuples", cfg.Tuples, MaxTuples},
	} {
		if f.got < 1 || f.got > f.max {
			return fmt.Errorf("%s: want 1 to %d (got %d)", f.name, f.max, f.got)
		}
	}
	// In these years Unix seconds have 10 digits and milliseconds 13.
	if y := cfg.Start.Year(); y < 2002 || y > 2280 {
		return fmt.Errorf("start: want a year from 2002 to 2280 (got %s)", cfg.Start.Format(time.RFC3339))
	}
	return nil
}

func (g *Generator) initNIC(i int) {
	n := &g.nics[i]
	n.net = &g.networks[i/nicsPerNetwork]
	n.mac = macOf(g.cfg.Seed, i)
	n.vm4, n.vm6 = n.net.vmAddrs(i % nicsPerNetwork)
	n.timing = newTiming(g.cfg.Seed, i)
	n.rng.Seed(hash(g.cfg.Seed, saltTraffic, uint64(i)), uint64(i))
	n.carry = n.below(1 << 16)
	for p := range n.serials {
		n.serials[p] = n.below(1 << 32)
	}
}

// below returns a number from 0 up to, but not including, limit.
func (n *nic) below(limit uint64) uint64 { return scale(n.rng.Uint64(), limit) }

// RecordTime returns the time of the record that nic writes in minute. It lies
// in that minute, and two to three seconds after the end of the record's window
// of about 60 s; so the first record of an hour is about the hour before.
func (g *Generator) RecordTime(nic, minute int) time.Time {
	return g.nics[nic].timing.record(g.cfg.Start, minute)
}

// AppendRecord appends the record of one NIC and one minute to dst, as compact
// JSON without separators, and returns the longer slice. A record has at least
// one tuple. The minutes of a NIC must be asked for in order, each once, from 0
// to Config.Minutes-1; any other call panics. Different NICs may be mixed.
func (g *Generator) AppendRecord(dst []byte, nic, minute int) []byte {
	n := &g.nics[nic]
	if minute != n.minute || minute >= g.cfg.Minutes {
		panic(fmt.Sprintf("flowgen: minute %d of NIC %d asked for, next is %d of %d", minute, nic, n.minute, g.cfg.Minutes))
	}
	n.minute++
	from, to := n.timing.window(g.cfg.Start, minute)
	g.events, g.keys = g.events[:0], g.keys[:0]
	if minute == 0 {
		g.populate(n, from)
	}
	g.simulate(n, minute, from, to)
	if n.minute == g.cfg.Minutes {
		n.live = nil
	}
	dst, counts := g.encode(dst, n, g.RecordTime(nic, minute))
	g.mu.Lock()
	g.totals.add(&counts)
	g.mu.Unlock()
	return dst
}

// Totals returns the sums over all records made so far. It may be called while
// another goroutine is in AppendRecord, WriteDir or Grow.
func (g *Generator) Totals() Totals {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.totals
}
