package show

import (
	"fmt"
	"strconv"
	"strings"

	"flow2ipfix/test/peers"
)

// telegraf is InfluxData's agent with its netflow input; enterprise elements get
// names through a PEN file.
type telegraf struct{}

func (telegraf) Name() string { return "telegraf" }

func (telegraf) Version() (string, error) { return peers.Telegraf{}.Version() }

func (telegraf) Takes(string) bool { return true }

func (telegraf) Start(dir string, j *Job) (Session, error) {
	protocol := map[string]string{"ipfix": "ipfix", "netflow9": "netflow v9", "netflow5": "netflow v5"}[j.Protocol]
	var table strings.Builder
	if j.Protocol == "ipfix" {
		for i := range elements {
			e := &elements[i]
			if pen := e.pen(j); pen != 0 {
				fmt.Fprintf(&table, "%d.%d,%s,%s\n", pen, e.id, e.name, map[kind]string{number: "uint", text: "string"}[e.kind])
			}
		}
	}
	s, err := peers.StartTelegraf(dir, protocol, table.String())
	return &telegrafSession{TelegrafSession: s, job: j}, err
}

type telegrafSession struct {
	*peers.TelegrafSession
	job *Job
}

// telegrafNames are its names, with the elements that they stand for; "" is what
// says nothing about what was sent.
var telegrafNames = map[string]string{
	"src": "sourceIPv4Address", "dst": "destinationIPv4Address", "src_port": "sourceTransportPort", "dst_port": "destinationTransportPort",
	"in_bytes": "octetDeltaCount", "in_packets": "packetDeltaCount", "flow_start_ms": "flowStartMilliseconds", "flow_end_ms": "flowEndMilliseconds",
	"in_snmp": "ingressInterface", "out_snmp": "egressInterface", "sampling_interval": "samplingInterval",
	"in_src_mac": "sourceMacAddress", "in_dst_mac": "destinationMacAddress", "exporter": "exporterIPv4Address", "flow_id": "flowId",
	"in_vrf_id": "ingressVRFID", "out_vrf_id": "egressVRFID", "observation_point_id": "observationPointId", "flow_duration_ms": "flowDurationMilliseconds",
	"interface": "interfaceName", "interface_desc": "interfaceDescription", "vrf_name": "VRFname", "observation_domain_id": "observationDomainId",
	"metering_pid": "meteringProcessId", "exporting_pid": "exportingProcessId", "total_messages_exported": "exportedMessageTotalCount",
	"total_flows_exported": "exportedFlowRecordTotalCount", "total_bytes_exported": "exportedOctetTotalCount",
	"notsent_flow_count_total": "notSentFlowTotalCount", "notsent_packet_total": "notSentPacketTotalCount", "notsent_bytes_total": "notSentOctetTotalCount",
	"template_id": "templateId", "flow_key_indicator": "flowKeyIndicator", "information_elem_id": "informationElementId",
	"fwd_reason": "",
	// What NetFlow version 5 has and was never filled.
	"bgp_src_as": "", "bgp_dst_as": "", "src_mask": "", "dst_mask": "", "next_hop": "", "src_tos": "", "tcp_flags": "",
	// Of the header: flows is the number of records, seq_number the sequence number.
	"flows": "", "seq_number": "", "sys_uptime": "", "engine_type": "", "first_switched": "", "last_switched": "",
}

// telegrafCodes are the elements that it has words for.
var telegrafCodes = map[string]string{
	"protocol": "protocolIdentifier", "direction": "flowDirection", "fwd_status": "forwardingStatus", "fw_event": "firewallEvent",
	"flow_end_reason": "flowEndReason", "ip_version": "ipVersion", "biflow_direction": "biflowDirection", "sampling_algo": "samplingAlgorithm",
}

func (s *telegrafSession) Records() (flows, options []Record, err error) {
	metrics, err := s.Metrics()
	if err != nil {
		return nil, nil, err
	}
	version := map[string]string{"ipfix": "IPFIX", "netflow9": "NetFlowV9", "netflow5": "NetFlowV5"}[s.job.Protocol]
	for i := range metrics {
		m := &metrics[i]
		if m.Tags["version"] != version {
			return nil, nil, unexpectedVersion(m.Tags["version"], s.job)
		}
		r, err := s.record(m)
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("metric %v: %w", m, err)
		case m.Name == "netflow":
			r["device"] = fmt.Sprint(m.Tags["source"])
			flows = append(flows, r)
		default:
			options = append(options, r)
		}
	}
	return flows, options, nil
}

func (s *telegrafSession) record(m *peers.TelegrafMetric) (Record, error) {
	r, v := Record{}, peers.Values{}
	for field := range m.Fields {
		text := m.Text(field)
		if code := telegrafCodes[field]; code != "" {
			r[code] = decimal(uint64(peers.TelegrafCode(&v, m, field)))
			continue
		}
		name, ok := telegrafNames[field]
		switch {
		case field == "engine_id":
			id, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 8)
			if err != nil {
				return nil, err
			}
			r["observationDomainId"] = decimal(uint64(engineType(m.Text("engine_type")))<<8 | id)
		case name != "":
			r[name] = text
		case !ok && find(field).id != 0: // named by the PEN file
			r[field] = text
		case !ok:
			r["telegraf "+field] = text
		}
	}
	if m.Fields["first_switched"] != nil {
		s.uptimes(&v, m, r)
	}
	return r, v.Err
}

// engineType reads what Telegraf has a word for.
func engineType(word string) uint8 {
	switch word {
	case "RP":
		return 0
	case "VIP/linecard":
		return 1
	case "PFC/DFC":
		return 2
	}
	n, err := strconv.ParseUint(word, 10, 8)
	if err != nil {
		return 0xff
	}
	return uint8(n)
}

// uptimes reads times since a system came up. Of NetFlow version 5 Telegraf says
// when that was, of version 9 not: there is no more to be had than how long the
// flow took.
func (s *telegrafSession) uptimes(v *peers.Values, m *peers.TelegrafMetric, r Record) {
	first, last := v.Number(m.Text("first_switched"), 32), v.Number(m.Text("last_switched"), 32)
	if s.job.Protocol == "netflow9" {
		r["last_switched - first_switched"] = decimal(last - first)
		return
	}
	up := uint64(m.Time) - v.Number(m.Text("sys_uptime"), 32)
	r["flowStartMilliseconds"], r["flowEndMilliseconds"] = decimal(up+first), decimal(up+last)
}
