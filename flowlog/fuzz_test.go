package flowlog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzTuple holds that what fastTuple accepts, the parsers accept with the same
// result, that both agree with the oracle, and that it is no slower than it says.
func FuzzTuple(f *testing.F) {
	for _, s := range tupleSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, tuple string) {
		checkTuple(t, VNet, tuple)
		checkTuple(t, NSG, tuple)
	})
}

var tupleSeeds = []string{
	vnetTuple,
	nsgTuple,
	"1663146003606,10.0.0.6,192.0.2.180,0,65535,255,I,D,NX_HW_NOT_SUPPORTED,99999999,0,,00000001",
	"1663146003606,255.255.255.255,0.0.0.0,00000443,00000053,00000006,I,C,NX_NOT_SUPPORTED,12345678,12345678,12345678,12345678",
	"1663146003,10.0.0.6,192.0.2.180,23956,443,U,I,D,B,,,,",
	"1663146003,10.0.0.6,192.0.2.180,23956,443,T,O,A",
	"1663146003,10.0.0.6,192.0.2.180,23956,443,T,O,A,,1,2,3,4",
	"1663146003606,fd00::6,2001:db8::1,23956,443,6,O,E,X,3,18446744073709551615,2,1580",
	"1663146003606,::ffff:10.0.0.6,64:ff9b::192.0.2.1,1,2,58,O,B",
	"1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,E,NX,3,767,2,1580,",
	"1663146003606,10.0.0.06,192.0.2.180,70000,443,256,Q,Z,N X,-3,1e3,2 ,0x10",
	"1663146003606,fd00:1:2:3:4:5:6:7,2603:1030:20e:abcd:ABCD:5:66:777,65535,65535,255,O,E,NX_HW_NOT_SUPPORTED,999999999999,999999999999,999999999999,999999999999",
	"1663146003606,2001:0db8:0000:0000:0000:0000:FFFF:ffff,::,65535,00000443,17,I,B,NX,,,,",
	"1663146003,::1,1::,1,2,T,I,D",
	"1663146003,1:2:3:4:5:6:7::,1::8:9,1,2,U,I,A,C,123456789,1,0,0",
	"1663146003606,:1,1:,1,2,6,O,E,X,3,4,5,6",
	"1663146003606,1:::2,1::2::3,1,2,6,O,E,X,3,4,5,6",
	"1663146003606,1:2:3:4:5:6:7:8:9,1:2:3:4:5:6:7::8,1,2,6,O,E,X,3,4,5,6",
	"1663146003606,1:2:3:4:5:6:7:8:9::,1::2:3:4:5:6:7:8:9,1,2,6,O,E,X,3,4,5,6",
	"1663146003606,12345::,g::,1,2,6,O,E,X,3,4,5,6",
	"4102444799999,1.2.3.4,5.6.7.8,1,2,3,O,E,FUTURE-code_1,18446744073709551616,,,",
	"999999999,1.2.3.4,5.6.7.8,1,2,T,O,A,B,,,,",
	`1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,E,NX,3,767,2,1580"`,
	"1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0",
	"1663146003606,10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,05",
	"1663146003,10.0.0.6,192.0.2.180,23956,443,T,O,A,E,,,,5",
	"",
	",,,,,,,,,,,,",
}

// behindTuples is what may stand behind a tuple's quotation mark: the end of a
// window that is all zeros, and what a hasty reader would take for more of it.
var behindTuples = []string{"\x00", `,"1663146003606,10.0.0.6`, `1234567890`, ".", `",,,,,,,,,,,,,,,,,,`, "\xFF"}

func checkTuple(t *testing.T, kind Kind, tuple string) {
	t.Helper()
	text, _, _ := strings.Cut(tuple, `"`)
	want, reason := tupleOracle(kind, text)
	// Memory comes in multiples of 16 bytes. No byte of it is left behind the
	// input, so that the race detector's pointer checks see who reads too far.
	front := strings.Repeat(`"`, 16-padBytes%16)
	for i, behind := range behindTuples {
		in := []byte(front + tuple + `"` + strings.Repeat(behind, padBytes))
		in = bytes.Clone(in[:len(front)+max(padBytes, (len(tuple)+16)&^15)])
		used := Flow{Time: 1, Start: 2, PacketsSent: 3, BytesSent: 7, PacketsReceived: 8, BytesReceived: 4, Protocol: 5, State: End, Encryption: EncryptionX, Counters: 15, Denied: true}

		parse := parseVNet
		if kind == NSG {
			parse = parseNSG
		}
		slow := used
		end, got := parse(in, len(front), &slow)
		// The reason is that of the first field that is wrong. Addresses are
		// compared before what stands behind the second is looked at.
		if got != reason && (got != MixedAddresses || reason != BadAddress) {
			t.Fatalf("kind %s, %q: %s, want %s", kind, tuple, got, reason)
		}
		if got == reasonNone && (slow != want || end != len(front)+len(text)) {
			t.Fatalf("kind %s, %q: %+v up to %d, want %+v", kind, tuple, slow, end-len(front), want)
		}
		eachWay(func() {
			fast := used
			var m marks
			m.mark(in, len(front)-i) // so that marks begin at any bit
			place, ok := fastTuple(kind, textAt(in, len(front)), uint64(i), &m, &fast)
			end = len(front) + int(place)
			if ok && (reason != reasonNone || fast != want || end != len(front)+len(text)) {
				t.Fatalf("kind %s, %q and %q: fast %+v up to %d, want %+v (%s)", kind, tuple, behind, fast, end-len(front), want, reason)
			}
			if i == 0 && !ok && reason == reasonNone && isUsual(kind, text, want) {
				t.Fatalf("kind %s, %q is not read fast", kind, tuple)
			}
		})
	}
}

// isUsual reports whether a valid tuple is one of those that fastTuple says it
// reads.
func isUsual(kind Kind, tuple string, f Flow) bool {
	fields := strings.Split(tuple, ",")
	version1 := kind == NSG && len(fields) == 8
	if len(fields) != 13 && !version1 || f.IPv6 && strings.Contains(tuple, ".") || len(fields[0]) != map[Kind]int{VNet: 13, NSG: 10}[kind] || fields[0][0] == '0' {
		return false
	}
	most := map[int]int{3: 8, 4: 8}
	if !version1 {
		for i := range 4 {
			most[9+i] = 12
		}
		if fields[8] == "" || f.Encryption == EncryptionOther {
			return false
		}
	}
	for i, n := range most {
		if len(fields[i]) > n {
			return false
		}
	}
	if kind == VNet && (len(fields[5]) > 3 || fields[5][0] == '0' && len(fields[5]) > 1) {
		return false
	}
	return true
}

// lexerFrames are the places in a record where a value, or more than one, may
// stand.
var lexerFrames = [][2]string{
	{`{"x":`, `,"flowRecords":{}}`},
	{`{"flowRecords":{},"x":`, `}`},
	{`{"flowRecords":{}`, `}`},
	{`{"flowRecords":{},"x":[1,`, `]}`},
	{`{"flowRecords":{},"x":"`, `"}`},
	{`{"flowRecords":{},"`, `":1}`},
	{`{"flowRecords":{},"time":`, `}`},
	{`{"flowRecords":{},"macAddress":`, `}`},
	{`{"flowRecords":{},"targetResourceID":`, `}`},
	{`{"flowRecords":{},"flowLogVersion":`, `}`},
	{`{"flowRecords":`, `}`},
	{`{"flowRecords":{`, `}}`},
	{`{"properties":{"Version":`, `}}`},
	{`{"flowRecords":{"flows":`, `}}`},
	{`{"flowRecords":{"flows":[`, `]}}`},
	{`{"flowRecords":{"flows":[{"aclID":`, `}]}}`},
	{`{"flowRecords":{"flows":[{"flowGroups":`, `}]}}`},
	{`{"properties":{"flows":[{"flows":[{"mac":"x"},`, `]}]}}`},
	{`{"properties":{"flows":[{"flows":[{"rule":`, `}]}]}}`},
	{`{"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":`, `}]}]}}`},
	{`{"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":[`, `]}]}]}}`},
	{`{"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["a",`, `]}]}]}}`},
	{`{"flowRecords":{"flows":[{"flowGroups":[{"flowTuples":["`, `"]}]}]}}`},
}

// FuzzLexer holds that JSON in a record is read exactly as strictly as
// encoding/json does, wherever it stands.
func FuzzLexer(f *testing.F) {
	for _, s := range []string{
		`null`, `true`, `false`, `nul`, `0`, `-0`, `-`, `01`, `1.`, `1.5`, `.5`, `1e5`, `1E+5`, `1e-`, `-1.25e-300`, `1e999`,
		`""`, `"a\u00e9\ud83d\ude00\ud83d\n\/\\\""`, `"\u12g4"`, `"\u12"`, `"\x"`, "\"\n\"", "\"\x7f\xff\xc3\"", "\"\x00\"", `"`, `"\`, `\`, `\u0041`, `",1,"`,
		`[]`, `[1,]`, `[,1]`, `[1 2]`, `[[[[]]]]`, `{}`, `{"a":1}`, `{"a":1,}`, `{"a"}`, `{a:1}`, `{"a":1 "b":2}`, `{,}`, `{"\u0061":{}}`, `[}`, `{]`,
		` 1 `, "\t[\r\n1\n,2 ]", "\f1", "\xc2\xa01", "1//", `1,"flows":[{}]`, `,"flowRecords":null`, `"` + vnetTuple + `"`, vnetTuple, `"` + nsgTuple + `"," x"`,
	} {
		f.Add([]byte(s))
	}
	d := NewDecoder(strings.NewReader(""), 0, Options{})
	f.Fuzz(func(t *testing.T, value []byte) {
		isDeep := bytes.Count(value, []byte("["))+bytes.Count(value, []byte("{")) > maxDepth-10
		for _, frame := range lexerFrames {
			in := frame[0] + string(value) + frame[1]
			d.Reset(strings.NewReader(in), 0)
			res := drain(t, d)
			checkResult(t, in, 0, res)
			accepted := len(res.records) == 1 && res.records[0].Offset == 0 && res.records[0].End == int64(len(in))
			switch valid := json.Valid([]byte(in)); {
			case accepted && !valid:
				t.Fatalf("accepted, but not valid: %q", in)
			case valid && !accepted && !isDeep && !isWrapper(in):
				t.Fatalf("valid, but not accepted: %q\n%s", in, res.text)
			}
		}
	})
}

// isWrapper reports whether a JSON object is no record but a wrapper of some.
func isWrapper(in string) bool {
	var keys map[string]json.RawMessage
	return json.Unmarshal([]byte(in), &keys) == nil && keys["records"] != nil
}

// FuzzDecoder holds, for any input, that the decoder comes to an end with counts
// and offsets that are true, whatever its reader's and its window's state. If the
// input is a blob of the usual shape it agrees with the oracle.
func FuzzDecoder(f *testing.F) {
	good := vnet(vnetTuple, nsgTuple, vnetTuple)
	for i, s := range []string{
		"", "{", "]}", `{"records":[]}`, `{"records":null}`, good, nsg(1, nsgTuple), nsg(2, nsgTuple, "garbage", ""), smallBlob(),
		good[:len(good)-20], good[40:], good + good, strings.ReplaceAll(good, `"r"`, `r`), strings.ReplaceAll(good, ",", " ,\n"), "\xEF\xBB\xBF" + good,
		`[` + vnetRecord(vnetTuple) + `,{"records":[` + nsgRecord(2, nsgTuple) + `,null,1,"x"]},{"time":tru},` + nsgRecord(2, nsgTuple) + `]`,
		`{"records":[{"time":"x","properties":{"Version":"2","flows":[{"flows":[{"flowTuples":["` + nsgTuple + `",{}],"mac":"00-22-48-71-c2-05"},7],"rule":"\ud800\u00e4"}]}}]}`,
		`{"records":[{"time":1,"flowRecords":7},{"flowRecords":{"flows":[null,[],{"flowGroups":[{"flowTuples":"x"}]}]}},{"time":{"time":{"properties":{}}}`,
	} {
		f.Add([]byte(s), uint16(i*37))
	}
	d := NewDecoder(strings.NewReader(""), 0, Options{})
	f.Fuzz(func(t *testing.T, blob []byte, at uint16) {
		in := string(blob)
		const offset = 1 << 20
		read := func(most, held int, growing bool) *result {
			d.opts.Growing = growing
			d.Reset(chunkReader{strings.NewReader(in[held:]), most}, offset)
			d.prime(held, in[:held])
			res := drain(t, d)
			checkResult(t, in, offset, res)
			return res
		}
		want := read(len(in)+1, 0, false)
		if want.err != nil || want.offset > offset+int64(len(in)) {
			t.Fatalf("%v at %d", want.err, want.offset)
		}
		held := min(int(at)%(len(in)+1), windowBytes/2)
		for _, got := range []*result{
			read(len(in)+1, held, false),
			read(1, held, false),
			read(1+int(at)%7, 0, false),
		} {
			if got.text != want.text || got.offset != want.offset || got.stats != want.stats {
				t.Fatalf("read in another way: %s", cmp.Diff(want.text, got.text))
			}
		}
		// While the blob grows there is only less.
		growing := read(len(in)+1, 0, true)
		if n := len(growing.records); n > len(want.records) || growing.offset > want.offset ||
			n > 0 && growing.records[n-1].End != want.records[n-1].End {
			t.Fatalf("growing: %d records up to %d, complete: %d up to %d", n, growing.offset, len(want.records), want.offset)
		}
		if text, ok := blobOracle(blob); ok {
			if diff := cmp.Diff(text, plainDump(t, d, in)); diff != "" {
				t.Fatalf("(-oracle +decoder):\n%s", diff)
			}
		}
	})
}

// plainDump writes what comes out of a blob in the manner of blobOracle.
func plainDump(t *testing.T, d *Decoder, in string) string {
	t.Helper()
	var out strings.Builder
	d.opts.Growing = false
	d.opts.OnReject = func(r Reject) {
		fmt.Fprintf(&out, "reject %s", r.Piece)
		if r.Piece != PieceTuple || r.Reason == BadType {
			fmt.Fprintf(&out, " %s", r.Reason)
		}
		out.WriteString("\n")
	}
	d.Reset(strings.NewReader(in), 0)
	var b Batch
	for d.Next(&b) == nil {
		r := &b.Records[0]
		fmt.Fprintf(&out, "record %s\n", plain(r.Target))
		groups := b.Groups(r)
		for i := range groups {
			g := &groups[i]
			fmt.Fprintf(&out, " %s %s rule=%s acl=%s\n", g.Kind, g.MAC, plain(g.Rule), plain(g.ACL))
			for _, f := range b.Flows(g) {
				fmt.Fprintf(&out, "  %s\n", flowText(f))
			}
		}
		b.Reset()
	}
	return out.String()
}
