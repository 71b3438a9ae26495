package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"flow2ipfix/bridge"
	"flow2ipfix/exporter"
	"flow2ipfix/internal/collect"
	"flow2ipfix/templates"
)

// This file holds the collector of this process that gets the same messages as the
// one under test. What should be seen is what it has decoded.

// mirror is a collector of this process.
type mirror struct {
	collector *collect.Collector
	stop      context.CancelFunc
	done      chan error
	records   []*seenRecord // what came, in order; to be read after done
	options   []seenOptions
	err       error // of reading what came
}

type mirrors []*mirror

// openMirrors opens one for each dialect.
func openMirrors(ctx context.Context, dialects []*testDialect) (mirrors, error) {
	var all mirrors
	for _, d := range dialects {
		c, err := collect.Listen(ctx, "udp://127.0.0.1:0", collect.Options{EnterpriseNumber: enterpriseNumber(d.set)})
		if err != nil {
			all.stop()
			return nil, err
		}
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		m := &mirror{collector: c, stop: stop, done: make(chan error, 1)}
		go func() { m.done <- c.Run(running, collect.SinkFunc(m.write)) }()
		all = append(all, m)
	}
	return all, nil
}

// enterpriseNumber returns the number that our own elements stand under; 0 if there
// are none.
func enterpriseNumber(set *templates.Set) uint32 {
	for _, t := range set.Templates() {
		for _, f := range t.Fields() {
			if f.Enterprise != 0 && strings.HasPrefix(f.Name, "azure") {
				return f.Enterprise
			}
		}
	}
	return 0
}

// stop ends all that still run.
func (all mirrors) stop() {
	for _, m := range all {
		m.end()
	}
}

func (m *mirror) end() {
	m.stop()
	if m.done != nil {
		if err := <-m.done; err != nil && !errors.Is(err, context.Canceled) {
			m.err = errors.Join(m.err, err)
		}
		m.done = nil
	}
}

// exporter returns how a mirror is sent what a dialect's collectors are sent.
func (m *mirror) exporter(d *testDialect) exporter.Config {
	ec := d.exporter
	ec.URL, ec.LocalAddress, ec.TLS, ec.Rate = m.collector.URL(), "", exporter.TLS{}, 0
	ec.MaxMessageBytes = min(ec.MaxMessageBytes, maxDatagram)
	return ec
}

// maxDatagram is the largest message that a UDP datagram can carry.
const maxDatagram = 65507

// await returns when all that was sent has come, or will not.
func (m *mirror) await(ctx context.Context, lane *bridge.LaneSummary) {
	awaitRecords(ctx, m.collector, lane.Sent.Records)
	m.end()
	s := m.collector.Stats()
	if s.DataRecords < lane.Sent.Records || s.OptionRecords < lane.Sent.Options || s.DecodeErrors > 0 {
		m.err = errors.Join(m.err, withHint(
			fmt.Errorf("the collector of this process decoded %d of %d flow records, so that what should be seen is not known", s.DataRecords, lane.Sent.Records),
			"run it again on a quiet machine"))
	}
}

// seenRecord is a record of the set as a collector decodes it, or several that
// differ in nothing but their counters.
type seenRecord struct {
	Flow            string                     `json:"flow"`
	Source          netip.Addr                 `json:"source"`
	SourcePort      uint16                     `json:"source_port"`
	Destination     netip.Addr                 `json:"destination"`
	DestinationPort uint16                     `json:"destination_port"`
	Protocol        uint8                      `json:"protocol"`
	Packets         uint64                     `json:"packets"`
	Bytes           uint64                     `json:"bytes"`
	ReversePackets  *uint64                    `json:"reverse_packets,omitempty"`
	ReverseBytes    *uint64                    `json:"reverse_bytes,omitempty"`
	Ingress         uint32                     `json:"ingress_interface"`
	Egress          uint32                     `json:"egress_interface"`
	Direction       string                     `json:"direction"`
	Start           time.Time                  `json:"start"`
	End             time.Time                  `json:"end"`
	Domain          uint32                     `json:"observation_domain"`
	Template        uint16                     `json:"template"`
	Records         int                        `json:"records"`
	Shows           string                     `json:"shows"`
	Fields          map[string]json.RawMessage `json:"fields"` // of the first, as collect prints them

	back bool // of what came back
}

func (m *mirror) write(r *collect.Record) error {
	var line bytes.Buffer
	printer := collect.NewJSON(&line)
	if err := errors.Join(printer.Write(r), printer.Flush()); err != nil {
		return err
	}
	var decoded struct {
		Fields map[string]json.RawMessage `json:"fields"`
	}
	if err := json.Unmarshal(line.Bytes(), &decoded); err != nil {
		return fmt.Errorf("read what was decoded: %w", err)
	}
	if r.Options {
		m.options = append(m.options, newSeenOptions(r, decoded.Fields))
		return nil
	}
	protocol, _ := r.IPProtocol()
	s := &seenRecord{
		Source: r.SourceAddr(), SourcePort: r.SourcePort(), Destination: r.DestAddr(), DestinationPort: r.DestPort(), Protocol: protocol,
		Packets: r.Packets(), Bytes: r.Octets(), Ingress: r.IngressInterface(), Egress: r.EgressInterface(), Direction: r.Direction(),
		Start: r.Start(), End: r.End(), Domain: r.Domain, Template: r.TemplateID, Records: 1, Fields: decoded.Fields,
	}
	if packets, ok := r.ReversePackets(); ok {
		octets, _ := r.ReverseOctets()
		s.ReversePackets, s.ReverseBytes = &packets, &octets
	}
	for _, other := range m.records {
		if other.joins(s) {
			return nil
		}
	}
	m.records = append(m.records, s)
	return nil
}

// seenOptions is an options data record as a collector decodes it.
type seenOptions struct {
	Fields map[string]json.RawMessage `json:"fields"`

	text string // "scope value -> element value, element value"
}

func newSeenOptions(r *collect.Record, fields map[string]json.RawMessage) seenOptions {
	var b strings.Builder
	for i := range r.Fields {
		f := &r.Fields[i]
		switch {
		case i == 0:
		case !f.Scope && r.Fields[i-1].Scope:
			b.WriteString(" -> ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(f.Name + " " + plain(fields[f.Name]))
	}
	return seenOptions{fields, b.String()}
}

// plain writes a JSON value without quotes around it.
func plain(value json.RawMessage) string { return string(bytes.Trim(value, `"`)) }

// joins adds another record to this one, if it tells of the same flow and way.
func (s *seenRecord) joins(other *seenRecord) bool {
	same := s.Source == other.Source && s.SourcePort == other.SourcePort && s.Destination == other.Destination &&
		s.DestinationPort == other.DestinationPort && s.Protocol == other.Protocol
	if !same {
		return false
	}
	s.Records++
	s.Packets += other.Packets
	s.Bytes += other.Bytes
	return true
}

// seen returns what came, in the order of the set, and what it shows.
func (m *mirror) seen(flows []testFlow, d *testDialect) (*seenSet, error) {
	if m.err != nil {
		return nil, m.err
	}
	out := &seenSet{Options: m.options}
	for i := range flows {
		f := &flows[i]
		var found []*seenRecord
		for _, s := range m.records {
			forward, back := netip.AddrPortFrom(s.Source, s.SourcePort), netip.AddrPortFrom(s.Destination, s.DestinationPort)
			switch {
			case forward == f.source && back == f.destination:
				found = slices.Insert(found, 0, s)
			case forward == f.destination && back == f.source:
				s.back = true
				found = append(found, s)
			}
		}
		for _, s := range found {
			s.Flow, s.Shows = f.name, s.showing(f)
		}
		out.Records = append(out.Records, found...)
		if len(found) > 0 {
			continue
		}
		why := d.leftOut(f)
		if why == "" {
			return nil, fmt.Errorf("flow %s of the set was not among what was sent", f.name)
		}
		out.NotSent = append(out.NotSent, unsentFlow{f.name, why})
	}
	return out, nil
}

// leftOut says why a flow of the set is not sent.
func (d *testDialect) leftOut(f *testFlow) string {
	switch p := &d.policy; {
	case p.IPv4Only && f.source.Addr().Is6():
		return d.set.Protocol.String() + " carries no IPv6"
	case f.state == "B" && !p.ExportBegin:
		return "begin is skip in the configuration"
	case f.state == "D" && p.SkipDenied:
		return "denied is skip in the configuration"
	}
	return ""
}

// seenSet is what should be seen at a collector.
type seenSet struct {
	Records []*seenRecord `json:"records"`
	Options []seenOptions `json:"options"`
	NotSent []unsentFlow  `json:"not_sent"`
}

type unsentFlow struct {
	Flow string `json:"flow"`
	Why  string `json:"why"`
}

// told are the elements that a line of the table names, because no column does.
var told = []string{"forwardingStatus", "firewallEvent", "flowEndReason", "azureRule", "azureEncryption", "azureFlowState"}

// showing says what a record of a flow is there to show, and by which elements.
func (s *seenRecord) showing(f *testFlow) string {
	text := f.shows
	if s.back {
		text = "what came back"
	}
	sep := ": "
	for _, name := range told {
		if value, ok := s.Fields[name]; ok {
			text += sep + name + " " + plain(value)
			sep = ", "
		}
	}
	want := f.sent
	if s.back {
		want = f.received
	}
	switch {
	case s.Packets > want.packets:
		text += "; the packet is invented"
	case s.Bytes < want.octets || s.Packets < want.packets:
		text += "; the protocol carries no more"
	}
	if _, told := s.Fields["azureEncryption"]; f.encryption == "X" && !s.back && !told {
		text += "; only azureEncryption would say so"
	}
	if s.Records > 1 {
		text += fmt.Sprintf("; the sum of %d records", s.Records)
	}
	return text
}
