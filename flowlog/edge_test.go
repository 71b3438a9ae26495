package flowlog

import (
	"fmt"
	"strings"
	"testing"
)

// The edge tests go through the cases of real blobs, samples of other programs
// and issue reports that a reader of flow logs must survive, one by one. Their
// numbers are those of the list of cases that this program was designed from.
// Cases 1 to 20 are about tuples and stand here, 21 to 36 about records
// (edge_record_test.go), 37 to 49 about blobs (edge_blob_test.go). Not here:
//
//	41 a blob that shrinks or is rewritten: package source
//	42 a blob that changes between list and read: package source
//	43 a blob that vanishes between list and read: package source
//	50 other blobs in the container: package source

const (
	vnetHead = "record v4 2022-09-14T09:00:52.562 00224871C205 /vnet\n"
	nsg1Head = "record v1 2024-08-19T18:00:06.894 6045BDEC2532 /NSG\n"
	nsg2Head = "record v2 2024-08-19T18:00:06.894 6045BDEC2532 /NSG\n"
)

// checkTuples decodes a blob of one record, and says for each of its tuples what
// comes of it: the text of a flow, or the reason for which it is rejected.
// Texts alternate: tuple, what comes of it.
func checkTuples(t *testing.T, kind Kind, version int, texts ...string) {
	t.Helper()
	var tuples []string
	for i := 0; i < len(texts); i += 2 {
		tuples = append(tuples, texts[i])
	}
	in, head, group := vnet(tuples...), vnetHead, " vnet 00224871C205 rule=r acl=acl\n"
	if kind == NSG {
		in, head, group = nsg(version, tuples...), nsg1Head, " nsg 6045BDEC2532 rule=r acl=\n"
		if version == 2 {
			head = nsg2Head
		}
	}
	rejects, flows := "", ""
	at := strings.Index(in, `"flowTuples":[`) + len(`"flowTuples":[`)
	for i := 0; i < len(texts); i += 2 {
		quote := `"` + texts[i] + `"`
		if reason, ok := strings.CutPrefix(texts[i+1], "reject "); ok {
			rejects += fmt.Sprintf("reject tuple %s @%d+%d %s\n", reason, at, len(quote), cut(quote))
		} else {
			flows += "  " + texts[i+1] + "\n"
		}
		at += len(quote) + 1
	}
	if flows == "" {
		group = ""
	}
	checkDump(t, in, rejects+head+group+flows, Options{})
}

func TestEdge01EmptyCounters(t *testing.T) {
	checkTuples(t, NSG, 2,
		"1542110402,192.0.2.71,10.5.16.9,28746,443,U,I,D,B,,,,", "1542110402000 192.0.2.71>10.5.16.9 28746>443 p17 IBD e0 -/- -/-",
		"1542110402,10.5.16.9,192.0.2.71,50123,53,U,O,A,B,,,,", "1542110402000 10.5.16.9>192.0.2.71 50123>53 p17 OBA e0 -/- -/-")
}

func TestEdge02VNetBegin(t *testing.T) {
	checkTuples(t, VNet, 4,
		"1663146003606,10.0.0.6,192.0.2.72,40001,443,6,O,B,NX,0,0,0,0", "1663146003606 10.0.0.6>192.0.2.72 40001>443 p6 OBA e2 0/0 0/0",
		"1663146003607,192.0.2.72,10.0.0.6,40002,443,6,I,B,NX,,,,", "1663146003607 192.0.2.72>10.0.0.6 40002>443 p6 IBA e2 -/- -/-")
}

func TestEdge03Version1(t *testing.T) {
	checkTuples(t, NSG, 1,
		"1487282421,192.0.2.73,10.1.0.4,51529,5358,T,I,D", "1487282421000 192.0.2.73>10.1.0.4 51529>5358 p6 I-D e0 -/- -/-",
		"1487282424,10.1.0.4,192.0.2.73,123,123,U,O,A", "1487282424000 10.1.0.4>192.0.2.73 123>123 p17 O-A e0 -/- -/-")
}

func TestEdge04NineFieldsUnderVersion1(t *testing.T) {
	checkTuples(t, NSG, 1,
		"1730991600,10.0.0.5,192.0.2.74,12345,80,T,O,A,B", "1730991600000 10.0.0.5>192.0.2.74 12345>80 p6 OBA e0 -/- -/-",
		"1730991600,10.0.0.5,192.0.2.74,12345,80,T,O,A,", "1730991600000 10.0.0.5>192.0.2.74 12345>80 p6 O-A e0 -/- -/-",
		"1730991600,10.0.0.5,192.0.2.74,12345,80,T,O", "reject field_count",
		"1730991600,10.0.0.5,192.0.2.74,12345,80,T,O,", "reject decision")
}

func TestEdge05CountersMissing(t *testing.T) {
	checkTuples(t, VNet, 4,
		"1699990055,10.0.0.4,10.0.0.5,12345,443,6,O,E,NX", "1699990055000 10.0.0.4>10.0.0.5 12345>443 p6 OEA e2 -/- -/-",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O,E", "1699990055001 10.0.0.4>10.0.0.5 12345>443 p6 OEA e0 -/- -/-",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O,E,", "1699990055001 10.0.0.4>10.0.0.5 12345>443 p6 OEA e0 -/- -/-",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O,E,X,", "1699990055001 10.0.0.4>10.0.0.5 12345>443 p6 OEA e1 -/- -/-",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O,E,X,7", "1699990055001 10.0.0.4>10.0.0.5 12345>443 p6 OEA e1 7/- -/-",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O,E,X,7,88", "1699990055001 10.0.0.4>10.0.0.5 12345>443 p6 OEA e1 7/88 -/-",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O,E,X,7,88,9", "1699990055001 10.0.0.4>10.0.0.5 12345>443 p6 OEA e1 7/88 9/-",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O", "reject field_count",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O,", "reject state",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443", "reject field_count",
		"1699990055001", "reject field_count",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O,E,X,7,88,9,99,0", "reject field_count",
		"1699990055001,10.0.0.4,10.0.0.5,12345,443,6,O,E,X,7,88,9,99,", "reject field_count")
}

func TestEdge06PartlyEmptyCounters(t *testing.T) {
	checkTuples(t, NSG, 2,
		"1710727440,10.0.2.50,192.0.2.76,55000,443,T,O,A,E,,,9000,52428800", "1710727440000 10.0.2.50>192.0.2.76 55000>443 p6 OEA e0 -/- 9000/52428800",
		"1710727440,10.0.2.50,192.0.2.76,55000,443,T,O,A,E,5,,,60", "1710727440000 10.0.2.50>192.0.2.76 55000>443 p6 OEA e0 5/- -/60",
		"1710727440,10.0.2.50,192.0.2.76,55000,443,T,O,A,,,1000,,", "1710727440000 10.0.2.50>192.0.2.76 55000>443 p6 O-A e0 -/1000 -/-")
	checkTuples(t, VNet, 4,
		"1710727440000,10.0.2.50,192.0.2.76,55000,443,6,O,C,,,1,,2", "1710727440000 10.0.2.50>192.0.2.76 55000>443 p6 OCA e0 -/1 -/2")
}

func TestEdge07TimeUnits(t *testing.T) {
	checkTuples(t, VNet, 4,
		"1708978215,10.0.0.6,192.0.2.77,23956,443,6,I,C,NX,1021,588096,8005,4610880", "1708978215000 10.0.0.6>192.0.2.77 23956>443 p6 ICA e2 1021/588096 8005/4610880")
	checkTuples(t, NSG, 2,
		"1708978215123,10.0.0.6,192.0.2.77,23956,443,T,I,A,C,1021,588096,8005,4610880", "1708978215123 10.0.0.6>192.0.2.77 23956>443 p6 ICA e0 1021/588096 8005/4610880")
}

func TestEdge08ImplausibleTimes(t *testing.T) {
	const rest, flow = ",10.0.0.6,192.0.2.78,23956,443,6,O,E,NX,3,767,2,1580", " 10.0.0.6>192.0.2.78 23956>443 p6 OEA e2 3/767 2/1580"
	checkTuples(t, VNet, 4,
		"0"+rest, "reject time",
		"999999999"+rest, "reject time",
		"1000000000"+rest, "1000000000000"+flow,
		"4102444799"+rest, "4102444799000"+flow,
		"4102444800"+rest, "reject time",
		"99999999999"+rest, "reject time",
		"999999999999"+rest, "reject time",
		"1000000000000"+rest, "1000000000000"+flow,
		"4102444799999"+rest, "4102444799999"+flow,
		"4102444800000"+rest, "reject time",
		"9999999999999999"+rest, "reject time",
		"99999999999999999999999"+rest, "reject time",
		"-1663146003606"+rest, "reject time",
		"1663146003.606"+rest, "reject time",
		" 1663146003606"+rest, "reject time",
		"001663146003606"+rest, "1663146003606"+flow,
		rest, "reject time")
	checkTuples(t, NSG, 2,
		"1e9,10.0.0.6,192.0.2.78,23956,443,T,O,A,B,,,,", "reject time",
		"999999999,10.0.0.6,192.0.2.78,23956,443,T,O,A,B,,,,", "reject time",
		"4102444799,10.0.0.6,192.0.2.78,23956,443,T,O,A,B,,,,", "4102444799000 10.0.0.6>192.0.2.78 23956>443 p6 OBA e0 -/- -/-",
		"4102444800,10.0.0.6,192.0.2.78,23956,443,T,O,A,B,,,,", "reject time")
}

func TestEdge09Denied(t *testing.T) {
	checkTuples(t, NSG, 2,
		"1542110402,192.0.2.79,10.5.16.9,28746,443,T,I,D,B,,,,", "1542110402000 192.0.2.79>10.5.16.9 28746>443 p6 IBD e0 -/- -/-")
	checkTuples(t, VNet, 4,
		"1663146003606,192.0.2.79,10.0.0.6,28746,443,6,I,D,NX,0,0,0,0", "1663146003606 192.0.2.79>10.0.0.6 28746>443 p6 I-D e2 0/0 0/0")
}

func TestEdge10EncryptionCodes(t *testing.T) {
	var texts []string
	for i, code := range []string{
		"", "X", "NX", "NX_HW_NOT_SUPPORTED", "NX_SW_NOT_READY", "NX_NOT_ACCEPTED", "NX_NOT_SUPPORTED", "NX_LOCAL_DST", "NX_FALLBACK", "NX_YET_TO_COME",
	} {
		texts = append(texts, strings.Replace(vnetTuple, "NX", code, 1), fmt.Sprintf("1663146003606 10.0.0.6>192.0.2.180 23956>443 p6 OEA e%d 3/767 2/1580", i))
	}
	checkTuples(t, VNet, 4, append(texts,
		strings.Replace(vnetTuple, "NX", "nx", 1), "1663146003606 10.0.0.6>192.0.2.180 23956>443 p6 OEA e9 3/767 2/1580",
		strings.Replace(vnetTuple, "NX", "X1-b", 1), "1663146003606 10.0.0.6>192.0.2.180 23956>443 p6 OEA e9 3/767 2/1580",
		strings.Replace(vnetTuple, "NX", "N X", 1), "reject field_count",
		strings.Replace(vnetTuple, "NX", "NX;", 1), "reject field_count")...)
}

func TestEdge11UnknownLetters(t *testing.T) {
	for _, tc := range []struct{ old, bad, reason string }{
		{",6,O,", ",T,O,", "protocol"},
		{",6,O,", ",256,O,", "protocol"},
		{",6,O,", ",,O,", "protocol"},
		{",6,O,", ",6x,O,", "protocol"},
		{",6,O,", ",6,X,", "direction"},
		{",6,O,", ",6,o,", "direction"},
		{",6,O,", ",6,,", "direction"},
		{",6,O,", ",6,IO,", "direction"},
		{",O,E,", ",O,Q,", "state"},
		{",O,E,", ",O,,", "state"},
		{",O,E,", ",O,EE,", "state"},
		{",O,E,", ",O,A,", "state"},
	} {
		checkTuples(t, VNet, 4, strings.Replace(vnetTuple, tc.old, tc.bad, 1), "reject "+tc.reason)
	}
	for _, tc := range []struct{ old, bad, reason string }{
		{",T,O,", ",I,O,", "protocol"},
		{",T,O,", ",6,O,", "protocol"},
		{",T,O,", ",,O,", "protocol"},
		{",T,O,", ",TU,O,", "protocol"},
		{",O,A,", ",X,A,", "direction"},
		{",O,A,", ",,A,", "direction"},
		{",O,A,", ",OO,A,", "direction"},
		{",A,E,", ",X,E,", "decision"},
		{",A,E,", ",,E,", "decision"},
		{",A,E,", ",AA,E,", "decision"},
		{",A,E,", ",A,D,", "state"},
		{",A,E,", ",A,X,", "state"},
		{",A,E,", ",A,EB,", "state"},
	} {
		checkTuples(t, NSG, 2, strings.Replace(nsgTuple, tc.old, tc.bad, 1), "reject "+tc.reason)
	}
}

func TestEdge12OtherProtocols(t *testing.T) {
	var texts []string
	for _, p := range []int{0, 1, 2, 47, 50, 58, 132, 255} {
		texts = append(texts, fmt.Sprintf("1663146003606,10.0.0.6,192.0.2.82,0,0,%d,O,E,NX,3,767,2,1580", p),
			fmt.Sprintf("1663146003606 10.0.0.6>192.0.2.82 0>0 p%d OEA e2 3/767 2/1580", p))
	}
	checkTuples(t, VNet, 4, texts...)
}

func TestEdge13IPv6(t *testing.T) {
	tuple := func(source, destination string) string {
		return "1663146003606," + source + "," + destination + ",23956,443,6,O,E,NX,3,767,2,1580"
	}
	flow := func(source, destination string) string {
		return "1663146003606 " + source + ">" + destination + " 23956>443 p6 OEA e2 3/767 2/1580"
	}
	checkTuples(t, VNet, 4,
		tuple("fd00::6", "2001:db8::1"), flow("fd00::6", "2001:db8::1"),
		tuple("::", "::1"), flow("::", "::1"),
		tuple("FD00:0:0:0:0:0:0:6", "2001:0db8::0001"), flow("fd00::6", "2001:db8::1"),
		tuple("::ffff:192.0.2.83", "64:ff9b::192.0.2.83"), flow("::ffff:192.0.2.83", "64:ff9b::c000:253"),
		tuple("10.0.0.6", "2001:db8::1"), "reject mixed_addresses",
		tuple("fd00::6", "192.0.2.83"), "reject mixed_addresses",
		tuple("::ffff:192.0.2.83", "192.0.2.83"), "reject mixed_addresses",
		tuple("fe80::1%eth0", "fe80::2"), "reject address",
		tuple("[fd00::6]", "2001:db8::1"), "reject address",
		tuple("fd00::6", "2001:db8::1::2"), "reject address",
		tuple("fd00::6", "2001:db8::g"), "reject address",
		tuple("1:2:3:4:5:6:7:8:9", "::1"), "reject address",
		tuple("0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", "::1"), "reject address",
		tuple("10.0.0.256", "192.0.2.83"), "reject address",
		tuple("10.0.0.06", "192.0.2.83"), "reject address",
		tuple("10.0.6", "192.0.2.83"), "reject address",
		tuple("10.0.0.0.6", "192.0.2.83"), "reject address",
		tuple("", "192.0.2.83"), "reject address",
		tuple("10.0.0.6", ""), "reject address",
		tuple("10.0.0.6/32", "192.0.2.83"), "reject address")
	checkTuples(t, NSG, 2,
		"1724090383,fd00::6,2001:db8::1,33338,443,T,O,A,B,,,,", "1724090383000 fd00::6>2001:db8::1 33338>443 p6 OBA e0 -/- -/-",
		"1724090383,fd00::6,10.0.0.6,33338,443,T,O,A,B,,,,", "reject mixed_addresses")
}

func TestEdge14Ports(t *testing.T) {
	tuple := func(source, destination string) string {
		return "1663146003606,10.0.0.6,192.0.2.84," + source + "," + destination + ",6,O,E,NX,3,767,2,1580"
	}
	checkTuples(t, VNet, 4,
		tuple("0", "65535"), "1663146003606 10.0.0.6>192.0.2.84 0>65535 p6 OEA e2 3/767 2/1580",
		tuple("00443", "000000000053"), "1663146003606 10.0.0.6>192.0.2.84 443>53 p6 OEA e2 3/767 2/1580",
		tuple("70000", "443"), "reject port",
		tuple("443", "65536"), "reject port",
		tuple("18446744073709551617", "443"), "reject port",
		tuple("abc", "443"), "reject port",
		tuple("443", "https"), "reject port",
		tuple("-1", "443"), "reject port",
		tuple("", "443"), "reject port",
		tuple("443", ""), "reject port",
		tuple("443", "443 "), "reject port")
}

func TestEdge15CounterLimits(t *testing.T) {
	tuple := func(counters string) string {
		return "1663146003606,10.0.0.6,192.0.2.85,23956,443,6,O,E,NX," + counters
	}
	flow := func(counters string) string {
		return "1663146003606 10.0.0.6>192.0.2.85 23956>443 p6 OEA e2 " + counters
	}
	checkTuples(t, VNet, 4,
		tuple("3,18446744073709551615,2,1580"), flow("3/18446744073709551615 2/1580"),
		tuple("99999999,100000000,4294967296,9007199254740993"), flow("99999999/100000000 4294967296/9007199254740993"),
		tuple("3,00000000000000000000000000000767,2,1580"), flow("3/767 2/1580"),
		tuple("3,18446744073709551616,2,1580"), "reject counter",
		tuple("3,99999999999999999999,2,1580"), "reject counter",
		tuple("3,767,2,100000000000000000000"), "reject counter",
		tuple("-3,767,2,1580"), "reject counter",
		tuple("+3,767,2,1580"), "reject counter",
		tuple("3, 767,2,1580"), "reject counter",
		tuple("3,767 ,2,1580"), "reject counter",
		tuple("3,767,2,1580 "), "reject counter",
		tuple("3,7.5,2,1580"), "reject counter",
		tuple("3,1e3,2,1580"), "reject counter")
}

func TestEdge16to18Counters(t *testing.T) {
	checkTuples(t, NSG, 2,
		"1724090383,10.1.0.4,192.0.2.86,33338,443,T,O,A,E,0,0,0,0", "1724090383000 10.1.0.4>192.0.2.86 33338>443 p6 OEA e0 0/0 0/0",
		"1719295122,10.0.0.4,192.0.2.87,49865,443,T,O,A,E,43,32871,0,0", "1719295122000 10.0.0.4>192.0.2.87 49865>443 p6 OEA e0 43/32871 0/0")
	checkTuples(t, VNet, 4,
		"1735636404728,10.1.0.4,192.0.2.88,123,123,17,O,E,NX,27347,2461230,27343,3609276", "1735636404728 10.1.0.4>192.0.2.88 123>123 p17 OEA e2 27347/2461230 27343/3609276")
}

func TestEdge19SameMillisecond(t *testing.T) {
	tuple := func(state, counters string) string {
		return "1733976181557,10.1.0.4,192.0.2.89,40000,443,6,O," + state + ",NX," + counters
	}
	flow := func(state, counters string) string {
		return "1733976181557 10.1.0.4>192.0.2.89 40000>443 p6 O" + state + "A e2 " + counters
	}
	checkTuples(t, VNet, 4,
		tuple("E", "8,5183,9,6707"), flow("E", "8/5183 9/6707"),
		tuple("B", "0,0,0,0"), flow("B", "0/0 0/0"),
		tuple("E", "10,5291,10,6809"), flow("E", "10/5291 10/6809"),
		tuple("B", "0,0,0,0"), flow("B", "0/0 0/0"))
}

func TestEdge20SameTuple(t *testing.T) {
	const tuple, flow = "1733976181557,192.0.2.90,10.1.0.4,40000,22,6,I,D,NX,0,0,0,0", "1733976181557 192.0.2.90>10.1.0.4 40000>22 p6 I-D e2 0/0 0/0"
	checkTuples(t, VNet, 4, tuple, flow, tuple, flow, tuple, flow)
}
