package peers

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// splitter is a TCP relay that takes IPFIX messages (RFC 7011 §3) apart, for a
// collector that reads one set a message and one template a set. Everything in
// a message goes on, in its order, under its header; only the lengths and the
// sequence numbers are made anew, the latter from the one that came, so that a
// wrong one stays wrong. Options templates and their records do not go on: that
// collector takes them for data.
type splitter struct {
	listener net.Listener
	target   string
	done     chan struct{}

	mu    sync.Mutex
	conns []net.Conn
	err   error
	taken int // connections that were taken in
	ended int // and those that came to their end
}

// startSplitter listens at an address, and hands on to target. buffer is the size of
// its sockets' read buffers, 0 the system's.
func startSplitter(address string, buffer int, target string) (*splitter, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if buffer == 0 {
			return nil
		}
		// Before the first connection, which takes it over: the window depends on it.
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, buffer)
		})
		return errors.Join(err, failed)
	}}
	l, err := config.Listen(context.Background(), "tcp4", address)
	if err != nil {
		return nil, err
	}
	s := &splitter{listener: l, target: target, done: make(chan struct{})}
	go s.serve()
	return s, nil
}

func (s *splitter) serve() {
	defer close(s.done)
	var relays sync.WaitGroup
	defer relays.Wait()
	for {
		in, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns = append(s.conns, in)
		s.taken++
		s.mu.Unlock()
		relays.Go(func() {
			defer in.Close()
			err := s.relay(in)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended++
			if s.err == nil {
				s.err = err
			}
		})
	}
}

// wait returns when everything of every connection has been handed on. The
// exporter has closed them all.
func (s *splitter) wait() error {
	err := Await("the splitter hands on what came", func() (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.taken > 0 && s.ended == s.taken, nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.err)
}

func (s *splitter) stop() error {
	err := s.listener.Close()
	s.mu.Lock()
	for _, c := range s.conns {
		_ = c.Close() // most are closed already
	}
	s.mu.Unlock()
	<-s.done
	return err
}

func (s *splitter) relay(in net.Conn) (err error) {
	out, err := dialLoopback(s.target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	m := newMessageSplitter()
	defer func() {
		if m.problem != "" {
			err = errors.Join(err, fmt.Errorf("splitter: %s", m.problem))
		}
	}()
	r := bufio.NewReader(in)
	for {
		header, err := r.Peek(4)
		if errors.Is(err, io.EOF) && len(header) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("splitter: %w", err)
		}
		message := make([]byte, binary.BigEndian.Uint16(header[2:]))
		if _, err := io.ReadFull(r, message); err != nil {
			return fmt.Errorf("splitter: %w", err)
		}
		pieces, err := m.split(message)
		if err != nil {
			return fmt.Errorf("splitter: %w", err)
		}
		if _, err := out.Write(pieces); err != nil {
			return fmt.Errorf("splitter: %w", err)
		}
	}
}

// messageSplitter remembers the templates, by domain and template ID, and which
// sequence number the next message of a domain should have (RFC 7011 §3.1). It is
// for one connection.
type messageSplitter struct {
	templates map[[2]uint32]splitTemplate
	next      map[uint32]uint32
	problem   string // the last one with sequence numbers
}

// splitTemplate is how long the fields of a template are.
type splitTemplate struct {
	lengths []int
	options bool
}

const variableLength = 65535 // RFC 7011 §7

// Kinds of sets (RFC 7011 §3.3.2).
const (
	templateSet        = 2
	optionsTemplateSet = 3
)

func newMessageSplitter() *messageSplitter {
	return &messageSplitter{templates: map[[2]uint32]splitTemplate{}, next: map[uint32]uint32{}}
}

var errTorn = errors.New("lengths in a message do not fit together")

// split returns the messages that a message is taken apart to.
func (m *messageSplitter) split(message []byte) ([]byte, error) {
	const headerLength, setHeaderLength = 16, 4
	if len(message) < headerLength {
		return nil, errTorn
	}
	header, rest := message[:headerLength], message[headerLength:]
	domain, sequence := binary.BigEndian.Uint32(header[12:]), binary.BigEndian.Uint32(header[8:])
	if next, ok := m.next[domain]; ok && sequence != next || !ok && sequence != 0 {
		m.problem = fmt.Sprintf("domain %d: a message has sequence number %d, want %d", domain, sequence, next)
	}
	var out []byte
	add := func(id uint16, body []byte) {
		start := len(out)
		out = append(out, header...)
		binary.BigEndian.PutUint16(out[start+2:], uint16(headerLength+setHeaderLength+len(body)))
		binary.BigEndian.PutUint32(out[start+8:], sequence)
		out = binary.BigEndian.AppendUint16(out, id)
		out = binary.BigEndian.AppendUint16(out, uint16(setHeaderLength+len(body)))
		out = append(out, body...)
	}
	for len(rest) > 0 {
		if len(rest) < setHeaderLength {
			return nil, errTorn
		}
		id, length := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		if length < setHeaderLength || length > len(rest) {
			return nil, errTorn
		}
		body := rest[setHeaderLength:length]
		rest = rest[length:]
		if id != templateSet && id != optionsTemplateSet {
			t := m.templates[[2]uint32{domain, uint32(id)}]
			records, err := t.count(body)
			if err != nil {
				return nil, fmt.Errorf("set %d of %d octets: %w", id, len(body), err)
			}
			if !t.options {
				add(id, body)
			}
			sequence += uint32(records)
			continue
		}
		for len(body) > 0 {
			template, err := m.template(domain, body, id == optionsTemplateSet)
			if err != nil {
				return nil, err
			}
			if id == templateSet {
				add(id, body[:template])
			}
			body = body[template:]
		}
	}
	m.next[domain] = sequence
	return out, nil
}

// count returns how many records of the template there are.
func (t *splitTemplate) count(b []byte) (int, error) {
	records := 0
	for ; len(b) > 0; records++ {
		if len(t.lengths) == 0 {
			return 0, errTorn
		}
		for _, length := range t.lengths {
			if length == variableLength && len(b) > 0 {
				length = int(b[0])
				if b = b[1:]; length == 255 && len(b) > 1 {
					length = int(binary.BigEndian.Uint16(b))
					b = b[2:]
				}
			}
			if len(b) < length {
				return 0, errTorn
			}
			b = b[length:]
		}
	}
	return records, nil
}

// template returns the length of the template record at the beginning of b, and
// remembers what it says.
func (m *messageSplitter) template(domain uint32, b []byte, options bool) (int, error) {
	at := 4
	if options {
		at = 6 // it has the number of scope fields, too
	}
	if len(b) < at {
		return 0, errTorn
	}
	id, fields := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
	t := splitTemplate{options: options}
	for range fields {
		if len(b) < at+4 {
			return 0, errTorn
		}
		t.lengths = append(t.lengths, int(binary.BigEndian.Uint16(b[at+2:])))
		if at += 4; b[at-4]&0x80 != 0 {
			at += 4 // an enterprise number
		}
	}
	if len(b) < at {
		return 0, errTorn
	}
	m.templates[[2]uint32{domain, uint32(id)}] = t
	return at, nil
}
