package expect

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Oracle says which flow records a collector should get from flow logs. It is
// written from the documents on the format and the mapping, with encoding/json
// and strings.Split, and shares nothing with the program. It reads valid flow
// logs only.
type Oracle struct {
	ExportBegin bool
	SkipDenied  bool
	DeniedOne   bool
	Biflow      bool // both ways of a flow in one record (RFC 5103)

	// Tuples counts all tuples that were read, Skipped those that became no
	// record, Records the flow records.
	LogRecords, Tuples, Skipped, Records uint64

	// Interfaces are indexes by MAC: 12 hexadecimal digits in upper case. Those
	// that are not in it get the next one when they first appear.
	Interfaces map[string]uint32

	seen map[flowKey]int64
}

// flowKey is what tells flows apart: their addresses, ports and protocol, the
// interface that logged them, and the target of the flow log, since two flow
// logs may report one flow, each with counters since its own last tuple.
type flowKey struct {
	conversation
	mac    string
	domain uint32
}

// longestGap is how long a flow may be silent, in milliseconds.
const longestGap = 3_600_000

// The information element values of the mapping.
const (
	Ingress = 0 // flowDirection
	Egress  = 1

	created, deleted, denied, update = 1, 2, 3, 5

	forwarded, droppedUnknown, droppedByACL = 64, 128, 129
)

type logFile struct {
	MACAddress     string `json:"macAddress"`
	Target         string `json:"targetResourceID"`
	Resource       string `json:"resourceId"`
	FlowLog        string `json:"flowLogResourceID"`
	VirtualNetwork struct {
		Flows []struct {
			ACL    string `json:"aclID"`
			Groups []struct {
				Rule   string   `json:"rule"`
				Tuples []string `json:"flowTuples"`
			} `json:"flowGroups"`
		} `json:"flows"`
	} `json:"flowRecords"`
	SecurityGroup struct {
		Flows []struct {
			Rule  string `json:"rule"`
			Flows []struct {
				MAC    string   `json:"mac"`
				Tuples []string `json:"flowTuples"`
			} `json:"flows"`
		} `json:"flows"`
	} `json:"properties"`
}

// ReadFiles reads flow logs, in the given order.
func (o *Oracle) ReadFiles(paths []string, emit func(Flow)) error {
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		err = o.Read(f, emit)
		f.Close() //nolint:errcheck // it was only read
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// Read reads one flow log and calls emit with what becomes of each tuple.
func (o *Oracle) Read(r io.Reader, emit func(Flow)) error {
	return o.ReadRecords(r, func(r *Record) { emit(r.Flow) })
}

// ReadRecords is Read with all that can be said of a flow record. What emit gets
// is its own until it returns.
func (o *Oracle) ReadRecords(r io.Reader, emit func(*Record)) error {
	d := json.NewDecoder(r)
	for _, want := range []json.Token{json.Delim('{'), "records", json.Delim('[')} {
		if got, err := d.Token(); err != nil || got != want {
			return fmt.Errorf("want %v, got %v, %w", want, got, err)
		}
	}
	for d.More() {
		var l logFile
		if err := d.Decode(&l); err != nil {
			return err
		}
		o.LogRecords++
		if err := o.record(&l, emit); err != nil {
			return err
		}
	}
	return nil
}

func (o *Oracle) record(l *logFile, emit func(*Record)) error {
	from := Origin{Target: l.Target, FlowLog: l.FlowLog}
	if from.Target == "" {
		from.Target = l.Resource
	}
	for _, flow := range l.VirtualNetwork.Flows {
		for _, group := range flow.Groups {
			from.MAC, from.ACL, from.Rule = plainMAC(l.MACAddress), flow.ACL, group.Rule
			for _, text := range group.Tuples {
				t, err := parseVNetTuple(text)
				if err != nil {
					return fmt.Errorf("tuple %q: %w", text, err)
				}
				o.tuple(&t, &from, emit)
			}
		}
	}
	for _, rule := range l.SecurityGroup.Flows {
		for _, flow := range rule.Flows {
			// The log is of a network security group, which is the list of rules too.
			from.MAC, from.ACL, from.Rule = plainMAC(flow.MAC), from.Target, rule.Rule
			if flow.MAC == "" {
				from.MAC = plainMAC(l.MACAddress)
			}
			for _, text := range flow.Tuples {
				t, err := parseNSGTuple(text)
				if err != nil {
					return fmt.Errorf("tuple %q: %w", text, err)
				}
				o.tuple(&t, &from, emit)
			}
		}
	}
	return nil
}

// plainMAC is a MAC as 12 hexadecimal digits.
func plainMAC(s string) string {
	return strings.ToUpper(strings.NewReplacer("-", "", ":", "", ".", "").Replace(s))
}

// domainOf is the observation domain, and the VRF id, of what a flow log is set on.
func domainOf(target string) uint32 {
	h := fnv.New32a()
	io.WriteString(h, strings.ToLower(target)) //nolint:errcheck // it cannot fail
	return h.Sum32()
}

// tuple converts one tuple to flow records.
func (o *Oracle) tuple(t *tuple, from *Origin, emit func(*Record)) {
	o.Tuples++
	if o.Interfaces == nil {
		o.Interfaces = map[string]uint32{}
	}
	if o.seen == nil {
		o.seen = map[flowKey]int64{}
	}
	if o.Interfaces[from.MAC] == 0 {
		o.Interfaces[from.MAC] = uint32(len(o.Interfaces)) + 1
	}
	index, domain := o.Interfaces[from.MAC], domainOf(from.Target)
	r := Record{Origin: *from, Interface: index, Encryption: t.encryption, State: t.state}
	f := Flow{
		Domain: domain, Source: t.source, Destination: t.destination, SourcePort: t.sourcePort, DestinationPort: t.destinationPort,
		Protocol: t.protocol, Packets: t.sent.packets, Bytes: t.sent.bytes, Start: t.time, End: t.time,
		Sampling: 1, ForwardingStatus: forwarded, Records: 1,
	}
	if t.direction == "O" {
		f.Direction, f.Egress = Egress, index
	} else {
		f.Direction, f.Ingress = Ingress, index
	}
	if t.denied {
		r.Flow = f
		o.deny(t, &r, emit)
		return
	}
	if t.state != "" {
		f.Start = o.start(t, flowKey{f.conversation(), from.MAC, domain})
	}
	switch t.state {
	case "", "B":
		f.FirewallEvent = created
	case "C":
		f.FirewallEvent = update
	case "E":
		f.FirewallEvent = deleted
	}
	if t.state == "B" && !o.ExportBegin {
		o.Skipped++
		return
	}
	r.Flow = f
	if o.Biflow {
		r.ReversePackets, r.ReverseBytes = t.received.packets, t.received.bytes
	}
	o.emit(&r, emit)
	if t.received == (counters{}) || o.Biflow {
		return
	}
	r.Source, r.Destination = t.destination, t.source
	r.SourcePort, r.DestinationPort = t.destinationPort, t.sourcePort
	r.Packets, r.Bytes = t.received.packets, t.received.bytes
	r.Direction = 1 - f.Direction
	r.Ingress, r.Egress = f.Egress, f.Ingress
	o.emit(&r, emit)
}

func (o *Oracle) emit(r *Record, emit func(*Record)) {
	o.Records++
	emit(r)
}

func (o *Oracle) deny(t *tuple, f *Record, emit func(*Record)) {
	if o.SkipDenied {
		o.Skipped++
		return
	}
	f.FirewallEvent, f.ForwardingStatus = denied, droppedByACL
	if slices.Contains([]string{"NX_SW_NOT_READY", "NX_NOT_ACCEPTED", "NX_NOT_SUPPORTED"}, t.encryption) {
		f.ForwardingStatus = droppedUnknown
	}
	f.Packets, f.Bytes = 0, 0
	if o.DeniedOne {
		f.Packets = 1
		switch { // an IP header and that of TCP or UDP
		case t.source.Is4() && t.protocol == 6:
			f.Bytes = 40
		case t.source.Is4() && t.protocol == 17:
			f.Bytes = 28
		case t.protocol == 6:
			f.Bytes = 60
		case t.protocol == 17:
			f.Bytes = 48
		}
	}
	o.emit(f, emit)
}

// start returns when a tuple's counters began to count, and remembers the tuple
// for the flow's next one.
func (o *Oracle) start(t *tuple, key flowKey) int64 {
	last, known := o.seen[key]
	switch {
	case t.state == "E":
		delete(o.seen, key)
	case !known || t.state == "B" || t.time > last:
		o.seen[key] = t.time
	}
	if t.state == "B" || !known || last > t.time || t.time-last > longestGap {
		return t.time
	}
	return last
}

// hourOf finds the hour in the path of a blob.
var hourOf = regexp.MustCompile(`/y=(\d{4}/m=\d\d/d=\d\d/h=\d\d)/`)

// ReadingOrder sorts paths as they are read: by hour, then by name.
func ReadingOrder(paths []string) []string {
	sorted := slices.Clone(paths)
	slices.SortFunc(sorted, func(a, b string) int {
		hour := func(path string) string {
			if m := hourOf.FindStringSubmatch(path); m != nil {
				return m[1]
			}
			return ""
		}
		if c := strings.Compare(hour(a), hour(b)); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	return sorted
}

type counters struct{ packets, bytes uint64 }

// tuple is a flow tuple of any kind.
type tuple struct {
	time                        int64 // milliseconds
	source, destination         netip.Addr
	sourcePort, destinationPort uint16
	protocol                    uint8
	direction                   string // I or O
	state                       string // B, C or E; none in version 1
	encryption                  string
	denied                      bool
	sent, received              counters
}

// parseVNetTuple reads a tuple of version 4: time, addresses, ports, protocol,
// direction, state, encryption, counters.
func parseVNetTuple(text string) (t tuple, err error) {
	p := parser{fields: strings.Split(text, ",")}
	p.head(&t)
	t.protocol = uint8(p.number(8))
	t.direction = p.next()
	t.state = p.next()
	t.denied = t.state == "D"
	t.encryption = p.next()
	p.counters(&t)
	return t, p.err
}

// parseNSGTuple reads a tuple of version 1 or 2: time, addresses, ports, T or U,
// direction, decision, and in version 2 state and counters.
func parseNSGTuple(text string) (t tuple, err error) {
	p := parser{fields: strings.Split(text, ",")}
	p.head(&t)
	t.protocol = map[string]uint8{"T": 6, "U": 17}[p.next()]
	t.direction = p.next()
	t.denied = p.next() == "D"
	t.state = p.next()
	p.counters(&t)
	return t, p.err
}

// parser takes the fields of a tuple one by one. It keeps the first error.
type parser struct {
	fields []string
	err    error
}

// next returns the next field, or "" behind the last one.
func (p *parser) next() string {
	if len(p.fields) == 0 {
		return ""
	}
	field := p.fields[0]
	p.fields = p.fields[1:]
	return field
}

// number reads a number; an empty field is 0.
func (p *parser) number(bits int) uint64 {
	field := p.next()
	if field == "" {
		return 0
	}
	n, err := strconv.ParseUint(field, 10, bits)
	if err != nil && p.err == nil {
		p.err = err
	}
	return n
}

func (p *parser) addr() netip.Addr {
	a, err := netip.ParseAddr(p.next())
	if err != nil && p.err == nil {
		p.err = err
	}
	return a
}

func (p *parser) head(t *tuple) {
	if t.time = int64(p.number(63)); t.time < 1e11 {
		t.time *= 1000 // seconds
	}
	t.source, t.destination = p.addr(), p.addr()
	t.sourcePort, t.destinationPort = uint16(p.number(16)), uint16(p.number(16))
}

func (p *parser) counters(t *tuple) {
	t.sent.packets, t.sent.bytes = p.number(64), p.number(64)
	t.received.packets, t.received.bytes = p.number(64), p.number(64)
}
