package judges

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// ownCollect is no judge in its own right but flow2ipfix collect, which reads
// the IPFIX file that replay writes: that the two agree is worth knowing.
type ownCollect struct{}

func (ownCollect) Name() string { return "flow2ipfix-collect-file" }

func (ownCollect) Version() (string, error) { return "flow2ipfix itself", nil }

func (ownCollect) Shows() expect.Fields { return expect.ShowsAll }

func (ownCollect) Merges() bool { return false }

func (ownCollect) Start(dir string) (peers.Session, error) {
	return &ownCollectSession{file: filepath.Join(dir, "flows.ipfix"), sequences: expect.Sequences{}}, nil
}

type ownCollectSession struct {
	file      string
	sequences expect.Sequences
	words     []string
}

func (s *ownCollectSession) URL() string { return "file:" + s.file }

func (*ownCollectSession) Wait(int) error { return nil }

func (*ownCollectSession) Stop() error { return nil }

func (s *ownCollectSession) Flows() ([]expect.Flow, error) {
	r := peers.Run("collect", "--listen", "file:"+s.file, "--format", "json")
	if r.Code != 0 {
		return nil, fmt.Errorf("collect ended with %d: %s", r.Code, r.Stderr)
	}
	// What is wrong stands behind the counts.
	if strings.Contains(r.Stderr, "warning") || strings.Count(r.Stderr, "\n") != 2 {
		s.words = append(s.words, r.Stderr)
	}
	var flows []expect.Flow
	for line := range bytes.Lines(r.Stdout) {
		var l struct {
			Protocol string `json:"protocol"`
			Domain   uint32 `json:"domain"`
			Sequence uint32 `json:"sequence"`
			Fields   struct {
				Source4      netip.Addr `json:"sourceIPv4Address"`
				Destination4 netip.Addr `json:"destinationIPv4Address"`
				Source6      netip.Addr `json:"sourceIPv6Address"`
				Destination6 netip.Addr `json:"destinationIPv6Address"`
				SourcePort   uint16     `json:"sourceTransportPort"`
				DestPort     uint16     `json:"destinationTransportPort"`
				Protocol     uint8      `json:"protocolIdentifier"`
				Octets       uint64     `json:"octetDeltaCount"`
				Packets      uint64     `json:"packetDeltaCount"`
				Start        time.Time  `json:"flowStartMilliseconds"`
				End          time.Time  `json:"flowEndMilliseconds"`
				Ingress      uint32     `json:"ingressInterface"`
				Egress       uint32     `json:"egressInterface"`
				Direction    uint8      `json:"flowDirection"`
				Sampling     uint32     `json:"samplingInterval"`
				Forwarding   uint8      `json:"forwardingStatus"`
				Firewall     uint8      `json:"firewallEvent"`
			} `json:"fields"`
		}
		d := json.NewDecoder(bytes.NewReader(line))
		if err := d.Decode(&l); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		if l.Protocol != "ipfix" {
			s.words = append(s.words, "protocol "+l.Protocol)
		}
		s.sequences.Add(l.Domain, l.Sequence, 1)
		v := &l.Fields
		f := expect.Flow{
			Domain: l.Domain, Source: v.Source4, Destination: v.Destination4, SourcePort: v.SourcePort, DestinationPort: v.DestPort,
			Protocol: v.Protocol, Packets: v.Packets, Bytes: v.Octets, Start: v.Start.UnixMilli(), End: v.End.UnixMilli(),
			Ingress: v.Ingress, Egress: v.Egress, Direction: v.Direction, Sampling: v.Sampling,
			ForwardingStatus: v.Forwarding, FirewallEvent: v.Firewall, Records: 1,
		}
		if v.Source6.IsValid() {
			f.Source, f.Destination = v.Source6, v.Destination6
		}
		flows = append(flows, f)
	}
	return flows, nil
}

func (s *ownCollectSession) Problems() []string {
	if _, err := os.Stat(s.file); err != nil {
		return append(s.words, err.Error())
	}
	return append(s.words, s.sequences.Problems()...)
}
