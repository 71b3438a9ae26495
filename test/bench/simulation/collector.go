package simulation

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// collector counts the flow records that come in, over TCP or UDP. It reads IPFIX
// (RFC 7011) only as far as that takes.
type collector struct {
	url     string
	closers []io.Closer
	running sync.WaitGroup

	mu      sync.Mutex
	counted collected
	lengths map[templateKey]int
	options map[templateKey]bool
	expects map[uint32]uint32 // sequence number, of domains
	err     error
}

type templateKey struct {
	domain uint32
	id     uint16
}

// collected is what came so far. Lost is what the sequence numbers say is
// missing: with UDP the kernel drops what its buffer does not hold.
type collected struct {
	records, lost, messages int
	bytes                   int64
	last                    time.Time // when the last one came
}

const (
	headerBytes = 16
	maxMessage  = 1 << 16
)

// startCollector listens on a port of its own; network is tcp or udp.
func startCollector(network string) (*collector, error) {
	c := &collector{lengths: map[templateKey]int{}, options: map[templateKey]bool{}, expects: map[uint32]uint32{}}
	switch network {
	case "tcp":
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("open collector: %w", err)
		}
		c.url, c.closers = "tcp://"+l.Addr().String(), append(c.closers, l)
		c.running.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				c.mu.Lock()
				clear(c.expects) // a session of its own
				c.mu.Unlock()
				c.running.Go(func() { c.stream(conn) })
			}
		})
	case "udp":
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, fmt.Errorf("open collector: %w", err)
		}
		_ = conn.SetReadBuffer(32 << 20) // less is what the system grants then
		c.url, c.closers = "udp://"+conn.LocalAddr().String(), append(c.closers, conn)
		c.running.Go(func() { c.datagrams(conn) })
	default:
		return nil, fmt.Errorf("collector: want tcp or udp, got %q", network)
	}
	return c, nil
}

// close ends it when those who send have ended.
func (c *collector) close() error {
	var errs []error
	for _, closer := range c.closers {
		errs = append(errs, closer.Close())
	}
	c.running.Wait()
	return errors.Join(errs...)
}

func (c *collector) stream(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 1<<18)
	message := make([]byte, maxMessage)
	for {
		_, err := io.ReadFull(r, message[:headerBytes])
		if errors.Is(err, io.EOF) {
			return
		}
		if length := int(binary.BigEndian.Uint16(message[2:])); err == nil && length >= headerBytes {
			_, err = io.ReadFull(r, message[headerBytes:length])
			message = message[:length]
		}
		if err == nil {
			err = c.take(message)
		}
		if err != nil {
			c.fail(err)
			return
		}
		message = message[:maxMessage]
	}
}

func (c *collector) datagrams(conn *net.UDPConn) {
	message := make([]byte, maxMessage)
	for {
		n, err := conn.Read(message)
		if err != nil {
			return
		}
		if err := c.take(message[:n]); err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *collector) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errors.Join(c.err, fmt.Errorf("collector: %w", err))
}

var errMalformed = errors.New("not an IPFIX message")

// take counts a message.
func (c *collector) take(message []byte) error {
	be := binary.BigEndian
	if len(message) < headerBytes || be.Uint16(message) != 10 || int(be.Uint16(message[2:])) != len(message) {
		return errMalformed
	}
	sequence, domain := be.Uint32(message[8:]), be.Uint32(message[12:])
	c.mu.Lock()
	defer c.mu.Unlock()
	records, others := 0, 0
	for sets := message[headerBytes:]; len(sets) > 0; {
		if len(sets) < 4 || int(be.Uint16(sets[2:])) < 4 || int(be.Uint16(sets[2:])) > len(sets) {
			return errMalformed
		}
		id, body := be.Uint16(sets), sets[4:be.Uint16(sets[2:])]
		sets = sets[be.Uint16(sets[2:]):]
		key := templateKey{domain, id}
		switch {
		case id == 2 || id == 3:
			if err := c.learn(domain, body, id == 3); err != nil {
				return err
			}
		case c.lengths[key] == 0:
			return fmt.Errorf("no template %d of domain %d", id, domain)
		case c.options[key]:
			others += len(body) / c.lengths[key]
		default:
			records += len(body) / c.lengths[key]
		}
	}
	if next, known := c.expects[domain]; known {
		c.counted.lost += int(int32(sequence - next))
	}
	c.expects[domain] = sequence + uint32(records+others)
	c.counted.messages++
	c.counted.bytes += int64(len(message))
	if records > 0 {
		c.counted.records += records
		c.counted.last = time.Now()
	}
	return nil
}

// learn notes how long the records of templates are.
func (c *collector) learn(domain uint32, body []byte, options bool) error {
	be := binary.BigEndian
	for len(body) >= 4 {
		id, fields := be.Uint16(body), int(be.Uint16(body[2:]))
		body = body[4:]
		if options && fields > 0 {
			if len(body) < 2 {
				return errMalformed
			}
			body = body[2:]
		}
		length := 0
		for range fields {
			size := 4
			if len(body) >= 4 && body[0]&0x80 != 0 {
				size = 8
			}
			if len(body) < size {
				return errMalformed
			}
			n := int(be.Uint16(body[2:]))
			if n == 65535 {
				return fmt.Errorf("template %d has fields of no fixed length", id)
			}
			length, body = length+n, body[size:]
		}
		c.lengths[templateKey{domain, id}], c.options[templateKey{domain, id}] = length, options
	}
	return nil
}

// status returns what came so far.
func (c *collector) status() (collected, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counted, c.err
}

// await waits until so many records came, or were lost. It looks every now and
// then: to be told of each message would take the processor from who is measured.
func (c *collector) await(ctx context.Context, records int) (collected, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		counted, err := c.status()
		if err != nil || counted.records+counted.lost >= records {
			return counted, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return counted, context.Cause(ctx)
		}
	}
}
