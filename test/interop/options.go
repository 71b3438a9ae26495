package interop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/interop/show"
)

// The lengths of names in options data records.
const (
	interfaceNameOctets = 32
	nameOctets          = 64
)

// optionsElements are the elements of options data records, for collectors that
// have to be told which they should show.
func (v *variant) optionsElements() []string {
	var all []string
	for _, kind := range v.options {
		all = append(all, map[string][]string{
			"interfaces": {"ingressInterface", "interfaceName", "interfaceDescription"},
			"vrfs":       {"ingressVRFID", "VRFname"},
			"sampling":   {"observationDomainId", "samplingInterval", "samplingAlgorithm"},
		}[kind]...)
	}
	return all
}

// option is an options data record, and the observation domain of its message.
type option struct {
	record show.Record
	domain string
	preset string
}

// wantedOptions returns the options data records that should be sent beside the
// flow records, by kind: each once, however often it is repeated.
func wantedOptions(v *variant, s *shape, records []expect.Record) map[string][]option {
	all := map[string][]option{}
	var domain string
	add := func(kind string, r show.Record) {
		same := func(o option) bool { return line(o.record) == line(r) && o.domain == domain }
		if slices.Contains(v.options, kind) && !slices.ContainsFunc(all[kind], same) {
			all[kind] = append(all[kind], option{r, domain, v.preset})
		}
	}
	for i := range records {
		r := &records[i]
		domain = strconv.FormatUint(uint64(r.Domain), 10)
		name := v.value("interfaceName", r)
		nic := show.Record{
			"ingressInterface": fmt.Sprint(r.Interface), "interfaceName": name[:min(len(name), interfaceNameOctets)],
			"interfaceDescription": v.value("interfaceDescription", r),
		}
		vrf := show.Record{"ingressVRFID": domain, "VRFname": v.value("VRFname", r)}
		if v.preset == "nfdump" { // it reads no interfaceName
			nic["interfaceDescription"] = nic["interfaceName"] + " " + nic["interfaceDescription"]
			delete(nic, "interfaceName")
		}
		if v.protocol == netflow9 || v.preset == "nfdump" { // the scope is the system, or the domain
			nic["observationDomainId"], vrf["observationDomainId"] = domain, domain
		}
		add("interfaces", nic)
		add("vrfs", vrf)
		add("sampling", show.Record{"observationDomainId": domain, "samplingInterval": "1", "samplingAlgorithm": "1"})
		// Of what was counted a test can say only that it is there.
		exported := show.Record{"exportedMessageTotalCount": "n", "exportedFlowRecordTotalCount": "n", "exportedOctetTotalCount": "n", "observationDomainId": domain}
		if v.protocol == ipfix {
			exported["meteringProcessId"] = "n"
		}
		add("statistics", exported)
	}
	domain = "" // what follows is the same in all
	if v.protocol == ipfix {
		add("statistics", show.Record{"exportingProcessId": "n", "notSentFlowTotalCount": "n", "notSentPacketTotalCount": "n", "notSentOctetTotalCount": "n"})
	}
	for _, t := range s.templates {
		add("flow_keys", show.Record{"templateId": t.id, "flowKeyIndicator": fmt.Sprint(keys(t.fields))})
	}
	for i, name := range ownNames {
		dataType, semantics := 13, 0 // string, default (RFC 5610 §3.1, §3.2)
		if strings.HasSuffix(name, "Encryption") || strings.HasSuffix(name, "State") {
			dataType, semantics = 1, 4 // unsigned8, identifier
		}
		add("types", show.Record{
			"privateEnterpriseNumber": fmt.Sprint(enterprise), "informationElementId": fmt.Sprint(1001 + i),
			"informationElementDataType": fmt.Sprint(dataType), "informationElementSemantics": fmt.Sprint(semantics), "informationElementName": name,
		})
	}
	return all
}

var ownNames = strings.Split(allOwn[1], ",")

// keys are the bits of flowKeyIndicator (RFC 5102 §5.1.8): the first element's is
// the lowest.
func keys(fields []string) uint64 {
	var bits uint64
	for i, name := range fields {
		switch name {
		case "sourceIPv4Address", "destinationIPv4Address", "sourceTransportPort", "destinationTransportPort", "protocolIdentifier",
			"ingressInterface", "egressInterface", "flowDirection":
			bits |= 1 << i
		}
	}
	return bits
}

// plainOptions writes what a collector shows of options data records as
// wantedOptions does.
func plainOptions(records []show.Record) []show.Record {
	var all []show.Record
	for _, r := range records {
		for name, value := range r {
			switch {
			case strings.HasPrefix(name, "exported"), strings.HasPrefix(name, "notSent"), name == "meteringProcessId", name == "exportingProcessId":
				if _, err := strconv.ParseUint(value, 10, 64); err == nil {
					r[name] = "n"
				}
			case name == "flowKeyIndicator":
				digits := strings.ReplaceAll(strings.TrimPrefix(value, "0x"), ":", "")
				if n, err := strconv.ParseUint(digits, 16, 64); err == nil {
					r[name] = strconv.FormatUint(n, 10)
				}
			}
		}
		if !slices.ContainsFunc(all, func(o show.Record) bool { return line(o) == line(r) }) {
			all = append(all, r)
		}
	}
	return all
}
