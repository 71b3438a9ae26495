package judges

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// goflow2 prints a JSON object a flow. It shows firewallEvent, flowDirection and
// samplingInterval through a mapping.
type goflow2 struct{}

func (goflow2) Name() string { return "goflow2" }

func (goflow2) Version() (string, error) { return peers.ModuleVersion("goflow2") }

func (goflow2) Shows() expect.Fields { return expect.ShowsAll }

func (goflow2) Merges() bool { return false }

const goflow2Mapping = `formatter:
  fields: [type, sequence_num, observation_domain_id, sampler_address, time_flow_start_ns, time_flow_end_ns, bytes, packets,
    src_addr, dst_addr, src_port, dst_port, proto, in_if, out_if, forwarding_status, direction, sampling, firewall]
  protobuf:
    - { name: direction, index: 2001, type: varint }
    - { name: sampling, index: 2002, type: varint }
    - { name: firewall, index: 2003, type: varint }
  render: { proto: none }
ipfix:
  mapping:
    - { field: 61, destination: direction }
    - { field: 34, destination: sampling }
    - { field: 233, destination: firewall }
`

func (goflow2) Start(dir string) (peers.Session, error) {
	p, err := peers.StartGoflow2(dir, goflow2Mapping)
	if err != nil {
		return nil, err
	}
	return &goflow2Session{UDPPeer: p, sequences: expect.Sequences{}}, nil
}

type goflow2Session struct {
	*peers.UDPPeer
	sequences expect.Sequences
	types     []string
}

func (s *goflow2Session) Wait(records int) error {
	if err := s.Drain(); err != nil {
		return err
	}
	return peers.WaitLines(s.Process, records)
}

func (s *goflow2Session) Stop() error { return s.End(syscall.SIGTERM) }

func (s *goflow2Session) Flows() ([]expect.Flow, error) {
	b, err := os.ReadFile(s.OutFile)
	if err != nil {
		return nil, err
	}
	var flows []expect.Flow
	for line := range bytes.Lines(b) {
		var l struct {
			Type        string     `json:"type"`
			Sequence    uint32     `json:"sequence_num"`
			Domain      uint32     `json:"observation_domain_id"`
			Sampler     netip.Addr `json:"sampler_address"`
			Start       int64      `json:"time_flow_start_ns"`
			End         int64      `json:"time_flow_end_ns"`
			Bytes       uint64     `json:"bytes"`
			Packets     uint64     `json:"packets"`
			Source      netip.Addr `json:"src_addr"`
			Destination netip.Addr `json:"dst_addr"`
			SourcePort  uint16     `json:"src_port"`
			DestPort    uint16     `json:"dst_port"`
			Protocol    uint8      `json:"proto"`
			In          uint32     `json:"in_if"`
			Out         uint32     `json:"out_if"`
			Forwarding  uint8      `json:"forwarding_status"`
			Direction   uint8      `json:"direction"`
			Sampling    uint32     `json:"sampling"`
			Firewall    uint8      `json:"firewall"`
		}
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		if l.Type != "IPFIX" || l.Start%1e6 != 0 || l.End%1e6 != 0 {
			s.types = append(s.types, "not an IPFIX record with whole milliseconds: "+strconv.Quote(string(line)))
		}
		s.sequences.Add(l.Domain, l.Sequence, 1)
		flows = append(flows, expect.Flow{
			Domain: l.Domain, Source: l.Source, Destination: l.Destination, SourcePort: l.SourcePort, DestinationPort: l.DestPort,
			Protocol: l.Protocol, Packets: l.Packets, Bytes: l.Bytes, Start: l.Start / 1e6, End: l.End / 1e6,
			Ingress: l.In, Egress: l.Out, Direction: l.Direction, Sampling: l.Sampling,
			ForwardingStatus: l.Forwarding, FirewallEvent: l.Firewall, Records: 1,
		})
	}
	return flows, nil
}

func (s *goflow2Session) Problems() []string {
	problems := append(s.Losses(), s.sequences.Problems()...)
	problems = append(problems, s.types...)
	return append(problems, s.Complaints(func(line string) bool { return strings.Contains(line, "level=INFO") })...)
}
