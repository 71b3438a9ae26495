package templates

import "sync"

// Inventory is what is known by name in each observation domain: interfaces and
// VRFs. It only grows; whoever has read n of a domain reads on from there. It is
// safe for concurrent use; the zero value is empty.
type Inventory struct {
	mu      sync.Mutex
	domains map[uint32]*stock
}

// stock is an Inventory's domain.
type stock struct {
	interfaces []Interface
	vrfs       []VRF
	known      map[uint32]bool // interfaces, by index
	knownVRFs  map[uint32]bool
}

// Add adds an interface and a VRF to a domain, each if it is not there yet.
func (v *Inventory) Add(domain uint32, i Interface, vrf VRF) {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.domains[domain]
	if s == nil {
		if v.domains == nil {
			v.domains = map[uint32]*stock{}
		}
		s = &stock{known: map[uint32]bool{}, knownVRFs: map[uint32]bool{}}
		v.domains[domain] = s
	}
	if !s.known[i.Index] {
		s.known[i.Index] = true
		s.interfaces = append(s.interfaces, i)
	}
	if !s.knownVRFs[vrf.ID] {
		s.knownVRFs[vrf.ID] = true
		s.vrfs = append(s.vrfs, vrf)
	}
}

// Names returns the interfaces and VRFs of a domain, without the first so many of
// each. The slices must not be changed. A nil Inventory has none.
func (v *Inventory) Names(domain uint32, interfaces, vrfs int) ([]Interface, []VRF) {
	if v == nil {
		return nil, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.domains[domain]
	if s == nil {
		return nil, nil
	}
	return s.interfaces[min(interfaces, len(s.interfaces)):], s.vrfs[min(vrfs, len(s.vrfs)):]
}
