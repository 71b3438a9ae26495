package flowgen

import (
	"slices"
	"strconv"
	"time"
)

// A blob is Head, records joined by a comma, and Tail: one block of 12 bytes,
// the blocks of data, and one block of 2 bytes.
const (
	Head = `{"records":[`
	Tail = `]}`
)

// event is one tuple of the record in work.
type event struct {
	counters counters
	at       int64 // Unix milliseconds
	peer     uint32
	source   uint16
	dest     uint16
	profile  uint8
	state    state
	v6       bool
}

// A key sorts the tuples of a record: by rule, time, and order of arrival.
const (
	keyTimeShift = 42 // below: index into Generator.events
	keyRuleShift = keyTimeShift + 17
)

func (g *Generator) add(c *conn, at, from int64, s state, d counters) {
	p := &profiles[c.profile]
	r := p.rule
	if g.cfg.Kind != VNet {
		r = p.nsgRule
	}
	key := uint64(r)<<keyRuleShift | uint64(at-from)<<keyTimeShift | uint64(len(g.events))
	g.keys = append(g.keys, key)
	g.events = append(g.events, event{
		counters: d, at: at, peer: c.peer, source: c.source, dest: c.dest, profile: c.profile, state: s, v6: c.v6,
	})
}

// tupleTexts are the parts of a tuple between the ports and the counters. In a
// state without counters they end the tuple.
type tupleTexts [numProfiles][numStates]string

func newTupleTexts(kind Kind) (texts tupleTexts) {
	for i := range profiles {
		p := &profiles[i]
		proto, protoNumber, direction, encryption := "T", "6", "O", "NX"
		if p.udp {
			proto, protoNumber = "U", "17"
		}
		if p.inbound {
			direction = "I"
		}
		if p.encrypt {
			encryption = "X"
		}
		for s := range numStates {
			letter := "BCED"[s : s+1]
			counted := s == continuing || s == ended
			var t string
			switch kind {
			case VNet:
				t = "," + protoNumber + "," + direction + "," + letter + "," + encryption + ","
				if !counted {
					t += `0,0,0,0"`
				}
			case NSG:
				decision := "A"
				if s == denied {
					decision, letter = "D", "B"
				}
				t = "," + proto + "," + direction + "," + decision + "," + letter + ","
				if !counted {
					t += `,,,"`
				}
			case NSGv1:
				decision := "A"
				if s == denied {
					decision = "D"
				}
				t = "," + proto + "," + direction + "," + decision + `"`
			}
			texts[i][s] = t
		}
	}
	return texts
}

// encode appends the record with the tuples in g.events, and counts them.
func (g *Generator) encode(dst []byte, n *nic, recordTime time.Time) ([]byte, Totals) {
	slices.Sort(g.keys)
	counts := Totals{Records: 1}

	dst = append(dst, `{"time":"`...)
	dst = recordTime.AppendFormat(dst, "2006-01-02T15:04:05.0000000Z")
	dst = append(dst, n.net.beforeMAC...)
	if g.cfg.Kind != NSGv1 {
		dst = append(dst, n.mac...)
	}
	dst = append(dst, n.net.afterMAC...)

	for keys := g.keys; len(keys) > 0; {
		r := rule(keys[0] >> keyRuleShift)
		size := 1
		for size < len(keys) && rule(keys[size]>>keyRuleShift) == r {
			size++
		}
		first := len(keys) == len(g.keys)
		if g.cfg.Kind == VNet {
			opens := first || rule(g.keys[len(g.keys)-len(keys)-1]>>keyRuleShift).entry() != r.entry()
			dst = n.openGroup(dst, r, first, opens)
		} else {
			dst = n.openRule(dst, r, first)
		}
		for i, k := range keys[:size] {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = g.appendTuple(dst, n, &g.events[k&(1<<keyTimeShift-1)], &counts)
		}
		keys = keys[size:]
	}

	// Both kinds nest alike: tuples in a group or flow, that in a flow or rule,
	// that in flowRecords or properties.
	return append(dst, `]}]}]}}`...), counts
}

// openGroup appends what comes before the tuples of a rule in a VNet record:
// one element of flows for the platform and two for the NSG, each with a group
// for every rule.
func (n *nic) openGroup(dst []byte, r rule, first, opens bool) []byte {
	switch {
	case !opens:
		dst = append(dst, `]},`...)
	case !first:
		dst = append(dst, `]}]},`...)
	}
	if opens {
		dst = append(dst, `{"aclID":"`...)
		if r == platform {
			dst = append(dst, "00000000-0000-0000-0000-000000000000"...)
		} else {
			dst = append(dst, n.net.acl...)
		}
		dst = append(dst, `","flowGroups":[`...)
	}
	dst = append(dst, `{"rule":"`...)
	dst = append(dst, ruleNames[r]...)
	return append(dst, `","flowTuples":[`...)
}

// openRule appends what comes before the tuples of a rule in an NSG record.
func (n *nic) openRule(dst []byte, r rule, first bool) []byte {
	if !first {
		dst = append(dst, `]}]},`...)
	}
	dst = append(dst, `{"rule":"`...)
	dst = append(dst, ruleNames[r]...)
	dst = append(dst, `","flows":[{"mac":"`...)
	dst = append(dst, n.mac...)
	return append(dst, `","flowTuples":[`...)
}

// appendTuple appends one tuple with its quotes, and counts it.
func (g *Generator) appendTuple(dst []byte, n *nic, e *event, counts *Totals) []byte {
	p := &profiles[e.profile]
	dst = append(dst, '"')
	if g.cfg.Kind == VNet {
		dst = strconv.AppendInt(dst, e.at, 10)
	} else {
		dst = strconv.AppendInt(dst, e.at/1000, 10)
	}
	dst = append(dst, ',')
	if p.inbound {
		dst = n.appendPeer(dst, p, e)
		dst = append(dst, ',')
		dst = n.appendVM(dst, e.v6)
	} else {
		dst = n.appendVM(dst, e.v6)
		dst = append(dst, ',')
		dst = n.appendPeer(dst, p, e)
	}
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, uint64(e.source), 10)
	dst = append(dst, ',')
	dst = strconv.AppendUint(dst, uint64(e.dest), 10)
	dst = append(dst, g.texts[e.profile][e.state]...)
	if e.state == continuing || e.state == ended {
		c := &e.counters
		dst = strconv.AppendUint(dst, c.sentPackets, 10)
		dst = append(dst, ',')
		dst = strconv.AppendUint(dst, c.sentOctets, 10)
		dst = append(dst, ',')
		dst = strconv.AppendUint(dst, c.receivedPackets, 10)
		dst = append(dst, ',')
		dst = strconv.AppendUint(dst, c.receivedOctets, 10)
		dst = append(dst, '"')
	}
	counts.count(e, p)
	return dst
}

func (n *nic) appendVM(dst []byte, v6 bool) []byte {
	if v6 {
		return append(dst, n.vm6...)
	}
	return append(dst, n.vm4...)
}

func (n *nic) appendPeer(dst []byte, p *profile, e *event) []byte {
	if p.peers != sameVNet {
		if e.v6 {
			return append(dst, outside().v6[e.peer]...)
		}
		return append(dst, outside().v4[e.peer]...)
	}
	host := 4 + uint64(e.peer) - sameVNet.first // Azure keeps the first four addresses of a subnet
	if e.v6 {
		return strconv.AppendUint(append(dst, n.net.peer6...), host, 16)
	}
	return strconv.AppendUint(append(dst, n.net.peer4...), host, 10)
}

func (t *Totals) count(e *event, p *profile) {
	t.Tuples++
	switch e.state {
	case begun:
		t.Begun++
	case continuing:
		t.Continuing++
	case ended:
		t.Ended++
	case denied:
		t.Denied++
	}
	if p.inbound {
		t.Inbound++
	} else {
		t.Outbound++
	}
	if e.v6 {
		t.IPv6++
	}
	t.PacketsSent += e.counters.sentPackets
	t.BytesSent += e.counters.sentOctets
	t.PacketsReceived += e.counters.receivedPackets
	t.BytesReceived += e.counters.receivedOctets
}
