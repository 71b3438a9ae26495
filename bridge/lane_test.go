package bridge

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

// patient gives a record whenever the collector has got a datagram of the one before.
type patient struct {
	t         *testing.T
	collector *net.UDPConn
	records   []string
	given     string
	waits     []time.Duration
}

func (p *patient) Read(b []byte) (int, error) {
	if p.given == "" {
		if len(p.records) == 0 {
			return 0, io.EOF
		}
		if p.waits != nil {
			begin := time.Now()
			if err := p.collector.SetReadDeadline(begin.Add(10 * time.Second)); err != nil {
				p.t.Error(err)
			}
			if _, err := p.collector.Read(make([]byte, 1<<16)); err != nil {
				p.t.Errorf("no datagram while no record comes: %v", err)
			}
			p.waits = append(p.waits, time.Since(begin))
			p.drain()
		} else {
			p.waits = []time.Duration{}
		}
		p.given, p.records = p.records[0], p.records[1:]
	}
	n := copy(b, p.given)
	p.given = p.given[n:]
	return n, nil
}

// drain reads what is there, over loopback all that was sent.
func (p *patient) drain() {
	raw, err := p.collector.SyscallConn()
	if err != nil {
		p.t.Error(err)
		return
	}
	if err := raw.Read(func(fd uintptr) bool {
		for err == nil {
			_, err = unix.Read(int(fd), make([]byte, 1<<16))
		}
		return true
	}); err != nil {
		p.t.Error(err)
	}
}

// TestFullMessagesLeaveAtOnce: a message that is full does not wait for records that may
// be long in coming, as one does that is not.
func TestFullMessagesLeaveAtOnce(t *testing.T) {
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	const count = 20
	p := &patient{t: t, collector: c}
	for i := range count {
		tuples := make([]string, 30) // a message and some
		for k := range tuples {
			tuples[k] = fmt.Sprintf(`"1663146003606,10.0.0.6,192.0.2.180,%d,443,6,O,E,NX,3,767,0,0"`, i*len(tuples)+k)
		}
		p.records = append(p.records, fmt.Sprintf(`{"macAddress":"00224871C205","flowRecords":{"flows":[{"flowGroups":[{"rule":"r","flowTuples":[%s]}]}]}}`, strings.Join(tuples, ",")))
	}
	lane := Lane{Name: "x", Policy: convert.Policy{}, Exporter: exporter.Config{URL: "udp://" + c.LocalAddr().String(), Templates: templates.Generic()}}
	if _, err := run(t.Context(), t, Config{Lanes: []Lane{lane}}, []*source.Delta{delta("x", func() io.Reader { return p })}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(p.waits)
	if len(p.waits) != count-1 || p.waits[count/4] > linger/2 { // by chance some leave anyway
		t.Errorf("messages came after %v: they waited as long as those that are not full", p.waits)
	}
}
