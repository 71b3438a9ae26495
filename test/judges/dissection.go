package judges

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// dissection is what tshark says of the messages in a capture or an IPFIX file,
// and what is wrong with them.
type dissection struct {
	templates  map[int][]templateField // what templates should say, by ID
	repeats    bool                    // templates may be repeated
	begin, end time.Time               // when the messages were sent

	messages, octets uint64
	flows            []expect.Flow
	problems         []string
	next             map[uint32]uint32       // domain: sequence number
	known            map[uint32]map[int]bool // domain, template ID
}

// sent returns how many messages there were, and how long they are together.
func (d *dissection) sent() (messages, octets uint64) { return d.messages, d.octets }

// node is an object of tshark's JSON: of other ones and of texts.
type node map[string]any

// text returns a value, "" if there is none.
func (n node) text(name string) string {
	s, _ := n[name].(string)
	return s
}

// child returns an object of a name, or with a name that begins so; nil if there
// is none.
func (n node) child(name string) node {
	c, _ := n[name].(map[string]any)
	return c
}

// read lets tshark dissect and reads what it says, packet by packet.
func (d *dissection) read(args ...string) error {
	d.next, d.known = map[uint32]uint32{}, map[uint32]map[int]bool{}
	cmd, err := peers.Command("tshark", append(args, "-n", "-T", "json", "--no-duplicate-keys")...)
	if err != nil {
		return err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = d.packets(json.NewDecoder(out))
	_, _ = io.Copy(io.Discard, out) // tshark does not end before all is read
	if waitErr := cmd.Wait(); err == nil && waitErr != nil {
		err = waitErr
	}
	if err != nil {
		return fmt.Errorf("tshark: %w: %s", err, stderr.String())
	}
	return nil
}

func (d *dissection) packets(in *json.Decoder) error {
	if _, err := in.Token(); err != nil {
		return err
	}
	for in.More() {
		var p struct {
			Source struct {
				Layers node `json:"layers"`
			} `json:"_source"`
		}
		if err := in.Decode(&p); err != nil {
			return err
		}
		layers := p.Source.Layers
		where := "frame " + layers.child("frame").text("frame.number")
		d.complaints(where, layers)
		messages, _ := layers["cflow"].([]any)
		if one := layers.child("cflow"); one != nil {
			messages = []any{map[string]any(one)}
		}
		if udp := layers.child("udp"); udp != nil {
			v := peers.Values{}
			payload := v.Number(udp.text("udp.length"), 16) - 8
			if len(messages) != 1 || layers.child("cflow").text("cflow.len") != fmt.Sprint(payload) {
				d.problem("%s: want one message in a datagram of %d octets, got %d", where, payload, len(messages))
			}
		}
		for _, m := range messages {
			message, _ := m.(map[string]any)
			if err := d.message(where, message); err != nil {
				return fmt.Errorf("%s: %w", where, err)
			}
		}
	}
	_, err := in.Token()
	return err
}

func (d *dissection) problem(format string, args ...any) {
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}

// receiverIsSlow is what tshark says when TCP holds the sender up because the reader
// does not read: no fault of what is sent.
var receiverIsSlow = map[string]bool{
	"TCP window specified by the receiver is now completely full": true,
	"TCP Zero Window segment":                                     true,
}

// complaints looks for what tshark itself finds wrong.
func (d *dissection) complaints(where string, n node) {
	const warning = 0x600000 // of severities; 0x800000 is an error
	for name, value := range n {
		children, _ := value.([]any)
		if child := n.child(name); child != nil {
			children = []any{map[string]any(child)}
		}
		for _, c := range children {
			child, _ := c.(map[string]any)
			d.complaints(where, child)
		}
		switch {
		case strings.HasPrefix(name, "_ws.malformed"):
			d.problem("%s: malformed: %v", where, value)
		case name == "_ws.expert.severity":
			v := peers.Values{}
			message := n.text("_ws.expert.message")
			if (v.Number(n.text(name), 32) >= warning || v.Err != nil) && !receiverIsSlow[message] {
				d.problem("%s: %s", where, message)
			}
		case name == "cflow.padding":
			d.problem("%s: padding %v", where, value)
		}
	}
}

// message checks one message and takes its flows.
func (d *dissection) message(where string, m node) error {
	v := peers.Values{}
	length, sequence := v.Number(m.text("cflow.len"), 16), uint32(v.Number(m.text("cflow.sequence"), 32))
	domain := uint32(v.Number(m.text("cflow.od_id"), 32))
	exported := int64(v.Number(m.child("cflow.timestamp_tree").text("cflow.exporttime"), 32))
	if v.Err != nil {
		return v.Err
	}
	d.messages++
	d.octets += length
	if m.text("cflow.version") != "10" {
		d.problem("%s: version %s", where, m.text("cflow.version"))
	}
	if length > maxMessageBytes {
		d.problem("%s: a message of %d octets", where, length)
	}
	if exported < d.begin.Unix() || exported > d.end.Unix() {
		d.problem("%s: exported at %v, want %v to %v", where, time.Unix(exported, 0).UTC(), d.begin.UTC(), d.end.UTC())
	}
	if want := d.next[domain]; sequence != want {
		d.problem("%s: domain %d: sequence number %d, want %d", where, domain, sequence, want)
		d.next[domain] = sequence
	}
	records := 0
	octets := uint64(16) // of the header
	for k := 1; ; k++ {
		set := m.numbered(fmt.Sprintf("Set %d ", k))
		if set == nil {
			break
		}
		octets += v.Number(set.text("cflow.flowset_length"), 16)
		n, err := d.set(where, domain, set)
		if err != nil {
			return fmt.Errorf("set %d: %w", k, err)
		}
		records += n
	}
	if octets != length {
		d.problem("%s: the sets of a message of %d octets have %d", where, length, octets)
	}
	if records > maxMessageRecords {
		d.problem("%s: %d records in a message", where, records)
	}
	d.next[domain] += uint32(records)
	return v.Err
}

// numbered returns the child whose name begins so.
func (n node) numbered(prefix string) node {
	for name := range n {
		if strings.HasPrefix(name, prefix) {
			return n.child(name)
		}
	}
	return nil
}

// set returns how many data records there are in a set.
func (d *dissection) set(where string, domain uint32, set node) (int, error) {
	id := set.text("cflow.flowset_id")
	if id == "2" {
		for name := range set {
			if strings.HasPrefix(name, "Template ") {
				if err := d.template(where, domain, set.child(name)); err != nil {
					return 0, err
				}
			}
		}
		return 0, nil
	}
	v := peers.Values{}
	template := int(v.Number(id, 16))
	if !d.known[domain][template] {
		d.problem("%s: domain %d: data before their template %d", where, domain, template)
	}
	for k := 1; ; k++ {
		n := set.child(fmt.Sprintf("Flow %d", k))
		if n == nil {
			return k - 1, v.Err
		}
		if len(n) != len(d.templates[template]) {
			d.problem("%s: a record of template %d shows %d values", where, template, len(n))
		}
		d.flows = append(d.flows, dissected(&v, n, domain))
	}
}

// dissected reads a data record.
func dissected(v *peers.Values, n node, domain uint32) expect.Flow {
	const layout = "Jan _2, 2006 15:04:05.000000000 MST"
	addresses := [2]string{n.text("cflow.srcaddr"), n.text("cflow.dstaddr")}
	if addresses[0] == "" {
		addresses = [2]string{n.text("cflow.srcaddrv6"), n.text("cflow.dstaddrv6")}
	}
	times, forwarding := n.child("cflow.timedelta_tree"), n.child("Forwarding Status")
	status := v.Number(forwarding.text("cflow.forwarding_status"), 2) << 6
	for name := range forwarding {
		if strings.HasPrefix(name, "cflow.forwarding_status_") { // the reason; its name depends on the status
			status |= v.Number(forwarding.text(name), 6)
		}
	}
	return expect.Flow{
		Domain: domain, Source: v.Addr(addresses[0]), Destination: v.Addr(addresses[1]),
		SourcePort: uint16(v.Number(n.text("cflow.srcport"), 16)), DestinationPort: uint16(v.Number(n.text("cflow.dstport"), 16)),
		Protocol: uint8(v.Number(n.text("cflow.protocol"), 8)),
		Packets:  v.Number(n.text("cflow.packets"), 64), Bytes: v.Number(n.text("cflow.octets"), 64),
		Start: v.Time(layout, times.text("cflow.abstimestart")), End: v.Time(layout, times.text("cflow.abstimeend")),
		Ingress: uint32(v.Number(n.text("cflow.inputint"), 32)), Egress: uint32(v.Number(n.text("cflow.outputint"), 32)),
		Direction: uint8(v.Number(n.text("cflow.direction"), 8)), Sampling: uint32(v.Number(n.text("cflow.sampling_interval"), 32)),
		ForwardingStatus: uint8(status), FirewallEvent: uint8(v.Number(n.text("cflow.firewall_event"), 8)), Records: 1,
	}
}

// template checks a template record.
func (d *dissection) template(where string, domain uint32, t node) error {
	v := peers.Values{}
	id := int(v.Number(t.text("cflow.template_id"), 16))
	var fields []templateField
	for k := 1; ; k++ {
		field := t.numbered(fmt.Sprintf("Field (%d/", k))
		if field == nil {
			break
		}
		if field.text("cflow.template_ipfix_pen_provided") != "0" {
			d.problem("%s: template %d has an enterprise's element", where, id)
		}
		fields = append(fields, templateField{
			int(v.Number(field.text("cflow.template_ipfix_field_type"), 16)), int(v.Number(field.text("cflow.template_field_length"), 16)),
		})
	}
	if want := d.templates[id]; !slices.Equal(fields, want) || want == nil {
		d.problem("%s: template %d is %v, want %v", where, id, fields, want)
	}
	if d.known[domain] == nil {
		d.known[domain] = map[int]bool{}
	}
	if d.known[domain][id] && !d.repeats {
		d.problem("%s: domain %d: template %d is repeated", where, domain, id)
	}
	d.known[domain][id] = true
	return v.Err
}
