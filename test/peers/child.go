package peers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"flow2ipfix/test/expect"
)

// childVariable makes a test program a collector: its value is the address to
// listen at, a comma, and the size of the socket's buffer, 0 for the system's. A
// collector in a process of its own can be killed, and stopped.
const childVariable = "FLOW2IPFIX_PEERS_COLLECTOR"

// Arrival is a flow record, and when a collector had it.
type Arrival struct {
	At   time.Time
	Flow expect.Flow
}

// Child does what the environment says: if this process is to be a collector it
// is one until it is told to end, and Child does not return. TestMain calls it
// before anything else.
func Child() {
	address, size, ok := strings.Cut(os.Getenv(childVariable), ",")
	if !ok {
		return
	}
	buffer, err := strconv.Atoi(size)
	if err == nil {
		err = collectTCP(address, buffer, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "collector:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// collectTCP is go-ipfix's collector: a line of JSON for each flow record.
func collectTCP(address string, buffer int, out io.Writer) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	s, err := startGoIPFIX(address, buffer, func(f expect.Flow) error {
		line, err := json.Marshal(Arrival{At: time.Now(), Flow: f})
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n')) // at once: a killed collector has what it has written
		return err
	})
	if err != nil {
		return err
	}
	<-stop
	err = s.Stop()
	// A connection that was cut is no problem of the one who reads it.
	for line := range strings.Lines(s.log.String()) {
		if !strings.HasPrefix(line, "I") {
			fmt.Fprint(os.Stderr, "go-ipfix: ", line)
		}
	}
	if s.splitter.err != nil {
		fmt.Fprintln(os.Stderr, s.splitter.err)
	}
	return errors.Join(err, s.err)
}

// Collector is go-ipfix's collector over TCP, in a process of its own.
type Collector struct {
	*Process
	address string

	read int64  // bytes of its output that were read
	rest []byte // the beginning of a line
}

// StartCollector starts go-ipfix's collector at an address with a port. Its
// files lie in dir. With a small buffer its kernel takes little of what it has not
// read yet; 0 leaves that to the system. The test program has to call Child.
func StartCollector(dir, address string, buffer int) (*Collector, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+address+","+strconv.Itoa(buffer))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p, err := StartCommand(dir, cmd)
	if err != nil {
		return nil, err
	}
	c := &Collector{Process: p, address: address}
	err = Await("go-ipfix listens", func() (bool, error) {
		if err := p.Alive(); err != nil {
			return false, err
		}
		return listens(address)
	})
	if err != nil {
		return nil, errors.Join(err, p.End(syscall.SIGKILL))
	}
	return c, nil
}

// listens says whether a TCP port of the loopback address is listened at, without
// connecting to it: the collector would see that.
func listens(address string) (bool, error) {
	_, port, _ := strings.Cut(address, ":")
	var n int
	if _, err := fmt.Sscan(port, &n); err != nil {
		return false, fmt.Errorf("port of %s: %w", address, err)
	}
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return false, err
	}
	local := fmt.Sprintf(" 0100007F:%04X ", n)
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, local) && strings.Contains(line, " 00000000:0000 0A ") {
			return true, nil
		}
	}
	return false, nil
}

// URL is what the program should send to.
func (c *Collector) URL() string { return "tcp://" + c.address }

// Take returns what came since it was last called, also from a collector that
// was killed.
func (c *Collector) Take() ([]Arrival, error) {
	f, err := os.Open(c.OutFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, c.read, 1<<40))
	if err != nil {
		return nil, err
	}
	c.read += int64(len(b))
	b = append(c.rest, b...)
	var all []Arrival
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			c.rest = bytes.Clone(b)
			return all, nil
		}
		b = rest
		var a Arrival
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("%s: line %q: %w", filepath.Base(c.OutFile), line, err)
		}
		all = append(all, a)
	}
}

// Complaints is what the collector found wrong; it is known when it has ended.
func (c *Collector) Complaints() string {
	b, err := os.ReadFile(c.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
