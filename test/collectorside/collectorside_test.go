package collectorside

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"flow2ipfix/test/peers"
)

// log is a flow log with a rule and an access list that are easy to recognise: one
// flow that went both ways, one that was denied, one of IPv6.
const log = `{"records":[{"time":"2026-11-21T02:00:30.0000000Z","flowLogGUID":"00000000-0000-0000-0000-000000000001",
"macAddress":"000D3A000001","category":"FlowLogFlowEvent","flowLogResourceID":"/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000002/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/NETWORKWATCHER_WESTEUROPE/FLOWLOGS/FL1",
"targetResourceID":"/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg1/providers/Microsoft.Network/virtualNetworks/vnet-hub",
"operationName":"FlowLogFlowEvent","flowLogVersion":4,"flowRecords":{"flows":[{"aclID":"/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/rg1/providers/Microsoft.Network/networkSecurityGroups/nsg-web","flowGroups":[{"rule":"UserRule_allow-web","flowTuples":[
"1795226400000,10.0.0.4,10.0.0.5,50001,443,6,O,C,X,11,1111,22,2222",
"1795226401000,2001:db8::4,2001:db8::5,50002,443,6,O,C,NX,33,3333,44,4444"]},{"rule":"UserRule_deny-all","flowTuples":[
"1795226402000,10.0.0.6,10.0.0.4,50003,22,6,I,D,NX,0,0,0,0"]}]}]}}]}
`

// A case is what is sent, and what each collector has to show of it: patterns for
// what it writes.
var cases = []struct {
	name  string
	flags []string
	want  map[string][]string
}{
	{
		name:  "enterprise",
		flags: []string{"--enterprise-number", "32473"},
		want: map[string][]string{
			"goflow2": {
				`"bytes":1111,.*"src_addr":"10\.0\.0\.4",.*"azure_rule":"UserRule_allow-web","azure_acl":"nsg-web","azure_encryption":1\b`,
				`"src_addr":"2001:db8::4",.*"azure_encryption":2\b`,
				`"bytes":0,.*"forwarding_status":129,.*"firewall_event":3,"azure_rule":"UserRule_deny-all"`,
				`"src_mac":"00:0d:3a:00:00:01"`,
			},
			"pmacct": {
				`"ip_src": "10\.0\.0\.4",.*"azure_rule": "UserRule_allow-web", "azure_acl": "nsg-web", "azure_encryption": "1",.*"bytes": 1111\b`,
				`"ip_src": "2001:db8::4",.*"azure_encryption": "2"`,
				`"firewall_event": "3", "azure_rule": "UserRule_deny-all",.*"bytes": 0\b`,
			},
			"telegraf": {
				`"azure_acl":"nsg-web","azure_encryption":1,"azure_rule":"UserRule_allow-web",.*"in_bytes":1111,`,
				`"azure_rule":"UserRule_deny-all",.*"fw_event":"flow denied"`,
			},
		},
	},
	{
		name:  "fixed-strings-exporter",
		flags: []string{"--enterprise-number", "32473", "--enterprise-string-octets", "24", "--exporter-address", "192.0.2.99", "--fields", "octetDeltaCount,sourceIPv4Address,interfaceDescription,exporterIPv4Address,azureRule"},
		want: map[string][]string{
			"goflow2":  {`"bytes":1111,.*"interface_description":"766e65742d687562[0-9a-f]*","exporter_ipv4_address":"192\.0\.2\.99","azure_rule":"55736572[0-9a-f]{40}"`},
			"pmacct":   {`"interface_description": "vnet-hub[^"]*", "exporter_ipv4_address": "192\.0\.2\.99", "azure_rule": "UserRule_allow-web",.*"bytes": 1111\b`},
			"telegraf": {`"azure_rule":"UserRule_allow-web","exporter":"192\.0\.2\.99"`},
		},
	},
	{
		name:  "bidirectional",
		flags: []string{"--records", "biflow", "--fields", "preset,biflowDirection,ingressVRFID,flowId"},
		want: map[string][]string{
			"goflow2":  {`"bytes":1111,.*"ingress_vrf_id":[1-9]\d*,.*"reverse_octet_delta_count":2222,"reverse_packet_delta_count":22\b`},
			"pmacct":   {`"reverse_octet_delta_count": "2222", "reverse_packet_delta_count": "22",.*"packets": 11, "bytes": 1111\b`},
			"telegraf": {`"in_bytes":1111,.*"reverse_octet_delta_count":2222,"reverse_packet_delta_count":22\b`},
		},
	},
	{
		name:  "netflow9",
		flags: []string{"--protocol", "netflow9", "--fields", "preset,interfaceDescription,egressVRFID"},
		want: map[string][]string{
			"goflow2":  {`"type":"NETFLOW_V9",.*"bytes":1111,.*"firewall_event":5,"interface_description":"766e65742d687562[0-9a-f]*","egress_vrf_id":[1-9]`},
			"pmacct":   {`"firewall_event": "5", "interface_description": "vnet-hub[^"]*",.*"bytes": 1111\b`},
			"telegraf": {`"in_bytes":1111,.*"version":"NetFlowV9"`},
		},
	},
	{
		name:  "netflow5",
		flags: []string{"--protocol", "netflow5", "--options", "none", "--preset", "generic"},
		want: map[string][]string{
			"goflow2":  {`"type":"NETFLOW_V5",.*"bytes":1111,`},
			"pmacct":   {`"ip_src": "10\.0\.0\.4",.*"bytes": 1111\b`},
			"telegraf": {`"in_bytes":1111,.*"version":"NetFlowV5"`},
		},
	},
}

func writeLog(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "PT1H.json")
	if err := os.WriteFile(file, []byte(log), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// replay sends the log. The preset is the collector's, unless the flags say
// another.
func replay(t *testing.T, url, preset, file string, flags []string) {
	t.Helper()
	args := append([]string{"replay", "--collector", url, "--preset", preset}, flags...)
	if e := peers.Run(append(args, file)...); e.Code != 0 {
		t.Fatalf("replay ends with %d: %s", e.Code, e.Stderr)
	}
}

// TestCollectorsTakeTheirFiles has each collector run with its files and show what
// it was told of.
func TestCollectorsTakeTheirFiles(t *testing.T) {
	for _, c := range cases {
		for name, want := range c.want {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				dir, port := t.TempDir(), freePort(t)
				if err := configure(dir, name, port, c.flags...); err != nil {
					t.Fatal(err)
				}
				s := subjects[name]
				p, err := s.start(dir, port)
				if p != nil {
					defer func() {
						if err := p.End(syscall.SIGINT); err != nil {
							t.Error(err)
						}
					}()
				}
				if err != nil {
					t.Fatal(err)
				}
				replay(t, p.URL(), name, writeLog(t), c.flags)
				if err := p.Drain(); err != nil {
					t.Fatal(err)
				}
				shown := ""
				err = peers.Await(name+" shows what it was sent", func() (bool, error) {
					if err := p.Alive(); err != nil {
						return false, err
					}
					if shown, err = s.shown(dir, p.Process); err != nil {
						return false, err
					}
					for _, pattern := range want {
						if !regexp.MustCompile(pattern).MatchString(shown) {
							return false, nil
						}
					}
					return true, nil
				})
				if err != nil {
					t.Errorf("%v\nwant %s\ngot %s\nlog %s", err, strings.Join(want, "\nand "), shown, p.Log())
				}
			})
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := peers.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestNfcapd runs the printed script.
func TestNfcapd(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	if err := configure(dir, "nfdump", port); err != nil {
		t.Fatal(err)
	}
	script, files := filepath.Join(dir, "nfcapd.sh"), filepath.Join(dir, "files")
	if err := edit(script, "/var/cache/nfdump", files); err != nil {
		t.Fatal(err)
	}
	p, err := peers.StartUDPOn(dir, port, script)
	if err != nil {
		t.Fatal(err)
	}
	replay(t, p.URL(), "nfdump", writeLog(t), nil)
	if err := p.Drain(); err != nil {
		t.Fatal(err)
	}
	if err := p.End(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	text, err := read(script)
	if err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		`(?m)^#   (nfdump .*)$`:           `10\.0\.0\.4:50001 -> +10\.0\.0\.5:443 +11 +1111 `,
		`(?m)^# A denied flow.*: (nf.*)$`: `10\.0\.0\.6:50003`,
	} {
		found := regexp.MustCompile(command).FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("no command in %s", text)
		}
		out, err := peers.Output("sh", "-c", found[1])
		if err != nil || !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s: %v, want %s\n%s", found[1], err, want, out)
		}
	}
}

// TestWiresharkNames: the names of fields in the hints are tshark's.
func TestWiresharkNames(t *testing.T) {
	dir := t.TempDir()
	if err := configure(dir, "wireshark", 4739, "--enterprise-number", "32473", "--fields", "preset,ingressVRFID"); err != nil {
		t.Fatal(err)
	}
	text, err := read(filepath.Join(dir, "wireshark.txt"))
	if err != nil {
		t.Fatal(err)
	}
	known, err := peers.Output("tshark", "-G", "fields")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`cflow\.[a-z_]+`).FindAllString(text, -1)
	if len(names) < 5 {
		t.Errorf("only %d names in %s", len(names), text)
	}
	for _, name := range names {
		if !strings.Contains(string(known), fmt.Sprintf("\t%s\t", name)) {
			t.Errorf("tshark has no field %s", name)
		}
	}
}
