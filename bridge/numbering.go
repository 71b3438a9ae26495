package bridge

import (
	"fmt"

	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
)

// numbering adds to a batch what no record says of itself: its observation
// domain, its interface's index, and when each flow's counters began to count.
// One goroutine owns it, since that depends on what came before.
type numbering struct {
	assign  convert.Interfaces
	of      convert.Domains
	targets convert.Domains // hashes of targets, whatever the domains are
	starts  *convert.Starts

	byState    [StateCount]uint64 // tuples
	interfaces map[uint32]flowlog.MAC
	domains    map[uint32]string // the targets, by observation domain
}

func newNumbering(interfaces convert.Interfaces, domains convert.Domains) numbering {
	return numbering{
		assign:     interfaces,
		of:         domains,
		starts:     convert.NewStarts(convert.DefaultMaxFlows),
		interfaces: map[uint32]flowlog.MAC{},
		domains:    map[uint32]string{},
	}
}

// complete must be called once for each batch. After an error, which is that of
// an interface without an index, it may be called again.
func (n *numbering) complete(bt *batch) error {
	// First what may fail: starts must be marked only once.
	bt.origins = bt.origins[:0]
	for i := range bt.Records {
		r := &bt.Records[i]
		domain := n.of.Of(r)
		if _, known := n.domains[domain]; !known {
			n.domains[domain] = r.Target
		}
		groups := bt.Groups(r)
		for k := range groups {
			g := &groups[k]
			if g.MAC == (flowlog.MAC{}) {
				g.MAC = bt.mac
			}
			index, err := n.assign.Index(g.MAC)
			if err != nil {
				return fmt.Errorf("number interface %s: %w", g.MAC, err)
			}
			if _, known := n.interfaces[index]; !known {
				n.interfaces[index] = g.MAC
			}
			bt.origins = append(bt.origins, convert.Origin{Domain: domain, Interface: index})
		}
	}
	for i := range bt.Records {
		r := &bt.Records[i]
		target := n.targets.Of(r)
		groups := bt.Groups(r)
		for k := range groups {
			flows := bt.Flows(&groups[k])
			n.starts.Mark(target, groups[k].MAC, flows)
			for j := range flows {
				n.byState[stateOf(&flows[j])]++
			}
		}
	}
	return nil
}

func stateOf(f *flowlog.Flow) int {
	if f.Denied {
		return CountDenied
	}
	return int(f.State) // in the same order
}
