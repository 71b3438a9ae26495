package collect

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// typesRecord is the options template of type records (RFC 5610) as flow2ipfix
// sends it, and typeOf a record of it.
var typesRecord = optionsRecord(400, 2, spec{346, 4}, spec{303, 2}, spec{339, 1}, spec{344, 1}, spec{341, 65535})

func typeOf(enterprise uint32, id uint16, kind uint8, name string) []byte {
	length := cat(uint8(len(name)))
	if len(name) > 254 {
		length = cat(uint8(255), uint16(len(name)))
	}
	return cat(enterprise, id, kind, uint8(0), length, name)
}

// fieldsOf cuts the fields out of lines of JSON.
func fieldsOf(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		_, out[i], _ = strings.Cut(strings.TrimSuffix(line, "}"), `"fields":`)
	}
	return out
}

// Everything that flow2ipfix can send beside the core, in flow records.
func TestOwnFlows(t *testing.T) {
	long := strings.Repeat("r", 300)
	own := func(id, length uint32) spec { return spec{id, length, ownNumber} }
	for _, tc := range []struct {
		name  string
		specs []spec
		data  []byte
		want  []string
	}{
		{
			"strings of variable length: empty, short, 254, 255 and 300 bytes, long form for a short one",
			[]spec{own(1001, 65535), own(1002, 65535), {4, 1}},
			cat(uint8(0), uint8(3), "acl", uint8(6),
				uint8(254), long[:254], uint8(0), uint8(6),
				uint8(255), uint16(255), long[:255], uint8(1), "a", uint8(6),
				uint8(255), uint16(300), long, uint8(255), uint16(2), "é", uint8(6)),
			[]string{
				`{"azureRule":"","azureAcl":"acl","protocolIdentifier":6}`,
				`{"azureRule":"` + long[:254] + `","azureAcl":"","protocolIdentifier":6}`,
				`{"azureRule":"` + long[:255] + `","azureAcl":"a","protocolIdentifier":6}`,
				`{"azureRule":"` + long + `","azureAcl":"é","protocolIdentifier":6}`,
			},
		},
		{
			"strings of fixed length: empty, padded, full",
			[]spec{own(1003, 4), own(1004, 4), own(1005, 4)},
			cat("\x00\x00\x00\x00", "fl\x00\x00", "subs"),
			[]string{`{"azureFlowLog":"","azureTargetResource":"fl","azureSubscription":"subs"}`},
		},
		{
			"the others, codes, and one that is not ours",
			[]spec{own(1006, 65535), own(1007, 65535), own(1008, 1), own(1009, 1), own(1010, 2)},
			cat(uint8(6), "norway", uint8(2), "rg", uint8(9), uint8(3), uint16(0xbeef)),
			[]string{`{"azureRegion":"norway","azureResourceGroup":"rg","azureEncryption":9,"azureFlowState":3,"pen64999/1010":"beef"}`},
		},
		{
			"reverse counters above 32 bits, biflowDirection",
			[]spec{{1, 8}, {2, 8}, {1, 8, 29305}, {2, 8, 29305}, {239, 1}},
			cat(uint64(1<<40), uint64(7), uint64(1<<63), uint64(1<<32), uint8(1)),
			[]string{`{"octetDeltaCount":1099511627776,"packetDeltaCount":7,` +
				`"reverseOctetDeltaCount":9223372036854775808,"reversePacketDeltaCount":4294967296,"biflowDirection":1}`},
		},
		{
			"addresses of hardware and exporters, VRFs, names",
			[]spec{{56, 6}, {80, 6}, {130, 4}, {131, 16}, {234, 4}, {235, 4}, {236, 65535}, {82, 65535}, {83, 8}, {138, 8}},
			cat("\x00\x22\x48\x71\xc2\x05", "\x00\x00\x00\x00\x00\x00", ip("192.0.2.9"), ip("2001:db8::9"),
				uint32(0x89abcdef), uint32(0x89abcdef), uint8(5), "vnet1", uint8(12), "00224871C205", "vnet1\x00\x00\x00", uint64(3)),
			[]string{`{"sourceMacAddress":"00:22:48:71:c2:05","destinationMacAddress":"00:00:00:00:00:00",` +
				`"exporterIPv4Address":"192.0.2.9","exporterIPv6Address":"2001:db8::9",` +
				`"ingressVRFID":2309737967,"egressVRFID":2309737967,"VRFname":"vnet1","interfaceName":"00224871C205",` +
				`"interfaceDescription":"vnet1","observationPointId":3}`},
		},
		{
			"the rest",
			[]spec{{150, 4}, {151, 4}, {161, 4}, {34, 4}, {35, 1}, {89, 1}, {136, 1}, {148, 8}, {60, 1}, {6, 1}, {6, 2}},
			cat(uint32(exportTime-60), uint32(exportTime), uint32(60_000), uint32(1), uint8(1), uint8(129), uint8(3),
				uint64(1<<63), uint8(4), uint8(0), uint16(0)),
			[]string{`{"flowStartSeconds":"2026-11-21T02:59:00.000Z","flowEndSeconds":"2026-11-21T03:00:00.000Z",` +
				`"flowDurationMilliseconds":60000,"samplingInterval":1,"samplingAlgorithm":1,"forwardingStatus":129,` +
				`"flowEndReason":3,"flowId":9223372036854775808,"ipVersion":4,"tcpControlBits":0,"tcpControlBits#2":0}`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := decode(t, true, ipfixMessage(0, 7, set(2, templateRecord(3000, tc.specs...)), set(3000, tc.data)))
			if diff := cmp.Diff(tc.want, fieldsOf(got.lines)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if got.stats.DataRecords != uint64(len(tc.want)) || len(got.errors) > 0 {
				t.Errorf("stats %+v, errors %q", got.stats, got.errors)
			}
		})
	}
}

// Every options template that flow2ipfix can send.
func TestOwnOptions(t *testing.T) {
	message := ipfixMessage(8, 7,
		set(3,
			optionsRecord(1024, 1, spec{10, 4}, spec{82, 32}, spec{83, 64}),
			optionsRecord(1025, 1, spec{234, 4}, spec{236, 64}),
			optionsRecord(1026, 1, spec{149, 4}, spec{34, 4}, spec{35, 1}),
			optionsRecord(1027, 2, spec{149, 4}, spec{143, 4}, spec{41, 8}, spec{42, 8}, spec{40, 8}),
			optionsRecord(1028, 1, spec{144, 4}, spec{166, 8}, spec{167, 8}, spec{168, 8}),
			optionsRecord(1029, 1, spec{145, 2}, spec{173, 8}),
			typesRecord),
		set(1024, uint32(3), "nic-1", make([]byte, 27), "vnet1/subnet1", make([]byte, 51)),
		set(1025, uint32(0x89abcdef), "vnet1", make([]byte, 59)),
		set(1026, uint32(7), uint32(1), uint8(1)),
		set(1027, uint32(7), uint32(1), uint64(12), uint64(1<<33), uint64(1<<40)),
		set(1028, uint32(1), uint64(3), uint64(30), uint64(300)),
		set(1029, uint16(256), uint64(0x1f)),
		set(400, typeOf(ownNumber, 1001, 13, "azureRule"), typeOf(ownNumber, 1008, 1, "azureEncryption")))
	want := []string{
		`{"ingressInterface":3,"interfaceName":"nic-1","interfaceDescription":"vnet1/subnet1"}`,
		`{"ingressVRFID":2309737967,"VRFname":"vnet1"}`,
		`{"observationDomainId":7,"samplingInterval":1,"samplingAlgorithm":1}`,
		`{"observationDomainId":7,"meteringProcessId":1,"exportedMessageTotalCount":12,"exportedFlowRecordTotalCount":8589934592,"exportedOctetTotalCount":1099511627776}`,
		`{"exportingProcessId":1,"notSentFlowTotalCount":3,"notSentPacketTotalCount":30,"notSentOctetTotalCount":300}`,
		`{"templateId":256,"flowKeyIndicator":31}`,
		`{"privateEnterpriseNumber":64999,"informationElementId":1001,"informationElementDataType":13,"informationElementSemantics":0,"informationElementName":"azureRule"}`,
		`{"privateEnterpriseNumber":64999,"informationElementId":1008,"informationElementDataType":1,"informationElementSemantics":0,"informationElementName":"azureEncryption"}`,
	}
	// The sequence number goes on by the option records.
	got := decode(t, true, message, ipfixMessage(16, 7, set(1029, uint16(257), uint64(1))))
	if diff := cmp.Diff(want, fieldsOf(got.lines)[:len(want)]); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	for _, line := range got.lines {
		if !strings.Contains(line, `,"options":true,"fields":`) {
			t.Errorf("not marked as an option record: %s", line)
		}
	}
	stats := Stats{Sessions: 1, Messages: 2, Bytes: got.stats.Bytes, OptionRecords: 9, Templates: 7}
	if diff := cmp.Diff(stats, got.stats); diff != "" {
		t.Errorf("stats (-want +got):\n%s\nerrors: %q", diff, got.errors)
	}
}

// NetFlow v9 says things in its own way: scope types, padding, times since the
// exporter's start.
func TestOwnNetFlow9(t *testing.T) {
	flow := cat(ip("10.0.0.4"), uint32(40_000), uint32(99_000), uint64(1<<33))
	got := decode(t, true,
		netflow9Message(41, 7, 2,
			set(0, templateRecord(3000, spec{8, 4}, spec{22, 4}, spec{21, 4}, spec{1, 8})),
			set(1,
				uint16(1024), uint16(4), uint16(8), fieldSpecs([]spec{{2, 4}, {82, 8}, {83, 8}}),
				uint16(1025), uint16(4), uint16(4), fieldSpecs([]spec{{234, 4}, {236, 8}}),
				uint16(1026), uint16(4), uint16(8), fieldSpecs([]spec{{1, 4}, {34, 4}, {35, 1}}), "\x00\x00"),
			set(1024, uint32(3), "nic-1\x00\x00\x00", "vnet1\x00\x00\x00"),
			set(1025, uint32(5), "vnet1\x00\x00\x00"),
			set(1026, uint32(7), uint32(1), uint8(1), "\x00\x00\x00")),
		netflow9Message(42, 7, 2, set(3000, flow, flow)),
		netflow9Message(43, 7, 1, set(3000, flow)))
	line := `{"sourceIPv4Address":"10.0.0.4","flowStartSysUpTime":40000,"flowStartMilliseconds":"2026-11-21T02:59:00.000Z",` +
		`"flowEndSysUpTime":99000,"flowEndMilliseconds":"2026-11-21T02:59:59.000Z","octetDeltaCount":8589934592}`
	if diff := cmp.Diff([]string{
		`{"scopeInterface":3,"interfaceName":"nic-1","interfaceDescription":"vnet1"}`,
		`{"ingressVRFID":5,"VRFname":"vnet1"}`,
		`{"scopeSystem":7,"samplingInterval":1,"samplingAlgorithm":1}`,
		line, line, line,
	}, fieldsOf(got.lines)); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	want := Stats{Sessions: 1, Messages: 3, Bytes: got.stats.Bytes, DataRecords: 3, OptionRecords: 3, Templates: 4}
	if diff := cmp.Diff(want, got.stats); diff != "" {
		t.Errorf("stats (-want +got):\n%s\nerrors: %q", diff, got.errors)
	}
}

// A time since the exporter's start is made absolute once, and only where it
// can be.
func TestAbsoluteTimes(t *testing.T) {
	init := uint64(exportTime-100) * 1000
	for _, tc := range []struct {
		name    string
		message []byte
		want    string
	}{
		{
			"ipfix, start known", ipfixMessage(0, 7, set(2, templateRecord(256, spec{21, 4}, spec{160, 8})), set(256, uint32(99_000), init)),
			`{"flowEndSysUpTime":99000,"flowEndMilliseconds":"2026-11-21T02:59:59.000Z","systemInitTimeMilliseconds":"2026-11-21T02:58:20.000Z"}`,
		},
		{
			"ipfix, start not known", ipfixMessage(0, 7, set(2, templateRecord(256, spec{21, 4})), set(256, uint32(99_000))),
			`{"flowEndSysUpTime":99000}`,
		},
		{
			"an enterprise's element of that id",
			ipfixMessage(0, 7, set(2, templateRecord(256, spec{21, 4, 32473}, spec{160, 8})), set(256, uint32(99_000), init)),
			`{"pen32473/21":"000182b8","systemInitTimeMilliseconds":"2026-11-21T02:58:20.000Z"}`,
		},
		{
			"there already", netflow9Message(0, 7, 2, set(0, templateRecord(256, spec{22, 4}, spec{152, 8})), set(256, uint32(99_000), init)),
			`{"flowStartSysUpTime":99000,"flowStartMilliseconds":"2026-11-21T02:58:20.000Z"}`,
		},
		{
			"twice", netflow9Message(0, 7, 2, set(0, templateRecord(256, spec{22, 4}, spec{22, 4})), set(256, uint32(100_000), uint32(99_000))),
			`{"flowStartSysUpTime":100000,"flowStartMilliseconds":"2026-11-21T03:00:00.000Z","flowStartSysUpTime#2":99000}`,
		},
		{
			"without a value", netflow9Message(0, 7, 2, set(0, templateRecord(256, spec{22, 0}, spec{4, 1})), set(256, uint8(6))),
			`{"flowStartSysUpTime":null,"protocolIdentifier":6}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := decode(t, true, tc.message)
			if diff := cmp.Diff([]string{tc.want}, fieldsOf(got.lines)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}

// What an exporter tells about an element holds for what it sends from then on,
// in all its domains.
func TestTypeRecords(t *testing.T) {
	private := templateRecord(256, spec{1, 65535, 32473}, spec{2, 2, 32473}, spec{1, 8, 29305}, spec{4000, 1})
	flow := set(256, uint8(2), "ok", uint16(300), uint64(5), uint8(9))
	const (
		unknown = `{"pen32473/1":"6f6b","pen32473/2":"012c","reverseOctetDeltaCount":5,"ie4000":"09"}`
		known   = `{"answer":"ok","amount":300,"reverseOctetDeltaCount":5,"ie4000":"09"}`
	)
	teach := ipfixMessage(0, 7, set(2, private), set(3, typesRecord))
	for _, tc := range []struct {
		name  string
		types []byte // the records
		want  string
	}{
		{"name and type", cat(typeOf(32473, 1, 13, "answer"), typeOf(32473, 2, 2, "amount")), known},
		{"with the enterprise bit", cat(typeOf(32473, 1|enterpriseBit, 13, "answer"), typeOf(32473, 2|enterpriseBit, 2, "amount")), known},
		{"changed", cat(typeOf(32473, 1, 0, "x"), typeOf(32473, 1, 13, "answer"), typeOf(32473, 2, 2, "amount")), known},
		{"padded", cat(typeOf(32473, 1, 13, "answer\x00\x00"), typeOf(32473, 2, 2, "amount")), known},
		{"of another enterprise", cat(typeOf(32474, 1, 13, "answer"), typeOf(32474, 2, 2, "amount")), unknown},
		{"of IANA and its mirror", cat(typeOf(0, 4000, 1, "answer"), typeOf(29305, 1, 13, "amount")), unknown},
		{"no name", cat(typeOf(32473, 1, 13, ""), typeOf(32473, 2, 2, "\x00")), unknown},
		{"a name too long", typeOf(32473, 1, 13, strings.Repeat("x", maxNameBytes+1)), unknown},
		{"a type that nobody knows", cat(typeOf(32473, 1, 99, "answer")), `{"answer":"6f6b","pen32473/2":"012c","reverseOctetDeltaCount":5,"ie4000":"09"}`},
		{"a name that moves a cursor", cat(typeOf(32473, 1, 13, "a\x1b[2J"), typeOf(32473, 2, 2, "é")), `{"a?[2J":"ok","é":300,"reverseOctetDeltaCount":5,"ie4000":"09"}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := decode(t, true, teach,
				ipfixMessage(0, 7, flow, set(400, tc.types)),
				ipfixMessage(0, 7, flow),
				ipfixMessage(0, 8, set(2, private), flow))
			var flows []string
			for _, line := range got.lines {
				if !strings.Contains(line, `"options":true`) {
					flows = append(flows, line)
				}
			}
			if diff := cmp.Diff([]string{unknown, tc.want, tc.want}, fieldsOf(flows)); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if len(got.errors) > 0 {
				t.Errorf("errors %q", got.errors)
			}
		})
	}
}

// The exporter's word on our own elements counts more than the operator's; other
// exporters' templates are as they were.
func TestTypeRecordsOfASession(t *testing.T) {
	var buf bytes.Buffer
	printer := NewJSON(&buf)
	d := newDecoder(printer.Write, Options{EnterpriseNumber: ownNumber})
	message := ipfixMessage(0, 7, set(2, templateRecord(256, spec{1001, 2, ownNumber})), set(256, "ok"))
	types := ipfixMessage(1, 7, set(3, typesRecord), set(400, typeOf(ownNumber, 1001, 2, "rule")))
	a, b := newSession(ip4739(1), "a"), newSession(ip4739(2), "b")
	for _, m := range []struct {
		session *session
		data    []byte
	}{{a, message}, {b, message}, {a, types}, {a, types}, {a, message}, {b, message}} {
		if err := d.message(m.session, m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := printer.Flush(); err != nil {
		t.Fatal(err)
	}
	lines := fieldsOf(strings.Split(strings.TrimSpace(buf.String()), "\n"))
	want := []string{`{"azureRule":"ok"}`, `{"azureRule":"ok"}`, lines[2], lines[3], `{"rule":28523}`, `{"azureRule":"ok"}`}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if d.types != 1 || a.changes != 1 {
		t.Errorf("%d types held after %d changes, want 1 and 1", d.types, a.changes)
	}

	// There are only so many names, and those of a session go with it.
	d.types = maxTypes
	if err := d.message(b, types); err != nil {
		t.Fatal(err)
	}
	if len(b.types) != 0 {
		t.Errorf("%d types beyond the limit", len(b.types))
	}
	d.forget(a)
	if d.types != maxTypes-1 || len(a.types) != 0 {
		t.Errorf("%d types held", d.types)
	}
}

// Whatever an exporter calls its elements, the lines are JSON and the names in
// them differ.
func TestNamesOfElements(t *testing.T) {
	if got := describe(elementKey{0, 9999}, nil).name + describe(elementKey{5, 6}, nil).name; got != "ie9999pen5/6" {
		t.Error(got)
	}
	if got := ownElements(0); len(got) != 0 {
		t.Error("names under enterprise number 0:", got)
	}
	got := decode(t, true, ipfixMessage(0, 7, set(3, typesRecord),
		set(400, typeOf(32473, 1, 13, `"`), typeOf(32473, 2, 2, "octetDeltaCount"))),
		ipfixMessage(2, 7, set(2, templateRecord(256, spec{1, 1, 32473}, spec{2, 2, 32473}, spec{1, 8})), set(256, "x", uint16(5), uint64(6))))
	want := `{"\"":"x","octetDeltaCount":5,"octetDeltaCount#2":6}`
	if diff := cmp.Diff(want, fieldsOf(got.lines)[2]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
