package show

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"flow2ipfix/test/peers"
)

// nfcapd is nfdump's collector; nfdump -o json prints what it wrote.
type nfcapd struct{}

func (nfcapd) Name() string { return "nfcapd" }

func (nfcapd) Version() (string, error) { return peers.Nfcapd{}.Version() }

func (nfcapd) Takes(string) bool { return true }

func (nfcapd) Start(dir string, j *Job) (Session, error) {
	s, err := peers.StartNfcapd(dir)
	return &nfcapdSession{NfcapdSession: s, job: j}, err
}

type nfcapdSession struct {
	*peers.NfcapdSession
	job *Job
}

// nfdumpNames are its names, with the elements that they stand for; "" is what
// says nothing about what was sent.
var nfdumpNames = map[string]string{
	"in_packets": "packetDeltaCount", "in_bytes": "octetDeltaCount",
	"out_packets": "reversePacketDeltaCount", "out_bytes": "reverseOctetDeltaCount",
	"proto": "protocolIdentifier", "src_port": "sourceTransportPort", "dst_port": "destinationTransportPort",
	"src4_addr": "sourceIPv4Address", "dst4_addr": "destinationIPv4Address", "src6_addr": "sourceIPv4Address", "dst6_addr": "destinationIPv4Address",
	"input_snmp": "ingressInterface", "output_snmp": "egressInterface", "direction": "flowDirection", "fwd_status": "forwardingStatus",
	"in_src_mac": "sourceMacAddress", "in_dst_mac": "destinationMacAddress", "out_src_mac": "", "out_dst_mac": "",
	"ingress_vrf": "ingressVRFID", "egress_vrf": "egressVRFID", "observationPointID": "observationPointId",
	"event_id": "firewallEvent", "event": "", "connect_id": "flowId",
	"ip4_router": "device",
	"first":      "flowStartMilliseconds", "last": "flowEndMilliseconds",
	// Of nfdump itself: what kind of record it is, when it came, and from where.
	"type": "", "sampled": "", "export_sysid": "", "received": "", "label": "", "aggr_flows": "",
	"observationDoaminID": "", "t_event": "", "xevent_id": "",
	// What was never sent, and is 0 or empty.
	"tcp_flags": "", "src_tos": "", "dst_tos": "", "src_mask": "", "dst_mask": "", "src_net": "", "dst_net": "",
}

func (s *nfcapdSession) Records() (flows, options []Record, err error) {
	version := map[string]string{"ipfix": "10", "netflow9": "9", "netflow5": "5"}[s.job.Protocol]
	err = s.Dump(version, func(fields map[string]any, domain uint32) error {
		r := Record{"observationDomainId": decimal(uint64(domain))}
		for name, value := range fields {
			known, ok := nfdumpNames[name]
			text := fmt.Sprint(value)
			switch {
			case !ok:
				r["nfdump "+name] = text
			case known == "flowId" && !slices.Contains(s.job.Elements, known) && text == "0": // records with an event have room for it
			case known == "flowDirection" && s.job.Protocol == "netflow5" && text == "0": // has none
			case name == "first", name == "last":
				t, err := time.ParseInLocation("2006-01-02T15:04:05.000", text, time.UTC)
				if err != nil {
					return err
				}
				r[known] = strconv.FormatInt(t.UnixMilli(), 10)
			case known != "":
				r[known] = strings.TrimSpace(text)
			}
		}
		// It has a word for no status in records of any protocol.
		if s.job.Protocol == "netflow5" && r["forwardingStatus"] == "0" {
			delete(r, "forwardingStatus")
		}
		flows = append(flows, r)
		return nil
	})
	if err == nil && len(s.job.OptionsElements) > 0 {
		options, err = s.names()
	}
	return flows, options, err
}

// names returns what nfdump shows of options data records: names, where it prints
// numbers. They come from the description.
func (s *nfcapdSession) names() ([]Record, error) {
	var all []Record
	named := func(number, numberOf, name, nameOf string) {
		if name != "" && !strings.HasSuffix(name, " not found>") {
			all = append(all, Record{numberOf: number, nameOf: name})
		}
	}
	err := s.Columns("%in|%inam|%out|%onam|%ivrf|%ivrfnam|%evrf|%evrfnam", func(c []string) {
		if len(c) != 8 {
			all = append(all, Record{"nfdump prints": fmt.Sprint(c)})
			return
		}
		named(c[0], "ingressInterface", c[1], "interfaceDescription")
		named(c[2], "ingressInterface", c[3], "interfaceDescription")
		named(c[4], "ingressVRFID", c[5], "VRFname")
		named(c[6], "ingressVRFID", c[7], "VRFname")
	})
	return all, err
}
