package bridge

import (
	"fmt"
	"slices"

	"flow2ipfix/convert"
	"flow2ipfix/convert/starts"
	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

// numbering adds to a batch what no record says of itself: its observation
// domain, its interface's index, what both are called, and when each flow's
// counters began to count. One goroutine owns it, since that depends on what came
// before.
type numbering struct {
	assign    convert.Interfaces
	origins   *convert.Origins
	inventory *templates.Inventory // may be nil
	starts    *starts.Table

	indexes map[flowlog.MAC]uint32
	fresh   []flowlog.MAC // of the batches that are numbered now
	seen    map[point]struct{}

	// What was looked up last is looked up again: a record has several groups.
	lastMAC   flowlog.MAC
	lastIndex uint32 // 0 is none
	lastSeen  point

	byState    [StateCount]uint64 // tuples
	interfaces map[uint32]flowlog.MAC
	domains    map[uint32]string // the targets, by observation domain
}

// point is what an Inventory holds names for.
type point struct{ domain, index, vrf uint32 }

func newNumbering(interfaces convert.Interfaces, domains convert.Domains, names convert.Names, inventory *templates.Inventory) numbering {
	return numbering{
		assign:     interfaces,
		origins:    convert.NewOrigins(names, domains),
		inventory:  inventory,
		starts:     starts.New(starts.DefaultMaxFlows),
		indexes:    map[flowlog.MAC]uint32{},
		seen:       map[point]struct{}{},
		interfaces: map[uint32]flowlog.MAC{},
		domains:    map[uint32]string{},
	}
}

// manyInterfaces is what Interfaces have that number many at once for the price
// of one.
type manyInterfaces interface {
	Add(macs ...flowlog.MAC) error
}

// number gives the interfaces of batches their indexes. After an error it may be
// called again.
func (n *numbering) number(batches ...*batch) error {
	n.fresh = n.fresh[:0]
	for _, bt := range batches {
		for i := range bt.Records {
			groups := bt.Groups(&bt.Records[i])
			for k := range groups {
				g := &groups[k]
				if g.MAC == (flowlog.MAC{}) {
					g.MAC = bt.mac
				}
				if n.index(g.MAC) == 0 {
					n.fresh = append(n.fresh, g.MAC)
				}
			}
		}
	}
	if many, ok := n.assign.(manyInterfaces); ok && len(n.fresh) > 1 {
		if err := many.Add(n.fresh...); err != nil {
			return err
		}
	}
	for _, mac := range n.fresh {
		index, err := n.assign.Index(mac)
		if err != nil {
			return fmt.Errorf("number interface %s: %w", mac, err)
		}
		n.indexes[mac], n.interfaces[index] = index, mac
	}
	return nil
}

// index returns the index of an interface, or 0 if it has none yet.
func (n *numbering) index(mac flowlog.MAC) uint32 {
	if n.lastIndex == 0 || mac != n.lastMAC {
		n.lastMAC, n.lastIndex = mac, n.indexes[mac]
	}
	return n.lastIndex
}

// keepOrigins is how many origins a batch keeps room for (300 bytes each).
const keepOrigins = 8 << 10

// complete must be called once for each batch, whose interfaces have indexes.
func (n *numbering) complete(bt *batch) {
	if bt.origins = bt.origins[:0]; cap(bt.origins) > keepOrigins {
		bt.origins = nil // one giant blew it up
	}
	count := 0
	for i := range bt.Records {
		count += len(bt.Groups(&bt.Records[i]))
	}
	bt.origins = slices.Grow(bt.origins, count) // at once: a giant's would take twice the memory otherwise
	for i := range bt.Records {
		r := &bt.Records[i]
		groups := bt.Groups(r)
		for k := range groups {
			g := &groups[k]
			bt.origins = append(bt.origins, convert.Origin{})
			o := &bt.origins[len(bt.origins)-1]
			n.origins.Fill(o, r, g, n.index(g.MAC))
			n.meet(o)
			flows := bt.Flows(g)
			n.starts.Mark(o.Context.VRF^bt.strand*strands, g.MAC, flows)
			for j := range flows {
				n.byState[stateOf(&flows[j])]++
			}
		}
	}
}

// strands spreads numbers of strands over all bits; it is odd.
const strands = 0x9E3779B9

// meet takes down what is new.
func (n *numbering) meet(o *convert.Origin) {
	c := &o.Context
	p := point{o.Domain, o.Interface, c.VRF}
	if p == n.lastSeen {
		return
	}
	n.lastSeen = p
	if _, known := n.seen[p]; known {
		return
	}
	n.seen[p] = struct{}{}
	if _, known := n.domains[o.Domain]; !known {
		n.domains[o.Domain] = c.Target.Long
	}
	if n.inventory != nil {
		n.inventory.Add(o.Domain,
			templates.Interface{Index: o.Interface, Name: c.InterfaceName, Description: c.InterfaceDescription},
			templates.VRF{ID: c.VRF, Name: c.VRFName})
	}
}

func stateOf(f *flowlog.Flow) int {
	if f.Denied {
		return CountDenied
	}
	return int(f.State) // in the same order
}
