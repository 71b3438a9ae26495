package convert

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

const (
	network = "/subscriptions/00000000-0000-4000-8000-00000000000A/resourceGroups/prod-rg/providers/Microsoft.Network"
	upper   = "/SUBSCRIPTIONS/00000000-0000-4000-8000-00000000000A/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS/MICROSOFT.NETWORK"

	// vnetLog is a flow log's id as it stands in real blobs.
	vnetLog = upper + "/NETWORKWATCHERS/NETWORKWATCHER_WESTUS/FLOWLOGS/HUB-PROD-RG-FLOWLOG"
	guid    = "00000000-0000-4000-8000-00000000000a"
)

var nic = flowlog.MAC{0x00, 0x0D, 0x3A, 0x12, 0x34, 0x56}

// fill returns the origin of a record's group.
func fill(o *Origins, r flowlog.Record, g flowlog.Group) Origin {
	origin := Origin{Context: templates.Context{Rule: "left behind", Region: "left behind"}}
	if g.MAC == (flowlog.MAC{}) {
		g.MAC = nic
	}
	o.Fill(&origin, &r, &g, 7)
	return origin
}

var addresses = cmpopts.EquateComparable(netip.Addr{})

// TestOrigins: what every form of resource id says.
func TestOrigins(t *testing.T) {
	for _, tc := range []struct {
		name   string
		record flowlog.Record
		group  flowlog.Group
		want   templates.Context // without what is the same in all, and number
	}{
		{
			"virtual network",
			flowlog.Record{Target: network + "/virtualNetworks/hub", FlowLog: vnetLog},
			flowlog.Group{Kind: flowlog.VNet, Rule: "UserRule_SSH", ACL: network + "/networkSecurityGroups/web-nsg"},
			templates.Context{
				VRFName: "hub", InterfaceName: "000D3A123456", InterfaceDescription: "hub (prod-rg)", Rule: "UserRule_SSH",
				ACL:    templates.ResourceID{Long: network + "/networkSecurityGroups/web-nsg", Short: "web-nsg"},
				Target: templates.ResourceID{Long: network + "/virtualNetworks/hub", Short: "hub"},
				Region: "westus", ResourceGroup: "prod-rg", Subscription: guid,
			},
		},
		{
			"subnet",
			flowlog.Record{Target: network + "/virtualNetworks/hub/subnets/front", FlowLog: vnetLog},
			flowlog.Group{Kind: flowlog.VNet, ACL: "01020304-abcd-ef00-1234-102030405060"},
			templates.Context{
				VRFName: "hub/front", InterfaceName: "000D3A123456", InterfaceDescription: "hub/front (prod-rg)",
				ACL:    templates.ResourceID{Long: "01020304-abcd-ef00-1234-102030405060", Short: "01020304-abcd-ef00-1234-102030405060"},
				Target: templates.ResourceID{Long: network + "/virtualNetworks/hub/subnets/front", Short: "hub/front"},
				Region: "westus", ResourceGroup: "prod-rg", Subscription: guid,
			},
		},
		{
			"network interface",
			flowlog.Record{Target: network + "/networkInterfaces/web1-nic", FlowLog: vnetLog},
			flowlog.Group{Kind: flowlog.VNet, ACL: "00000000-0000-0000-0000-000000000000", Rule: "PlatformRule"},
			templates.Context{
				VRFName: "web1-nic", InterfaceName: "web1-nic", InterfaceDescription: "web1-nic (prod-rg)", Rule: "PlatformRule",
				ACL:    templates.ResourceID{Long: "00000000-0000-0000-0000-000000000000", Short: "00000000-0000-0000-0000-000000000000"},
				Target: templates.ResourceID{Long: network + "/networkInterfaces/web1-nic", Short: "web1-nic"},
				Region: "westus", ResourceGroup: "prod-rg", Subscription: guid,
			},
		},
		{
			"security group, whose rules are its own",
			flowlog.Record{Target: strings.ToUpper(network) + "/NETWORKSECURITYGROUPS/WEB-NSG", FlowLogGUID: guid},
			flowlog.Group{Kind: flowlog.NSG, Rule: "DefaultRule_DenyAllInBound"},
			templates.Context{
				VRFName: "WEB-NSG", InterfaceName: "000D3A123456", InterfaceDescription: "WEB-NSG (PROD-RG)", Rule: "DefaultRule_DenyAllInBound",
				ACL:           templates.ResourceID{Long: strings.ToUpper(network) + "/NETWORKSECURITYGROUPS/WEB-NSG", Short: "WEB-NSG"},
				Target:        templates.ResourceID{Long: strings.ToUpper(network) + "/NETWORKSECURITYGROUPS/WEB-NSG", Short: "WEB-NSG"},
				ResourceGroup: "PROD-RG", Subscription: guid,
			},
		},
		{
			"interface of a scale set",
			flowlog.Record{Target: strings.Replace(network, "Network", "Compute", 1) + "/virtualMachineScaleSets/web/virtualMachines/0/networkInterfaces/nic0/"},
			flowlog.Group{Kind: flowlog.VNet, ACL: "unspecified", Rule: "unspecified"},
			templates.Context{
				VRFName: "nic0", InterfaceName: "nic0", InterfaceDescription: "nic0 (prod-rg)", Rule: "unspecified",
				ACL:           templates.ResourceID{Long: "unspecified", Short: "unspecified"},
				Target:        templates.ResourceID{Long: strings.Replace(network, "Network", "Compute", 1) + "/virtualMachineScaleSets/web/virtualMachines/0/networkInterfaces/nic0/", Short: "nic0"},
				ResourceGroup: "prod-rg", Subscription: guid,
			},
		},
		{
			"something new",
			flowlog.Record{Target: network + "/networkManagers/m/ruleCollections/c"},
			flowlog.Group{Kind: flowlog.VNet, ACL: network + "/networkManagers/m/securityAdminConfigurations/a/ruleCollections/c"},
			templates.Context{
				VRFName: "c", InterfaceName: "000D3A123456", InterfaceDescription: "c (prod-rg)",
				ACL:           templates.ResourceID{Long: network + "/networkManagers/m/securityAdminConfigurations/a/ruleCollections/c", Short: "c"},
				Target:        templates.ResourceID{Long: network + "/networkManagers/m/ruleCollections/c", Short: "c"},
				ResourceGroup: "prod-rg", Subscription: guid,
			},
		},
		{
			"names that are types",
			flowlog.Record{Target: "/subscriptions/s/resourceGroups/subscriptions/providers/p/virtualNetworks/subnets/subnets/virtualNetworks"},
			flowlog.Group{Kind: flowlog.VNet},
			templates.Context{
				VRFName: "subnets/virtualNetworks", InterfaceName: "000D3A123456", InterfaceDescription: "subnets/virtualNetworks (subscriptions)",
				Target:        templates.ResourceID{Long: "/subscriptions/s/resourceGroups/subscriptions/providers/p/virtualNetworks/subnets/subnets/virtualNetworks", Short: "subnets/virtualNetworks"},
				ResourceGroup: "subscriptions", Subscription: "s",
			},
		},
		{
			"no target: the flow log stands for it",
			flowlog.Record{FlowLog: vnetLog},
			flowlog.Group{Kind: flowlog.VNet},
			templates.Context{
				VRFName: "HUB-PROD-RG-FLOWLOG", InterfaceName: "000D3A123456", InterfaceDescription: "HUB-PROD-RG-FLOWLOG (NETWORKWATCHERRG)",
				Region: "westus", ResourceGroup: "NETWORKWATCHERRG", Subscription: guid,
			},
		},
		{
			"no resource id",
			flowlog.Record{Target: "x"},
			flowlog.Group{Kind: flowlog.VNet},
			templates.Context{VRFName: "x", InterfaceName: "000D3A123456", InterfaceDescription: "x", Target: templates.ResourceID{Long: "x", Short: "x"}},
		},
		{"nothing", flowlog.Record{}, flowlog.Group{Kind: flowlog.VNet}, templates.Context{InterfaceName: "000D3A123456"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := fill(NewOrigins(Names{}, Domains{}), tc.record, tc.group)
			if got.Domain == 0 || got.Domain != got.Context.VRF || got.Interface != 7 {
				t.Errorf("domain %d, VRF %d, interface %d", got.Domain, got.Context.VRF, got.Interface)
			}
			tc.want.MAC, tc.want.VRF = nic, got.Domain
			if tc.record.FlowLog != "" {
				tc.want.FlowLog = templates.ResourceID{Long: vnetLog, Short: "HUB-PROD-RG-FLOWLOG"}
			}
			if diff := cmp.Diff(tc.want, got.Context, addresses); diff != "" {
				t.Errorf("context (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRegion(t *testing.T) {
	for id, want := range map[string]string{
		vnetLog: "westus",
		"/subscriptions/s/resourceGroups/NetworkWatcherRG/providers/Microsoft.Network/networkWatchers/NetworkWatcher_EastUS2/flowLogs/x": "eastus2",
		// The watcher's own name says nothing of where it is.
		"/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/networkWatchers/ours_eastus/flowLogs/x":     "",
		"/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/networkWatchers/NetworkWatcher_/flowLogs/x": "",
		"/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/networkWatchers/NetworkWatcher_eastus":      "",
		// As blobs' paths have it, cut where names may be cut too.
		"/S_NETWORKWATCHERRG/NETWORKWATCHER_EASTUS_X": "",
		"NetworkWatcher_eastus":                       "",
		"":                                            "",
		"///":                                         "",
	} {
		r := parseResource(id)
		if got := r.region(); got != want {
			t.Errorf("region of %q is %q, want %q", id, got, want)
		}
	}
}

// TestNames: what the operator says comes before what resource ids say.
func TestNames(t *testing.T) {
	address := netip.MustParseAddr
	domain := func(n uint32) *uint32 { return &n }
	names := Names{
		Interfaces: map[flowlog.MAC]string{{1}: "web1"},
		Exporter:   address("192.0.2.1"),
		Targets: []Target{
			{Pattern: "*/VIRTUALNETWORKS/hub/*", Name: "front of the hub", Domain: domain(20)},
			{Pattern: "*/virtualnetworks/hub*", Exporter: address("2001:db8::1"), Domain: domain(0)},
			{Pattern: "*/networkInterfaces/*", Name: "a machine"},
			{Pattern: "*", Domain: domain(99)},
		},
	}
	for _, tc := range []struct {
		name, target              string
		mac                       flowlog.MAC
		always                    bool
		domain                    uint32 // 0xFFFFFFFF is the number
		exporter, vrf, nic, about string
	}{
		{"the first that matches", network + "/virtualNetworks/HUB/subnets/a", flowlog.MAC{2}, false, 20, "192.0.2.1", "front of the hub", "020000000000", "front of the hub (prod-rg)"},
		{"a name that is not given", network + "/virtualNetworks/hub", flowlog.MAC{1}, false, 0, "2001:db8::1", "hub", "web1", "hub (prod-rg)"},
		{"a configured interface that is the target", network + "/networkInterfaces/n", flowlog.MAC{1}, false, ^uint32(0), "192.0.2.1", "a machine", "web1", "a machine (prod-rg)"},
		{"an interface that is the target", network + "/networkInterfaces/n", flowlog.MAC{3}, false, ^uint32(0), "192.0.2.1", "a machine", "n", "a machine (prod-rg)"},
		{"no target", "", flowlog.MAC{3}, false, 99, "192.0.2.1", "", "030000000000", ""},
		{"one domain for all", network + "/virtualNetworks/hub/subnets/a", flowlog.MAC{2}, true, 5, "192.0.2.1", "front of the hub", "020000000000", "front of the hub (prod-rg)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := fill(NewOrigins(names, Domains{Always: tc.always, Fixed: 5}), flowlog.Record{Target: tc.target}, flowlog.Group{MAC: tc.mac})
			if tc.domain == ^uint32(0) {
				tc.domain = got.Context.VRF
			}
			if got.Domain != tc.domain || got.Context.VRF != number(tc.target) {
				t.Errorf("domain %d, VRF %d, want %d, %d", got.Domain, got.Context.VRF, tc.domain, number(tc.target))
			}
			c := got.Context
			if diff := cmp.Diff([]string{tc.exporter, tc.vrf, tc.nic, tc.about}, []string{c.Exporter.String(), c.VRFName, c.InterfaceName, c.InterfaceDescription}); diff != "" {
				t.Errorf("exporter, VRF, interface, description (-want +got):\n%s", diff)
			}
			if c.Target.Short != parseNames(tc.target) {
				t.Errorf("a configured name stands for %q, too", c.Target.Short)
			}
		})
	}
}

func parseNames(id string) string {
	r := parseResource(id)
	return r.name()
}

func TestDescription(t *testing.T) {
	long := strings.Repeat("n", 60)
	for _, tc := range []struct{ name, group, want string }{
		{"hub", "", "hub"},
		{"hub", "prod", "hub (prod)"},
		{long, "x", long + " (x)"}, // all of 64 octets
		{long, "xy", long},
		{long + long, "x", long + long},
	} {
		if got := description(tc.name, tc.group); got != tc.want {
			t.Errorf("description(%q, %q) = %q, want %q", tc.name, tc.group, got, tc.want)
		}
	}
}

// TestOriginsRememberWithinBounds: however many flow logs and interfaces there
// are, and however long their ids, what is remembered ends, and what is said of
// them stays the same.
func TestOriginsRememberWithinBounds(t *testing.T) {
	o := NewOrigins(Names{}, Domains{})
	r := flowlog.Record{Target: strings.Repeat("/x", maxIDOctets)}
	if got := fill(o, r, flowlog.Group{}); got.Context.VRFName != "x" || len(o.logs) != 0 {
		t.Errorf("VRF %q, %d flow logs are remembered", got.Context.VRFName, len(o.logs))
	}
	for range 2 {
		for i := range maxLogs + 10 {
			id := fmt.Sprintf("/a/%d", i)
			if got := fill(o, flowlog.Record{Target: id}, flowlog.Group{}); got.Context.Target.Long != id || got.Domain != number(id) {
				t.Fatalf("%s: %+v", id, got)
			}
		}
		for i := range maxDigits + 10 {
			mac := flowlog.MAC{1, byte(i >> 16), byte(i >> 8), byte(i)}
			if got := fill(o, flowlog.Record{}, flowlog.Group{MAC: mac}); got.Context.InterfaceName != mac.String() {
				t.Fatalf("%s: %+v", mac, got)
			}
		}
	}
	if len(o.logs) > maxLogs || len(o.digits) > maxDigits {
		t.Errorf("%d flow logs and %d interfaces are remembered", len(o.logs), len(o.digits))
	}
}

func TestFillDoesNotAllocate(t *testing.T) {
	o := NewOrigins(Names{Targets: []Target{{Pattern: "*"}}}, Domains{})
	records := []flowlog.Record{
		{Target: network + "/virtualNetworks/hub", FlowLog: vnetLog},
		{Target: network + "/virtualNetworks/hub/subnets/a", FlowLog: vnetLog},
		{Target: network + "/networkInterfaces/a"},
	}
	groups := []flowlog.Group{
		{Kind: flowlog.VNet, MAC: nic, Rule: "a", ACL: network + "/networkSecurityGroups/web-nsg"},
		{Kind: flowlog.NSG, MAC: flowlog.MAC{1}, Rule: "b"},
	}
	var origin Origin
	if n := testing.AllocsPerRun(100, func() {
		for i := range records {
			for k := range groups {
				o.Fill(&origin, &records[i], &groups[k], 1)
			}
		}
	}); n != 0 {
		t.Errorf("6 groups take %v allocations, want none", n)
	}
}

func TestDomains(t *testing.T) {
	// The reference values were computed with another implementation of FNV-1a.
	of := func(o *Origins, r *flowlog.Record) uint32 {
		var origin Origin
		o.Fill(&origin, r, &flowlog.Group{}, 1)
		return origin.Domain
	}
	for _, tc := range []struct {
		domains Domains
		record  flowlog.Record
		want    uint32
	}{
		{Domains{}, flowlog.Record{Target: "/subscriptions/s/vnet"}, 0x060d728e},
		{Domains{}, flowlog.Record{Target: "/SUBSCRIPTIONS/S/VNET"}, 0x060d728e},
		{Domains{}, flowlog.Record{Target: "/SUBSCRIPTIONS/S/VNET", FlowLog: "/other"}, 0x060d728e},
		{Domains{}, flowlog.Record{FlowLog: "/subscriptions/s/vnet"}, 0x060d728e},
		{Domains{}, flowlog.Record{}, 0x811c9dc5},
		{Domains{Always: true, Fixed: 42}, flowlog.Record{Target: "/x"}, 42},
		{Domains{Always: true}, flowlog.Record{Target: "/x"}, 0},
	} {
		if got := of(NewOrigins(Names{}, tc.domains), &tc.record); got != tc.want {
			t.Errorf("domain of %q is %#x, want %#x", tc.record.Target, got, tc.want)
		}
	}
	d := NewOrigins(Names{}, Domains{})
	a, b := flowlog.Record{Target: "/a"}, flowlog.Record{Target: "/b"}
	if first, other := of(d, &a), of(d, &b); first == other || of(d, &a) != first {
		t.Error("the domain depends on the record before")
	}
}
