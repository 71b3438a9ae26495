package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"flow2ipfix/flowlog"
)

// Interfaces gives network interfaces their indexes: small numbers that are
// never given to another interface, but by the configuration. It implements
// convert.Interfaces and may be used by several goroutines.
//
// A new index is on the disk before anyone learns it. To wait for the next
// Commit would be cheaper, but a collector may have seen the index by then; if
// the process ended in between, it would next see another interface under it.
// New interfaces are rare but at the first start; Add takes many at once.
type Interfaces struct {
	store *Store

	count atomic.Int64 // how many have an index

	mu    sync.RWMutex
	byMAC map[flowlog.MAC]uint32 // nil if what is on the disk is not known
	next  uint64                 // below it no index is free
}

// owner is what is kept of an index.
type owner struct {
	mac flowlog.MAC
	// retired says that the interface has another index now. The old one stays
	// its own.
	retired bool
}

func (o owner) encode() []byte {
	b := append([]byte(nil), o.mac[:]...)
	if o.retired {
		return append(b, 1)
	}
	return append(b, 0)
}

func decodeOwner(b []byte) (owner, error) {
	if len(b) != macBytes+1 {
		return owner{}, errRecord
	}
	return owner{flowlog.MAC(b[:macBytes]), b[macBytes] == 1}, nil
}

func indexKey(index uint32) []byte { return binary.BigEndian.AppendUint32(nil, index) }

// Index returns the index of an interface, which gets the smallest free one
// when it is asked for first.
func (i *Interfaces) Index(mac flowlog.MAC) (uint32, error) {
	i.mu.RLock()
	index, ok := i.byMAC[mac]
	i.mu.RUnlock()
	if ok {
		return index, nil
	}
	if err := i.Add(mac); err != nil {
		return 0, err
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.byMAC[mac], nil
}

// Add gives each of the interfaces that has no index one, in one write.
func (i *Interfaces) Add(macs ...flowlog.MAC) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.byMAC == nil {
		if err := i.loadLocked(); err != nil {
			return err
		}
	}
	added := make(map[flowlog.MAC]uint32)
	next := i.next
	var fresh []flowlog.MAC
	for _, mac := range macs {
		if _, ok := i.byMAC[mac]; !ok {
			fresh = append(fresh, mac)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	err := i.store.update("number interfaces", func(w *writer) error {
		for _, mac := range fresh {
			if _, ok := added[mac]; ok {
				continue
			}
			var err error
			if next, err = w.freeIndex(next); err != nil {
				return err
			}
			index := uint32(next)
			if err := w.put(bucketInterfaces, indexKey(index), owner{mac: mac}.encode()); err != nil {
				return err
			}
			added[mac] = index
		}
		return nil
	})
	if err != nil {
		// An error of the disk's last write does not say whether it took place.
		i.byMAC = nil
		return err
	}
	maps.Copy(i.byMAC, added)
	i.next = next
	i.count.Store(int64(len(i.byMAC)))
	return nil
}

// freeIndex returns the first index at or after next that nobody has or had.
func (w *writer) freeIndex(next uint64) (uint64, error) {
	for ; next <= math.MaxUint32; next++ {
		if w.tx.Bucket(bucketInterfaces).Get(indexKey(uint32(next))) == nil {
			return next, nil
		}
	}
	return 0, errors.New("there is no index left")
}

func (i *Interfaces) load() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.loadLocked()
}

func (i *Interfaces) loadLocked() error {
	byMAC := make(map[flowlog.MAC]uint32)
	err := i.store.view("read interfaces", func(tx *bbolt.Tx) error {
		return eachOwner(tx, func(index uint32, o owner) {
			if !o.retired {
				byMAC[o.mac] = index
			}
		})
	})
	if err != nil {
		return err
	}
	i.byMAC, i.next = byMAC, 1
	i.count.Store(int64(len(byMAC)))
	return nil
}

// Len returns how many interfaces have an index. It does not wait for the disk.
func (i *Interfaces) Len() int { return int(i.count.Load()) }

func eachOwner(tx *bbolt.Tx, fn func(uint32, owner)) error {
	return tx.Bucket(bucketInterfaces).ForEach(func(k, v []byte) error {
		payload, _, err := unseal(bucketInterfaces, k, v)
		if err != nil {
			return err
		}
		o, err := decodeOwner(payload)
		if err != nil || len(k) != 4 {
			return errRecord
		}
		fn(binary.BigEndian.Uint32(k), o)
		return nil
	})
}

// checkFixed looks at the indexes of the configuration.
func checkFixed(fixed map[flowlog.MAC]uint32) error {
	owners := make(map[uint32]flowlog.MAC)
	var errs []error
	for _, mac := range sortedMACs(fixed) {
		index := fixed[mac]
		if index == 0 {
			errs = append(errs, fmt.Errorf("interface %s: want an index of 1 or more, got 0", mac))
		} else if other, ok := owners[index]; ok {
			errs = append(errs, fmt.Errorf("interface %s: index %d is that of %s", mac, index, other))
		}
		owners[index] = mac
	}
	return errors.Join(errs...)
}

func sortedMACs(fixed map[flowlog.MAC]uint32) []flowlog.MAC {
	return slices.SortedFunc(maps.Keys(fixed), func(a, b flowlog.MAC) int { return slices.Compare(a[:], b[:]) })
}

// fixInterfaces gives interfaces the indexes of the configuration. Whoever had
// one of them gets another, and is reported.
func (w *writer) fixInterfaces(fixed map[flowlog.MAC]uint32) ([]Moved, error) {
	if len(fixed) == 0 {
		return nil, nil
	}
	owners := make(map[uint32]owner)
	if err := eachOwner(w.tx, func(index uint32, o owner) { owners[index] = o }); err != nil {
		return nil, err
	}
	put := func(index uint32, o owner) error {
		if before, ok := owners[index]; ok && before == o {
			return nil
		}
		owners[index] = o
		return w.put(bucketInterfaces, indexKey(index), o.encode())
	}
	// Those that have an index of their own in the configuration give up theirs.
	for _, index := range slices.Sorted(maps.Keys(owners)) {
		o := owners[index]
		if want, ok := fixed[o.mac]; ok && want != index && !o.retired {
			if err := put(index, owner{o.mac, true}); err != nil {
				return nil, err
			}
		}
	}
	var moved []Moved
	for _, mac := range sortedMACs(fixed) {
		index := fixed[mac]
		if o, ok := owners[index]; ok && o.mac != mac && !o.retired {
			moved = append(moved, Moved{MAC: o.mac, From: index})
		}
		if err := put(index, owner{mac: mac}); err != nil {
			return nil, err
		}
	}
	next := uint64(1)
	for m := range moved {
		// An index that was its own before is as good as a new one.
		to, ok := w.formerIndex(owners, moved[m].MAC)
		if !ok {
			var err error
			if next, err = w.freeIndex(next); err != nil {
				return nil, err
			}
			to = uint32(next)
		}
		if err := put(to, owner{mac: moved[m].MAC}); err != nil {
			return nil, err
		}
		moved[m].To = to
	}
	return moved, nil
}

func (*writer) formerIndex(owners map[uint32]owner, mac flowlog.MAC) (uint32, bool) {
	for _, index := range slices.Sorted(maps.Keys(owners)) {
		if owners[index] == (owner{mac, true}) {
			return index, true
		}
	}
	return 0, false
}
