package show

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"flow2ipfix/test/peers"
)

// tshark reads a capture that the test makes: it receives the datagrams itself
// and writes them to a file. That they leave the program so is for the judges to
// say, who capture on the interface.
type tshark struct{}

func (tshark) Name() string { return "tshark" }

func (tshark) Version() (string, error) { return peers.FirstLine("tshark", "--version") }

func (tshark) Takes(string) bool { return true }

func (tshark) Start(dir string, j *Job) (Session, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(8 << 20) // less is what the system grants then
	s := &tsharkSession{job: j, conn: conn, file: filepath.Join(dir, "capture.pcap"), done: make(chan struct{}), end: make(chan struct{})}
	go s.receive()
	return s, nil
}

type tsharkSession struct {
	job      *Job
	conn     *net.UDPConn
	file     string
	done     chan struct{} // closed when the file is written
	end      chan struct{} // closed when the mark of the end has come
	err      error
	problems []string
}

func (s *tsharkSession) port() int { return s.conn.LocalAddr().(*net.UDPAddr).Port }

func (s *tsharkSession) URL() string { return fmt.Sprintf("udp://127.0.0.1:%d", s.port()) }

var endMark = []byte("show: end")

// receive writes what comes to a capture file of bare IP packets.
func (s *tsharkSession) receive() {
	defer close(s.done)
	capture := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	capture = append(capture, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 101, 0, 0, 0)
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := s.conn.ReadFromUDP(buffer)
		if err != nil {
			break
		}
		if string(buffer[:n]) == string(endMark) {
			close(s.end)
			continue
		}
		capture = appendPacket(capture, buffer[:n], from.Port, s.port())
	}
	s.err = os.WriteFile(s.file, capture, 0o644)
}

func appendPacket(capture, payload []byte, from, to int) []byte {
	now := time.Now()
	length := 28 + len(payload)
	for _, n := range []uint32{uint32(now.Unix()), uint32(now.Nanosecond() / 1000), uint32(length), uint32(length)} {
		capture = binary.LittleEndian.AppendUint32(capture, n)
	}
	capture = append(capture, 0x45, 0, byte(length>>8), byte(length), 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1)
	for _, n := range []int{from, to, length - 20, 0} {
		capture = binary.BigEndian.AppendUint16(capture, uint16(n))
	}
	return append(capture, payload...)
}

// Wait sends a mark, which comes behind all that was sent before it.
func (s *tsharkSession) Wait(int) error {
	c, err := net.DialUDP("udp4", nil, s.conn.LocalAddr().(*net.UDPAddr))
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(endMark); err != nil {
		return err
	}
	select {
	case <-s.end:
		return nil
	case <-time.After(peers.Patience):
		return errors.New("the capture does not come to its end")
	}
}

func (s *tsharkSession) Stop() error {
	_ = s.conn.Close() // it may be closed already
	<-s.done
	return s.err
}

func (s *tsharkSession) Problems() []string { return s.problems }

type tree = map[string]any

func (s *tsharkSession) Records() (flows, options []Record, err error) {
	out, err := peers.Output("tshark", "-r", s.file, "-n", "-d", fmt.Sprintf("udp.port==%d,cflow", s.port()), "-T", "json", "--no-duplicate-keys")
	if err != nil {
		return nil, nil, err
	}
	var packets []struct {
		Source struct {
			Layers tree `json:"layers"`
		} `json:"_source"`
	}
	if err := json.Unmarshal(out, &packets); err != nil {
		return nil, nil, err
	}
	optionsTemplates := map[string]bool{}
	for i := range packets {
		m, _ := packets[i].Source.Layers["cflow"].(tree)
		s.complaints(fmt.Sprintf("packet %d", i+1), packets[i].Source.Layers)
		f, o, err := s.message(m, optionsTemplates)
		if err != nil {
			return nil, nil, fmt.Errorf("packet %d: %w", i+1, err)
		}
		flows, options = append(flows, f...), append(options, o...)
	}
	return flows, options, nil
}

// complaints looks for what tshark itself finds wrong.
func (s *tsharkSession) complaints(where string, t tree) {
	for name, value := range t {
		switch v := value.(type) {
		case tree:
			s.complaints(where, v)
		case string:
			const warning = 0x600000 // of severities; 0x800000 is an error
			if n, _ := strconv.Atoi(v); name == "_ws.expert.severity" && n >= warning {
				s.problems = append(s.problems, fmt.Sprintf("%s: %v", where, t["_ws.expert.message"]))
			}
		}
		if strings.HasPrefix(name, "_ws.malformed") {
			s.problems = append(s.problems, where+": malformed")
		}
	}
}

// message reads a message of any protocol.
func (s *tsharkSession) message(m tree, optionsTemplates map[string]bool) (flows, options []Record, err error) {
	head, boot, err := s.header(m)
	if err != nil {
		return nil, nil, err
	}
	var sets []tree
	for name, value := range m {
		set, ok := value.(tree)
		if !ok || strings.HasPrefix(name, "cflow.") {
			continue
		}
		if strings.HasPrefix(name, "pdu ") {
			set = tree{"Flow 1": set}
		}
		sets = append(sets, set)
		for name, value := range set {
			if t, _ := value.(tree); strings.HasPrefix(name, "Options Template") {
				optionsTemplates[fmt.Sprint(t["cflow.template_id"])] = true
			}
		}
	}
	for _, set := range sets {
		for name, value := range set {
			t, _ := value.(tree)
			if !strings.HasPrefix(name, "Flow ") {
				continue
			}
			r, err := s.record(t, boot)
			if err != nil {
				return nil, nil, err
			}
			if optionsTemplates[fmt.Sprint(set["cflow.flowset_id"])] {
				options = append(options, r)
				continue
			}
			maps.Copy(r, head)
			flows = append(flows, r)
		}
	}
	return flows, options, nil
}

// header reads what the header says for all records, and when the system came up,
// in milliseconds since 1970.
func (s *tsharkSession) header(m tree) (Record, float64, error) {
	version := map[string]string{"ipfix": "10", "netflow9": "9", "netflow5": "5"}[s.job.Protocol]
	if m["cflow.version"] != version {
		return nil, 0, unexpectedVersion(m["cflow.version"], s.job)
	}
	v := peers.Values{}
	text := func(name string) string { return fmt.Sprint(m[name]) }
	switch s.job.Protocol {
	case "ipfix":
		return Record{"observationDomainId": text("cflow.od_id")}, 0, nil
	case "netflow9":
		stamps, _ := m["cflow.timestamp_tree"].(tree)
		boot := seconds(&v, fmt.Sprint(stamps["cflow.unix_secs"])) - seconds(&v, text("cflow.sysuptime"))
		return Record{"observationDomainId": text("cflow.source_id")}, boot * 1000, v.Err
	}
	stamps, _ := m["cflow.timestamp_tree"].(tree)
	boot := seconds(&v, fmt.Sprint(stamps["cflow.unix_secs"])) - seconds(&v, text("cflow.sysuptime"))
	boot = boot*1000 + math.Round(seconds(&v, fmt.Sprint(stamps["cflow.unix_nsecs"]))/1e6)
	head := Record{
		"observationDomainId": decimal(v.Number(text("cflow.engine_type"), 8)<<8 | v.Number(text("cflow.engine_id"), 8)),
		"samplingInterval":    text("cflow.samplerate"),
	}
	return head, boot, v.Err
}

func seconds(v *peers.Values, s string) float64 {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		v.Fail(err)
	}
	return n
}

// record reads a data record.
func (s *tsharkSession) record(t tree, boot float64) (Record, error) {
	r, v := Record{}, peers.Values{}
	for name, value := range t {
		values, list := value.([]any)
		if !list {
			values = []any{value}
		}
		if inner, ok := values[0].(tree); ok {
			s.inner(&v, r, name, inner, boot)
			continue
		}
		known, ok := tsharkNames[name]
		switch {
		case name == "cflow.timedelta" && len(values) == 2: // the second one has an element of its own
			r["flowDurationMilliseconds"] = decimal(uint64(math.Round(1000 * seconds(&v, fmt.Sprint(values[1])))))
		case name == "cflow.scope_system":
			n, err := strconv.ParseUint(strings.ReplaceAll(fmt.Sprint(values[0]), ":", ""), 16, 32)
			if err != nil {
				return nil, err
			}
			r["observationDomainId"] = decimal(n)
		case name == "cflow.timedelta" || name == "cflow.padding" || ok && known == "":
		case name == "cflow.enterprise_private_entry":
			s.enterprise(&v, r, values)
		case !ok:
			r["tshark "+name] = fmt.Sprint(values...)
		case list && len(values) == 2: // the reverse element has the same name (RFC 5103)
			r[known], r["reverse"+strings.ToUpper(known[:1])+known[1:]] = fmt.Sprint(values[0]), fmt.Sprint(values[1])
		default:
			r[known] = fmt.Sprint(values...)
		}
	}
	return r, v.Err
}

// inner reads what tshark shows below a field.
func (s *tsharkSession) inner(v *peers.Values, r Record, name string, t tree, boot float64) {
	const layout = "Jan _2, 2006 15:04:05.000000000 MST"
	text := func(name string) string { return fmt.Sprint(t[name]) }
	switch {
	case name == "cflow.timedelta_tree" && t["cflow.abstimestart"] != nil:
		r["flowStartMilliseconds"] = strconv.FormatInt(v.Time(layout, text("cflow.abstimestart")), 10)
		r["flowEndMilliseconds"] = strconv.FormatInt(v.Time(layout, text("cflow.abstimeend")), 10)
	case name == "cflow.timedelta_tree":
		r["flowStartMilliseconds"] = decimal(uint64(math.Round(boot + 1000*seconds(v, text("cflow.timestart")))))
		r["flowEndMilliseconds"] = decimal(uint64(math.Round(boot + 1000*seconds(v, text("cflow.timeend")))))
	case name == "Forwarding Status":
		status := v.Number(text("cflow.forwarding_status"), 2) << 6
		for name := range t {
			if strings.HasPrefix(name, "cflow.forwarding_status_") { // the reason; its name depends on the status
				status |= v.Number(text(name), 6)
			}
		}
		r["forwardingStatus"] = decimal(status)
	}
}

// enterprise reads enterprise elements, which tshark shows as octets without a
// name, in their order. Empty ones it leaves out, so that then nobody can say
// which those are that it shows.
func (s *tsharkSession) enterprise(v *peers.Values, r Record, values []any) {
	own := slices.DeleteFunc(chosen(s.job.Elements), func(e *element) bool { return !e.own })
	if len(values) != len(own) {
		r["enterprise values"] = decimal(uint64(len(values)))
		return
	}
	for i, e := range own {
		octets := strings.ReplaceAll(fmt.Sprint(values[i]), ":", "")
		raw, err := hex.DecodeString(octets)
		if err != nil {
			v.Fail(err)
		}
		r[e.name] = trimmed(string(raw))
		if e.kind == number {
			r[e.name] = decimal(uint64(raw[0]))
		}
	}
}

var tsharkNames = map[string]string{
	"cflow.srcaddr": "sourceIPv4Address", "cflow.dstaddr": "destinationIPv4Address", "cflow.srcaddrv6": "sourceIPv4Address", "cflow.dstaddrv6": "destinationIPv4Address",
	"cflow.srcport": "sourceTransportPort", "cflow.dstport": "destinationTransportPort", "cflow.protocol": "protocolIdentifier",
	"cflow.octets": "octetDeltaCount", "cflow.packets": "packetDeltaCount", "cflow.inputint": "ingressInterface", "cflow.outputint": "egressInterface",
	"cflow.direction": "flowDirection", "cflow.sampling_interval": "samplingInterval", "cflow.sampling_algorithm": "samplingAlgorithm",
	"cflow.firewall_event": "firewallEvent", "cflow.flow_end_reason": "flowEndReason", "cflow.srcmac": "sourceMacAddress", "cflow.dstmac": "destinationMacAddress",
	"cflow.exporter_addr": "exporterIPv4Address", "cflow.exporter_addr_v6": "exporterIPv4Address", "cflow.flow_id": "flowId",
	"cflow.ingress_vrfid": "ingressVRFID", "cflow.egress_vrfid": "egressVRFID", "cflow.observation_point_id": "observationPointId",
	"cflow.ip_version": "ipVersion", "cflow.biflow_direction": "biflowDirection", "cflow.vrfname": "VRFname",
	"cflow.if_name": "interfaceName", "cflow.if_descr": "interfaceDescription", "cflow.od_id": "observationDomainId",
	"cflow.scope_interface": "ingressInterface",
	"cflow.mp_id":           "meteringProcessId", "cflow.packetsexp": "exportedMessageTotalCount", "cflow.flowsexp": "exportedFlowRecordTotalCount",
	"cflow.octetsexp": "exportedOctetTotalCount", "cflow.flow_exporter": "exportingProcessId", "cflow.notsent_flows": "notSentFlowTotalCount",
	"cflow.notsent_packets": "notSentPacketTotalCount", "cflow.notsent_octets": "notSentOctetTotalCount", "cflow.template_id": "templateId",
	"cflow.post_key": "flowKeyIndicator", "cflow.private_enterprise_number": "privateEnterpriseNumber", "cflow.information_element_id": "informationElementId",
	"cflow.information_element_data_type": "informationElementDataType", "cflow.information_element_semantics": "informationElementSemantics",
	"cflow.information_element_name": "informationElementName",
	// What NetFlow version 5 has and was never filled.
	"cflow.nexthop": "", "cflow.tcpflags": "", "cflow.tos": "", "cflow.srcas": "", "cflow.dstas": "", "cflow.srcmask": "", "cflow.dstmask": "",
}
