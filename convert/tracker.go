package convert

import (
	"hash/fnv"
	"strings"

	"flow2ipfix/flowlog"
)

// Interfaces gives every network interface a small number that stays the same:
// SNMP's ifIndex, as collectors see it. Whoever keeps the state implements it.
type Interfaces interface {
	// Index returns the index of the interface with this MAC: 1 or more, unique
	// among all interfaces of the daemon. An error means that a new index could
	// not be kept; nothing of the interface may be exported then.
	Index(mac flowlog.MAC) (uint32, error)
}

// MemoryInterfaces numbers interfaces in the order in which they first appear,
// for as long as the process lives. The zero value is ready. It is not safe for
// concurrent use.
type MemoryInterfaces struct{ byMAC map[flowlog.MAC]uint32 }

// Index implements Interfaces. It never fails.
func (m *MemoryInterfaces) Index(mac flowlog.MAC) (uint32, error) {
	if index, ok := m.byMAC[mac]; ok {
		return index, nil
	}
	if m.byMAC == nil {
		m.byMAC = make(map[flowlog.MAC]uint32)
	}
	index := uint32(len(m.byMAC)) + 1
	m.byMAC[mac] = index
	return index, nil
}

// Domains gives every flow log's target an observation domain.
type Domains struct {
	// Fixed is the one domain for everything, if Always is set.
	Fixed  uint32
	Always bool

	target string // the last one asked for, and its domain
	domain uint32
}

// Of returns the observation domain of a record: the fixed one, or the 32-bit
// FNV-1a hash of the target's resource id in lower case (ARM ids do not care
// about case, and Azure writes both). It is never 0, which means "none" (RFC
// 7011 §3.1).
func (d *Domains) Of(r *flowlog.Record) uint32 {
	if d.Always {
		return d.Fixed
	}
	target := r.Target
	if target == "" {
		target = r.FlowLog
	}
	if target == d.target && d.domain != 0 {
		return d.domain
	}
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(target)))
	d.target, d.domain = target, max(h.Sum32(), 1)
	return d.domain
}
