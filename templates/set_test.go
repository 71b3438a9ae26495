package templates

import (
	"encoding/hex"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/internal/ipaddr"
)

var update = flag.Bool("update", false, "write testdata anew")

func mustNew(tb testing.TB, cfg Config) *Set {
	tb.Helper()
	s, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestDefinitionsKeepTheirIDs: a template ID means the same for ever, since some
// collectors keep templates on disk. A line of the file may be added, and never
// changed.
func TestDefinitionsKeepTheirIDs(t *testing.T) {
	var b strings.Builder
	line := func(what string, cfg Config) {
		s := mustNew(t, cfg)
		for _, tp := range s.Templates() {
			fmt.Fprintf(&b, "%s: %s %d\n", what, tp.Name, tp.ID)
		}
		for _, tp := range s.Options {
			fmt.Fprintf(&b, "%s: options %s %d\n", what, tp.Name, tp.ID)
		}
	}
	for _, name := range PresetNames() {
		line("ipfix", Config{Preset: name})
		line("ipfix, exporter", Config{Preset: name, Exporter: netip.MustParseAddr("192.0.2.1")})
		line("netflow9", Config{Preset: name, Protocol: NetFlow9})
		if name != "vflow" {
			line("ipfix, biflow", Config{Preset: name, Biflow: true})
		}
	}
	own := Config{Enterprise: Enterprise{Number: 32473}}
	line("enterprise 32473", own)
	own.Options = OptionsKinds()
	line("all options", own)
	line("netflow9 options", Config{Protocol: NetFlow9, Options: []OptionsKind{OptionsInterfaces, OptionsVRFs, OptionsSampling, OptionsStatistics}})
	line("nfdump options", Config{Preset: "nfdump", Options: []OptionsKind{OptionsInterfaces, OptionsVRFs}})
	const golden = "testdata/ids.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("ids (-was +is):\n%s", diff)
	}
}

// TestOneIDOneDefinition: nowhere do two definitions have one ID.
func TestOneIDOneDefinition(t *testing.T) {
	defined := map[string]string{}
	for _, protocol := range []Protocol{IPFIX, NetFlow9} {
		for _, name := range PresetNames() {
			for _, biflow := range []bool{false, true} {
				for _, exporter := range []string{"", "192.0.2.1", "2001:db8::1"} {
					cfg := Config{Preset: name, Protocol: protocol, Biflow: biflow}
					if exporter != "" {
						cfg.Exporter = netip.MustParseAddr(exporter)
					}
					s, err := New(cfg)
					if err != nil {
						continue // biflow is not for all
					}
					for _, tp := range s.Templates() {
						key := fmt.Sprint(protocol, tp.ID)
						definition := hex.EncodeToString(tp.AppendTemplate(nil))
						if before, ok := defined[key]; ok && before != definition {
							t.Errorf("%s %v: ID %d is %s and %s", name, protocol, tp.ID, before, definition)
						}
						defined[key] = definition
					}
				}
			}
		}
	}
	if len(defined) < 30 {
		t.Errorf("%d definitions were looked at, want at least 30", len(defined))
	}
}

func full4() Record {
	r := record4()
	r.Encryption, r.FlowState = 2, StateEnd
	r.Context = &Context{
		MAC: [6]byte{0, 0x0d, 0x3a, 1, 2, 3}, Exporter: netip.MustParseAddr("198.51.100.7"), VRF: 0xAABBCCDD,
		VRFName: "hub", InterfaceName: "web-01", InterfaceDescription: "hub (net)",
		Rule: "UserRule_AllowHTTPS", Subscription: "sub-1", Region: "westeurope", ResourceGroup: "net",
		ACL: ResourceID{"/long/acl", "acl"}, FlowLog: ResourceID{"/long/log", "log"}, Target: ResourceID{"/long/hub", "hub"},
	}
	return r
}

func full6() Record {
	r := full4()
	r.IPv6, r.Source, r.Destination = true, ipaddr.MustParse("fd00::6"), ipaddr.MustParse("2001:db8::1")
	return r
}

func text1(s string) string { return fmt.Sprintf("%02x%x", len(s), s) }

// TestEveryElement writes each element on its own and compares it with octets
// that were worked out by hand.
func TestEveryElement(t *testing.T) {
	want := map[string]string{
		"sourceTransportPort": "5d94", "destinationTransportPort": "01bb", "protocolIdentifier": "06",
		"octetDeltaCount": "00000100000002ff", "packetDeltaCount": "0000000000000003",
		"reverseOctetDeltaCount": "0000000000000063", "reversePacketDeltaCount": "0000000000000063",
		"flowStartMilliseconds": "000001833b39fe80", "flowEndMilliseconds": "000001833b3a0c96",
		"flowStartSeconds": "63219810", "flowEndSeconds": "63219813", "flowDurationMilliseconds": "00000e16",
		"ingressInterface": "01020304", "egressInterface": "00000011", "observationPointId": "0000000001020304",
		"flowDirection": "01", "samplingInterval": "00000001", "samplingAlgorithm": "01",
		"forwardingStatus": "40", "firewallEvent": "05", "flowEndReason": "03",
		"sourceMacAddress": "000d3a010203", "destinationMacAddress": "000000000000",
		"ingressVRFID": "aabbccdd", "egressVRFID": "aabbccdd", "VRFname": text1("hub"),
		"interfaceName": text1("web-01"), "interfaceDescription": text1("hub (net)"),
		"exporterIPv4Address": "c6336407", "tcpControlBits": "0000", "biflowDirection": "01",
		"azureRule": text1("UserRule_AllowHTTPS"), "azureAcl": text1("acl"), "azureFlowLog": text1("log"),
		"azureTargetResource": text1("hub"), "azureSubscription": text1("sub-1"), "azureRegion": text1("westeurope"),
		"azureResourceGroup": text1("net"), "azureEncryption": "02", "azureFlowState": "03",
	}
	byFamily := map[string][2]string{
		"sourceIPv4Address":      {"0a000006", "fd000000000000000000000000000006"},
		"destinationIPv4Address": {"c00002b4", "20010db8000000000000000000000001"},
		"sourceIPv6Address":      {"0a000006", "fd000000000000000000000000000006"},
		"destinationIPv6Address": {"c00002b4", "20010db8000000000000000000000001"},
		"ipVersion":              {"04", "06"},
	}
	r4, r6 := full4(), full6()
	for _, e := range Elements() {
		cfg := Config{
			Fields: []string{e.Name}, Biflow: e.Reverse || e.Name == biflowDirection,
			Enterprise: Enterprise{Number: 32473, Elements: []string{"azureEncryption"}}, Exporter: netip.MustParseAddr("198.51.100.7"),
		}
		if !e.Enterprise {
			cfg.Enterprise = Enterprise{}
		}
		if e.source == exporter6 {
			cfg.Exporter = netip.MustParseAddr("2001:db8::7")
		}
		s := mustNew(t, cfg)
		for i, r := range []*Record{&r4, &r6} {
			tp := s.For(r)
			got := hex.EncodeToString(tp.Append(nil, r, 0))
			expected, known := want[e.Name]
			if pair, ok := byFamily[e.Name]; ok {
				expected, known = pair[i], true
			}
			switch e.Name {
			case "flowId":
				if len(got) != 16 || got == "0000000000000000" {
					t.Errorf("flowId is %s", got)
				}
				continue
			case "exporterIPv6Address": // the record's is of IPv4
				expected, known = strings.Repeat("00", 16), true
			}
			if !known {
				t.Errorf("%s: no value is known here", e.Name)
			}
			if got != expected {
				t.Errorf("%s: got %s, want %s", e.Name, got, expected)
			}
			if n := tp.LengthOf(r); 2*n != len(got) {
				t.Errorf("%s: length %d, want %d", e.Name, n, len(got)/2)
			}
		}
	}
}

// TestFlowIDIsOfBothWays: both records of a flow have one id, other flows have
// others, and it stays the same for ever.
func TestFlowIDIsOfBothWays(t *testing.T) {
	r := full4()
	back := r
	back.Source, back.Destination = r.Destination, r.Source
	back.SourcePort, back.DestinationPort = r.DestinationPort, r.SourcePort
	back.Direction = Ingress
	if a, b := hashFlow(&r), hashFlow(&back); a != b || a != 0xa8b61db8ab6572f7 {
		t.Errorf("ids are %#x and %#x", a, b)
	}
	seen := map[uint64]bool{}
	for port := range uint16(60000) {
		r.SourcePort = port
		seen[hashFlow(&r)] = true
	}
	r.SourcePort, r.DestinationPort = 443, 23956 // ports swapped, addresses not
	seen[hashFlow(&r)] = true
	if len(seen) != 60001 {
		t.Errorf("%d ids of 60001 flows", len(seen))
	}
}

func names(t *Template) string {
	var all []string
	for _, f := range t.Fields() {
		all = append(all, f.Name)
	}
	return strings.Join(all, " ")
}

func TestFields(t *testing.T) {
	for _, tc := range []struct {
		cfg      Config
		template func(*Set) *Template
		want     string
	}{
		{
			Config{Fields: []string{"flowEndMilliseconds", "sourceIPv4Address", "octetDeltaCount"}},
			func(s *Set) *Template { return s.IPv4 },
			"flowEndMilliseconds sourceIPv4Address octetDeltaCount",
		},
		{
			Config{Fields: []string{"flowEndMilliseconds", "sourceIPv4Address", "octetDeltaCount"}},
			func(s *Set) *Template { return s.IPv6 },
			"flowEndMilliseconds sourceIPv6Address octetDeltaCount",
		},
		{
			Config{Fields: []string{"sourceIPv6Address", "ipVersion", "sourceIPv4Address"}},
			func(s *Set) *Template { return s.IPv4 },
			"ipVersion sourceIPv4Address",
		},
		{
			Config{Fields: []string{"octetDeltaCount", "azureFlowState"}, Enterprise: Enterprise{Number: 1, Elements: []string{"azureRule"}}},
			func(s *Set) *Template { return s.IPv4 }, "octetDeltaCount azureFlowState",
		},
		{
			Config{Fields: []string{"octetDeltaCount"}, Enterprise: Enterprise{Number: 1}},
			func(s *Set) *Template { return s.IPv4 }, "octetDeltaCount azureRule azureAcl azureEncryption",
		},
		{
			Config{Fields: []string{"packetDeltaCount", "biflowDirection"}, Biflow: true},
			func(s *Set) *Template { return s.BiflowIPv4 }, "packetDeltaCount biflowDirection reversePacketDeltaCount",
		},
		{
			Config{Fields: []string{"reversePacketDeltaCount", "packetDeltaCount", "biflowDirection"}, Biflow: true},
			func(s *Set) *Template { return s.BiflowIPv6 }, "reversePacketDeltaCount packetDeltaCount biflowDirection",
		},
		{
			Config{Fields: []string{"reversePacketDeltaCount", "packetDeltaCount", "biflowDirection"}, Biflow: true},
			func(s *Set) *Template { return s.IPv4 }, "packetDeltaCount",
		},
		{
			Config{Fields: []string{"preset", "flowId"}},
			func(s *Set) *Template { return s.IPv4 }, strings.Join(core, " ") + " flowId",
		},
		{
			Config{Fields: []string{"octetDeltaCount", "preset"}},
			func(s *Set) *Template { return s.IPv4 }, "octetDeltaCount " + strings.Replace(strings.Join(core, " "), " octetDeltaCount", "", 1),
		},
		{
			Config{Fields: []string{"octetDeltaCount"}, Enterprise: Enterprise{Number: 1, Elements: []string{}}},
			func(s *Set) *Template { return s.IPv4 }, "octetDeltaCount",
		},
		{
			Config{Preset: "pmacct", Exporter: netip.MustParseAddr("192.0.2.1")},
			func(s *Set) *Template { return s.IPv4 }, strings.Join(core, " ") + " sourceMacAddress destinationMacAddress exporterIPv4Address",
		},
		{
			Config{Exporter: netip.MustParseAddr("2001:db8::1")},
			func(s *Set) *Template { return s.IPv4 }, strings.Join(core, " ") + " exporterIPv6Address",
		},
		{
			Config{Protocol: NetFlow9, Fields: []string{"flowStartMilliseconds", "flowEndMilliseconds", "VRFname"}},
			func(s *Set) *Template { return s.IPv6 }, "flowStartSysUpTime flowEndSysUpTime VRFname",
		},
	} {
		if got := names(tc.template(mustNew(t, tc.cfg))); got != tc.want {
			t.Errorf("%+v:\n got %s\nwant %s", tc.cfg, got, tc.want)
		}
	}
}

func TestErrors(t *testing.T) {
	own := Enterprise{Number: 32473}
	for _, tc := range []struct {
		cfg  Config
		want []string
	}{
		{Config{Fields: []string{"octetdeltacount"}}, []string{
			`fields: element "octetdeltacount" is not known, or cannot be filled (did you mean octetDeltaCount?); flow2ipfix templates --elements lists those that can`,
		}},
		{Config{Fields: []string{"preset", "flowId", "flowId"}}, []string{"fields: want flowId once"}},
		{Config{Fields: []string{"preset", "preset"}}, []string{"fields: want preset once"}},
		{Config{Preset: "akvorado", Fields: []string{"sourceIPv4Address", "egressInterface"}}, []string{
			"fields: want samplingInterval: without, the collectors of preset akvorado ignore a record",
		}},
		{Config{Preset: "goflow2", MaxMessageBytes: 9001}, []string{"max_message_bytes: want 9000 at most: more the collectors of preset goflow2 do not read"}},
		{Config{Preset: "elastiflow", MaxRecords: 65}, []string{"max_message_records: want 64 at most: more the collectors of preset elastiflow do not read"}},
		{Config{Fields: []string{"azureRule", "reverseOctetDeltaCount", "exporterIPv4Address"}}, []string{
			"fields: azureRule needs enterprise.number",
			"fields: reverseOctetDeltaCount needs records: biflow",
			"fields: exporterIPv4Address needs an exporter_address of its family",
		}},
		{Config{Enterprise: Enterprise{Number: 32473, Elements: []string{"flowId"}}}, []string{"enterprise.elements: flowId is IANA's; name it in fields"}},
		{Config{Protocol: NetFlow9, Biflow: true, Enterprise: own}, []string{
			"records: want uniflow: netflow9 has no bidirectional records", "enterprise.number: want 0: netflow9 has no enterprise elements",
		}},
		{Config{Preset: "vflow", Biflow: true, Enterprise: own}, []string{
			"records: want uniflow: the collectors of preset vflow drop bidirectional records",
			"enterprise.number: want 0: the collectors of preset vflow drop records with enterprise elements",
		}},
		{Config{Enterprise: Enterprise{Number: 29305}}, []string{"enterprise.number: want a number of your own: 29305 stands for reverse elements (RFC 5103)"}},
		{Config{Enterprise: Enterprise{Number: 1, StringOctets: 513}}, []string{"enterprise.string_octets: want 0 (as long as they are) to 512, got 513"}},
		{Config{Protocol: NetFlow5, Fields: []string{"flowId"}, Options: []OptionsKind{"sampling"}}, []string{
			"fields: want none: netflow5 has one form of record", "options: want none: netflow5 has no options templates",
		}},
		{Config{Options: []OptionsKind{"types", "vrf", "vrfs", "vrfs"}}, []string{
			"options: types describes enterprise elements; want an enterprise.number, or no types",
			`options: want interfaces, vrfs, sampling, statistics, flow_keys, types, got "vrf"`,
			"options: want vrfs once",
		}},
		{Config{Protocol: NetFlow9, Options: []OptionsKind{"flow_keys"}}, []string{"options: netflow9 has no flow_keys; want ipfix, or no flow_keys"}},
		{Config{Protocol: NetFlow9, Fields: []string{"protocolIdentifier", "ipVersion"}}, []string{
			"fields: want records of more than 3 octets: with netflow9 shorter ones look like padding",
			"fields: want records of more than 3 octets: with netflow9 shorter ones look like padding",
		}},
		{Config{MaxMessageBytes: 512, Enterprise: Enterprise{Number: 1, StringOctets: 300}}, []string{
			"fields: a record takes 661 octets, but a message of 512 has room for 485; want fewer or shorter fields, or a larger max_message_bytes",
			"fields: a record takes 685 octets, but a message of 512 has room for 485; want fewer or shorter fields, or a larger max_message_bytes",
		}},
	} {
		_, err := New(tc.cfg)
		if want := strings.Join(tc.want, "\n"); err == nil || err.Error() != want {
			t.Errorf("%+v:\n got %v\nwant %s", tc.cfg, err, want)
		}
	}
}

func TestNetFlow9Times(t *testing.T) {
	s := mustNew(t, Config{Protocol: NetFlow9, Fields: []string{"flowStartMilliseconds", "flowEndMilliseconds"}})
	r := record4()
	for _, tc := range []struct {
		epoch int64
		want  string
	}{
		{r.Start - 5, "0000000500000e1b"},
		{r.Start + 6, "0000000000000e10"},
		{r.End - 1<<32, "fffff1eaffffffff"},
	} {
		if got := hex.EncodeToString(s.IPv4.Append(nil, &r, tc.epoch)); got != tc.want {
			t.Errorf("epoch %d: got %s, want %s", tc.epoch, got, tc.want)
		}
	}
}

func TestFlowKeys(t *testing.T) {
	if got := mustNew(t, Config{}).IPv4.FlowKeys(); got != 0b0000_1110_0001_1111 {
		t.Errorf("keys are %b", got)
	}
}
