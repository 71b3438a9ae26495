package collect

import (
	"bufio"
	"bytes"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vmware/go-ipfix/pkg/entities"
)

// TableOptions are what a table can be told. The zero value is good.
type TableOptions struct {
	// NICName gives the name of an interface; where it is nil or returns "",
	// the table shows the number.
	NICName func(domain, ifIndex uint32) string
}

// The columns of a table.
const (
	colTime = iota
	colDirection
	colProtocol
	colSource
	colDestination
	colPackets
	colBytes
	colNIC
	colDecision
	columns
)

var (
	headings = [columns]string{"TIME", "DIR", "PROTO", "SOURCE", "DESTINATION", "PACKETS", "BYTES", "NIC", "DECISION"}

	// Wide enough for any IPv4 address with its port. A longer cell widens
	// its column from there on.
	widths = [columns]int{12, 3, 6, 21, 21, 9, 8, 6, 8}

	rightAligned = [columns]bool{colPackets: true, colBytes: true}
)

// noValue stands where a record does not say.
const noValue = "-"

// Table is a Sink for people. It prints each flow record as a line of aligned
// columns under a line of headings, and each option record as a line of its
// own shape, with "option" after the time:
//
//	TIME     when the flow ended, UTC; else the export time
//	DIR      in or out, seen from the NIC
//	PACKETS  exact; forward/reverse for bidirectional records
//	BYTES    rounded to three digits, in units of 1000
//	NIC      the interface that is not 0; both, as in>out, if none is
//	DECISION allowed, denied or begin
//
// Behind the columns stand, as name=value, a flow record's strings, MAC
// addresses and enterprise elements.
type Table struct {
	w      *bufio.Writer
	opts   TableOptions
	widths [columns]int
	headed bool
	line   []byte
}

// NewTable returns a table that writes to w, in large pieces and on Flush.
func NewTable(w io.Writer, opts TableOptions) *Table {
	return &Table{w: bufio.NewWriterSize(w, outputBufferBytes), opts: opts, widths: widths}
}

// Flush writes out what is buffered.
func (t *Table) Flush() error { return t.w.Flush() }

// Write prints a record, and the headings before the first.
func (t *Table) Write(r *Record) error {
	if !t.headed {
		t.headed = true
		if err := t.print(headings, nil); err != nil {
			return err
		}
	}
	if r.Options {
		return t.printOptions(r)
	}
	reversePackets, _ := r.ReversePackets()
	reverseOctets, biflow := r.ReverseOctets()
	packets, octets := thousands(r.Packets()), bytesText(r.Octets())
	if biflow {
		packets += "/" + thousands(reversePackets)
		octets += "/" + bytesText(reverseOctets)
	}
	protocol, hasProtocol := r.IPProtocol()
	return t.print([columns]string{
		colTime:        flowEnd(r).Format("15:04:05.000"),
		colDirection:   orNone(r.Direction()),
		colProtocol:    protocolText(protocol, hasProtocol),
		colSource:      endpoint(r.SourceAddr(), r.SourcePort(), protocol),
		colDestination: endpoint(r.DestAddr(), r.DestPort(), protocol),
		colPackets:     packets,
		colBytes:       octets,
		colNIC:         t.nic(r),
		colDecision:    orNone(string(r.Decision())),
	}, r.Fields)
}

// print writes a line, with two blanks between columns, and those of the
// fields that are to stand behind them.
func (t *Table) print(cells [columns]string, fields []Field) error {
	b := t.line[:0]
	for i, cell := range cells {
		length := utf8.RuneCountInString(cell)
		t.widths[i] = max(t.widths[i], length)
		padding := strings.Repeat(" ", t.widths[i]-length)
		if rightAligned[i] {
			b = append(append(b, padding...), cell...)
		} else {
			b = append(append(b, cell...), padding...)
		}
		b = append(b, "  "...)
	}
	for i := range fields {
		f := &fields[i]
		private := f.Enterprise != 0 && f.Enterprise != reversePEN
		if private || f.kind == entities.String || f.kind == entities.MacAddress {
			b = append(f.appendPair(b), ' ')
		}
	}
	b = append(bytes.TrimRight(b, " "), '\n')
	t.line = b
	_, err := t.w.Write(b)
	return err
}

// appendPair appends name=value.
func (f *Field) appendPair(dst []byte) []byte {
	dst = append(append(dst, f.Name...), '=')
	return f.appendJSON(dst)
}

// printOptions writes an option record: its scope, an arrow, its options.
func (t *Table) printOptions(r *Record) error {
	b := r.ExportTime.AppendFormat(t.line[:0], "15:04:05.000")
	b = append(b, "  option"...)
	inScope := true
	for i := range r.Fields {
		f := &r.Fields[i]
		if inScope && !f.Scope {
			inScope = false
			b = append(b, " ->"...)
		}
		b = f.appendPair(append(b, ' '))
	}
	b = append(b, '\n')
	t.line = b
	_, err := t.w.Write(b)
	return err
}

func (t *Table) nic(r *Record) string {
	in, out := r.IngressInterface(), r.EgressInterface()
	switch {
	case in == 0 && out == 0:
		return noValue
	case out == 0:
		return t.nicName(r.Domain, in)
	case in == 0:
		return t.nicName(r.Domain, out)
	default:
		return t.nicName(r.Domain, in) + ">" + t.nicName(r.Domain, out)
	}
}

func (t *Table) nicName(domain, ifIndex uint32) string {
	if t.opts.NICName != nil {
		if name := t.opts.NICName(domain, ifIndex); name != "" {
			return printable(name)
		}
	}
	return strconv.FormatUint(uint64(ifIndex), 10)
}

// printable replaces what could move a terminal's cursor.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

func orNone(s string) string {
	if s == "" {
		return noValue
	}
	return s
}

func flowEnd(r *Record) time.Time {
	for _, t := range [2]time.Time{r.End(), r.Start()} {
		if !t.IsZero() {
			return t
		}
	}
	return r.ExportTime
}

// protocols are the names of IP protocol numbers that flows are made of.
var protocols = map[uint8]string{
	1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 33: "DCCP", 41: "IPv6", 47: "GRE",
	50: "ESP", 51: "AH", 58: "ICMPv6", 89: "OSPF", 103: "PIM", 112: "VRRP", 132: "SCTP", 136: "UDPLite",
}

func protocolText(protocol uint8, known bool) string {
	if !known {
		return noValue
	}
	if name, ok := protocols[protocol]; ok {
		return name
	}
	return strconv.Itoa(int(protocol))
}

// endpoint is an address and port; without the port where it is 0 in a
// protocol that has none.
func endpoint(a netip.Addr, port uint16, protocol uint8) string {
	if !a.IsValid() {
		return noValue
	}
	switch protocol {
	case 6, 17, 33, 132, 136:
	default:
		if port == 0 {
			return a.String()
		}
	}
	return netip.AddrPortFrom(a, port).String()
}

// thousands is 1234567 as 1,234,567.
func thousands(v uint64) string {
	s := strconv.FormatUint(v, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// bytesText is a number of octets with three digits: 999 B, 1.50 kB, 64.2 MB.
func bytesText(v uint64) string {
	if v < 1000 {
		return strconv.FormatUint(v, 10) + " B"
	}
	f := float64(v)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB", "EB"} {
		f /= 1000
		// What would round to 1000 belongs to the next unit.
		switch {
		case f < 9.995:
			return strconv.FormatFloat(f, 'f', 2, 64) + " " + unit
		case f < 99.95:
			return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
		case f < 999.5:
			return strconv.FormatFloat(f, 'f', 0, 64) + " " + unit
		}
	}
	return strconv.FormatUint(v, 10) + " B" // not reached: 2^64 is 18 EB
}
