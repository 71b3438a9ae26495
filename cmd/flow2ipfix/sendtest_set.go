package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

// This file holds the flows that send-test sends, and makes a flow log of them.

// testFlow is one flow of the set. All addresses, and the MAC below, are those
// for documentation (RFC 5737, RFC 3849, RFC 9542 §2.1.1).
type testFlow struct {
	name                string
	source, destination netip.AddrPort
	protocol            uint8
	outbound            bool
	state               string // B, C, E or D, as in a flow log
	encryption          string // X, NX
	sent, received      counters
	shows               string // why it is in the set
}

type counters struct{ packets, octets uint64 }

const (
	testName       = "flow2ipfix-test"
	testTarget     = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/" + testName + "/providers/Microsoft.Network/virtualNetworks/" + testName
	testACL        = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/" + testName + "/providers/Microsoft.Network/networkSecurityGroups/" + testName + "-nsg"
	testFlowLog    = "/SUBSCRIPTIONS/00000000-0000-0000-0000-000000000000/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/NETWORKWATCHER_EASTUS/FLOWLOGS/FLOW2IPFIX-TEST-FLOWLOG"
	testMAC        = "00005E005301"
	testInterface  = 65000 // far above what the service gives out
	testVM, testV6 = "192.0.2.10", "2001:db8::10"
	// testBefore is the rule of tuples that are not sent: they only say when the
	// flows began.
	testBefore = "begun-before"
	// testLasts is how long the flows of the set last.
	testLasts = time.Minute
)

func endpoint(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// testFlows returns the set. Each flow has a port of its own, so that it is found
// whatever a collector makes of the rest.
func testFlows() []testFlow {
	return []testFlow{
		{
			name: "https", source: endpoint(testVM + ":50001"), destination: endpoint("198.51.100.20:443"), protocol: 6, outbound: true,
			state: "C", encryption: "NX", sent: counters{11, 1100}, received: counters{22, 22_000}, shows: "allowed, goes on",
		},
		{
			name: "dns", source: endpoint(testVM + ":50002"), destination: endpoint("198.51.100.53:53"), protocol: 17, outbound: true,
			state: "E", encryption: "NX", sent: counters{1, 72}, received: counters{1, 148}, shows: "allowed, has ended",
		},
		{
			name: "denied", source: endpoint("203.0.113.66:50003"), destination: endpoint(testVM + ":22"), protocol: 6,
			state: "D", encryption: "NX", shows: "denied",
		},
		{
			name: "ipv6", source: endpoint("[" + testV6 + "]:50004"), destination: endpoint("[2001:db8:0:1::20]:443"), protocol: 6, outbound: true,
			state: "C", encryption: "NX", sent: counters{13, 1300}, received: counters{26, 26_000}, shows: "IPv6",
		},
		{
			name: "begin", source: endpoint(testVM + ":50005"), destination: endpoint("198.51.100.25:8443"), protocol: 6, outbound: true,
			state: "B", encryption: "NX", shows: "only began",
		},
		{
			// The smallest packets that TCP has: more of them than 32 bits count.
			name: "large", source: endpoint("198.51.100.30:50006"), destination: endpoint(testVM + ":443"), protocol: 6,
			state: "C", encryption: "NX", sent: counters{4_300_000_000, 172_000_000_000}, received: counters{4_400_000_000, 176_000_000_000},
			shows: "counters above 2^32",
		},
		{
			name: "icmp", source: endpoint(testVM + ":0"), destination: endpoint("198.51.100.40:0"), protocol: 1, outbound: true,
			state: "E", encryption: "NX", sent: counters{4, 336}, received: counters{4, 336}, shows: "ICMP, no ports",
		},
		{
			name: "encrypted", source: endpoint(testVM + ":50008"), destination: endpoint("192.0.2.11:1433"), protocol: 6, outbound: true,
			state: "C", encryption: "X", sent: counters{14, 1400}, received: counters{28, 28_000}, shows: "encrypted",
		},
	}
}

func testFlowNames() []string {
	var names []string
	for _, f := range testFlows() {
		names = append(names, f.name)
	}
	return names
}

func (f *testFlow) rule() string { return testName + "-" + f.name }

// tuple writes the flow as a tuple of a virtual network flow log.
func (f *testFlow) tuple(at time.Time, state string, sent, received counters) string {
	direction := "I"
	if f.outbound {
		direction = "O"
	}
	return fmt.Sprintf("%d,%s,%s,%d,%d,%d,%s,%s,%s,%d,%d,%d,%d", at.UnixMilli(), f.source.Addr(), f.destination.Addr(),
		f.source.Port(), f.destination.Port(), f.protocol, direction, state, f.encryption,
		sent.packets, sent.octets, received.packets, received.octets)
}

// testLog writes flows as a flow log: a record with their begins, which are not
// sent, and their tuples, which are.
func testLog(flows []testFlow, end time.Time) []byte {
	var begins, groups []string
	for i := range flows {
		f := &flows[i]
		if f.state == "C" || f.state == "E" {
			begins = append(begins, `"`+f.tuple(end.Add(-testLasts), "B", counters{}, counters{})+`"`)
		}
		groups = append(groups, fmt.Sprintf(`{"rule":%q,"flowTuples":["%s"]}`, f.rule(), f.tuple(end, f.state, f.sent, f.received)))
	}
	if len(begins) > 0 {
		groups = slices.Insert(groups, 0, fmt.Sprintf(`{"rule":%q,"flowTuples":[%s]}`, testBefore, strings.Join(begins, ",")))
	}
	return fmt.Appendf(nil, `{"records":[{"time":%q,"flowLogVersion":4,"flowLogGUID":"00000000-0000-0000-0000-000000000000",`+
		`"macAddress":%q,"category":"FlowLogFlowEvent","flowLogResourceID":%q,"targetResourceID":%q,"operationName":"FlowLogFlowEvent",`+
		`"flowRecords":{"flows":[{"aclID":%q,"flowGroups":[%s]}]}}]}`,
		end.UTC().Format("2006-01-02T15:04:05.0000000Z"), testMAC, testFlowLog, testTarget, testACL, strings.Join(groups, ","))
}

// testDeltas is what there is to read of a flow log: all of it.
func testDeltas(log []byte) []*source.Delta {
	return []*source.Delta{{
		Blob: testName, Size: int64(len(log)),
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(log)), nil },
	}}
}

// fixedInterface numbers every interface alike: the set has one.
type fixedInterface uint32

// Index implements convert.Interfaces.
func (f fixedInterface) Index(flowlog.MAC) (uint32, error) { return uint32(f), nil }
