package flowlog

import (
	"fmt"
	"strings"
	"testing"
)

// The text of what vnetTuple and nsgTuple decode to.
const (
	vnetFlow = "  1663146003606 10.0.0.6>192.0.2.180 23956>443 p6 OEA e2 3/767 2/1580\n"
	nsgFlow  = "  1724090383000 10.1.0.4>203.0.113.9 33338>443 p6 OEA e0 12/5434 11/6342\n"
)

// Records as they decode that hold one of these flows.
const (
	vnetText = vnetHead + " vnet 00224871C205 rule=r acl=acl\n" + vnetFlow
	nsg1Text = nsg1Head + " nsg 6045BDEC2532 rule=r acl=\n" + nsgFlow
	nsg2Text = nsg2Head + " nsg 6045BDEC2532 rule=r acl=\n" + nsgFlow
)

// rejected is the line for a piece that is rejected at the first place where
// it stands in the input.
func rejected(in, piece, reason, text string) string {
	return fmt.Sprintf("reject %s %s @%d+%d %s\n", piece, reason, strings.Index(in, text), len(text), cut(text))
}

// cut cuts a text as Reject.Quote does.
func cut(text string) string { return text[:min(len(text), MaxQuoteBytes)] }

// checkVersion checks the version of a record, and whether it counts as unknown.
func checkVersion(t *testing.T, in, want string, unknown uint64) {
	t.Helper()
	checkDump(t, in, want, Options{})
	if got := decode(t, strings.NewReader(in), 0, Options{}).stats.UnknownVersions; got != unknown {
		t.Errorf("%d unknown versions, want %d, in %s", got, unknown, in)
	}
}

func TestEdge21SameRecord(t *testing.T) {
	record := vnetRecord(vnetTuple)
	checkDump(t, `{"records":[`+record+`,`+nsgRecord(2, nsgTuple)+`,`+record+`]}`, vnetText+nsg2Text+vnetText, Options{})
}

func TestEdge22EndWithoutBegin(t *testing.T) {
	checkTuples(t, NSG, 2,
		"1724090383,10.1.0.4,192.0.2.92,1001,443,T,O,A,C,1,2,3,4", "1724090383000 10.1.0.4>192.0.2.92 1001>443 p6 OCA e0 1/2 3/4",
		"1724090384,10.1.0.4,192.0.2.92,1002,443,T,O,A,E,1,2,3,4", "1724090384000 10.1.0.4>192.0.2.92 1002>443 p6 OEA e0 1/2 3/4",
		"1724090385,192.0.2.92,10.1.0.4,1003,22,T,I,A,B,,,,", "1724090385000 192.0.2.92>10.1.0.4 1003>22 p6 IBA e0 -/- -/-")
}

// The record's time and the tuples' are independent: here they are an hour, a
// day and years apart.
func TestEdge23TimeOfPreviousHour(t *testing.T) {
	in := strings.Replace(vnet(
		"1724090346123,10.1.0.4,192.0.2.93,1001,443,6,O,B,NX,0,0,0,0",
		"1724003946123,10.1.0.4,192.0.2.93,1002,443,6,O,B,NX,0,0,0,0",
		"1000000000000,10.1.0.4,192.0.2.93,1003,443,6,O,B,NX,0,0,0,0"), "2022-09-14T09:00:52.5625085Z", "2024-08-19T18:00:06.8900000Z", 1)
	checkDump(t, in, `
		record v4 2024-08-19T18:00:06.890 00224871C205 /vnet
		 vnet 00224871C205 rule=r acl=acl
		  1724090346123 10.1.0.4>192.0.2.93 1001>443 p6 OBA e2 0/0 0/0
		  1724003946123 10.1.0.4>192.0.2.93 1002>443 p6 OBA e2 0/0 0/0
		  1000000000000 10.1.0.4>192.0.2.93 1003>443 p6 OBA e2 0/0 0/0
		`, Options{})
}

func TestEdge24SameTime(t *testing.T) {
	record := vnetRecord()
	in := `{"records":[` + record + `,` + record + `,` + strings.Replace(record, "52.5625085", "52.0625085", 1) + `]}`
	checkDump(t, in, vnetHead+vnetHead+strings.Replace(vnetHead, "52.562", "52.062", 1), Options{})
}

func TestEdge25SeveralGroups(t *testing.T) {
	group := func(rule string) string { return `{"rule":"` + rule + `","flowTuples":["` + vnetTuple + `"]}` }
	in := strings.Replace(vnet(), `[{"aclID":"acl","flowGroups":[{"rule":"r","flowTuples":[]}]}]`,
		`[{"aclID":"a","flowGroups":[`+group("r1")+`,`+group("r2")+`]},{"aclID":"a","flowGroups":[`+group("r3")+`]},{"aclID":"b","flowGroups":[`+group("r1")+`]}]`, 1)
	want := vnetHead
	for _, g := range []string{"rule=r1 acl=a", "rule=r2 acl=a", "rule=r3 acl=a", "rule=r1 acl=b"} {
		want += " vnet 00224871C205 " + g + "\n" + vnetFlow
	}
	checkDump(t, in, want, Options{})
}

func TestEdge26ACL(t *testing.T) {
	for _, tc := range []struct{ json, want string }{
		{`"aclID":"00112233-4455-6677-8899-aabbccddeeff",`, "00112233-4455-6677-8899-aabbccddeeff"},
		{`"aclID":"/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/g",`, "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Network/networkSecurityGroups/g"},
		{`"aclID":"00000000-0000-0000-0000-000000000000",`, "00000000-0000-0000-0000-000000000000"},
		{`"aclID":"unspecified",`, "unspecified"},
		{`"aclID":"",`, ""},
		{`"aclID":null,`, ""},
		{`"aclID":7,`, ""},
		{``, ""},
	} {
		checkDump(t, strings.Replace(vnet(vnetTuple), `"aclID":"acl",`, tc.json, 1), strings.Replace(vnetText, "acl=acl", "acl="+tc.want, 1), Options{})
	}
}

func TestEdge27Rules(t *testing.T) {
	long := "UserRule_" + strings.Repeat("0123456789", 120)
	for _, tc := range []struct{ json, want string }{
		{`"PlatformRule"`, "PlatformRule"},
		{`"unspecified"`, "unspecified"},
		{`"BlockAll_00112233-4455-6677-8899-aabbccddeeff"`, "BlockAll_00112233-4455-6677-8899-aabbccddeeff"},
		{`"UserRule_` + strings.Repeat("r", 77) + `"`, "UserRule_" + strings.Repeat("r", 77)},
		{`"` + long + `"`, long},
		{`""`, ""},
		{`null`, ""},
		{`{"name":["r"]}`, ""},
		{`"UserRule_größer→😀"`, "UserRule_größer→😀"},
		{`"\u0055ser\u0052ule_\ud83d\ude00\/\\\""`, "UserRule_😀/\\\""},
		{`"bell \u0007, line \n, nul \u0000, \b\f\r."`, "bell \a, line \n, nul \x00, \b\f\r."},
		{`"lone \ud83d, \ude00\ud83d \ud83d\u0041"`, "lone \uFFFD, \uFFFD\uFFFD \uFFFDA"},
		{"\"latin-1 gr\xF6\xDFer\"", "latin-1 gr\uFFFDer"},
	} {
		in := strings.Replace(vnet(vnetTuple), `"rule":"r"`, `"rule":`+tc.json, 1)
		checkDump(t, in, strings.Replace(vnetText, "rule=r ", "rule="+tc.want+" ", 1), Options{})
	}
	in := strings.Replace(vnet(vnetTuple), `"rule":"r"`, "\"rule\":\"bell \a\"", 1)
	checkDump(t, in, rejected(in, "record", "syntax", in[strings.Index(in, `{"time`):strings.Index(in, "\a")+1]), Options{})
}

func TestEdge28EmptyArrays(t *testing.T) {
	checkDump(t, `{"records":[]}`, "", Options{})
	checkDump(t, vnet(), vnetHead, Options{})
	checkDump(t, strings.Replace(vnet(), `[{"rule":"r","flowTuples":[]}]`, `[]`, 1), vnetHead, Options{})
	checkDump(t, strings.Replace(vnet(), `[{"aclID":"acl","flowGroups":[{"rule":"r","flowTuples":[]}]}]`, `[]`, 1), vnetHead, Options{})
	checkDump(t, strings.Replace(vnet(), `"flows":[{"aclID":"acl","flowGroups":[{"rule":"r","flowTuples":[]}]}]`, ``, 1), vnetHead, Options{})
	checkDump(t, nsg(2), nsg2Head, Options{})
	checkDump(t, strings.Replace(nsg(2), `[{"mac":"6045BDEC2532","flowTuples":[]}]`, `[]`, 1), nsg2Head, Options{})
	checkDump(t, strings.Replace(nsg(2), `[{"rule":"r","flows":[{"mac":"6045BDEC2532","flowTuples":[]}]}]`, `[]`, 1), nsg2Head, Options{})
	// An element without flows does not keep the next from having some.
	checkDump(t, strings.Replace(nsg(2, nsgTuple), `"flows":[{"rule"`, `"flows":[{"rule":"q","flows":[]},{},{"rule"`, 1), nsg2Text, Options{})
	checkDump(t, strings.Replace(vnet(vnetTuple), `"flows":[{"aclID"`, `"flows":[{"aclID":"x","flowGroups":[{"rule":"q","flowTuples":[]},{}]},{},{"aclID"`, 1), vnetText, Options{})
}

// A value of the wrong type costs what stands in its place, null nothing.
func TestEdge29WrongType(t *testing.T) {
	for _, path := range []struct{ open, close string }{
		{`"flowRecords":`, `}`},
		{`"flows":`, `}}`},
		{`"flows":[`, `]}}`},
		{`"flowGroups":`, `}]}}`},
		{`"flowGroups":[`, `]}]}}`},
		{`"flowTuples":`, `}]}]}}`},
	} {
		for _, value := range []string{`"not-an-object"`, `-1.5e3`, `true`, `{}`, `[]`, `[{"x":[1]}]`, `null`} {
			record := vnetRecord(vnetTuple)
			record = record[:strings.Index(record, path.open)+len(path.open)] + value + path.close
			want := vnetHead
			switch isList := strings.HasSuffix(path.open, `s":`) && path.open != `"flowRecords":`; {
			case value == `null`, value == `{}` && !isList, value == `[]` && isList:
			case value == `[{"x":[1]}]` && path.open == `"flowTuples":`:
				want = rejected(record, "tuple", "type", value[1:len(value)-1]) + want
			case value == `[{"x":[1]}]` && isList: // of an object without what it should hold
			default:
				want = rejected(record, "element", "type", value) + want
			}
			checkDump(t, record+`,`+nsgRecord(2, nsgTuple)+`]}`, want+nsg2Text, Options{})
		}
	}
	// Tuples.
	in := strings.Replace(vnet(vnetTuple), `"`+vnetTuple+`"`, `null,17,"`+vnetTuple+`",{"a":"b"},["`+nsgTuple+`"],true,null`, 1)
	checkDump(t, in, rejected(in, "tuple", "type", `17`)+rejected(in, "tuple", "type", `{"a":"b"}`)+
		rejected(in, "tuple", "type", `["`+nsgTuple+`"]`)+rejected(in, "tuple", "type", `true`)+vnetText, Options{})
	// What describes the flows, and the NSG shape.
	in = `{"time":7,"flowLogGUID":[],"macAddress":{"a":1},"targetResourceID":null,"flowLogVersion":[4],"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["` + vnetTuple + `"]}]}]}}`
	checkDump(t, in, "record v-1 - 000000000000 \n vnet 000000000000 rule= acl=\n"+vnetFlow, Options{})
	in = strings.Replace(nsg(2, nsgTuple), `"flows":[{"mac"`, `"flows":[-3,{"flowTuples":{}},{"mac"`, 1)
	checkDump(t, in, rejected(in, "element", "type", `-3`)+rejected(in, "element", "type", `{}`)+nsg2Text, Options{})
	in = strings.Replace(nsg(2, nsgTuple), `"flows":[{"rule"`, `"flows":["x",{"rule"`, 1)
	checkDump(t, in, rejected(in, "element", "type", `"x"`)+nsg2Text, Options{})
	// Between records.
	in = `{"records":[1,"two",null,[],true,` + vnetRecord(vnetTuple) + `,{"three":{"time":4}}]}`
	checkDump(t, in, rejected(in, "record", "not_record", `1`)+rejected(in, "record", "not_record", `"two"`)+rejected(in, "record", "not_record", `true`)+
		vnetText+rejected(in, "record", "not_record", `{"three":{"time":4}}`), Options{})
	checkDump(t, `{"records":null}`, "", Options{})
	in = `{"records":"none"}`
	checkDump(t, in, rejected(in, "record", "not_record", `"none"`), Options{})
}

func TestEdge30Keys(t *testing.T) {
	// Alphabetical, as one export has it: the tuples come before all that
	// describes them.
	sorted := `{"records":[{"category":"FlowLogFlowEvent","flowLogGUID":"g","flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["` + vnetTuple + `"],"rule":"r"}],` +
		`"aclID":"acl"}]},"flowLogVersion":4,"macAddress":"00224871C205","targetResourceID":"/vnet","time":"2022-09-14T09:00:52.5625085Z"}]}`
	checkDump(t, sorted, vnetText, Options{})
	sorted = `{"records":[{"category":"x","macAddress":"6045BDEC2532","properties":{"flows":[{"flows":[{"flowTuples":["` + nsgTuple + `"],"mac":"6045BDEC2532"}],` +
		`"rule":"r"}],"Version":2},"resourceId":"/NSG","time":"2024-08-19T18:00:06.8944384Z"}]}`
	checkDump(t, sorted, nsg2Text, Options{})

	// Unknown ones everywhere, some of them known elsewhere.
	const extra = `"resource":"x","Flows":[{"flowTuples":["x"]}],"n":-0.1e-7,"o":{"time":1,"records":[{"flows":[]}],"\u00fc":[]},"very-long-key-of-more-than-sixty-four-bytes-that-no-flow-log-has-anywhere":[[]],`
	in := vnet(vnetTuple)
	for _, key := range []string{`"records"`, `"time"`, `"flowRecords"`, `"flows"`, `"aclID"`, `"flowGroups"`, `"rule"`, `"flowTuples"`} {
		in = strings.Replace(in, key, extra+key, 1)
	}
	checkDump(t, in, vnetText, Options{})
	checkDump(t, strings.Replace(vnet(vnetTuple), `]}}]}`, `],`+strings.TrimSuffix(extra, ",")+`}}],`+extra+`"records":[]}`, 1), vnetText, Options{})

	// Keys with escapes are the same keys; other cases are other keys.
	checkDump(t, strings.Replace(vnet(vnetTuple), `"flowTuples"`, `"flow\u0054uples"`, 1), vnetText, Options{})
	checkDump(t, strings.Replace(vnet(vnetTuple), `"flowTuples"`, `"flowtuples"`, 1), vnetHead, Options{})

	// Of what is said twice the last counts; flows are kept all.
	in = strings.Replace(vnet(vnetTuple), `"rule":"r"`, `"rule":"first","rule":"r"`, 1)
	checkDump(t, in, vnetText, Options{})
	in = strings.Replace(vnet(vnetTuple), `"targetResourceID"`, `"time":null,"time":"2022-09-14T09:00:52.5625085Z","flowLogVersion":1,"flowLogVersion":4,"targetResourceID":"/x","targetResourceID"`, 1)
	checkDump(t, in, vnetText, Options{})
	const tuples = `"flowTuples":["` + vnetTuple + `"]`
	in = strings.Replace(vnet(vnetTuple), tuples, tuples+`,`+tuples, 1)
	checkDump(t, in, vnetText+" vnet 00224871C205 rule=r acl=acl\n"+vnetFlow, Options{})
}

func TestEdge31ResourceIDAndMAC(t *testing.T) {
	in := nsg(2, nsgTuple)
	checkDump(t, strings.Replace(in, `"resourceId"`, `"resourceid"`, 1), nsg2Text, Options{})
	checkDump(t, strings.Replace(in, `"macAddress":"6045BDEC2532",`, ``, 1), nsg2Text, Options{})
	checkDump(t, strings.Replace(in, `"mac":"6045BDEC2532",`, ``, 1), nsg2Text, Options{})
	checkDump(t, strings.Replace(in, `"macAddress":"6045BDEC2532"`, `"macAddress":"00224871C205"`, 1), strings.Replace(nsg2Text, "6045BDEC2532", "00224871C205", 1), Options{})
	// Where both stand, targetResourceID is what the flow log is set on.
	checkDump(t, strings.Replace(vnet(vnetTuple), `"time"`, `"resourceId":"/x","time"`, 1), vnetText, Options{})
	checkDump(t, strings.Replace(vnet(vnetTuple), `"flowRecords"`, `"resourceId":"/x","flowRecords"`, 1), vnetText, Options{})
}

func TestEdge32MixedKinds(t *testing.T) {
	checkVersion(t, `{"records":[`+nsgRecord(1, nsgTuple)+`,`+vnetRecord(vnetTuple)+`,`+nsgRecord(2, nsgTuple)+`]}`, nsg1Text+vnetText+nsg2Text, 0)
}

// The shape decides how tuples are read; versions are only told and counted.
func TestEdge33And34Versions(t *testing.T) {
	for _, tc := range []struct {
		json          string
		version       int
		vnetIs, nsgIs uint64 // unknown
	}{
		{`4`, 4, 0, 1},
		{`2`, 2, 1, 0},
		{`1`, 1, 1, 0},
		{`2.0`, 2, 1, 0},
		{`"2"`, 2, 1, 0},
		{`"2.0"`, 2, 1, 0},
		{`"4"`, 4, 0, 1},
		{`5`, 5, 1, 1},
		{`10`, -1, 1, 1},
		{`4.1`, -1, 1, 1},
		{`"four"`, -1, 1, 1},
		{`true`, -1, 1, 1},
		{`[4]`, -1, 1, 1},
		{`null`, 0, 0, 0},
	} {
		version := fmt.Sprintf("record v%d", tc.version)
		checkVersion(t, strings.Replace(vnet(vnetTuple), `"flowLogVersion":4`, `"flowLogVersion":`+tc.json, 1), strings.Replace(vnetText, "record v4", version, 1), tc.vnetIs)
		checkVersion(t, strings.Replace(nsg(2, nsgTuple), `"Version":2`, `"Version":`+tc.json, 1), strings.Replace(nsg2Text, "record v2", version, 1), tc.nsgIs)
	}
	checkVersion(t, strings.Replace(vnet(vnetTuple), `"flowLogVersion":4,`, ``, 1), strings.Replace(vnetText, "record v4", "record v0", 1), 0)
	checkVersion(t, strings.Replace(nsg(2, nsgTuple), `"Version":2,`, ``, 1), strings.Replace(nsg2Text, "record v2", "record v0", 1), 0)
	checkVersion(t, strings.Replace(vnet(), `"flowLogVersion":4`, `"flowLogVersion":9`, 1), strings.Replace(vnetHead, "record v4", "record v9", 1), 0)
}

func TestEdge35NestedRecords(t *testing.T) {
	in := `{"records":[{"records":[` + nsgRecord(1, nsgTuple) + `]},{"records":[` + nsgRecord(2, nsgTuple) + `,` + nsgRecord(2, nsgTuple) + `]},` + nsgRecord(1, nsgTuple) + `]}`
	checkDump(t, in, nsg1Text+nsg2Text+nsg2Text+nsg1Text, Options{})
}

func TestEdge36OtherWrappers(t *testing.T) {
	one, two := vnetRecord(vnetTuple), nsgRecord(2, nsgTuple)
	for _, in := range []string{
		one + two,                   // nothing between them
		`[` + one + `,` + two + `]`, // bare array
		one + "\n" + two + "\n",     // a record a line
		one + "\r\n\r\n" + two,      // the same
		`{"records":[` + one + "]}\n{\"records\":[" + two + "]}\n", // a wrapper a line
		`{"records":` + one + `}` + two,                            // no array
		`{"count":2,"records":[` + one + `,` + two + `],"next":null,"more":{"records":[` + one + `]}}`,
	} {
		checkDump(t, in, vnetText+nsg2Text, Options{})
	}
	checkDump(t, one, vnetText, Options{})
}
