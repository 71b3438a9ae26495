package judges

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// nfacctd is pmacct's collector, with its print plugin. It shows every field:
// what it does not know comes through custom primitives. It aggregates, here by
// everything but the counters, so only records with equal times merge.
type nfacctd struct{}

func (nfacctd) Name() string { return "nfacctd" }

func (nfacctd) Version() (string, error) { return peers.NfacctdVersion() }

func (nfacctd) Shows() expect.Fields { return expect.ShowsAll }

func (nfacctd) Merges() bool { return true }

var nfacctdAggregate = []string{
	"src_host", "dst_host", "src_port", "dst_port", "proto", "in_iface", "out_iface", "timestamp_start", "timestamp_end",
	"export_proto_version", "export_proto_sysid", "export_proto_seqno", "flows", "firewall", "forwarding", "direction", "sampling",
}

const nfacctdPrimitives = `name=firewall field_type=233 len=1 semantics=u_int
name=forwarding field_type=89 len=1 semantics=u_int
name=direction field_type=61 len=1 semantics=u_int
name=sampling field_type=34 len=4 semantics=u_int
`

func (nfacctd) Start(dir string) (peers.Session, error) {
	p, err := peers.StartNfacctd(dir, &peers.NfacctdConfig{Aggregate: nfacctdAggregate, Primitives: nfacctdPrimitives})
	return &nfacctdSession{NfacctdPeer: p, sequences: expect.Sequences{}}, err
}

type nfacctdSession struct {
	*peers.NfacctdPeer
	sequences expect.Sequences
	versions  []string
}

// Wait implements Session.
func (s *nfacctdSession) Wait(records int) error {
	return s.WaitFlows(func() (int, error) {
		var n uint64
		err := s.each(func(l *nfacctdLine) error { n += l.Flows; return nil })
		return int(n), err
	}, records)
}

type nfacctdLine struct {
	Source          netip.Addr `json:"ip_src"`
	Destination     netip.Addr `json:"ip_dst"`
	SourcePort      uint16     `json:"port_src"`
	DestinationPort uint16     `json:"port_dst"`
	Protocol        string     `json:"ip_proto"`
	In              uint32     `json:"iface_in"`
	Out             uint32     `json:"iface_out"`
	Start           string     `json:"timestamp_start"`
	End             string     `json:"timestamp_end"`
	Version         int        `json:"export_proto_version"`
	Domain          uint32     `json:"export_proto_sysid"`
	Sequence        uint32     `json:"export_proto_seqno"`
	Firewall        uint8      `json:"firewall,string"`
	Forwarding      uint8      `json:"forwarding,string"`
	Direction       uint8      `json:"direction,string"`
	Sampling        uint32     `json:"sampling,string"`
	Flows           uint64     `json:"flows"`
	Packets         uint64     `json:"packets"`
	Bytes           uint64     `json:"bytes"`
}

// each reads the whole lines of the file.
func (s *nfacctdSession) each(emit func(*nfacctdLine) error) error {
	return s.Lines(func(line []byte) error {
		var l nfacctdLine
		if err := json.Unmarshal(line, &l); err != nil {
			return err
		}
		return emit(&l)
	})
}

func (s *nfacctdSession) Flows() ([]expect.Flow, error) {
	var flows []expect.Flow
	err := s.each(func(l *nfacctdLine) error {
		s.sequences.Add(l.Domain, l.Sequence, l.Flows)
		if l.Version != 10 {
			s.versions = append(s.versions, fmt.Sprintf("a record came in version %d", l.Version))
		}
		v := peers.Values{}
		flows = append(flows, expect.Flow{
			Domain: l.Domain, Source: l.Source, Destination: l.Destination, SourcePort: l.SourcePort, DestinationPort: l.DestinationPort,
			Protocol: protocolNumber(&v, l.Protocol), Packets: l.Packets, Bytes: l.Bytes,
			Start: microseconds(&v, l.Start), End: microseconds(&v, l.End), Ingress: l.In, Egress: l.Out,
			Direction: l.Direction, Sampling: l.Sampling, ForwardingStatus: l.Forwarding, FirewallEvent: l.Firewall, Records: l.Flows,
		})
		return v.Err
	})
	return flows, err
}

func (s *nfacctdSession) Problems() []string {
	return slices.Concat(s.NfacctdPeer.Problems(), s.sequences.Problems(), s.versions)
}

// protocolNumber reads a protocol's number, or its name in /etc/protocols.
func protocolNumber(v *peers.Values, s string) uint8 {
	if n, ok := map[string]uint8{"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58}[s]; ok {
		return n
	}
	return uint8(v.Number(s, 8))
}

// microseconds reads a time like "1795168808.103000" and returns milliseconds.
func microseconds(v *peers.Values, s string) int64 {
	seconds, fraction, _ := strings.Cut(s, ".")
	milliseconds, ok := strings.CutSuffix(fraction, "000")
	if !ok || len(milliseconds) != 3 {
		v.Fail(fmt.Errorf("time %q is not in whole milliseconds", s))
	}
	return int64(v.Number(seconds, 63))*1000 + int64(v.Number(milliseconds, 63))
}
