package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
	"flow2ipfix/internal/collect"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

func TestInterfaceFromTheBlobsName(t *testing.T) {
	const name = "c/flowLogResourceID=/x/y=2022/m=09/d=14/h=09/m=00/macAddress=000D3A123456/PT1H.json"
	content := strings.ReplaceAll(records(good), `"macAddress":"00224871C205",`, "")
	interfaces := &convert.MemoryInterfaces{}
	if _, err := interfaces.Index(flowlog.MAC{}); err != nil { // 1 is taken
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := run(t.Context(), t, Config{Interfaces: interfaces, Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})}}, []*source.Delta{blob(name, content)}); err != nil {
		t.Fatal(err)
	}
	readFile(t, filepath.Join(dir, "x"), func(r *collect.Record) {
		if got := r.IngressInterface() + r.EgressInterface(); got != 2 {
			t.Errorf("interface %d, want 2", got)
		}
	})
	mac, _ := flowlog.ParseMAC("000D3A123456")
	if index, _ := interfaces.Index(mac); index != 2 {
		t.Errorf("the name's MAC has index %d, want 2", index)
	}
}

type failingInterfaces struct{}

func (failingInterfaces) Index(flowlog.MAC) (uint32, error) { return 0, errors.New("disk full") }

func TestInterfaceThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	_, err := run(t.Context(), t, Config{Interfaces: failingInterfaces{}, Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})}}, []*source.Delta{blob("a", records(good))})
	if err == nil || err.Error() != "number interface 00224871C205: disk full" {
		t.Errorf("Run = %v", err)
	}
	if got := readFile(t, filepath.Join(dir, "x"), nil); got.records != 0 {
		t.Errorf("%d records were exported", got.records)
	}
}

// newNumbers returns a numbering; nil stands for interfaces in memory.
func newNumbers(interfaces convert.Interfaces, inventory *templates.Inventory) *numbering {
	if interfaces == nil {
		interfaces = &convert.MemoryInterfaces{}
	}
	n := newNumbering(interfaces, convert.Domains{}, testNames, inventory)
	return &n
}

var testNames = convert.Names{
	Interfaces: map[flowlog.MAC]string{{0x00, 0x22, 0x48, 0x71, 0xC2, 0x05}: "web1"},
	Exporter:   netip.MustParseAddr("192.0.2.1"),
	Targets:    []convert.Target{{Pattern: "/vnet", Name: "the network"}},
}

// decoded returns a batch of a blob.
func decoded(t *testing.T, content string) *batch {
	t.Helper()
	bt := new(batch)
	dec := flowlog.NewDecoder(bytes.NewReader([]byte(content)), 0, flowlog.Options{})
	for {
		switch err := dec.Next(&bt.Batch); {
		case errors.Is(err, io.EOF):
			return bt
		case err != nil:
			t.Fatal(err)
		}
	}
}

// batchOf returns a batch of a blob as lanes get it.
func batchOf(t *testing.T, n *numbering, content string) *batch {
	t.Helper()
	bt := decoded(t, content)
	if err := n.number(bt); err != nil {
		t.Fatal(err)
	}
	n.complete(bt)
	return bt
}

// TestOriginsOfABatch: each group has its origin, and what is met is in the
// inventory once.
func TestOriginsOfABatch(t *testing.T) {
	var content strings.Builder
	for i, r := range []struct{ mac, target, rule string }{
		{"00224871C205", "/VNET", "r"},
		{"00224871C205", "/vnet", "s"},
		{"000D3A000001", "/virtualNetworks/b/subnets/c", "r"},
		{"00224871C205", "/virtualNetworks/b/subnets/c", "r"},
		{"", "/networkInterfaces/d", "r"},
	} {
		if i > 0 {
			content.WriteString(",")
		}
		tuples := fmt.Sprintf(record, quoted(good, good))
		content.WriteString(strings.NewReplacer("00224871C205", r.mac, "/VNET", r.target, `"rule":"r"`, fmt.Sprintf("%q:%q", "rule", r.rule)).Replace(tuples))
	}
	inventory := new(templates.Inventory)
	n := newNumbers(nil, inventory)
	for range 2 {
		bt := decoded(t, content.String())
		bt.mac = flowlog.MAC{0x0A}
		if err := n.number(bt); err != nil {
			t.Fatal(err)
		}
		n.complete(bt)
		var got []string
		for i := range bt.origins {
			o := &bt.origins[i]
			c := &o.Context
			got = append(got, fmt.Sprintf("%08x %d %v %s %s %s %s %s", o.Domain, o.Interface, c.MAC[:], c.InterfaceName, c.VRFName, c.Rule, c.ACL.Long, c.Exporter))
			if c.VRF != o.Domain {
				t.Errorf("VRF %d, domain %d", c.VRF, o.Domain)
			}
		}
		if diff := cmp.Diff([]string{
			"b4f3d0a3 1 [0 34 72 113 194 5] web1 the network r a 192.0.2.1",
			"b4f3d0a3 1 [0 34 72 113 194 5] web1 the network s a 192.0.2.1",
			"8ed08cd4 2 [0 13 58 0 0 1] 000D3A000001 b/c r a 192.0.2.1",
			"8ed08cd4 1 [0 34 72 113 194 5] web1 b/c r a 192.0.2.1",
			"3cda64af 3 [10 0 0 0 0 0] d d r a 192.0.2.1",
		}, got); diff != "" {
			t.Errorf("origins (-want +got):\n%s", diff)
		}
	}
	type names struct {
		Interfaces []templates.Interface
		VRFs       []templates.VRF
	}
	got := map[uint32]names{}
	for domain := range n.domains {
		i, v := inventory.Names(domain, 0, 0)
		got[domain] = names{i, v}
	}
	if diff := cmp.Diff(map[uint32]names{
		0xb4f3d0a3: {[]templates.Interface{{Index: 1, Name: "web1", Description: "the network"}}, []templates.VRF{{ID: 0xb4f3d0a3, Name: "the network"}}},
		0x8ed08cd4: {
			[]templates.Interface{{Index: 2, Name: "000D3A000001", Description: "b/c"}, {Index: 1, Name: "web1", Description: "b/c"}},
			[]templates.VRF{{ID: 0x8ed08cd4, Name: "b/c"}},
		},
		0x3cda64af: {[]templates.Interface{{Index: 3, Name: "d", Description: "d"}}, []templates.VRF{{ID: 0x3cda64af, Name: "d"}}},
	}, got); diff != "" {
		t.Errorf("inventory (-want +got):\n%s", diff)
	}
}

// TestNumberingDoesNotAllocate: a batch whose interfaces and flow logs were seen
// before costs no memory.
func TestNumberingDoesNotAllocate(t *testing.T) {
	n := newNumbers(nil, new(templates.Inventory))
	bt := batchOf(t, n, records(slices.Repeat([]string{good}, 100)...))
	if allocs := testing.AllocsPerRun(100, func() {
		if err := n.number(bt); err != nil {
			t.Fatal(err)
		}
		n.complete(bt)
	}); allocs != 0 {
		t.Errorf("100 groups take %v allocations, want none", allocs)
	}
}

// TestGiantOriginsAreGivenBack: one giant batch does not keep its memory.
func TestGiantOriginsAreGivenBack(t *testing.T) {
	n := newNumbers(nil, nil)
	bt := batchOf(t, n, records(slices.Repeat([]string{good}, keepOrigins+1)...))
	if len(bt.origins) <= keepOrigins {
		t.Fatalf("%d origins", len(bt.origins))
	}
	bt.Reset()
	n.complete(bt)
	if cap(bt.origins) > keepOrigins {
		t.Errorf("there is room for %d origins", cap(bt.origins))
	}
}

// together are interfaces that like to be numbered together.
type together struct {
	convert.MemoryInterfaces
	added [][]flowlog.MAC
	err   error
}

func (a *together) Add(macs ...flowlog.MAC) error {
	if a.err != nil {
		return a.err
	}
	a.added = append(a.added, slices.Clone(macs))
	for _, mac := range macs {
		if _, err := a.Index(mac); err != nil {
			return err
		}
	}
	return nil
}

func TestInterfacesAreNumberedTogether(t *testing.T) {
	of := func(macs ...string) *batch {
		var all []string
		for _, mac := range macs {
			all = append(all, strings.Replace(fmt.Sprintf(record, quoted(good)), "00224871C205", mac, 1))
		}
		return decoded(t, strings.Join(all, ","))
	}
	one, two, three := flowlog.MAC{1}, flowlog.MAC{2}, flowlog.MAC{3}
	a := &together{err: errors.New("disk full")}
	n := newNumbers(a, nil)
	batches := []*batch{of(one.String()), of(two.String(), two.String()), of(one.String())}
	if err := n.number(batches...); !errors.Is(err, a.err) || len(n.indexes) != 0 {
		t.Errorf("%v, indexes %v", err, n.indexes)
	}
	a.err = nil
	for _, more := range [][]*batch{batches, batches, {of(three.String(), one.String())}} {
		if err := n.number(more...); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[flowlog.MAC]uint32{one: 1, two: 2, three: 3}, n.indexes); diff != "" {
		t.Errorf("indexes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]flowlog.MAC{{one, two, two, one}}, a.added); diff != "" { // three comes alone
		t.Errorf("numbered together (-want +got):\n%s", diff)
	}
}

// TestServiceTakesAllThatWaits: what is decoded while indexes are being kept is
// numbered together, and handed on in order.
func TestServiceTakesAllThatWaits(t *testing.T) {
	s := &Service{decoded: make(chan *batch, 5)}
	one, two, three := new(batch), new(batch), new(batch)
	s.decoded <- one
	s.decoded <- two
	got, err := s.take(t.Context(), nil, nil)
	if err != nil || !slices.Equal(got, []*batch{one, two}) {
		t.Errorf("took %v, %v", got, err)
	}
	s.decoded <- three
	close(s.decoded)
	if got, err = s.take(t.Context(), got[:0], nil); err != nil || !slices.Equal(got, []*batch{three}) {
		t.Errorf("took %v, %v", got, err)
	}
	if got, err = s.take(t.Context(), got[:0], nil); err != nil || len(got) != 0 {
		t.Errorf("took %v, %v after the last", got, err)
	}
}

// TestLanesShareOrigins: lanes with policies of their own use the same origins at
// the same time (which the race detector watches), and each sees them whole.
func TestLanesShareOrigins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 3000
		var mu sync.Mutex
		contexts := map[*templates.Context]int{}
		see := func(domain uint32, r *templates.Record) {
			c := r.Context
			if domain != c.VRF || c.InterfaceName != "web1" || c.VRFName != "the network" || c.Rule != "r" || c.Exporter != testNames.Exporter {
				t.Errorf("domain %d, context %+v", domain, c)
			}
			mu.Lock()
			defer mu.Unlock()
			contexts[c]++
		}
		all, paired, young := newAway(), newAway(), newAway()
		all.seen, paired.seen, young.seen = see, see, see
		var sum [4]uint64
		paired.seen = func(domain uint32, r *templates.Record) {
			see(domain, r)
			for i, n := range []uint64{r.Packets, r.Octets, r.ReversePackets, r.ReverseOctets} {
				sum[i] += n
			}
		}
		inventory := new(templates.Inventory)
		if err := service(t, ServiceConfig{
			Sources: []Follower{newFeed(recordsOf("a", count))}, Store: &memory{}, Names: testNames, Inventory: inventory,
			Lanes: []ServiceLane{
				{Name: "all", Stream: all},
				{Name: "paired", Stream: paired, Policy: convert.Policy{Bidirectional: true}},
				{Name: "young", Stream: young, Policy: convert.Policy{Filter: convert.Filter{MaxAge: time.Hour}}},
			},
		}, func(*Service) { time.Sleep(3 * time.Second) }); err != nil {
			t.Fatal(err)
		}
		if all.records != 4*count || paired.records != 2*count || young.records != 4*count {
			t.Errorf("%d, %d and %d records came", all.records, paired.records, young.records)
		}
		if want := [4]uint64{2 * count * 3, 2 * count * 767, 2 * count * 2, 2 * count * 1580}; sum != want {
			t.Errorf("forward and back %v, want %v", sum, want)
		}
		for _, n := range contexts {
			if n%10 != 0 { // four, two and four records for each use of the origin
				t.Errorf("an origin served %d records", n)
			}
		}
		if i, v := inventory.Names(contextsVRF(contexts), 0, 0); len(i) != 1 || len(v) != 1 {
			t.Errorf("inventory has %v, %v", i, v)
		}
	})
}

func contextsVRF(contexts map[*templates.Context]int) uint32 {
	for c := range contexts {
		return c.VRF
	}
	return 0
}
