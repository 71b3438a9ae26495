package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"flow2ipfix/test/expect"
)

// Nfcapd is nfdump's collector; nfdump prints what it wrote.
//
// Version 1.7.1 stores no firewallEvent, no samplingInterval and a
// forwardingStatus that is always 0. Observation domains are in its list of
// exporters, which records refer to.
type Nfcapd struct{}

// Name is the program's.
func (Nfcapd) Name() string { return "nfcapd" }

// Version is nfdump's: nfcapd tells none.
func (Nfcapd) Version() (string, error) {
	if _, err := LookPath("nfcapd"); err != nil {
		return "", err
	}
	return FirstLine("nfdump", "-V")
}

// Shows returns the fields that nfdump prints.
func (Nfcapd) Shows() expect.Fields {
	return expect.ShowsDomain | expect.ShowsTimes | expect.ShowsInterfaces | expect.ShowsDirection
}

// Merges reports that it keeps records apart.
func (Nfcapd) Merges() bool { return false }

// Start starts it on a free port.
func (Nfcapd) Start(dir string) (Session, error) { return StartNfcapd(dir) }

// StartNfcapd starts nfcapd on a free port. Its files lie in dir.
func StartNfcapd(dir string) (*NfcapdSession, error) {
	files, err := nfcapdFiles(dir)
	if err != nil {
		return nil, err
	}
	p, err := StartUDP(dir, "nfcapd", func(port int) ([]string, error) { return nfcapdArgs(port, files), nil })
	if err != nil {
		return nil, err
	}
	return &NfcapdSession{UDPPeer: p, files: files}, nil
}

// StartNfcapdOn starts nfcapd on a port, and has it pass on every datagram to
// another port.
func StartNfcapdOn(dir string, port, repeat int) (*NfcapdSession, error) {
	files, err := nfcapdFiles(dir)
	if err != nil {
		return nil, err
	}
	p, err := StartUDPOn(dir, port, "nfcapd", append(nfcapdArgs(port, files), "-R", fmt.Sprintf("127.0.0.1/%d", repeat))...)
	if err != nil {
		return nil, err
	}
	return &NfcapdSession{UDPPeer: p, files: files}, nil
}

func nfcapdFiles(dir string) (string, error) {
	files := filepath.Join(dir, "files")
	return files, os.Mkdir(files, 0o755)
}

func nfcapdArgs(port int, files string) []string {
	return []string{"-b", "127.0.0.1", "-p", strconv.Itoa(port), "-w", files, "-t", "86400", "-B", "8000000"}
}

// NfcapdSession is a running nfcapd.
type NfcapdSession struct {
	*UDPPeer
	files    string
	failures []string
}

// Wait implements Session. nfcapd has one thread: what it has read is in its
// buffers, which it writes when it is stopped.
func (s *NfcapdSession) Wait(int) error { return s.Drain() }

// Stop implements Session.
func (s *NfcapdSession) Stop() error { return s.End(syscall.SIGTERM) }

// Flows implements Session.
func (s *NfcapdSession) Flows() ([]expect.Flow, error) {
	var flows []expect.Flow
	err := s.Each(func(f expect.Flow) { flows = append(flows, f) })
	return flows, err
}

// Dump calls emit with every record as nfdump prints it as JSON, and its
// observation domain. Numbers are json.Number. version is that of the messages.
func (s *NfcapdSession) Dump(version string, emit func(fields map[string]any, domain uint32) error) error {
	files, err := filepath.Glob(filepath.Join(s.files, "nfcapd.[0-9]*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		domains, err := s.exportersOf(file, version)
		if err != nil {
			return err
		}
		out, err := Output("nfdump", "-r", file, "-6", "-N", "-o", "json")
		if err != nil {
			return err
		}
		d := json.NewDecoder(bytes.NewReader(out))
		d.UseNumber()
		var records []map[string]any
		if err := d.Decode(&records); err != nil {
			return fmt.Errorf("nfdump %s: %w", file, err)
		}
		for _, r := range records {
			domain, ok := domains[fmt.Sprint(r["export_sysid"])]
			if !ok {
				return fmt.Errorf("nfdump %s: no exporter %v", file, r["export_sysid"])
			}
			if err := emit(r, domain); err != nil {
				return fmt.Errorf("nfdump %s: record %v: %w", file, r, err)
			}
		}
	}
	return nil
}

// Columns calls emit with what nfdump prints of every record in a format like
// %in|%inam, column by column.
func (s *NfcapdSession) Columns(format string, emit func(columns []string)) error {
	files, err := filepath.Glob(filepath.Join(s.files, "nfcapd.[0-9]*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		out, err := Output("nfdump", "-r", file, "-N", "-q", "-o", "fmt:"+format)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(out)) {
			columns := strings.Split(strings.TrimSuffix(line, "\n"), "|")
			for i := range columns {
				columns[i] = strings.TrimSpace(columns[i])
			}
			emit(columns)
		}
	}
	return nil
}

// Each calls emit with every flow, without keeping any.
func (s *NfcapdSession) Each(emit func(expect.Flow)) error {
	files, err := filepath.Glob(filepath.Join(s.files, "nfcapd.[0-9]*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		domains, err := s.exporters(file)
		if err != nil {
			return err
		}
		if err := nfdump(file, domains, emit); err != nil {
			return fmt.Errorf("nfdump %s: %w", file, err)
		}
	}
	return nil
}

var exporterLine = regexp.MustCompile(`SysID: (\d+), IP: .*, version: (\d+), ID: (\d+), Sequence failures: (\d+)`)

// exporters returns the observation domains by the number that stands for them
// in records.
func (s *NfcapdSession) exporters(file string) (map[string]uint32, error) {
	return s.exportersOf(file, "10")
}

func (s *NfcapdSession) exportersOf(file, version string) (map[string]uint32, error) {
	out, err := Output("nfdump", "-E", file)
	if err != nil {
		return nil, err
	}
	domains := map[string]uint32{}
	for _, m := range exporterLine.FindAllStringSubmatch(string(out), -1) {
		domain, err := strconv.ParseUint(m[3], 10, 32)
		if err != nil {
			return nil, err
		}
		domains[m[1]] = uint32(domain)
		if m[2] != version || m[4] != "0" {
			s.failures = append(s.failures, "nfdump -E: "+m[0])
		}
	}
	return domains, nil
}

// nfdumpFormat is one flow a line; -6 keeps IPv6 addresses whole, -N numbers.
const nfdumpFormat = "fmt:%ts|%te|%pr|%sa|%da|%sp|%dp|%pkt|%byt|%in|%out|%dir|%exp"

func nfdump(file string, domains map[string]uint32, emit func(expect.Flow)) error {
	cmd, err := Command("nfdump", "-r", file, "-6", "-N", "-q", "-o", nfdumpFormat)
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = nfdumpLines(out, domains, emit)
	_, _ = io.Copy(io.Discard, out) // nfdump does not end before all is read
	return errors.Join(err, cmd.Wait())
}

func nfdumpLines(r io.Reader, domains map[string]uint32, emit func(expect.Flow)) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line == "No matching flows" {
			continue
		}
		f, err := parseNfdump(line, domains)
		if err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
		emit(f)
	}
	return lines.Err()
}

func parseNfdump(line string, domains map[string]uint32) (expect.Flow, error) {
	v := Values{}
	p := strings.Split(line, "|")
	if len(p) != 13 {
		return expect.Flow{}, fmt.Errorf("%d columns", len(p))
	}
	for i := range p {
		p[i] = strings.TrimSpace(p[i])
	}
	domain, ok := domains[p[12]]
	if !ok {
		return expect.Flow{}, fmt.Errorf("no exporter %s", p[12])
	}
	direction, ok := map[string]uint8{"I": expect.Ingress, "E": expect.Egress}[p[11]]
	if !ok {
		return expect.Flow{}, fmt.Errorf("direction %s", p[11])
	}
	// The destination port of ICMP is type and code, like 8.0.
	destinationPort := p[6]
	if typ, code, ok := strings.Cut(destinationPort, "."); ok {
		destinationPort = strconv.FormatUint(v.Number(typ, 8)<<8|v.Number(code, 8), 10)
	}
	f := expect.Flow{
		Domain: domain, Source: v.Addr(p[3]), Destination: v.Addr(p[4]),
		SourcePort: uint16(v.Number(p[5], 16)), DestinationPort: uint16(v.Number(destinationPort, 16)),
		Protocol: uint8(v.Number(p[2], 8)), Packets: v.Number(p[7], 64), Bytes: v.Number(p[8], 64),
		Start: v.Time("2006-01-02 15:04:05.000", p[0]), End: v.Time("2006-01-02 15:04:05.000", p[1]),
		Ingress: uint32(v.Number(p[9], 32)), Egress: uint32(v.Number(p[10], 32)), Direction: direction, Records: 1,
	}
	return f, v.Err
}

var (
	nfcapdTotals    = regexp.MustCompile(`Sequence Errors: (\d+), Bad Packets: (\d+)`)
	nfcapdComplaint = regexp.MustCompile(`(?i)corrupt|malformed|invalid|unknown|skipp|no template|too short`)
)

// Problems implements Session.
func (s *NfcapdSession) Problems() []string {
	problems := append(s.Losses(), s.failures...)
	stopped := false
	for line := range strings.Lines(s.Log()) {
		if m := nfcapdTotals.FindStringSubmatch(line); m != nil {
			stopped = true
			if m[1] != "0" || m[2] != "0" {
				problems = append(problems, strings.TrimSpace(line))
			}
		} else if nfcapdComplaint.MatchString(line) {
			problems = append(problems, strings.TrimSpace(line))
		}
	}
	if !stopped {
		problems = append(problems, "nfcapd wrote no totals")
	}
	return problems
}

// FirstLine returns the first line of a program's words about itself.
func FirstLine(program string, args ...string) (string, error) {
	out, err := Output(program, args...)
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if line != "" {
		return line, nil // some end with an error when asked
	}
	return program, err
}

// Values reads what collectors print. It keeps the first error.
type Values struct{ Err error }

// Fail keeps an error, if it is the first.
func (v *Values) Fail(err error) {
	if v.Err == nil {
		v.Err = err
	}
}

// Number reads a number of so many bits.
func (v *Values) Number(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		v.Fail(err)
	}
	return n
}

// Addr reads an IP address.
func (v *Values) Addr(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		v.Fail(err)
	}
	return a
}

// Time reads a time in UTC and returns milliseconds since 1970.
func (v *Values) Time(layout, s string) int64 {
	t, err := time.ParseInLocation(layout, s, time.UTC)
	if err != nil {
		v.Fail(err)
	}
	if t.Nanosecond()%1e6 != 0 {
		v.Fail(fmt.Errorf("%s is not in whole milliseconds", s))
	}
	return t.UnixMilli()
}
