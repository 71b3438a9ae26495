package templates

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vmware/go-ipfix/pkg/entities"
	"github.com/vmware/go-ipfix/pkg/registry"
)

// Element is an information element that this program can fill.
type Element struct {
	Name       string // as registered with IANA, or our own
	ID         uint16
	Enterprise bool   // stands under the configured private enterprise number
	Reverse    bool   // the reverse of IANA's element of this id (RFC 5103 §6.1)
	Type       string // abstract data type (RFC 7012 §3.1)
	Length     int    // octets; VariableLength for strings
	Value      string // what it is filled with, in words

	kind   entities.IEDataType
	source source
}

// VariableLength is the length of what says its length itself (RFC 7011 §7).
const VariableLength = int(entities.VariableLength)

// ReverseEnterprise is the enterprise number of reverse elements (RFC 5103 §6.1).
const ReverseEnterprise = registry.IANAReversedEnterpriseID

// Elements returns all elements that can be filled: IANA's in the order of
// Azure's tuple, then our own in the order of their ids.
func Elements() []Element { return elements().list }

type elementTable struct {
	list []Element
	err  error
}

func (t *elementTable) find(name string) (*Element, bool) {
	i := slices.IndexFunc(t.list, func(e Element) bool { return e.Name == name })
	if i < 0 {
		return nil, false
	}
	return &t.list[i], true
}

var elements = sync.OnceValue(func() *elementTable {
	registry.LoadRegistry()
	t := &elementTable{}
	for _, e := range []Element{
		{Name: "sourceIPv4Address", source: sourceIPv4, Value: "source of a packet; stands for sourceIPv6Address, too"},
		{Name: "destinationIPv4Address", source: destinationIPv4, Value: "destination; stands for destinationIPv6Address, too"},
		{Name: "sourceIPv6Address", source: sourceIPv6, Value: "source; stands for sourceIPv4Address, too"},
		{Name: "destinationIPv6Address", source: destinationIPv6, Value: "destination; stands for destinationIPv4Address, too"},
		{Name: "sourceTransportPort", source: sourcePort, Value: "source port"},
		{Name: "destinationTransportPort", source: destinationPort, Value: "destination port"},
		{Name: "protocolIdentifier", source: protocol, Value: "IP protocol number"},
		{Name: "octetDeltaCount", source: octets, Value: "bytes since the flow's previous tuple"},
		{Name: "packetDeltaCount", source: packets, Value: "packets since the flow's previous tuple"},
		{Name: "flowStartMilliseconds", source: start, Value: "time of the flow's previous tuple"},
		{Name: "flowEndMilliseconds", source: end, Value: "time of the tuple"},
		{Name: "flowStartSeconds", source: startSeconds, Value: "the same in seconds"},
		{Name: "flowEndSeconds", source: endSeconds, Value: "the same in seconds"},
		{Name: "flowDurationMilliseconds", source: duration, Value: "from one to the other"},
		{Name: "ingressInterface", source: ingress, Value: "index of the VM's interface for packets into the VM, else 0"},
		{Name: "egressInterface", source: egress, Value: "index of the VM's interface for packets out of the VM, else 0"},
		{Name: "flowDirection", source: direction, Value: "0 into the VM, 1 out of it"},
		{Name: "samplingInterval", source: sampling, Value: "1: nothing is sampled"},
		{Name: "samplingAlgorithm", source: algorithm, Value: "1: deterministic"},
		// Registered as unsigned32, but NetFlow v9 made it one octet and so do all
		// routers: collectors that get four read nonsense.
		{Name: "forwardingStatus", source: forwarding, Length: 1, Value: "64 forwarded, 129 denied by a rule, 128 dropped for want of encryption"},
		{Name: "firewallEvent", source: firewall, Value: "1 created, 2 deleted, 3 denied, 5 update"},
		{Name: "flowEndReason", source: endReason, Value: "2 goes on (active timeout), 3 ended, 0 otherwise"},
		{Name: "sourceMacAddress", source: sourceMAC, Value: "the VM's interface for packets out of the VM, else 0"},
		{Name: "destinationMacAddress", source: destinationMAC, Value: "the VM's interface for packets into the VM, else 0"},
		{Name: "ingressVRFID", source: vrf, Value: "number of the flow log's target: the hash that its observation domain is by default"},
		{Name: "egressVRFID", source: vrf, Value: "the same"},
		{Name: "VRFname", source: vrfName, Value: "name of the flow log's target: network, subnet or security group"},
		{Name: "interfaceName", source: interfaceName, Value: "name of the VM's interface, or its MAC address"},
		{Name: "interfaceDescription", source: interfaceDescription, Value: "name of the flow log's target, and its resource group"},
		{Name: "observationPointId", source: pointID, Value: "index of the VM's interface"},
		{Name: "exporterIPv4Address", source: exporter4, Value: "the configured exporter address"},
		{Name: "exporterIPv6Address", source: exporter6, Value: "the configured exporter address"},
		{Name: "flowId", source: flowID, Value: "hash of interface, addresses, ports and protocol, the same for both ways"},
		{Name: "ipVersion", source: ipVersion, Value: "4 or 6"},
		{Name: "tcpControlBits", source: zero, Value: "0: Azure logs no flags. For collectors that want the element"},
		{Name: "biflowDirection", source: one, Value: "1: the source opened the flow; with records: biflow"},
		{Name: "reverseOctetDeltaCount", source: reverseOctets, Reverse: true, Value: "bytes that came back; with records: biflow"},
		{Name: "reversePacketDeltaCount", source: reversePackets, Reverse: true, Value: "packets that came back; with records: biflow"},

		// Not from 1 on: nfacctd 1.7.7 looks elements up by the number alone, and takes
		// ours of the numbers 1 and 2 for octetDeltaCount and packetDeltaCount, or for
		// their reverse (29305/1 and 2).
		{Name: "azureRule", ID: 1001, kind: entities.String, source: rule, Value: "the rule that decided"},
		{Name: "azureAcl", ID: 1002, kind: entities.String, source: acl, Value: "the access list that the rule belongs to"},
		{Name: "azureFlowLog", ID: 1003, kind: entities.String, source: flowLog, Value: "the flow log"},
		{Name: "azureTargetResource", ID: 1004, kind: entities.String, source: target, Value: "what the flow log is set on"},
		{Name: "azureSubscription", ID: 1005, kind: entities.String, source: subscription, Value: "id of the subscription"},
		{Name: "azureRegion", ID: 1006, kind: entities.String, source: region, Value: "region, where the flow log's name says it"},
		{Name: "azureResourceGroup", ID: 1007, kind: entities.String, source: resourceGroup, Value: "resource group of the target"},
		{Name: "azureEncryption", ID: 1008, kind: entities.Unsigned8, source: encryption, Value: "0 not said, 1 X, 2 NX, 3 NX_HW_NOT_SUPPORTED, 4 NX_SW_NOT_READY, 5 NX_NOT_ACCEPTED, 6 NX_NOT_SUPPORTED, 7 NX_LOCAL_DST, 8 NX_FALLBACK, 9 another"},
		{Name: "azureFlowState", ID: 1009, kind: entities.Unsigned8, source: flowState, Value: "0 none, 1 begin, 2 continue, 3 end"},
	} {
		t.err = errors.Join(t.err, e.look())
		t.list = append(t.list, e)
	}
	return t
})

// look fills in what the information model says of the element.
func (e *Element) look() error {
	if e.ID != 0 { // our own
		e.Enterprise = true
		e.Length = int(entities.InfoElementLength[e.kind])
		e.Type = typeNames[e.kind]
		return nil
	}
	registered, err := lookUp(e.Name, e.Reverse)
	if err != nil {
		return err
	}
	e.ID, e.kind, e.Type = registered.ElementId, registered.DataType, typeNames[registered.DataType]
	if e.Length == 0 { // else reduced-size encoding, RFC 7011 §6.2
		e.Length = int(registered.Len)
	}
	return nil
}

// lookUp asks go-ipfix's information model.
func lookUp(name string, reverse bool) (*entities.InfoElement, error) {
	enterprise := registry.IANAEnterpriseID
	if reverse {
		enterprise = ReverseEnterprise
	}
	registered, err := registry.GetInfoElement(name, enterprise)
	if err != nil {
		return nil, fmt.Errorf("information element %s: %w", name, err)
	}
	return registered, nil
}

var typeNames = map[entities.IEDataType]string{
	entities.Unsigned8: "unsigned8", entities.Unsigned16: "unsigned16",
	entities.Unsigned32: "unsigned32", entities.Unsigned64: "unsigned64",
	entities.Ipv4Address: "ipv4Address", entities.Ipv6Address: "ipv6Address",
	entities.MacAddress: "macAddress", entities.String: "string",
	entities.DateTimeMilliseconds: "dateTimeMilliseconds", entities.DateTimeSeconds: "dateTimeSeconds",
}

// otherFamily is the element that carries the same address of the other family.
var otherFamily = map[string]string{
	"sourceIPv4Address": "sourceIPv6Address", "destinationIPv4Address": "destinationIPv6Address",
	"sourceIPv6Address": "sourceIPv4Address", "destinationIPv6Address": "destinationIPv4Address",
}

// keys are the elements that tell flows apart (RFC 7011 §4.4).
var keys = map[source]bool{
	sourceIPv4: true, destinationIPv4: true, sourceIPv6: true, destinationIPv6: true, sourcePort: true, destinationPort: true,
	protocol: true, ingress: true, egress: true, direction: true,
}
