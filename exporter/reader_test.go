package exporter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"

	"flow2ipfix/templates"
)

// reader is a collector of any protocol, by goflow2's decoders. It wants templates
// before records, and sequence numbers without a gap.
type reader struct {
	t      *testing.T
	set    *templates.Set
	system netflow.NetFlowTemplateSystem
	next   map[uint32]uint32 // the sequence number that is due, by domain

	records    int             // of flows, in all
	options    int             // options data records, in all
	interfaces map[uint32]int  // how often each was named
	lengths    map[int]int     // of messages
	flows      map[uint64]bool // by their octets
}

func newReader(t *testing.T, set *templates.Set) *reader {
	return &reader{
		t: t, set: set, system: netflow.CreateTemplateSystem(), next: make(map[uint32]uint32),
		interfaces: make(map[uint32]int), lengths: make(map[int]int), flows: make(map[uint64]bool),
	}
}

// session is what a new transport session is to a collector.
func (c *reader) session() {
	c.system, c.next = netflow.CreateTemplateSystem(), make(map[uint32]uint32)
}

// read returns what is in a message: domain, sequence number, and records by their
// templates' names.
func (c *reader) read(b []byte) string {
	c.t.Helper()
	c.lengths[len(b)]++
	if binary.BigEndian.Uint16(b) == 5 {
		return c.netflow5(b)
	}
	var v9 netflow.NFv9Packet
	var ipfix netflow.IPFIXPacket
	if err := netflow.DecodeMessageVersion(bytes.NewBuffer(b), c.system, &v9, &ipfix); err != nil {
		c.t.Fatalf("%v: % x", err, b)
	}
	domain, sequence, sets := v9.SourceId, v9.SequenceNumber, v9.FlowSets
	if v9.Version == 0 {
		domain, sequence, sets = ipfix.ObservationDomainId, ipfix.SequenceNumber, ipfix.FlowSets
	}
	var text []string
	announced, records, options := 0, 0, 0
	for _, s := range sets {
		switch s := s.(type) {
		case netflow.TemplateFlowSet:
			announced += len(s.Records)
			text = append(text, fmt.Sprintf("%d templates", len(s.Records)))
		case netflow.NFv9OptionsTemplateFlowSet:
			announced += len(s.Records)
			text = append(text, "options template")
		case netflow.IPFIXOptionsTemplateFlowSet:
			announced += len(s.Records)
			text = append(text, "options template")
		case netflow.OptionsDataFlowSet:
			options += len(s.Records)
			text = c.optionsData(text, s)
		case netflow.DataFlowSet:
			records += len(s.Records)
			for _, r := range s.Records {
				c.flows[number(r.Values, 1)] = true
			}
			text = append(text, fmt.Sprintf("%d flows", len(s.Records)))
		default:
			c.t.Errorf("records without a template: %T", s)
		}
	}
	c.records += records
	c.options += options
	if due := c.next[domain]; sequence != due {
		c.t.Errorf("domain %d: sequence number %d, due is %d", domain, sequence, due)
	}
	c.next[domain] = sequence + uint32(records+options)
	if v9.Version != 0 {
		c.next[domain] = sequence + 1
		if n := announced + records + options; int(v9.Count) != n {
			c.t.Errorf("the header counts %d records, there are %d", v9.Count, n)
		}
	}
	return fmt.Sprintf("domain %d seq %d: %s", domain, sequence, strings.Join(text, ", "))
}

// optionsData appends what is in a set of options data records; interfaces, by
// their indexes, are named in one word.
func (c *reader) optionsData(text []string, s netflow.OptionsDataFlowSet) []string {
	if len(s.Records) != 1 {
		c.t.Errorf("%d options data records in a set, of which nfdump may see one", len(s.Records))
	}
	for _, t := range c.set.Options {
		if t.ID != s.Id {
			continue
		}
		if t.Kind != templates.OptionsInterfaces {
			return append(text, fmt.Sprintf("%d %s", len(s.Records), t.Name))
		}
		for _, r := range s.Records {
			index := uint32(0)
			name := ""
			for _, v := range append(r.ScopesValues, r.OptionsValues...) {
				b := v.Value.([]byte)
				switch {
				case v.Type == 82:
					name = string(bytes.TrimRight(b, "\x00"))
				case v.Type == 10 || v.Type == 2 && index == 0: // as a field, or a scope
					index = binary.BigEndian.Uint32(b)
				}
			}
			if name != fmt.Sprintf("nic%d", index) {
				c.t.Errorf("interface %d is named %s", index, name)
			}
			c.interfaces[index]++
			if last := len(text) - 1; last >= 0 && strings.HasPrefix(text[last], "interfaces") {
				text[last] += fmt.Sprintf(" %d", index)
			} else {
				text = append(text, fmt.Sprintf("interfaces %d", index))
			}
		}
		return text
	}
	return append(text, fmt.Sprintf("options data of template %d", s.Id))
}

func (c *reader) netflow5(b []byte) string {
	var p netflowlegacy.PacketNetFlowV5
	if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(b), &p); err != nil {
		c.t.Fatal(err)
	}
	if len(b) != 24+48*int(p.Count) || p.Count > 30 {
		c.t.Errorf("netflow5: %d records in %d octets", p.Count, len(b))
	}
	engine := uint32(p.EngineType)<<8 | uint32(p.EngineId)
	if due := c.next[engine]; p.FlowSequence != due {
		c.t.Errorf("engine %d: sequence number %d, due is %d", engine, p.FlowSequence, due)
	}
	c.next[engine] = p.FlowSequence + uint32(p.Count)
	c.records += int(p.Count)
	for _, r := range p.Records {
		c.flows[uint64(r.DOctets)] = true
	}
	return fmt.Sprintf("engine %d seq %d: %d flows", engine, p.FlowSequence, p.Count)
}

func (c *reader) readAll(messages [][]byte) []string {
	c.t.Helper()
	var all []string
	for _, m := range messages {
		all = append(all, c.read(m))
	}
	return all
}

// number returns the number that an element of IANA has in a record.
func number(values []netflow.DataField, id uint16) uint64 {
	for _, v := range values {
		if v.Type != id || v.Pen != 0 {
			continue
		}
		var b [8]byte
		copy(b[8-len(v.Value.([]byte)):], v.Value.([]byte))
		return binary.BigEndian.Uint64(b[:])
	}
	return 0
}
