package judges

import (
	"bufio"
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
)

// nfcapd is nfdump's collector; nfdump prints what it wrote.
//
// Version 1.7.1 stores no firewallEvent, no samplingInterval and a
// forwardingStatus that is always 0. Observation domains are in its list of
// exporters, which records refer to.
type nfcapd struct{}

func (nfcapd) Name() string { return "nfcapd" }

func (nfcapd) Version() (string, error) {
	if _, err := lookPath("nfcapd"); err != nil {
		return "", err
	}
	return firstLine("nfdump", "-V")
}

func (nfcapd) Shows() Fields { return ShowsDomain | ShowsTimes | ShowsInterfaces | ShowsDirection }

func (nfcapd) Merges() bool { return false }

func (nfcapd) Start(dir string) (Session, error) { return startNfcapd(dir) }

func startNfcapd(dir string) (*nfcapdSession, error) {
	files := filepath.Join(dir, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		return nil, err
	}
	p, err := startUDP(dir, "nfcapd", func(port int) ([]string, error) {
		return []string{"-b", "127.0.0.1", "-p", strconv.Itoa(port), "-w", files, "-t", "86400", "-B", "8000000"}, nil
	})
	if err != nil {
		return nil, err
	}
	return &nfcapdSession{udpPeer: p, files: files}, nil
}

type nfcapdSession struct {
	*udpPeer
	files    string
	failures []string
}

// Wait implements Session. nfcapd has one thread: what it has read is in its
// buffers, which it writes when it is stopped.
func (s *nfcapdSession) Wait(int) error { return s.drain() }

func (s *nfcapdSession) Stop() error { return s.stop(syscall.SIGTERM) }

func (s *nfcapdSession) Flows() ([]Flow, error) {
	var flows []Flow
	err := s.each(func(f Flow) { flows = append(flows, f) })
	return flows, err
}

// each calls emit with every flow, without keeping any.
func (s *nfcapdSession) each(emit func(Flow)) error {
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
func (s *nfcapdSession) exporters(file string) (map[string]uint32, error) {
	out, err := output("nfdump", "-E", file)
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
		if m[2] != "10" || m[4] != "0" {
			s.failures = append(s.failures, "nfdump -E: "+m[0])
		}
	}
	return domains, nil
}

// nfdumpFormat is one flow a line; -6 keeps IPv6 addresses whole, -N numbers.
const nfdumpFormat = "fmt:%ts|%te|%pr|%sa|%da|%sp|%dp|%pkt|%byt|%in|%out|%dir|%exp"

func nfdump(file string, domains map[string]uint32, emit func(Flow)) error {
	cmd, err := command("nfdump", "-r", file, "-6", "-N", "-q", "-o", nfdumpFormat)
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

func nfdumpLines(r io.Reader, domains map[string]uint32, emit func(Flow)) error {
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

func parseNfdump(line string, domains map[string]uint32) (Flow, error) {
	v := values{}
	p := strings.Split(line, "|")
	if len(p) != 13 {
		return Flow{}, fmt.Errorf("%d columns", len(p))
	}
	for i := range p {
		p[i] = strings.TrimSpace(p[i])
	}
	domain, ok := domains[p[12]]
	if !ok {
		return Flow{}, fmt.Errorf("no exporter %s", p[12])
	}
	direction, ok := map[string]uint8{"I": ingress, "E": egress}[p[11]]
	if !ok {
		return Flow{}, fmt.Errorf("direction %s", p[11])
	}
	// The destination port of ICMP is type and code, like 8.0.
	destinationPort := p[6]
	if typ, code, ok := strings.Cut(destinationPort, "."); ok {
		destinationPort = strconv.FormatUint(v.number(typ, 8)<<8|v.number(code, 8), 10)
	}
	f := Flow{
		Domain: domain, Source: v.addr(p[3]), Destination: v.addr(p[4]),
		SourcePort: uint16(v.number(p[5], 16)), DestinationPort: uint16(v.number(destinationPort, 16)),
		Protocol: uint8(v.number(p[2], 8)), Packets: v.number(p[7], 64), Bytes: v.number(p[8], 64),
		Start: v.time("2006-01-02 15:04:05.000", p[0]), End: v.time("2006-01-02 15:04:05.000", p[1]),
		Ingress: uint32(v.number(p[9], 32)), Egress: uint32(v.number(p[10], 32)), Direction: direction, Records: 1,
	}
	return f, v.err
}

var (
	nfcapdTotals    = regexp.MustCompile(`Sequence Errors: (\d+), Bad Packets: (\d+)`)
	nfcapdComplaint = regexp.MustCompile(`(?i)corrupt|malformed|invalid|unknown|skipp|no template|too short`)
)

func (s *nfcapdSession) Problems() []string {
	problems := append(s.problems(), s.failures...)
	stopped := false
	for line := range strings.Lines(s.log()) {
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

// firstLine returns the first line of a program's words about itself.
func firstLine(program string, args ...string) (string, error) {
	out, err := output(program, args...)
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if line != "" {
		return line, nil // some end with an error when asked
	}
	return program, err
}

// values reads what collectors print. It keeps the first error.
type values struct{ err error }

func (v *values) fail(err error) {
	if v.err == nil {
		v.err = err
	}
}

func (v *values) number(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		v.fail(err)
	}
	return n
}

func (v *values) addr(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		v.fail(err)
	}
	return a
}

// time reads a time in UTC and returns milliseconds since 1970.
func (v *values) time(layout, s string) int64 {
	t, err := time.ParseInLocation(layout, s, time.UTC)
	if err != nil {
		v.fail(err)
	}
	if t.Nanosecond()%1e6 != 0 {
		v.fail(fmt.Errorf("%s is not in whole milliseconds", s))
	}
	return t.UnixMilli()
}
