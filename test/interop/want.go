package interop

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/interop/show"
)

// A NetFlow version 5 record counts to 2^32-1; what is more is split over so many
// records, and what is more than they hold is not sent.
const netflow5Most = 64 * (1<<32 - 1)

// wanted returns what the elements of a record should say, and the observation
// domain of the header.
func wanted(v *variant, s *shape, r *expect.Record) show.Record {
	domain := uint64(r.Domain)
	if v.protocol == netflow5 {
		domain &= 0xffff // engine type and id
	}
	want := show.Record{"observationDomainId": strconv.FormatUint(domain, 10), device: "127.0.0.1"}
	for _, name := range s.of(r) {
		text := v.value(name, r)
		if v.protocol == netflow5 && name == "samplingInterval" {
			text = "1" // of the header
		}
		if v.protocol == netflow5 && strings.HasSuffix(name, "DeltaCount") {
			if n, _ := strconv.ParseUint(text, 10, 64); n > netflow5Most {
				text = fmt.Sprint(uint64(netflow5Most))
			}
		}
		want[name] = text
	}
	return want
}

// value returns what an element of a record should say. See docs/FIELDS.md.
func (v *variant) value(name string, r *expect.Record) string {
	if n, ok := numbers[name]; ok {
		return strconv.FormatUint(n(r), 10)
	}
	switch name {
	case "sourceIPv4Address":
		return r.Source.String()
	case "destinationIPv4Address":
		return r.Destination.String()
	case "exporterIPv4Address":
		return v.exporter
	case "sourceMacAddress":
		return hardware(r, r.Direction == expect.Egress)
	case "destinationMacAddress":
		return hardware(r, r.Direction == expect.Ingress)
	case "flowId":
		return flowID(r.Source.String(), fmt.Sprint(r.SourcePort), r.Destination.String(), fmt.Sprint(r.DestinationPort))
	case "interfaceName":
		if r.MAC == namedMAC && v.interfaceName != "" {
			return v.interfaceName
		}
		return cmp.Or(part(r.Target, "networkInterfaces"), r.MAC)
	case "interfaceDescription":
		return fmt.Sprintf("%s (%s)", short(r.Target), part(r.Target, "resourceGroups"))
	case "VRFname":
		return short(r.Target)
	}
	text := map[string]string{
		"azureRule": r.Rule, "azureAcl": v.id(r.ACL), "azureFlowLog": v.id(r.FlowLog), "azureTargetResource": v.id(r.Target),
		"azureSubscription": strings.ToLower(part(r.Target, "subscriptions")), "azureResourceGroup": part(r.Target, "resourceGroups"),
		"azureRegion": strings.TrimPrefix(strings.ToLower(part(r.FlowLog, "networkWatchers")), "networkwatcher_"),
	}[name]
	if v.stringOctets > 0 {
		text = text[:min(len(text), v.stringOctets)]
	}
	return text
}

// numbers are the elements that are numbers.
var numbers = map[string]func(r *expect.Record) uint64{
	"sourceTransportPort":      func(r *expect.Record) uint64 { return uint64(r.SourcePort) },
	"destinationTransportPort": func(r *expect.Record) uint64 { return uint64(r.DestinationPort) },
	"protocolIdentifier":       func(r *expect.Record) uint64 { return uint64(r.Protocol) },
	"octetDeltaCount":          func(r *expect.Record) uint64 { return r.Bytes },
	"packetDeltaCount":         func(r *expect.Record) uint64 { return r.Packets },
	"reverseOctetDeltaCount":   func(r *expect.Record) uint64 { return r.ReverseBytes },
	"reversePacketDeltaCount":  func(r *expect.Record) uint64 { return r.ReversePackets },
	"flowStartMilliseconds":    func(r *expect.Record) uint64 { return uint64(r.Start) },
	"flowEndMilliseconds":      func(r *expect.Record) uint64 { return uint64(r.End) },
	"flowDurationMilliseconds": func(r *expect.Record) uint64 { return uint64(r.End - r.Start) },
	"ingressInterface":         func(r *expect.Record) uint64 { return uint64(r.Ingress) },
	"egressInterface":          func(r *expect.Record) uint64 { return uint64(r.Egress) },
	"observationPointId":       func(r *expect.Record) uint64 { return uint64(r.Interface) },
	"flowDirection":            func(r *expect.Record) uint64 { return uint64(r.Direction) },
	"samplingInterval":         func(*expect.Record) uint64 { return 1 },
	"samplingAlgorithm":        func(*expect.Record) uint64 { return 1 },
	"biflowDirection":          func(*expect.Record) uint64 { return 1 },
	"forwardingStatus":         func(r *expect.Record) uint64 { return uint64(r.ForwardingStatus) },
	"firewallEvent":            func(r *expect.Record) uint64 { return uint64(r.FirewallEvent) },
	"flowEndReason":            func(r *expect.Record) uint64 { return map[string]uint64{"C": 2, "E": 3}[r.State] },
	"ipVersion": func(r *expect.Record) uint64 {
		if r.Source.Is4() {
			return 4
		}
		return 6
	},
	// The VRF is what the flow log is set on, as is the observation domain.
	"ingressVRFID":    func(r *expect.Record) uint64 { return uint64(r.Domain) },
	"egressVRFID":     func(r *expect.Record) uint64 { return uint64(r.Domain) },
	"azureEncryption": func(r *expect.Record) uint64 { return encryption[r.Encryption] },
	"azureFlowState":  func(r *expect.Record) uint64 { return map[string]uint64{"B": 1, "C": 2, "E": 3}[r.State] },
}

var encryption = map[string]uint64{
	"X": 1, "NX": 2, "NX_HW_NOT_SUPPORTED": 3, "NX_SW_NOT_READY": 4, "NX_NOT_ACCEPTED": 5, "NX_NOT_SUPPORTED": 6, "NX_LOCAL_DST": 7, "NX_FALLBACK": 8,
}

// hardware is the MAC address of the interface, on its side.
func hardware(r *expect.Record, its bool) string {
	digits := strings.Repeat("0", 12)
	if its {
		digits = strings.ToLower(r.MAC)
	}
	var pairs []string
	for pair := range slices.Chunk([]byte(digits), 2) {
		pairs = append(pairs, string(pair))
	}
	return strings.Join(pairs, ":")
}

// flowID stands for a number that nobody can foretell: what matters is that it is
// the same for both ways of a flow, and another one for other flows.
func flowID(source, sourcePort, destination, destinationPort string) string {
	ends := []string{source + " " + sourcePort, destination + " " + destinationPort}
	slices.Sort(ends)
	return "of " + strings.Join(ends, " and ")
}

// id is a resource id in the form that was asked for.
func (v *variant) id(id string) string {
	if v.long {
		return id
	}
	return short(id)
}

// short is the last name of a resource id; of a subnet, its network's before it.
func short(id string) string {
	names := strings.Split(id, "/")
	last := names[len(names)-1]
	if n := len(names); n > 3 && names[n-2] == "subnets" {
		return names[n-3] + "/" + last
	}
	return last
}

// part is the name that follows a type in a resource id.
func part(id, kind string) string {
	names := strings.Split(id, "/")
	i := slices.IndexFunc(names, func(s string) bool { return strings.EqualFold(s, kind) })
	if i < 0 || i+1 == len(names) {
		return ""
	}
	return names[i+1]
}

// sends reports whether the protocol can carry the record.
func (v *variant) sends(r *expect.Record) bool { return v.protocol != netflow5 || r.Source.Is4() }
