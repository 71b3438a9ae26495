package convert

import "flow2ipfix/flowlog"

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
