package flowgen

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	start = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	kinds = []Kind{VNet, NSG, NSGv1}
)

func newGenerator(t testing.TB, cfg Config) *Generator {
	t.Helper()
	if cfg.Start.IsZero() {
		cfg.Start = start
	}
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// all returns the records of every NIC, NIC by NIC.
func all(t testing.TB, cfg Config) [][]byte {
	t.Helper()
	g := newGenerator(t, cfg)
	var records [][]byte
	for nic := range cfg.NICs {
		for minute := range cfg.Minutes {
			records = append(records, g.AppendRecord(nil, nic, minute))
		}
	}
	return records
}

func TestNewChecksConfig(t *testing.T) {
	good := Config{NICs: 1, Start: start, Minutes: 1, Tuples: 1}
	f := func(change func(*Config), want string) {
		t.Helper()
		cfg := good
		change(&cfg)
		got := ""
		if _, err := New(cfg); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.NICs = MaxNICs }, "")
	f(func(c *Config) { c.Kind = 3 }, "kind: want vnet-v4, nsg-v2 or nsg-v1 (got Kind(3))")
	f(func(c *Config) { c.Kind = -1 }, "kind: want vnet-v4, nsg-v2 or nsg-v1 (got Kind(-1))")
	f(func(c *Config) { c.NICs = 0 }, "nics: want 1 to 65536 (got 0)")
	f(func(c *Config) { c.NICs = MaxNICs + 1 }, "nics: want 1 to 65536 (got 65537)")
	f(func(c *Config) { c.Minutes = -5 }, "minutes: want 1 to 1048576 (got -5)")
	f(func(c *Config) { c.Tuples = 0 }, "tuples: want 1 to 1000000 (got 0)")
	f(func(c *Config) { c.Start = time.Time{} }, "start: want a year from 2002 to 2280 (got 0001-01-01T00:00:00Z)")
}

func TestStartIsCutToTheMinuteInUTC(t *testing.T) {
	cfg := Config{NICs: 1, Minutes: 2, Tuples: 20, Start: start}
	want := all(t, cfg)
	cfg.Start = start.Add(59999 * time.Millisecond).In(time.FixedZone("", 5*3600+1800))
	if diff := cmp.Diff(want, all(t, cfg)); diff != "" {
		t.Error(diff)
	}
}

// TestRecordText holds the keys, their order, and everything else but tuples.
func TestRecordText(t *testing.T) {
	const (
		guid = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`
		sub  = `[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}`
		date = `"time":"2026-11-21T02:00:\d\d\.\d{7}Z"`
		mac  = `"000D3A[0-9A-F]{6}"`
		list = `\["[^"]+"(?:,"[^"]+")*\]`
	)
	f := func(kind Kind, want string) {
		t.Helper()
		got := all(t, Config{Kind: kind, NICs: 1, Minutes: 1, Tuples: 400, Seed: 3})[0]
		if !regexp.MustCompile("^" + want + "$").Match(got) {
			t.Errorf("%v: got\n%.3000s\nwant\n%s", kind, got, want)
		}
	}
	group := `\{"rule":"(?:Default|User)Rule_\w+(?:-\w+)?","flowTuples":` + list + `\}`
	groups := `"flowGroups":\[` + group + `(?:,` + group + `)*\]`
	acl := `\{"aclID":"/subscriptions/` + guid + `/resourceGroups/rg-net-westeurope/providers/Microsoft\.Network/networkSecurityGroups/nsg-app-001",` + groups + `\}`
	f(VNet, `\{`+date+`,"flowLogGUID":"`+guid+`","macAddress":`+mac+`,"category":"FlowLogFlowEvent",`+
		`"flowLogResourceID":"/SUBSCRIPTIONS/`+sub+`/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS/MICROSOFT\.NETWORK/NETWORKWATCHERS/`+
		`NETWORKWATCHER_WESTEUROPE/FLOWLOGS/VNET-APP-001-RG-NET-WESTEUROPE-FLOWLOG",`+
		`"targetResourceID":"/subscriptions/`+guid+`/resourceGroups/rg-net-westeurope/providers/Microsoft\.Network/virtualNetworks/vnet-app-001",`+
		`"flowLogVersion":4,"operationName":"FlowLogFlowEvent","flowRecords":\{"flows":\[`+
		`\{"aclID":"00000000-0000-0000-0000-000000000000","flowGroups":\[\{"rule":"PlatformRule","flowTuples":`+list+`\}\]\},`+
		acl+`,`+acl+`\]\}\}`)

	rule := `\{"rule":"(?:Default|User)Rule_\w+(?:-\w+)?","flows":\[\{"mac":` + mac + `,"flowTuples":` + list + `\}\]\}`
	id := `"/SUBSCRIPTIONS/` + sub + `/RESOURCEGROUPS/RG-NET-WESTEUROPE/PROVIDERS/MICROSOFT\.NETWORK/NETWORKSECURITYGROUPS/NSG-APP-001"`
	names := `"category":"NetworkSecurityGroupFlowEvent","resourceId":` + id + `,"operationName":"NetworkSecurityGroupFlowEvents",`
	f(NSG, `\{`+date+`,"systemId":"`+guid+`","macAddress":`+mac+`,`+names+`"properties":\{"Version":2,"flows":\[`+rule+`(?:,`+rule+`)+\]\}\}`)
	f(NSGv1, `\{`+date+`,"systemId":"`+guid+`",`+names+`"properties":\{"Version":1,"flows":\[`+rule+`(?:,`+rule+`)+\]\}\}`)
}

func TestBlobPath(t *testing.T) {
	const (
		sub  = `[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}`
		tail = `/y=2026/m=12/d=31/h=23/m=00/macAddress=000D3A[0-9A-F]{6}/PT1H\.json$`
	)
	f := func(kind Kind, want string) {
		t.Helper()
		g := newGenerator(t, Config{Kind: kind, NICs: 40, Minutes: 180, Tuples: 1, Start: time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)})
		paths, logs := map[string]bool{}, map[string]bool{}
		for nic := range 40 {
			path := g.BlobPath(nic, 0)
			if !regexp.MustCompile(want + tail).MatchString(path) {
				t.Fatalf("%v: path %q, want %s", kind, path, want+tail)
			}
			paths[path] = true
			logs[path[:strings.Index(path, "/y=")]] = true
			for minute := range 180 {
				hour := g.RecordTime(nic, minute).Format("/y=2006/m=01/d=02/h=15/m=00/")
				if path := g.BlobPath(nic, minute); !strings.Contains(path, hour) {
					t.Fatalf("minute %d: path %q, want %s", minute, path, hour)
				}
			}
			if g.BlobPath(nic, 59) != path || g.BlobPath(nic, 60) == path {
				t.Errorf("NIC %d does not change the blob at the full hour", nic)
			}
		}
		if len(paths) != 40 || len(logs) != 3 {
			t.Errorf("%v: %d paths in %d flow logs, want 40 in 3", kind, len(paths), len(logs))
		}
	}
	f(VNet, `^insights-logs-flowlogflowevent/flowLogResourceID=/`+sub+`_NETWORKWATCHERRG/NETWORKWATCHER_[A-Z0-9]+_VNET-APP-00\d-RG-NET-[A-Z0-9]+-FLOWLOG`)
	nsg := `^insights-logs-networksecuritygroupflowevent/resourceId=/SUBSCRIPTIONS/` + sub +
		`/RESOURCEGROUPS/RG-NET-[A-Z0-9]+/PROVIDERS/MICROSOFT\.NETWORK/NETWORKSECURITYGROUPS/NSG-APP-00\d`
	f(NSG, nsg)
	f(NSGv1, nsg)
}

func TestIdentitiesAreDistinct(t *testing.T) {
	g := newGenerator(t, Config{NICs: MaxNICs, Minutes: 1, Tuples: 1})
	seen := map[string]bool{}
	for i := range g.nics {
		n := &g.nics[i]
		for _, s := range []string{n.mac, n.vm4, n.vm6} {
			if seen[s] {
				t.Fatalf("NIC %d: %s again", i, s)
			}
			seen[s] = true
		}
		if v4 := netip.MustParseAddr(n.vm4); !v4.IsPrivate() {
			t.Fatalf("NIC %d: address %s is not private", i, v4)
		}
		if v6 := netip.MustParseAddr(n.vm6); !v6.IsPrivate() || v6.String() != n.vm6 {
			t.Fatalf("NIC %d: address %s is not in fd00::/8, canonical", i, n.vm6)
		}
	}
}

func TestRecordTime(t *testing.T) {
	const minutes = 3000
	g := newGenerator(t, Config{NICs: 20, Minutes: minutes, Tuples: 1})
	for nic := range 20 {
		for minute := range minutes {
			got := g.RecordTime(nic, minute)
			begin := start.Add(time.Duration(minute) * time.Minute)
			if got.Before(begin) || !got.Before(begin.Add(time.Minute)) {
				t.Fatalf("NIC %d: record %d has time %v", nic, minute, got)
			}
			if minute == 0 {
				continue
			}
			step := got.Sub(g.RecordTime(nic, minute-1))
			if d := (step - time.Minute).Abs(); d > 55*time.Millisecond {
				t.Fatalf("NIC %d: record %d comes %v after the one before", nic, minute, step)
			}
		}
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	for _, kind := range kinds {
		cfg := Config{Kind: kind, NICs: 2, Minutes: 12, Tuples: 50, Seed: 1, IPv6: true}
		one := all(t, cfg)
		if diff := cmp.Diff(one, all(t, cfg)); diff != "" {
			t.Errorf("%v: same seed, other bytes: %s", kind, diff)
		}
		cfg.Seed = 2
		for i, r := range all(t, cfg) {
			if bytes.Equal(r, one[i]) {
				t.Errorf("%v: other seed, same record %d", kind, i)
			}
		}
	}
}

// TestBytesAreStable fails when the same Config gives other bytes than before:
// on another machine it is a bug; after a change on purpose, put in the new sum.
func TestBytesAreStable(t *testing.T) {
	want := map[Kind]string{
		VNet:  "6d5e4fa47fbfaaea",
		NSG:   "3f67168b962100c6",
		NSGv1: "bc7101c3e8fb2935",
	}
	got := map[Kind]string{}
	for _, kind := range kinds {
		text := bytes.Join(all(t, Config{Kind: kind, NICs: 2, Minutes: 61, Tuples: 300, Seed: 42, IPv6: true}), []byte(","))
		got[kind] = fmt.Sprintf("%x", sha256.Sum256(text))[:16]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNICsAreIndependent(t *testing.T) {
	cfg := Config{NICs: 18, Minutes: 3, Tuples: 30, Seed: 5}
	var byNIC, byMinute []string
	for _, r := range all(t, cfg) {
		byNIC = append(byNIC, string(r))
	}
	g := newGenerator(t, cfg)
	for minute := range cfg.Minutes {
		for nic := cfg.NICs - 1; nic >= 0; nic-- {
			byMinute = append(byMinute, string(g.AppendRecord(nil, nic, minute)))
		}
	}
	slices.Sort(byNIC)
	slices.Sort(byMinute)
	if diff := cmp.Diff(byNIC, byMinute); diff != "" {
		t.Error(diff)
	}
}

func TestAppendRecordKeepsOrder(t *testing.T) {
	f := func(first, second int) {
		t.Helper()
		g := newGenerator(t, Config{NICs: 1, Minutes: 2, Tuples: 1})
		defer func() {
			if recover() == nil {
				t.Errorf("minute %d after %d did not panic", second, first)
			}
		}()
		g.AppendRecord(nil, 0, first)
		g.AppendRecord(nil, 0, second)
	}
	f(0, 0)
	f(0, 2)
	f(1, 2)
	f(-1, 0)
}

func TestAppendRecordAllocatesNothing(t *testing.T) {
	g := newGenerator(t, Config{NICs: 1, Minutes: 1000, Tuples: 2000, IPv6: true})
	record := make([]byte, 0, 1<<20)
	minute := 0
	next := func() {
		record = g.AppendRecord(record[:0], 0, minute)
		minute++
	}
	for range 50 {
		next()
	}
	if n := testing.AllocsPerRun(100, next); n > 0 {
		t.Errorf("%v allocations in a record of 2000 tuples, want 0", n)
	}
}
