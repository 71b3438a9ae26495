package collect

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	prefix   = `{"exporter":"192.0.2.1:4739","protocol":"ipfix","export_time":"2026-11-21T03:00:00.000Z",`
	prefix9  = `{"exporter":"192.0.2.1:4739","protocol":"netflow9","export_time":"2026-11-21T03:00:00.000Z",`
	webLine  = `"template":256,"fields":{"sourceIPv4Address":"198.51.100.7","destinationIPv4Address":"10.0.0.4",` + coreTail
	coreTail = `"sourceTransportPort":52344,"destinationTransportPort":443,"protocolIdentifier":6,` +
		`"octetDeltaCount":1234567,"packetDeltaCount":1050,` +
		`"flowStartMilliseconds":"2026-11-21T02:58:58.500Z","flowEndMilliseconds":"2026-11-21T02:59:58.500Z",` +
		`"ingressInterface":3,"egressInterface":0,"flowDirection":0,"samplingInterval":1,"forwardingStatus":64,"firewallEvent":5}}`
)

func TestDecode(t *testing.T) {
	web6 := web
	web6.src, web6.dst = "2001:db8::7", "fd00::4"
	long := strings.Repeat("n", 300)
	for _, tc := range []struct {
		name     string
		messages [][]byte
		want     []string
		stats    Stats // without Sessions, Messages and Bytes
	}{
		{
			name: "ipv4, two records, padding, template in the same message",
			messages: [][]byte{ipfixMessage(0, 7,
				set(2, core4), set(256, web.record(), web.record(), "\x00\x00\x00"))},
			want: []string{
				prefix + `"domain":7,"sequence":0,` + webLine,
				prefix + `"domain":7,"sequence":0,` + webLine,
			},
			stats: Stats{DataRecords: 2, Templates: 1},
		},
		{
			name: "ipv6, two templates in a set",
			messages: [][]byte{
				ipfixMessage(0, 7, set(2, core4, core6)),
				ipfixMessage(0, 7, set(257, web6.record())),
			},
			want: []string{prefix + `"domain":7,"sequence":0,"template":257,"fields":{` +
				`"sourceIPv6Address":"2001:db8::7","destinationIPv6Address":"fd00::4",` + coreTail},
			stats: Stats{DataRecords: 1, Templates: 2},
		},
		{
			name: "options template with a padded name and an enterprise field",
			messages: [][]byte{ipfixMessage(5, 7,
				set(3, optionsRecord(300, 1, spec{10, 4}, spec{82, 8}, spec{1, 65535, 32473}), "\x00\x00"),
				set(300, uint32(3), "web-01\x00\x00", uint8(2), "ok"))},
			want: []string{prefix + `"domain":7,"sequence":5,"template":300,"options":true,"fields":{` +
				`"ingressInterface":3,"interfaceName":"web-01","pen32473/1":"6f6b"}}`},
			stats: Stats{OptionRecords: 1, Templates: 1},
		},
		{
			name: "variable length: empty, short, long form for a short one, 300 bytes",
			messages: [][]byte{ipfixMessage(0, 7,
				set(2, templateRecord(256, spec{82, 65535}, spec{4, 1})),
				set(256, uint8(0), uint8(6), uint8(3), "eth", uint8(17),
					uint8(255), uint16(2), "lo", uint8(1), uint8(255), uint16(300), long, uint8(6)))},
			want: []string{
				prefix + `"domain":7,"sequence":0,"template":256,"fields":{"interfaceName":"","protocolIdentifier":6}}`,
				prefix + `"domain":7,"sequence":0,"template":256,"fields":{"interfaceName":"eth","protocolIdentifier":17}}`,
				prefix + `"domain":7,"sequence":0,"template":256,"fields":{"interfaceName":"lo","protocolIdentifier":1}}`,
				prefix + `"domain":7,"sequence":0,"template":256,"fields":{"interfaceName":"` + long + `","protocolIdentifier":6}}`,
			},
			stats: Stats{DataRecords: 4, Templates: 1},
		},
		{
			// goflow2's own loop reports an error at the end of such a set.
			name: "only variable-length fields",
			messages: [][]byte{ipfixMessage(0, 7,
				set(2, templateRecord(256, spec{82, 65535})), set(256, uint8(1), "a", uint8(1), "b"))},
			want: []string{
				prefix + `"domain":7,"sequence":0,"template":256,"fields":{"interfaceName":"a"}}`,
				prefix + `"domain":7,"sequence":0,"template":256,"fields":{"interfaceName":"b"}}`,
			},
			stats: Stats{DataRecords: 2, Templates: 1},
		},
		{
			// goflow2's own loop takes the padding for half a record.
			name: "padding after variable-length fields",
			messages: [][]byte{ipfixMessage(0, 7,
				set(2, templateRecord(256, spec{4, 1}, spec{82, 65535}, spec{83, 65535})),
				set(256, uint8(6), uint8(1), "a", uint8(1), "b", "\x00\x00"))},
			want: []string{
				prefix + `"domain":7,"sequence":0,"template":256,"fields":{"protocolIdentifier":6,"interfaceName":"a","interfaceDescription":"b"}}`,
			},
			stats: Stats{DataRecords: 1, Templates: 1},
		},
		{
			name: "reduced-size counters, reverse elements, an element twice, unknown ones",
			messages: [][]byte{ipfixMessage(0, 7,
				set(2, templateRecord(256, spec{1, 4}, spec{2, 3}, spec{1, 2, 29305}, spec{2, 1, 29305},
					spec{10, 1}, spec{10, 2}, spec{4000, 2}, spec{40, 3, 32473}, spec{2, 9})),
				set(256, uint32(70000), "\x00\x01\x00", uint16(600), uint8(5), uint8(9), uint16(300),
					uint16(0xbeef), "\x01\x02\x03", "\x00\x01\x02\x03\x04\x05\x06\x07\x08"))},
			want: []string{prefix + `"domain":7,"sequence":0,"template":256,"fields":{` +
				`"octetDeltaCount":70000,"packetDeltaCount":256,"reverseOctetDeltaCount":600,"reversePacketDeltaCount":5,` +
				`"ingressInterface":9,"ingressInterface#2":300,"ie4000":"beef","pen32473/40":"010203",` +
				`"packetDeltaCount#2":"000102030405060708"}}`},
			stats: Stats{DataRecords: 1, Templates: 1},
		},
		{
			name: "types",
			messages: [][]byte{ipfixMessage(0, 7,
				set(2, templateRecord(256, spec{56, 6}, spec{150, 4}, spec{154, 8}, spec{320, 8}, spec{320, 4},
					spec{276, 1}, spec{276, 1}, spec{434, 2}, spec{82, 11}, spec{56, 5}, spec{8, 3}, spec{349, 0})),
				set(256, "\x00\x0d\x3a\x12\x34\x56", uint32(exportTime),
					uint64(exportTime+2208988800)<<32|1<<31, uint64(0x3ff8000000000000), uint32(0x7fc00000),
					uint8(1), uint8(2), uint16(0xfffe), "a\"\\\n\x9b\u009b\x7fé\x00", "\x01\x02\x03\x04\x05", "\x01\x02\x03"))},
			want: []string{prefix + `"domain":7,"sequence":0,"template":256,"fields":{` +
				`"sourceMacAddress":"00:0d:3a:12:34:56","flowStartSeconds":"2026-11-21T03:00:00.000Z",` +
				`"flowStartMicroseconds":"2026-11-21T03:00:00.500Z","absoluteError":1.5,"absoluteError#2":"NaN",` +
				`"dataRecordsReliability":true,"dataRecordsReliability#2":false,"mibObjectValueInteger":-2,` +
				`"interfaceName":"a\"\\\u000a` + "\ufffd" + `\u009b\u007fé","sourceMacAddress#2":"0102030405",` +
				`"sourceIPv4Address":"010203","virtualStationUUID":null}}`},
			stats: Stats{DataRecords: 1, Templates: 1},
		},
		{
			name: "missing template, also of another domain",
			messages: [][]byte{
				ipfixMessage(0, 7, set(256, web.record())),
				ipfixMessage(1, 8, set(2, core4)),
				ipfixMessage(1, 7, set(256, web.record())),
				ipfixMessage(2, 7, set(2, core4), set(256, web.record())),
			},
			want:  []string{prefix + `"domain":7,"sequence":2,` + webLine},
			stats: Stats{DataRecords: 1, Templates: 2, MissingTemplate: 2},
		},
		{
			name: "a new template takes the place of an old one",
			messages: [][]byte{
				ipfixMessage(0, 7, set(2, core4)),
				ipfixMessage(0, 7, set(2, templateRecord(256, spec{4, 1}))),
				ipfixMessage(0, 7, set(256, uint8(6))),
			},
			want:  []string{prefix + `"domain":7,"sequence":0,"template":256,"fields":{"protocolIdentifier":6}}`},
			stats: Stats{DataRecords: 1, Templates: 2},
		},
		{
			name: "netflow 9, scope, padding",
			messages: [][]byte{
				netflow9Message(41, 3, 3,
					set(0, templateRecord(256, spec{8, 4}, spec{21, 4}, spec{22, 4})),
					set(1, uint16(257), uint16(8), uint16(8), fieldSpecs([]spec{{1, 0}, {2, 4}, {34, 4}, {82, 4}}), "\x00\x00"),
					set(256, ip("10.0.0.4"), uint32(99_000), uint32(40_000)),
					set(257, uint32(3), uint32(100), "eth0")),
			},
			want: []string{
				prefix9 + `"domain":3,"sequence":41,"template":256,"fields":{"sourceIPv4Address":"10.0.0.4","flowEndSysUpTime":99000,"flowEndMilliseconds":"2026-11-21T02:59:59.000Z","flowStartSysUpTime":40000,"flowStartMilliseconds":"2026-11-21T02:59:00.000Z"}}`,
				prefix9 + `"domain":3,"sequence":41,"template":257,"options":true,"fields":{"scopeSystem":null,"scopeInterface":3,"samplingInterval":100,"interfaceName":"eth0"}}`,
			},
			stats: Stats{DataRecords: 1, OptionRecords: 1, Templates: 2},
		},
		{
			name:     "netflow 5",
			messages: [][]byte{netflow5Message(9, 2)},
			want: []string{
				netflow5Line, netflow5Line,
			},
			stats: Stats{DataRecords: 2},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := decode(t, true, tc.messages...)
			if diff := cmp.Diff(tc.want, got.lines); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
			for _, line := range got.lines {
				if !json.Valid([]byte(line)) {
					t.Errorf("not JSON: %s", line)
				}
			}
			tc.stats.Sessions, tc.stats.Messages, tc.stats.Bytes = 1, uint64(len(tc.messages)), got.stats.Bytes
			if diff := cmp.Diff(tc.stats, got.stats); diff != "" {
				t.Errorf("stats (-want +got):\n%s\nerrors: %q", diff, got.errors)
			}
		})
	}
}

const netflow5Line = `{"exporter":"192.0.2.1:4739","protocol":"netflow5","export_time":"2026-11-21T03:00:00.250Z",` +
	`"domain":258,"sequence":9,"template":0,"fields":{"sourceIPv4Address":"10.0.0.4","destinationIPv4Address":"198.51.100.7",` +
	`"ipNextHopIPv4Address":"10.0.0.1","ingressInterface":0,"egressInterface":3,"packetDeltaCount":12,"octetDeltaCount":3400,` +
	`"flowStartSysUpTime":40000,"flowStartMilliseconds":"2026-11-21T02:59:00.250Z",` +
	`"flowEndSysUpTime":99000,"flowEndMilliseconds":"2026-11-21T02:59:59.250Z","sourceTransportPort":443,"destinationTransportPort":52344,` +
	`"tcpControlBits":27,"protocolIdentifier":6,"ipClassOfService":0,"bgpSourceAsNumber":0,"bgpDestinationAsNumber":0,` +
	`"sourceIPv4PrefixLength":24,"destinationIPv4PrefixLength":0}}`

func netflow5Message(sequence uint32, count uint16) []byte {
	m := cat(uint16(5), count, uint32(100_000), uint32(exportTime), uint32(250_000_000), sequence,
		uint8(1), uint8(2), uint16(0))
	for range count {
		m = append(m, cat(ip("10.0.0.4"), ip("198.51.100.7"), ip("10.0.0.1"), uint16(0), uint16(3),
			uint32(12), uint32(3400), uint32(40_000), uint32(99_000), uint16(443), uint16(52344),
			uint8(0), uint8(27), uint8(6), uint8(0), uint16(0), uint16(0), uint8(24), uint8(0), uint16(0))...)
	}
	return m
}

// A message that is wrong costs what is wrong with it, and says why.
func TestDecodeFaults(t *testing.T) {
	good := set(256, web.record())
	teach := ipfixMessage(0, 7, set(2, core4))
	manyEmpty := make([]spec, 10)
	for i := range manyEmpty {
		manyEmpty[i] = spec{uint32(i + 1), 0}
	}
	withLength := func(m []byte, length uint16) []byte {
		m[2], m[3] = byte(length>>8), byte(length)
		return m
	}
	for _, tc := range []struct {
		name    string
		message []byte
		records uint64 // that come out all the same
		want    string // in an error
	}{
		{"empty", nil, 0, "message of 0 bytes has no version"},
		{"unknown version", cat(uint16(1), uint64(0)), 0, "message has version 1, want 10 (IPFIX), 9 or 5 (NetFlow)"},
		{"short ipfix header", ipfixMessage(0, 7)[:15], 0, "shorter than its header"},
		{"short v9 header", netflow9Message(0, 7, 0)[:19], 0, "shorter than its header"},
		{"short v5 header", netflow5Message(0, 0)[:23], 0, "shorter than its header"},
		{"v5 with fewer records", netflow5Message(0, 2)[:24+48+47], 0, "says it has 2 records, which makes 120"},
		{"length too small", withLength(ipfixMessage(0, 7, good), 20), 0, "message of 80 bytes says it has 20"},
		{"length below the header", withLength(ipfixMessage(0, 7, good), 4), 0, "message of 80 bytes says it has 4"},
		{"length too large", withLength(ipfixMessage(0, 7, good), 81), 0, "message of 80 bytes says it has 81"},
		{"stray bytes", ipfixMessage(0, 7, good, []byte{1, 2, 3}), 1, "3 stray bytes after the last set"},
		{"set runs over", ipfixMessage(0, 7, good, cat(uint16(256), uint16(5))), 1, "set 256 says it has 5 bytes where 4 are left"},
		{"set without header", ipfixMessage(0, 7, good, cat(uint16(256), uint16(3))), 1, "set 256 says it has 3 bytes"},
		{"reserved set", ipfixMessage(0, 7, set(4, uint32(0)), good), 1, "set id 4 is reserved"},
		{"v9 template set in ipfix", ipfixMessage(0, 7, set(0, core4), good), 1, "set id 0 is reserved"},
		{"half a record", ipfixMessage(0, 7, set(256, web.record(), web.record()[:59])), 1, "59 bytes after its last record are not padding"},
		{"template cut short", ipfixMessage(0, 7, good, set(2, core4[:60]), good), 1, "set 2: "},
		{"template field count", ipfixMessage(0, 7, set(2, uint16(300), uint16(65535), uint32(1))), 0, "set 2: "},
		{"options template cut short", ipfixMessage(0, 7, set(3, optionsRecord(300, 1, spec{10, 4})[:9])), 0, "set 3: "},
		{"options template scopes", ipfixMessage(0, 7, set(3, optionsRecord(300, 2, spec{10, 4}), "\x00\x00\x00\x00")), 0, "set 3: "},
		{"options template without scope", ipfixMessage(0, 7, set(3, optionsRecord(300, 0, spec{10, 4})), good), 1, "needs a scope field"},
		{"template id", ipfixMessage(0, 7, set(2, templateRecord(255, spec{4, 1})), good), 1, "ids below 256"},
		{"template without length", ipfixMessage(0, 7, set(2, templateRecord(300, spec{4, 0})), set(300, uint64(0)), good), 1, "no length"},
		{"template with empty fields", ipfixMessage(0, 7, set(2, templateRecord(300, append(manyEmpty, spec{4, 1})...)), good), 1, "10 fields without length"},
		{"template longer than a message", ipfixMessage(0, 7, set(2, templateRecord(300, spec{82, 40000}, spec{83, 40000})), good), 1, "longer than any message"},
		{"v9 template without fields", netflow9Message(0, 7, 1, set(0, templateRecord(300))), 0, "no fields"},
		{"late v9 template without fields", ipfixMessage(0, 7, set(2, core4, templateRecord(300)), good), 1, "no fields"},
		{"variable length cut short", ipfixMessage(0, 7, set(2, templateRecord(300, spec{82, 65535})), set(300, uint8(1), "a", uint8(2), "b"), good), 2, "cut short"},
		{"long form cut short", ipfixMessage(0, 7, set(2, templateRecord(300, spec{82, 65535})), set(300, uint8(255), uint8(0)), good), 1, "cut short"},
		{"withdrawal over udp", ipfixMessage(0, 7, set(2, uint16(256), uint16(0)), good), 1, "withdrawal over UDP"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := decode(t, true, teach, tc.message)
			if got.stats.DataRecords != tc.records {
				t.Errorf("%d records, want %d", got.stats.DataRecords, tc.records)
			}
			if all := strings.Join(got.errors, "\n"); !strings.Contains(all, tc.want) {
				t.Errorf("errors %q, want one with %q", got.errors, tc.want)
			}
			if got.stats.DecodeErrors == 0 || got.stats.SequenceGaps != 0 {
				t.Errorf("stats %+v", got.stats)
			}
		})
	}
}

// A template that is refused must not leave an older one behind.
func TestRefusedTemplateReplaces(t *testing.T) {
	got := decode(t, true,
		ipfixMessage(0, 7, set(2, core4)),
		ipfixMessage(0, 7, set(2, templateRecord(256, spec{4, 0})), set(256, web.record())))
	if got.stats.DataRecords != 0 || got.stats.MissingTemplate != 1 {
		t.Errorf("stats %+v", got.stats)
	}
}

func TestWithdrawal(t *testing.T) {
	options := optionsRecord(300, 1, spec{10, 4}, spec{34, 4})
	option := set(300, uint32(3), uint32(1))
	teach := ipfixMessage(0, 7, set(2, core4, core6), set(3, options))
	flow := set(256, web.record())
	for _, tc := range []struct {
		name     string
		withdraw []byte
		want     Stats
	}{
		{"one", set(2, uint16(257), uint16(0), uint16(256), uint16(0)), Stats{OptionRecords: 1, MissingTemplate: 1}},
		{"all", set(2, uint16(2), uint16(0)), Stats{OptionRecords: 1, MissingTemplate: 1}},
		{"one options template", set(3, uint16(300), uint16(0)), Stats{DataRecords: 1, MissingTemplate: 1}},
		{"all options templates", set(3, uint16(3), uint16(0)), Stats{DataRecords: 1, MissingTemplate: 1}},
		{"one unknown", set(2, uint16(400), uint16(0)), Stats{DataRecords: 1, OptionRecords: 1}},
		{"a template amid them", set(2, uint16(400), uint16(0), core4), Stats{DataRecords: 1, OptionRecords: 1, DecodeErrors: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := decode(t, false, teach, ipfixMessage(0, 7, tc.withdraw), ipfixMessage(0, 7, flow, option)).stats
			got.Sessions, got.Messages, got.Bytes, got.Templates = 0, 0, 0, 0
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
		})
	}
}
