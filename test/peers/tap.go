package peers

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"flow2ipfix/test/expect"
)

// Tap receives what nfcapd passes on, so that a test sees at once what nfcapd
// writes when it ends. It reads IPFIX (RFC 7011) as far as the generic preset
// uses it, and is no judge: nfdump has the last word.
type Tap struct {
	conn *net.UDPConn
	done chan struct{}

	mu        sync.Mutex
	arrivals  []Arrival
	problems  []string
	templates map[[2]uint32][]templateField // by domain and template ID
}

type templateField struct{ id, length int }

// StartTap starts to receive.
func StartTap() (*Tap, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(8 << 20) // less is what the system grants then
	t := &Tap{conn: c, done: make(chan struct{}), templates: map[[2]uint32][]templateField{}}
	go t.receive()
	return t, nil
}

// Port is where it receives.
func (t *Tap) Port() int { return t.conn.LocalAddr().(*net.UDPAddr).Port }

// Stop ends it.
func (t *Tap) Stop() error {
	err := t.conn.Close()
	<-t.done
	return err
}

// Take returns what came since it was last called.
func (t *Tap) Take() ([]Arrival, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.arrivals
	t.arrivals = nil
	return all, nil
}

// Problems returns what could not be read.
func (t *Tap) Problems() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.problems
}

func (t *Tap) receive() {
	defer close(t.done)
	b := make([]byte, 1<<16)
	for {
		n, err := t.conn.Read(b)
		if err != nil {
			return
		}
		now := time.Now()
		t.mu.Lock()
		if err := t.message(b[:n], now); err != nil {
			t.problems = append(t.problems, err.Error())
		}
		t.mu.Unlock()
	}
}

// message reads the sets of a message (RFC 7011 §3.1).
func (t *Tap) message(b []byte, now time.Time) error {
	if len(b) < 16 || binary.BigEndian.Uint16(b) != 10 || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return errors.New("tap: not an IPFIX message")
	}
	domain := binary.BigEndian.Uint32(b[12:])
	for b = b[16:]; len(b) > 0; {
		if len(b) < 4 {
			return errTorn
		}
		id, length := uint32(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
		if length < 4 || length > len(b) {
			return errTorn
		}
		body := b[4:length]
		b = b[length:]
		switch {
		case id == 2:
			if err := t.templateSet(domain, body); err != nil {
				return err
			}
		case id >= 256:
			fields := t.templates[[2]uint32{domain, id}]
			if fields == nil {
				return fmt.Errorf("tap: data of template %d before the template", id)
			}
			if err := t.dataSet(domain, fields, body, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Tap) templateSet(domain uint32, b []byte) error {
	for len(b) >= 4 {
		id, count := uint32(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
		if b = b[4:]; len(b) < 4*count {
			return errTorn
		}
		fields := make([]templateField, count)
		for i := range fields {
			fields[i] = templateField{int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))}
			b = b[4:]
		}
		t.templates[[2]uint32{domain, id}] = fields
	}
	return nil
}

func (t *Tap) dataSet(domain uint32, fields []templateField, b []byte, now time.Time) error {
	for len(b) > 0 {
		f := expect.Flow{Domain: domain, Records: 1}
		for _, field := range fields {
			if len(b) < field.length {
				return errTorn
			}
			if err := setField(&f, field, b[:field.length]); err != nil {
				return err
			}
			b = b[field.length:]
		}
		t.arrivals = append(t.arrivals, Arrival{At: now, Flow: f})
	}
	return nil
}

// setField sets what an information element says, by its number.
func setField(f *expect.Flow, field templateField, b []byte) error {
	var n uint64
	if len(b) <= 8 {
		for _, octet := range b {
			n = n<<8 | uint64(octet)
		}
	}
	switch field.id {
	case 8, 27:
		f.Source, _ = netip.AddrFromSlice(b)
	case 12, 28:
		f.Destination, _ = netip.AddrFromSlice(b)
	case 7:
		f.SourcePort = uint16(n)
	case 11:
		f.DestinationPort = uint16(n)
	case 4:
		f.Protocol = uint8(n)
	case 1:
		f.Bytes = n
	case 2:
		f.Packets = n
	case 152:
		f.Start = int64(n)
	case 153:
		f.End = int64(n)
	case 10:
		f.Ingress = uint32(n)
	case 14:
		f.Egress = uint32(n)
	case 61:
		f.Direction = uint8(n)
	case 34:
		f.Sampling = uint32(n)
	case 89:
		f.ForwardingStatus = uint8(n)
	case 233:
		f.FirewallEvent = uint8(n)
	default:
		return fmt.Errorf("tap: a template has element %d", field.id)
	}
	return nil
}
