package flowgen

import "math/bits"

// state is what a tuple says about its connection.
type state uint8

const (
	begun state = iota
	continuing
	ended
	denied
	numStates
)

// conn is a connection with tuples still to come. Times are Unix milliseconds.
// Index 0 is the way from initiator to responder, index 1 the way back.
type conn struct {
	start, end int64
	busyMs     int64 // packets move in this first part of the life, evenly
	next       int64 // time of its next tuple
	packets    [2]uint64
	octets     [2]uint64
	told       [2]uint64 // packets in the tuples so far

	peer    uint32 // index into the outside pool, or host number
	source  uint16 // ports of initiator and responder
	dest    uint16
	profile uint8
	retries uint8 // of a denied connection, still to come
	v6      bool
	updated bool // had a C row
}

// counters are the deltas of a tuple, in the order of its fields.
type counters struct {
	sentPackets, sentOctets, receivedPackets, receivedOctets uint64
}

// take returns what the connection moved from its last tuple until at. All
// takes of a life up to its end add up to its packets and octets.
func (c *conn) take(at int64) counters {
	var packets, octets [2]uint64
	for i, p := range c.packets {
		if run := at - c.start; run < c.busyMs {
			p = mulDiv(p, uint64(run), uint64(c.busyMs))
		}
		packets[i] = p - c.told[i]
		octets[i] = c.octetsOf(i, p) - c.octetsOf(i, c.told[i])
		c.told[i] = p
	}
	return counters{packets[0], octets[0], packets[1], octets[1]}
}

// octetsOf returns the size of the first p packets of one way.
func (c *conn) octetsOf(way int, p uint64) uint64 {
	switch p {
	case 0:
		return 0
	case c.packets[way]:
		return c.octets[way]
	}
	return mulDiv(c.octets[way], p, c.packets[way])
}

// mulDiv returns a*b/c, which must fit 64 bits, without overflow in between.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// sourcePorts are 1024 to 65535. The number has the prime factors 2, 3 and 7.
const sourcePorts = 65536 - 1024

// open begins a connection of profile p at start. The n-th connection of a
// profile takes the n-th peer and the n-th port, each from its own circle. The
// sizes of the circles have no common factor, so a pair comes back only after
// all others, which is longer than any life.
func (n *nic) open(p uint8, start int64, random uint64, ipv6 bool) conn {
	prof := &profiles[p]
	serial := n.serials[p]
	n.serials[p]++
	const stride = 25717 // has no factor in common with sourcePorts: all ports, in no simple order
	c := conn{
		start:   start,
		next:    start,
		peer:    uint32(prof.peers.first + serial%prof.peers.size),
		source:  uint16(1024 + serial%sourcePorts*stride%sourcePorts),
		dest:    prof.port,
		profile: p,
		v6:      ipv6 && random>>60&3 == 0,
	}
	if c.dest == 0 {
		if random>>56&1 == 0 {
			c.dest = scannedPorts[random>>48%uint64(len(scannedPorts))]
		} else {
			c.dest = uint16(10_000 + random>>40%50_000)
		}
	}
	if prof.denied && !prof.udp && random>>32%retryShare == 0 {
		c.retries = 2
	}
	return c
}

// fill gives the connection its counters: a random number of packets of the
// order its span allows, and packets of the sizes its profile allows.
func (n *nic) fill(c *conn, s *span, lifeMs int64) {
	prof := &profiles[c.profile]
	random := n.rng.Uint64()
	c.end, c.busyMs = c.start+lifeMs, lifeMs
	if lifeMs > 60_000 && random>>62 == 0 { // closed by a timer: the last minutes are idle
		c.busyMs -= min(240_000, lifeMs/2)
	}
	if !prof.udp && lifeMs < 2_000 && random>>56&31 == 0 { // no answer
		c.packets[0], c.octets[0] = 1, 74
		return
	}
	low := max(s.minBits+prof.boost, 0)
	high := max(s.maxBits+prof.boost, low+1)
	size := uint(low) + uint(scale(random<<8, uint64(high-low)))
	sent := 1<<size | random>>8&(1<<size-1)
	received := max(sent*(128+random&255)/256, 1)
	c.packets = [2]uint64{sent, received}
	c.octets = [2]uint64{
		sent*prof.sent.min + n.below(sent*(prof.sent.max-prof.sent.min)+1),
		received*prof.received.min + n.below(received*(prof.received.max-prof.received.min)+1),
	}
}

// spanOf picks a span by its share.
func (l *life) spanOf(share uint8) *span {
	rest := int(share)
	for i, s := range l {
		if rest -= int(s); rest < 0 {
			return &spans[i]
		}
	}
	panic("flowgen: the shares of a life do not add up")
}

// nextContinue returns when the first C row after a moment is due: in a VNet
// log every 5 minutes after the connection's own start, in an NSG log in a sweep
// of all connections of the NIC at once.
func (g *Generator) nextContinue(n *nic, c *conn, after int64) int64 {
	origin := c.start
	if g.cfg.Kind == NSG {
		origin = n.timing.sweep
	}
	return origin + ((after-origin)/continueMs+1)*continueMs
}

// populate gives a NIC the connections that were open when its first window
// began, so that the mix of tuples is the same from the first record on.
func (g *Generator) populate(n *nic, from int64) {
	if g.cfg.Kind == NSGv1 {
		return
	}
	carry := n.below(1 << 32)
	for i := range profiles {
		p := &profiles[i]
		for s, share := range p.life {
			if p.denied || share == 0 {
				continue
			}
			sp := &spans[s]
			// In 1/2^32: arrivals a minute have 16 bits of fraction, weights 10, shares 8.
			perMinute := g.traffic.arrivals * uint64(p.weight) * uint64(share) >> 2
			carry += mulDiv(perMinute, uint64(sp.minMs+sp.maxMs), 2*60_000)
			for ; carry >= 1<<32; carry -= 1 << 32 {
				n.live = append(n.live, g.midLife(n, uint8(i), sp, from))
			}
		}
	}
}

// midLife makes a connection in the middle of its life. Long lives are met in
// proportion to their length.
func (g *Generator) midLife(n *nic, p uint8, s *span, from int64) conn {
	lifeMs := n.lifeOf(s)
	for int64(n.below(uint64(s.maxMs))) > lifeMs {
		lifeMs = n.lifeOf(s)
	}
	age := 1 + int64(n.below(uint64(lifeMs)))
	c := n.open(p, from-age, n.rng.Uint64(), g.cfg.IPv6)
	n.fill(&c, s, lifeMs)
	due := g.nextContinue(n, &c, from-1)
	if last := due - continueMs; last > c.start {
		c.take(last)
		c.updated = true
	}
	c.next = min(due, c.end)
	return c
}

func (n *nic) lifeOf(s *span) int64 { return s.minMs + int64(n.below(uint64(s.maxMs-s.minMs))) }

// simulate adds the tuples of one window to g.events.
func (g *Generator) simulate(n *nic, minute int, from, to int64) {
	for i := 0; i < len(n.live); {
		if g.follow(&n.live[i], from, to) {
			i++
			continue
		}
		last := len(n.live) - 1
		n.live[i] = n.live[last]
		n.live = n.live[:last]
	}

	// The load of a minute is within 5 % of the mean.
	load := 975 + scale(hash(g.cfg.Seed, saltLoad, uint64(minute)^n.timing.jitter), 51)
	n.carry += g.traffic.arrivals * load / 1000
	count := int64(n.carry >> 16)
	n.carry &= 1<<16 - 1
	for i := range count {
		start := from + (i*(to-from)+int64(n.below(uint64(to-from))))/count
		random := n.rng.Uint64()
		g.arrive(n, g.traffic.pick[random&1023], start, random, from, to)
	}
	if len(g.events) == 0 {
		g.arrive(n, scanner, (from+to)/2, n.rng.Uint64(), from, to)
	}
}

// arrive opens a connection and follows it to the end of the window.
func (g *Generator) arrive(n *nic, p uint8, start int64, random uint64, from, to int64) {
	c := n.open(p, start, random, g.cfg.IPv6)
	if !profiles[p].denied {
		g.add(&c, start, from, begun, counters{})
		if g.cfg.Kind == NSGv1 {
			return
		}
		s := profiles[p].life.spanOf(uint8(random >> 16))
		n.fill(&c, s, n.lifeOf(s))
		c.next = min(g.nextContinue(n, &c, start), c.end)
	}
	if g.follow(&c, from, to) {
		n.live = append(n.live, c)
	}
}

// follow adds the tuples of c before to, and says if more will come later.
func (g *Generator) follow(c *conn, from, to int64) bool {
	for c.next < to {
		switch {
		case profiles[c.profile].denied:
			g.add(c, c.next, from, denied, counters{})
			if c.retries == 0 {
				return false
			}
			c.next = c.start + 9_000
			if c.retries == 2 {
				c.next = c.start + 3_000
			}
			c.retries--
		case c.next == c.end:
			d := c.take(c.end)
			if g.cfg.Kind == NSG && !c.updated { // as Azure has it: no way back in the E row of a short flow
				d.receivedPackets, d.receivedOctets = 0, 0
			}
			g.add(c, c.end, from, ended, d)
			return false
		default:
			g.add(c, c.next, from, continuing, c.take(c.next))
			c.updated = true
			c.next = min(c.next+continueMs, c.end)
		}
	}
	return true
}
