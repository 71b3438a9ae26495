package show

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"

	"flow2ipfix/test/peers"
)

// goflow2 prints a JSON object a flow. What it has no field for comes through a
// mapping file.
type goflow2 struct{}

func (goflow2) Name() string { return "goflow2" }

func (goflow2) Version() (string, error) { return peers.ModuleVersion("goflow2") }

func (goflow2) Takes(string) bool { return true }

// goflow2Own are its own fields. sampling_rate is what an options data record or
// the header of NetFlow version 5 says.
var goflow2Own = map[string]string{
	"src_addr": "sourceIPv4Address", "dst_addr": "destinationIPv4Address", "src_port": "sourceTransportPort", "dst_port": "destinationTransportPort",
	"proto": "protocolIdentifier", "bytes": "octetDeltaCount", "packets": "packetDeltaCount",
	"time_flow_start_ns": "flowStartMilliseconds", "time_flow_end_ns": "flowEndMilliseconds",
	"in_if": "ingressInterface", "out_if": "egressInterface", "src_mac": "sourceMacAddress", "dst_mac": "destinationMacAddress",
	"forwarding_status": "forwardingStatus", "observation_domain_id": "observationDomainId", "observation_point_id": "observationPointId",
	"sampling_rate": "sampling_rate", "sampler_address": "device",
}

func (goflow2) Start(dir string, j *Job) (Session, error) {
	fields := []string{"type", "sequence_num"}
	for name, element := range goflow2Own {
		if slices.Contains(j.Elements, element) || slices.Contains([]string{"observationDomainId", "sampling_rate", "device"}, element) {
			fields = append(fields, name)
		}
	}
	var protobuf, mapped strings.Builder
	for i, e := range chosen(j.Elements) {
		if slices.Contains(fields, ownField(e.name)) || j.Protocol == "netflow5" || e.id == 0 {
			continue
		}
		id, kind := e.id, "varint"
		if e.kind == text || e.kind == address {
			kind = "string"
		}
		if e.kind == address && j.IPv6Exporter {
			id = 131
		}
		fields = append(fields, mappedField(e))
		fmt.Fprintf(&protobuf, "    - { name: %s, index: %d, type: %s }\n", mappedField(e), 2001+i, kind)
		enterprise := ""
		if pen := e.pen(j); pen != 0 {
			enterprise = fmt.Sprintf("penprovided: true, pen: %d, ", pen)
		}
		fmt.Fprintf(&mapped, "    - { field: %d, %sdestination: %s }\n", id, enterprise, mappedField(e))
	}
	mapping := fmt.Sprintf("formatter:\n  fields: [%s]\n", strings.Join(fields, ", "))
	if protobuf.Len() > 0 {
		protocol := map[string]string{"ipfix": "ipfix", "netflow9": "netflowv9"}[j.Protocol]
		mapping += "  protobuf:\n" + protobuf.String() + "  render: { proto: none }\n" + protocol + ":\n  mapping:\n" + mapped.String()
	} else {
		mapping += "  render: { proto: none }\n"
	}
	p, err := peers.StartGoflow2(dir, mapping)
	return &goflow2Session{UDPPeer: p, job: j}, err
}

func ownField(element string) string {
	for name, e := range goflow2Own {
		if e == element {
			return name
		}
	}
	return ""
}

func mappedField(e *element) string { return "x_" + e.name }

type goflow2Session struct {
	*peers.UDPPeer
	job *Job
}

func (s *goflow2Session) Wait(flows int) error {
	if err := s.Drain(); err != nil {
		return err
	}
	return peers.WaitLines(s.Process, flows)
}

func (s *goflow2Session) Stop() error { return s.End(syscall.SIGTERM) }

func (s *goflow2Session) Records() (flows, options []Record, err error) {
	b, err := os.ReadFile(s.OutFile)
	if err != nil {
		return nil, nil, err
	}
	for line := range bytes.Lines(b) {
		r, err := s.record(line)
		if err != nil {
			return nil, nil, fmt.Errorf("line %q: %w", line, err)
		}
		flows = append(flows, r)
	}
	return flows, nil, nil
}

func (s *goflow2Session) record(line []byte) (Record, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	if want := map[string]string{"ipfix": "IPFIX", "netflow9": "NETFLOW_V9", "netflow5": "NETFLOW_V5"}[s.job.Protocol]; m["type"] != want {
		return nil, unexpectedVersion(m["type"], s.job)
	}
	delete(m, "type")
	delete(m, "sequence_num")
	r := Record{}
	for field, value := range m {
		text := fmt.Sprint(value)
		name, ok := goflow2Own[field]
		if !ok {
			name = strings.TrimPrefix(field, "x_")
		}
		switch e := find(name); {
		case name == "flowStartMilliseconds", name == "flowEndMilliseconds":
			ms, ok := strings.CutSuffix(text, "000000")
			if !ok && text != "0" {
				return nil, fmt.Errorf("%s is not in whole milliseconds", name)
			}
			text = ms
		case name == "sampling_rate" && text == "0": // none was said
			continue
		case name == "sampling_rate" && s.job.Protocol == "netflow5":
			name = "samplingInterval"
		case name == "observationDomainId" && s.job.Protocol == "netflow5" && text == "0": // it has none
			continue
		case !ok && e.kind == address:
			raw, err := hex.DecodeString(text)
			if err != nil {
				return nil, err
			}
			a, _ := netip.AddrFromSlice(raw)
			text = a.String()
		}
		r[name] = text
	}
	return r, nil
}

func (s *goflow2Session) Problems() []string {
	return append(s.Losses(), s.Complaints(func(line string) bool { return strings.Contains(line, "level=INFO") })...)
}
