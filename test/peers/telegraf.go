package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"flow2ipfix/test/expect"
)

// Telegraf is InfluxData's agent with its netflow input, which makes a metric of
// each record. It has no observation domain and no sequence number.
type Telegraf struct{}

// Name is the program's.
func (Telegraf) Name() string { return "telegraf" }

// Version is of the Go module.
func (Telegraf) Version() (string, error) { return ModuleVersion("telegraf") }

// Shows returns the fields that it shows.
func (Telegraf) Shows() expect.Fields { return expect.ShowsAll &^ expect.ShowsDomain }

// Merges reports that it keeps records apart.
func (Telegraf) Merges() bool { return false }

// Start starts it on a free port.
func (Telegraf) Start(dir string) (Session, error) { return StartTelegraf(dir, "ipfix", "") }

// It writes what it has every 100 ms. The last two lines of the agent say what
// is the default today and keep it from warning that this will change.
const telegrafConfig = `[agent]
  interval = "1s"
  flush_interval = "100ms"
  flush_jitter = "0s"
  metric_batch_size = 10000
  metric_buffer_limit = 1000000
  omit_hostname = true
  skip_processors_after_aggregators = true
[[inputs.netflow]]
  service_address = "udp4://127.0.0.1:%d"
  read_buffer_size = "8MiB"
  protocol = %q
%s[[outputs.file]]
  files = [%q]
  data_format = "json"
  json_timestamp_units = "1ms"
`

// TelegrafSession is a running Telegraf.
type TelegrafSession struct {
	*UDPPeer
	file string
}

// StartTelegraf starts Telegraf on a free port, for a protocol as it calls it:
// ipfix, "netflow v9", "netflow v5". If elements is not empty, it is a table of
// enterprise elements (a PEN file).
func StartTelegraf(dir, protocol, elements string) (*TelegrafSession, error) {
	s := &TelegrafSession{file: filepath.Join(dir, "metrics.json")}
	config, files := filepath.Join(dir, "telegraf.conf"), ""
	if elements != "" {
		table := filepath.Join(dir, "pen.csv")
		if err := os.WriteFile(table, []byte(elements), 0o644); err != nil {
			return nil, err
		}
		files = fmt.Sprintf("  private_enterprise_number_files = [%q]\n", table)
	}
	var err error
	s.UDPPeer, err = StartUDP(dir, "telegraf", func(port int) ([]string, error) {
		text := fmt.Sprintf(telegrafConfig, port, protocol, files, s.file)
		return []string{"--config", config, "--strict-env-handling"}, os.WriteFile(config, []byte(text), 0o644)
	})
	return s, err
}

// TelegrafMetric is a metric: of a flow record ("netflow") or an options data
// record ("netflow_options").
type TelegrafMetric struct {
	Name   string         `json:"name"`
	Tags   map[string]any `json:"tags"`
	Fields map[string]any `json:"fields"` // numbers are json.Number
	Time   int64          `json:"timestamp"`
}

// Text returns a field as text; "" if there is none.
func (m *TelegrafMetric) Text(field string) string {
	v, ok := m.Fields[field]
	if !ok {
		return ""
	}
	return fmt.Sprint(v)
}

// Metrics returns what was written, without a line in the making.
func (s *TelegrafSession) Metrics() ([]TelegrafMetric, error) {
	b, err := os.ReadFile(s.file)
	if err != nil {
		return nil, err
	}
	var all []TelegrafMetric
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var m TelegrafMetric
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		all = append(all, m)
	}
	return all, nil
}

// Wait implements Session.
func (s *TelegrafSession) Wait(records int) error {
	if err := s.Drain(); err != nil {
		return err
	}
	return AwaitAll("telegraf writes", func() (bool, error) {
		if err := s.Alive(); err != nil {
			return false, err
		}
		b, err := os.ReadFile(s.file)
		return bytes.Count(b, []byte(`"name":"netflow"`)) >= records, err
	})
}

// Stop implements Session.
func (s *TelegrafSession) Stop() error { return s.End(syscall.SIGTERM) }

// Flows implements Session.
func (s *TelegrafSession) Flows() ([]expect.Flow, error) {
	metrics, err := s.Metrics()
	if err != nil {
		return nil, err
	}
	var flows []expect.Flow
	for i := range metrics {
		m := &metrics[i]
		v := Values{}
		f := expect.Flow{
			Source: v.Addr(m.Text("src")), Destination: v.Addr(m.Text("dst")),
			SourcePort: uint16(v.Number(m.Text("src_port"), 16)), DestinationPort: uint16(v.Number(m.Text("dst_port"), 16)),
			Protocol: TelegrafCode(&v, m, "protocol"), Packets: v.Number(m.Text("in_packets"), 64), Bytes: v.Number(m.Text("in_bytes"), 64),
			Start: int64(v.Number(m.Text("flow_start_ms"), 63)), End: int64(v.Number(m.Text("flow_end_ms"), 63)),
			Ingress: uint32(v.Number(m.Text("in_snmp"), 32)), Egress: uint32(v.Number(m.Text("out_snmp"), 32)),
			Direction: TelegrafCode(&v, m, "direction"), Sampling: uint32(v.Number(m.Text("sampling_interval"), 32)),
			ForwardingStatus: TelegrafCode(&v, m, "fwd_status"), FirewallEvent: TelegrafCode(&v, m, "fw_event"), Records: 1,
		}
		if m.Name != "netflow" || m.Tags["version"] != "IPFIX" {
			v.Fail(fmt.Errorf("%s of %v", m.Name, m.Tags["version"]))
		}
		if v.Err != nil {
			return nil, fmt.Errorf("metric %v: %w", m, v.Err)
		}
		flows = append(flows, f)
	}
	return flows, nil
}

// telegrafWords are what it has in place of numbers.
var telegrafWords = map[string]map[string]uint8{
	"protocol":         {"icmp": 1, "tcp": 6, "udp": 17, "ipv6-icmp": 58, "reserved": 255},
	"direction":        {"ingress": 0, "egress": 1},
	"fw_event":         {"flow created": 1, "flow deleted": 2, "flow denied": 3, "flow update": 5},
	"fwd_status":       {"forwarded unknown": 64, "dropped unknown": 128, "dropped ACL deny": 129},
	"flow_end_reason":  {"reserved": 0, "active timeout": 2, "end of flow": 3},
	"ip_version":       {"IPv4": 4, "IPv6": 6},
	"biflow_direction": {"initiator": 1},
	"sampling_algo":    {"deterministic": 1},
}

// TelegrafCode returns the number that a field has a word for.
func TelegrafCode(v *Values, m *TelegrafMetric, field string) uint8 {
	word := m.Text(field)
	if field == "fwd_status" {
		word += " " + m.Text("fwd_reason")
	}
	n, ok := telegrafWords[field][word]
	if !ok { // what it has no word for
		n = uint8(v.Number(word, 8))
	}
	return n
}

// Problems implements Session. That it writes more slowly than it wants to is none:
// it says so when it does not get the processor for 100 ms.
func (s *TelegrafSession) Problems() []string {
	return append(s.Losses(), s.Complaints(func(line string) bool {
		return strings.Contains(line, " I! ") || strings.HasSuffix(line, "did not complete within its flush interval")
	})...)
}
