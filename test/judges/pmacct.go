package judges

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// nfacctd is pmacct's collector, with its print plugin. It shows every field:
// what it does not know comes through custom primitives. It aggregates, here by
// everything but the counters, so only records with equal times merge.
type nfacctd struct{}

func (nfacctd) Name() string { return "nfacctd" }

func (nfacctd) Version() (string, error) {
	out, err := peers.Output("nfacctd", "-V")
	line, _, _ := strings.Cut(string(out), "\n")
	if line != "" {
		return line, nil
	}
	return line, err
}

func (nfacctd) Shows() expect.Fields { return expect.ShowsAll }

func (nfacctd) Merges() bool { return true }

// With plugin_buffer_size the last records would stay in a buffer between
// nfacctd and its plugin until it ends.
const nfacctdConfig = `daemonize: false
nfacctd_ip: 127.0.0.1
nfacctd_port: %d
nfacctd_pipe_size: 8000000
plugins: print
print_output: json
print_output_file: %s
print_output_file_append: true
print_refresh_time: 1
timestamps_since_epoch: true
aggregate_primitives: %s
aggregate: src_host,dst_host,src_port,dst_port,proto,in_iface,out_iface,timestamp_start,timestamp_end,` +
	`export_proto_version,export_proto_sysid,export_proto_seqno,flows,firewall,forwarding,direction,sampling
`

const nfacctdPrimitives = `name=firewall field_type=233 len=1 semantics=u_int
name=forwarding field_type=89 len=1 semantics=u_int
name=direction field_type=61 len=1 semantics=u_int
name=sampling field_type=34 len=4 semantics=u_int
`

func (nfacctd) Start(dir string) (peers.Session, error) {
	s := &nfacctdSession{file: filepath.Join(dir, "flows.json"), sequences: expect.Sequences{}}
	primitives, config := filepath.Join(dir, "primitives.lst"), filepath.Join(dir, "nfacctd.conf")
	if err := os.WriteFile(primitives, []byte(nfacctdPrimitives), 0o644); err != nil {
		return nil, err
	}
	var err error
	s.UDPPeer, err = peers.StartUDP(dir, "nfacctd", func(port int) ([]string, error) {
		text := fmt.Sprintf(nfacctdConfig, port, s.file, primitives)
		return []string{"-f", config}, os.WriteFile(config, []byte(text), 0o644)
	})
	if err != nil {
		return nil, err
	}
	// The port is bound before the plugin is ready. A record that comes in
	// between lies where it is until the next one comes.
	err = peers.Await("nfacctd's plugin is ready", func() (bool, error) {
		return strings.Contains(s.Log(), "Purging cache - END"), s.Alive()
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

type nfacctdSession struct {
	*peers.UDPPeer
	file      string
	sequences expect.Sequences
	versions  []string
}

// Wait implements Session. The plugin writes what it has once a second.
func (s *nfacctdSession) Wait(records int) error {
	if err := s.Drain(); err != nil {
		return err
	}
	return peers.AwaitAll("nfacctd prints", func() (bool, error) {
		if err := s.Alive(); err != nil {
			return false, err
		}
		var n uint64
		err := s.each(func(l *nfacctdLine) error { n += l.Flows; return nil })
		return n >= uint64(records), err
	})
}

func (s *nfacctdSession) Stop() error { return s.End(syscall.SIGINT) }

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
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was printed yet
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil // the end, or a line in the making
		}
		var l nfacctdLine
		if err := json.Unmarshal(line, &l); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
		if err := emit(&l); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
	}
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
	problems := append(s.Losses(), s.sequences.Problems()...)
	problems = append(problems, s.versions...)
	for line := range strings.Lines(s.Log()) {
		if !strings.HasPrefix(line, "INFO ") && strings.TrimSpace(line) != "" {
			problems = append(problems, strings.TrimSpace(line))
		}
	}
	return problems
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
