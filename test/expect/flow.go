// Package expect says which flow records a collector should get from flow logs,
// as an oracle reads them that shares no code with the program, and compares
// them with what a collector got.
//
// What does not live here: collectors (package peers), and anything that runs.
package expect

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Flow is a flow record: what a collector should show, or shows.
type Flow struct {
	Domain                      uint32 // observation domain
	Source, Destination         netip.Addr
	SourcePort, DestinationPort uint16
	Protocol                    uint8
	Packets, Bytes              uint64
	Start, End                  int64 // milliseconds since the Unix epoch
	Ingress, Egress             uint32
	Direction                   uint8
	Sampling                    uint32
	ForwardingStatus            uint8
	FirewallEvent               uint8

	// Records is how many flow records this is the sum of: 1, except from a
	// collector that adds up what is alike.
	Records uint64
}

// Fields are the fields of a Flow that not every collector shows. Addresses,
// ports, protocol, packets and bytes all of them do.
type Fields uint

// The fields.
const (
	ShowsDomain Fields = 1 << iota
	ShowsTimes
	ShowsInterfaces
	ShowsDirection
	ShowsSampling
	ShowsForwarding
	ShowsFirewall

	ShowsAll = 1<<fieldCount - 1
)

const fieldCount = 7

var fieldNames = [fieldCount]string{"domain", "times", "interfaces", "direction", "sampling", "forwarding status", "firewall event"}

// Only returns f without the fields that are not shown.
func (f Flow) Only(shown Fields) Flow {
	if shown&ShowsDomain == 0 {
		f.Domain = 0
	}
	if shown&ShowsTimes == 0 {
		f.Start, f.End = 0, 0
	}
	if shown&ShowsInterfaces == 0 {
		f.Ingress, f.Egress = 0, 0
	}
	if shown&ShowsDirection == 0 {
		f.Direction = 0
	}
	if shown&ShowsSampling == 0 {
		f.Sampling = 0
	}
	if shown&ShowsForwarding == 0 {
		f.ForwardingStatus = 0
	}
	if shown&ShowsFirewall == 0 {
		f.FirewallEvent = 0
	}
	return f
}

// conversation is what two records of one flow have in common.
type conversation struct {
	source, destination netip.AddrPort
	protocol            uint8
}

func (f *Flow) conversation() conversation {
	return conversation{
		netip.AddrPortFrom(f.Source, f.SourcePort), netip.AddrPortFrom(f.Destination, f.DestinationPort), f.Protocol,
	}
}

func (f Flow) String() string {
	return fmt.Sprintf("%s > %s proto %d: %s", netip.AddrPortFrom(f.Source, f.SourcePort),
		netip.AddrPortFrom(f.Destination, f.DestinationPort), f.Protocol, strings.Join(f.details(), ", "))
}

// details are the fields beside the conversation, each as "name value".
func (f *Flow) details() []string {
	stamp := func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000") }
	return []string{
		fmt.Sprintf("packets %d", f.Packets), fmt.Sprintf("bytes %d", f.Bytes),
		"start " + stamp(f.Start), "end " + stamp(f.End),
		fmt.Sprintf("in %d", f.Ingress), fmt.Sprintf("out %d", f.Egress),
		fmt.Sprintf("direction %d", f.Direction), fmt.Sprintf("sampling %d", f.Sampling),
		fmt.Sprintf("forwarding %d", f.ForwardingStatus), fmt.Sprintf("event %d", f.FirewallEvent),
		fmt.Sprintf("domain %d", f.Domain), fmt.Sprintf("records %d", f.Records),
	}
}

// Record is a flow record with all that any template can carry of it.
type Record struct {
	Flow
	Origin

	// ReversePackets and ReverseBytes came back, in a bidirectional record.
	ReversePackets, ReverseBytes uint64
	// Interface is the index of the interface that logged the flow.
	Interface uint32
	// Encryption and State are as Azure writes them.
	Encryption, State string
}

// Origin is where in the flow logs a record comes from.
type Origin struct {
	MAC                        string // 12 hexadecimal digits
	Target, ACL, FlowLog, Rule string
}
