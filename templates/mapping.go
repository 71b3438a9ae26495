package templates

// Mapping is one row of the Azure-to-IPFIX mapping: where a value of a flow log
// goes.
type Mapping struct {
	Azure    string   // the field as Azure's documentation names it
	Elements []string // information elements that carry it with every preset, by name
	More     []string // those that carry it if a preset has them, or if they are asked for
	Value    string   // how the value is made
}

// Mappings returns the whole mapping, in the order of Azure's tuple. It names
// every element.
func Mappings() []Mapping {
	return []Mapping{
		{
			"tuple: time stamp",
			[]string{"flowEndMilliseconds"},
			[]string{"flowEndSeconds"},
			"milliseconds since 1970; NSG logs have whole seconds. With netflow9 and netflow5 flowEndSysUpTime",
		},
		{
			"(previous tuple of the flow)",
			[]string{"flowStartMilliseconds"},
			[]string{"flowStartSeconds", "flowDurationMilliseconds"},
			"time of the flow's previous tuple, from which the counters count; the tuple's own time if that is not known. With netflow9 and netflow5 flowStartSysUpTime",
		},
		{
			"tuple: source, destination IP",
			[]string{"sourceIPv4Address", "destinationIPv4Address", "sourceIPv6Address", "destinationIPv6Address"},
			[]string{"ipVersion"},
			"swapped in the reverse record",
		},
		{
			"tuple: source, destination port",
			[]string{"sourceTransportPort", "destinationTransportPort"},
			nil,
			"swapped in the reverse record",
		},
		{
			"tuple: protocol",
			[]string{"protocolIdentifier"},
			nil,
			"IANA number; NSG: T is 6, U is 17",
		},
		{
			"tuple: packets, bytes sent",
			[]string{"packetDeltaCount", "octetDeltaCount"},
			nil,
			"in the forward record",
		},
		{
			"tuple: packets, bytes received",
			[]string{"packetDeltaCount", "octetDeltaCount"},
			[]string{"reversePacketDeltaCount", "reverseOctetDeltaCount"},
			"in the reverse record, which is left out if both are 0, and for denied flows; with records: biflow in the reverse elements of the one record",
		},
		{
			"tuple: flow direction",
			[]string{"flowDirection"},
			[]string{"biflowDirection"},
			"I is 0 (ingress), O is 1 (egress), seen from the VM; the other way round in the reverse record. biflowDirection is 1: the source opened the flow",
		},
		{
			"tuple: flow state",
			[]string{"firewallEvent"},
			[]string{"flowEndReason", "azureFlowState"},
			"B is 1 (created), C is 5 (update), E is 2 (deleted); B has no counters and is not sent unless asked for; NSG version 1 has no states and is sent as 1. flowEndReason is 2 for C, 3 for E",
		},
		{
			"tuple: flow decision, state D",
			[]string{"forwardingStatus", "firewallEvent"},
			nil,
			"allowed is 64; denied is 129 and firewallEvent 3; 128 where encryption, not a rule, was the reason",
		},
		{
			"tuple: flow encryption",
			nil,
			[]string{"azureEncryption"},
			"IANA has no element for it; of denied flows it tells forwardingStatus 128 from 129",
		},
		{
			"(addresses, ports, protocol, macAddress)",
			nil,
			[]string{"flowId"},
			"a hash of all, the same for both ways of a flow and for all of its tuples",
		},
		{
			"macAddress, mac",
			[]string{"ingressInterface", "egressInterface"},
			[]string{"observationPointId", "sourceMacAddress", "destinationMacAddress", "interfaceName"},
			"a small number for each MAC: ingress for packets into the VM, egress for packets out of it; the other one is 0. The MAC itself is the destination of packets into the VM, the source of those out of it. interfaceName is the configured name, or that of an interface with a flow log of its own, or the MAC's digits",
		},
		{
			"targetResourceID; NSG: resourceId",
			nil,
			[]string{
				"ingressVRFID", "egressVRFID", "VRFname", "interfaceDescription", "exporterIPv4Address", "exporterIPv6Address",
				"azureTargetResource", "azureSubscription", "azureResourceGroup",
			},
			"observation domain in the message header, and VRF: FNV-1a, 32 bits, of the id in lower case. Names are those of targets in the configuration, or the last one in the id; exporter addresses are configured",
		},
		{
			"rule",
			nil,
			[]string{"azureRule"},
			"IANA has no element for it",
		},
		{
			"aclID; NSG: resourceId",
			nil,
			[]string{"azureAcl"},
			"IANA has no element for it; rules of a security group are its own",
		},
		{
			"flowLogResourceID",
			nil,
			[]string{"azureFlowLog", "azureRegion"},
			"IANA has no element for it. The region is that of a network watcher with the name that Azure gives it",
		},
		{
			"flowLogGUID, systemId",
			nil, nil,
			"not sent: flowLogResourceID says the same to people",
		},
		{
			"(not sampled)",
			[]string{"samplingInterval"},
			[]string{"samplingAlgorithm"},
			"always 1; netflow5 says so in the message header",
		},
		{
			"(not in flow logs)",
			nil,
			[]string{"tcpControlBits"},
			"always 0: for collectors that want the element",
		},
		{
			"time (of the record)",
			nil, nil,
			"not sent: flowEndMilliseconds is nearer to the truth",
		},
		{
			"category, operationName, version",
			nil, nil,
			"not sent: they decide how a record is read",
		},
	}
}
