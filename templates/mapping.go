package templates

// Mapping is one row of the Azure-to-IPFIX mapping: where a value of a flow log
// goes.
type Mapping struct {
	Azure    string   // the field as Azure's documentation names it
	Elements []string // information elements that carry it, by IANA name; none if it is not sent
	Value    string   // how the value is made
}

// Mappings returns the whole mapping, in the order of Azure's tuple.
func Mappings() []Mapping {
	return []Mapping{
		{"tuple: time stamp", []string{"flowEndMilliseconds"}, "milliseconds since 1970; NSG logs have whole seconds"},
		{"(previous tuple of the flow)", []string{"flowStartMilliseconds"}, "time of the flow's previous tuple, from which the counters count; the tuple's own time if that is not known"},
		{"tuple: source, destination IP", []string{"sourceIPv4Address", "destinationIPv4Address", "sourceIPv6Address", "destinationIPv6Address"}, "swapped in the reverse record"},
		{"tuple: source, destination port", []string{"sourceTransportPort", "destinationTransportPort"}, "swapped in the reverse record"},
		{"tuple: protocol", []string{"protocolIdentifier"}, "IANA number; NSG: T is 6, U is 17"},
		{"tuple: packets, bytes sent", []string{"packetDeltaCount", "octetDeltaCount"}, "in the forward record"},
		{"tuple: packets, bytes received", []string{"packetDeltaCount", "octetDeltaCount"}, "in the reverse record, which is left out if both are 0, and for denied flows"},
		{"tuple: flow direction", []string{"flowDirection"}, "I is 0 (ingress), O is 1 (egress), seen from the VM; the other way round in the reverse record"},
		{"tuple: flow state", []string{"firewallEvent"}, "B is 1 (created), C is 5 (update), E is 2 (deleted); B has no counters and is not sent unless asked for; NSG version 1 has no states and is sent as 1"},
		{"tuple: flow decision, state D", []string{"forwardingStatus", "firewallEvent"}, "allowed is 64; denied is 129 and firewallEvent 3; 128 where encryption, not a rule, was the reason"},
		{"tuple: flow encryption", nil, "not sent by this preset; tells 128 from 129 above"},
		{"macAddress, mac", []string{"ingressInterface", "egressInterface"}, "a small number for each MAC: ingress for packets into the VM, egress for packets out of it; the other one is 0"},
		{"targetResourceID; NSG: resourceId", nil, "observation domain in the message header: FNV-1a, 32 bits, of the id in lower case"},
		{"(not sampled)", []string{"samplingInterval"}, "always 1"},
		{"rule, aclID", nil, "not sent by this preset: IANA has no element for them"},
		{"flowLogGUID, flowLogResourceID, systemId", nil, "not sent by this preset"},
		{"time (of the record)", nil, "not sent: flowEndMilliseconds is nearer to the truth"},
		{"category, operationName, version", nil, "not sent: they decide how a record is read"},
	}
}
