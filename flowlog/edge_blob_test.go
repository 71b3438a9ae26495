package flowlog

import (
	"fmt"
	"strings"
	"testing"
)

func TestEdge37DeltaFronts(t *testing.T) {
	one, two := vnetRecord(vnetTuple), nsgRecord(2, nsgTuple)
	for _, front := range []string{",", " ,", ",\r\n ", "\n", "\xEF\xBB\xBF", "\xEF\xBB\xBF,\t", ",,", "]},"} {
		checkDump(t, front+one+`,`+two, vnetText+nsg2Text, Options{})
		checkDump(t, front+one+`,`+two, vnetText+nsg2Text, Options{Growing: true})
	}
}

func TestEdge38DeltaEnds(t *testing.T) {
	one := vnetRecord(vnetTuple)
	for _, end := range []string{"", "]}", "]\n}", "]}\n", "]", ",", "\r\n]\r\n}\r\n"} {
		checkDump(t, one+end, vnetText, Options{})
		checkDump(t, one+end, vnetText, Options{Growing: true})
		if got := decode(t, strings.NewReader(one+end), 12, Options{Growing: true}).offset; got != int64(12+len(one)) {
			t.Errorf("behind a record and %q Offset is %d, want %d", end, got, 12+len(one))
		}
	}
	// The middle of a record.
	for _, torn := range []string{one[:1], one[:9], one[:100], one[:len(one)-40], one[:len(one)-1]} {
		in := one + `,` + torn
		checkDump(t, in, vnetText+fmt.Sprintf("reject record truncated @%d+%d %s\n", len(one)+1, len(torn), cut(torn)), Options{})
		checkDump(t, in, vnetText+fmt.Sprintf("error %v @%d\n", ErrUnfinished, len(one)), Options{Growing: true})
	}
	// A record that was torn for good, and others behind it, which seem to be
	// parts of it as far as its brackets tell.
	torn := one[:strings.Index(one, vnetTuple)+len(vnetTuple)+1]
	in := one + `,` + torn + `,` + nsgRecord(2, nsgTuple) + `,` + nsgRecord(1, nsgTuple) + `]}`
	checkDump(t, in, vnetText+fmt.Sprintf("reject record truncated @%d+%d %s\n", len(one)+1, len(in)-len(one)-1, cut(torn))+nsg2Text+nsg1Text, Options{})
	in = one + `,` + torn[:len(torn)-9] + `,` + nsgRecord(2, nsgTuple) + `,` + nsgRecord(1, nsgTuple) + `]}`
	fault := strings.Index(in, `"time":"2024`) + 2 // behind the quote that seems to end the torn tuple
	checkDump(t, in, vnetText+fmt.Sprintf("reject record syntax @%d+%d %s\n", len(one)+1, fault-len(one)-1, cut(torn))+nsg2Text+nsg1Text, Options{})
}

// TestMisalignedStart has all the other places to begin at.
func TestEdge39StartInsideRecord(t *testing.T) {
	one, two := nsgRecord(2, nsgTuple, nsgTuple), vnetRecord(vnetTuple)
	for _, tc := range []struct{ from, rejects string }{
		{`"time"`, "reject record not_record @193+%d %s\n"},
		{`2024-08-19T18`, "reject record not_record @0+4 2024\nreject record not_record @4+2 -0\nreject record not_record @6+1 8\nreject record not_record @7+3 -19\n" +
			"reject record syntax @10+1 T\n"},
		{`properties`, "reject record syntax @0+1 p\n"},
		{`"flows":[{"rule"`, "reject record not_record @0+%d %s\n"},
		{`{"rule"`, "reject record not_record @0+%d %s\n"},
		{`6342"]`, "reject record not_record @0+4 6342\nreject record syntax @4+12 \"]}]}]}},{\"t\n"},
	} {
		at := strings.LastIndex(one, tc.from)
		in := one[at:] + `,` + two + `]}`
		if strings.Contains(tc.rejects, "%") { // the first value that is whole and held flows
			whole := map[string]string{
				`"time"`:           one[strings.Index(one, `"properties"`) : len(one)-len(`}`)],
				`"flows":[{"rule"`: one[at : len(one)-len(`}}`)],
				`{"rule"`:          one[at : len(one)-len(`]}}`)],
			}[tc.from]
			tc.rejects = fmt.Sprintf(tc.rejects, len(whole), cut(whole))
		}
		checkDump(t, in, tc.rejects+vnetText, Options{})
	}
}

func TestEdge40EmptyBlobs(t *testing.T) {
	for _, tc := range []struct {
		in     string
		offset int64
	}{
		{``, 0}, {`{"records":[`, 11}, {`{"records":[]}`, 11}, {`[]`, 0}, {"\xEF\xBB\xBF", 0}, {" \r\n", 0}, {`]}`, 0},
	} {
		for _, growing := range []bool{false, true} {
			checkDump(t, tc.in, "", Options{Growing: growing})
			if res := decode(t, strings.NewReader(tc.in), 0, Options{Growing: growing}); res.offset != tc.offset || res.stats != (Stats{}) {
				t.Errorf("%q: ended at %d with %+v, want %d", tc.in, res.offset, res.stats, tc.offset)
			}
		}
	}
	checkDump(t, `{`, "reject record truncated @0+1 {\n", Options{})
	checkDump(t, `{`, "error the data end inside a record @0\n", Options{Growing: true})
	checkDump(t, `{}`, "reject record not_record @0+2 {}\n", Options{})
}

func TestEdge44Pretty(t *testing.T) {
	in := "\xEF\xBB\xBF" + `{
		"records" : [
			{
				"time" : "2024-08-19T18:00:06.8944384Z" ,
				"systemId" : "s",
				"macAddress" : "6045BDEC2532",
				"resourceId" : "/NSG",
				"properties" : { "Version" : 2 , "flows" : [ { "rule" : "r" , "flows" : [ { "mac" : "6045BDEC2532" , "flowTuples" : [
					"` + nsgTuple + `" ,
					"` + nsgTuple + `"
				] } ] } ] }
			}
		]
	}
	`
	want := nsg2Text + nsgFlow
	checkDump(t, in, want, Options{})
	checkDump(t, strings.ReplaceAll(in, "\n", "\r\n"), want, Options{})
	checkDump(t, strings.ReplaceAll(in, "\t", " "), want, Options{})
}

func TestEdge45TrailingComma(t *testing.T) {
	one, two := vnetRecord(vnetTuple), nsgRecord(2, nsgTuple)
	checkDump(t, `{"records":[`+one+`,`+two+`,]}`, vnetText+nsg2Text, Options{})
	checkDump(t, `{"records":[`+one+`,`+two+`,`, vnetText+nsg2Text, Options{})
	checkDump(t, `{"records":[`+one+`,`+two, vnetText+nsg2Text, Options{})
	// Within a record there is no mercy.
	for _, tc := range []struct{ good, bad, fault string }{ // fault: what stands in place of good, up to the faulty byte
		{`"]}]}]}}`, `",]}]}]}}`, `",]`},
		{`"]}]}]}}`, `"]},]}]}}`, `"]},]`},
		{`"]}]}]}}`, `"]}]}]},}`, `"]}]}]},}`},
		{`"]}]}]}}`, `"]]}]}}`, `"]]`},
		{`"macAddress"`, `,"macAddress"`, `,`},
		{`"macAddress"`, `"macAddress";`, `"macAddress";`},
		{`"macAddress":`, `"macAddress"`, `"macAddress""`},
		{`"macAddress"`, `macAddress`, `m`},
		{`"macAddress"`, `'macAddress'`, `'`},
		{`"macAddress"`, `"x":01,"macAddress"`, `"x":01`},
		{`"macAddress"`, `"x":+1,"macAddress"`, `"x":+`},
		{`"macAddress"`, `"x":.5,"macAddress"`, `"x":.`},
		{`"macAddress"`, `"x":1.,"macAddress"`, `"x":1.,`},
		{`"macAddress"`, `"x":NaN,"macAddress"`, `"x":N`},
		{`"macAddress"`, `"x":nil,"macAddress"`, `"x":ni`},
		{`"macAddress"`, `"x":True,"macAddress"`, `"x":T`},
		{`"macAddress"`, `"x":"\x41","macAddress"`, `"x":"\x`},
		{`"macAddress"`, "\"x\":\"\n\",\"macAddress\"", "\"x\":\"\n"},
		{`"macAddress"`, `/* x */"macAddress"`, `/`},
		{`"r"`, `"r\u00e"`, `"r\u00e"`},
		{`"r"`, `"r\u12G4 x"`, `"r\u12G4 x"`},
		{`"r"`, `"r\u"`, `"r\u"`},
		{vnetTuple, `\u`, `\u"`},
	} {
		in := `{"records":[` + strings.Replace(one, tc.good, tc.bad, 1) + `,` + two + `]}`
		rejected := in[12 : 12+strings.Index(one, tc.good)+len(tc.fault)]
		checkDump(t, in, fmt.Sprintf("reject record syntax @12+%d %s\n", len(rejected), cut(rejected))+nsg2Text, Options{})
	}
}

// What is passed over while a record is looked for belongs to the piece that was
// rejected, also where it looks like the beginning of one.
func TestResync(t *testing.T) {
	good := vnetRecord(vnetTuple)
	for _, tc := range []struct {
		bad  string
		read int // of it, when it is rejected
	}{
		{`{"time":tru}`, len(`{"time":tru}`)},
		{`{"time":tru,"x":{"category":"y"},"z":[{"time":fals}]}`, len(`{"time":tru,`)},
		{`{"time":tru},{"time":"x","y"},{"x":1}`, len(`{"time":tru}`)},
		{`{"time":"x`, len(`{"time":"x,{"t`)},
		{`tuples,{"rule":{"time"},{"time":x`, 2},
		{"\x00{\x00{\"{\"time\"", 1},
	} {
		in := `{"records":[` + tc.bad + `,` + good + `,` + nsgRecord(2, nsgTuple) + `]}`
		rejected := in[12 : 12+tc.read]
		checkDump(t, in, fmt.Sprintf("reject record syntax @12+%d %s\n", len(rejected), rejected)+vnetText+nsg2Text, Options{})
	}
	// The next that is wrong behind a good one is a piece of its own.
	in := `[{"a"},` + good + `,{"b"},` + good + `,-77,` + good + `]`
	checkDump(t, in, rejected(in, "record", "syntax", `{"a"}`)+vnetText+rejected(in, "record", "syntax", `{"b"}`)+vnetText+
		rejected(in, "record", "not_record", `-77`)+vnetText, Options{})
}

// TestTooLarge has more of the long ones.
func TestEdge46LongAndDeep(t *testing.T) {
	one := vnetRecord(vnetTuple)
	long := strings.Repeat("x→", 200_000)
	checkDump(t, strings.Replace(one, `"time"`, `"`+long+`":"`+long+`","time"`, 1), vnetText, Options{})
	in := `[` + strings.Replace(one, vnetTuple, long, 1) + `,` + nsgRecord(2, nsgTuple)
	checkDump(t, in, rejected(in, "tuple", "time", `"`+long+`"`)+vnetHead+nsg2Text, Options{})
	checkDump(t, in, fmt.Sprintf("reject record too_large @1+%d %s\n", len(one)-len(vnetTuple)+len(long), one[:MaxQuoteBytes])+nsg2Text, Options{MaxRecordBytes: 500_000})

	nested := func(depth int) string { return strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth) }
	checkDump(t, strings.Replace(one, `"time"`, `"x":`+nested(60)+`,"time"`, 1), vnetText, Options{})
	for _, depth := range []int{70, 1000, 1_000_000} {
		deep := strings.Replace(one, `"time"`, `"x":`+nested(depth)+`,"time"`, 1)
		length := strings.Index(deep, `[`) + maxDepth + 1
		checkDump(t, deep+`,`+nsgRecord(2, nsgTuple), fmt.Sprintf("reject record too_deep @0+%d %s\n", length, cut(deep[:length]))+nsg2Text, Options{})
	}
}

func TestEdge47MACs(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"00224871C205", "00224871C205"},
		{"0022487bC205", "0022487BC205"},
		{"00-22-48-7b-c2-05", "0022487BC205"},
		{"00:22:48:7B:C2:05", "0022487BC205"},
		{"0022.487b.c205", "0022487BC205"},
		{"123123", "000000000000"},
		{"00224871C2050", "000000000000"},
		{"00224871C2051122", "000000000000"},
		{"00224871C20G", "000000000000"},
		{"00 22 48 71 C2 05", "000000000000"},
		{"", "000000000000"},
		{"größe", "000000000000"},
	} {
		in := strings.Replace(vnet(vnetTuple), "00224871C205", tc.in, 1)
		checkDump(t, in, strings.ReplaceAll(vnetText, "00224871C205", tc.want), Options{})
		if mac, ok := ParseMAC(tc.in); mac.String() != tc.want || ok != (tc.want != "000000000000") {
			t.Errorf("ParseMAC(%q) = %s, %t", tc.in, mac, ok)
		}
	}
}

func TestEdge48Garbage(t *testing.T) {
	good := func(port int) (string, string) {
		p := fmt.Sprint(port)
		return strings.Replace(vnetTuple, "23956", p, 1), strings.TrimSpace(strings.Replace(vnetFlow, "23956", p, 1))
	}
	a, flowA := good(1)
	b, flowB := good(2)
	c, flowC := good(3)
	checkTuples(t, VNet, 4, a, flowA, "garbage", "reject time", "", "reject time", b, flowB,
		",,,,,,,,,,,,", "reject time", vnetTuple[:30], "reject address", vnetTuple+",", "reject field_count", vnetTuple+" ", "reject counter",
		strings.ReplaceAll(vnetTuple, ",", ";"), "reject time", "größe→😀", "reject time", nsgTuple, "reject protocol", c, flowC)

	// Escapes are undone before a tuple is read; what is quoted is the text.
	escaped := strings.NewReplacer("1", `\u0031`, ",", `\u002c`).Replace(vnetTuple)
	checkTuples(t, VNet, 4, escaped, strings.TrimSpace(vnetFlow), `\"`+vnetTuple, "reject time", vnetTuple+`\"`, "reject field_count",
		vnetTuple+`\u0000`, "reject counter", `\ud83d`, "reject time", `\\`, "reject time", strings.Repeat(`\/`, 200), "reject time")
}

func TestEdge49RecordTime(t *testing.T) {
	for _, tc := range []struct{ json, want string }{
		{`"2025-04-30T09:07:40.986182"`, "2025-04-30T09:07:40.986"},
		{`"2025-04-30T09:07:40"`, "2025-04-30T09:07:40.000"},
		{`"2025-04-30T09:07:40Z"`, "2025-04-30T09:07:40.000"},
		{`"2025-04-30T09:07:40.9Z"`, "2025-04-30T09:07:40.900"},
		{`"2025-04-30T09:07:40.98Z"`, "2025-04-30T09:07:40.980"},
		{`"2025-04-30T09:07:40.9861829Z"`, "2025-04-30T09:07:40.986"},
		{`"2025-04-30T09:07:40.986999999Z"`, "2025-04-30T09:07:40.986"},
		{`"2025-04-30T09:07:40.5+02:00"`, "2025-04-30T07:07:40.500"},
		{`"2025-04-30T09:07:40-01:30"`, "2025-04-30T10:37:40.000"},
		{`"2025\u002d04-30T09:07:40Z"`, "2025-04-30T09:07:40.000"},
		{`"2025-04-30 09:07:40"`, "-"},
		{`"2025-04-30"`, "-"},
		{`"2025-02-30T09:07:40Z"`, "-"},
		{`"09:07"`, "-"},
		{`""`, "-"},
		{`1745996860`, "-"},
		{`null`, "-"},
	} {
		in := strings.Replace(vnet(vnetTuple), `"2022-09-14T09:00:52.5625085Z"`, tc.json, 1)
		checkDump(t, in, strings.Replace(vnetText, "2022-09-14T09:00:52.562", tc.want, 1), Options{})
	}
	checkDump(t, strings.Replace(vnet(vnetTuple), `"time":"2022-09-14T09:00:52.5625085Z",`, "", 1), strings.Replace(vnetText, "2022-09-14T09:00:52.562", "-", 1), Options{})
}
