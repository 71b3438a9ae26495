package exporter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"flow2ipfix/templates"
)

// quick is a pace for tests on real sockets.
var quick = pace{settle: 60 * time.Millisecond, near: 30 * time.Millisecond, far: 120 * time.Millisecond, retry: 10 * time.Millisecond, retryMost: 50 * time.Millisecond, tick: time.Millisecond}

func openStream(tb testing.TB, cfg Config) *Stream {
	tb.Helper()
	cfg.Templates = generic(tb)
	s, err := NewStream(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// ledger is what collectors received: of each transport session, whether it kept
// to RFC 7011, and of each record, which is known by its octets, how often.
type ledger struct {
	mu      sync.Mutex
	seen    map[uint64]int
	faults  []string
	changed chan struct{} // closed and made anew with each message
}

func newLedger() *ledger {
	return &ledger{seen: make(map[uint64]int), changed: make(chan struct{})}
}

// audit is one transport session, as a collector sees it.
type audit struct {
	ledger  *ledger
	next    map[uint32]uint32 // the sequence number that is due, by domain
	clear   map[uint32]bool   // domains with templates
	ordered bool              // nothing may be missing: this is no UDP
}

func (l *ledger) session(ordered bool) *audit {
	return &audit{l, make(map[uint32]uint32), make(map[uint32]bool), ordered}
}

// numbered returns a record that ledgers know as n.
func numbered(n uint64) templates.Record {
	r := v4
	if n%3 == 0 {
		r = v6
	}
	r.Octets = n
	return r
}

// octetsAt is where the octets stand in the records of set 256 and 257.
var octetsAt = map[uint16]int{256: 8 + 5, 257: 32 + 5}

func (a *audit) message(m []byte) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	defer func() {
		close(a.ledger.changed)
		a.ledger.changed = make(chan struct{})
	}()
	fault := func(format string, args ...any) {
		a.ledger.faults = append(a.ledger.faults, fmt.Sprintf(format, args...))
	}
	if len(m) < 16 || int(binary.BigEndian.Uint16(m[2:])) != len(m) {
		fault("a message of %d octets says %x", len(m), m[:min(len(m), 16)])
		return
	}
	domain, sequence := binary.BigEndian.Uint32(m[12:]), binary.BigEndian.Uint32(m[8:])
	if due, known := a.next[domain]; a.ordered && sequence != due || !known && sequence != 0 && a.ordered {
		fault("domain %d: sequence number %d, due is %d", domain, sequence, due)
	}
	if age := time.Since(time.Unix(int64(binary.BigEndian.Uint32(m[4:])), 0)); age < -time.Second || age > 5*time.Second {
		fault("the export time is %v ago", age)
	}
	n := uint32(0)
	for b := m[16:]; len(b) > 0; {
		id, length := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		size := map[uint16]int{256: 60, 257: 84}[id]
		switch {
		case id == 2:
			a.clear[domain] = true
		case size == 0:
			fault("set %d", id)
		case !a.clear[domain] && a.ordered:
			fault("domain %d: records before templates", domain)
		}
		for r := b[4:length]; size > 0 && len(r) >= size; r = r[size:] {
			a.ledger.seen[binary.BigEndian.Uint64(r[octetsAt[id]:])]++
			n++
		}
		b = b[length:]
	}
	a.next[domain] = sequence + n
}

// stream audits a session of a stream until that ends.
func (a *audit) stream(r io.Reader) {
	var header [16]byte
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return
		}
		m := make([]byte, max(16, int(binary.BigEndian.Uint16(header[2:]))))
		copy(m, header[:])
		if _, err := io.ReadFull(r, m[16:]); err != nil {
			return // torn: the collector was killed
		}
		a.message(m)
	}
}

// count returns how many records there are, and how many came more than once.
func (l *ledger) count() (records, repeated int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.seen {
		repeated += n - 1
	}
	return len(l.seen), repeated
}

// await waits until there are n records.
func (l *ledger) await(t *testing.T, n int) {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		l.mu.Lock()
		have, changed := len(l.seen), l.changed
		l.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("%d of %d records arrived", have, n)
		}
	}
}

// check asserts that records 1 to n arrived, and no more than so many of them
// again.
func (l *ledger) check(t *testing.T, n, repeatedMost int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults[:min(len(l.faults), 5)] {
		t.Error(f)
	}
	missing, repeated := 0, 0
	for i := range uint64(n) {
		if k := l.seen[i+1]; k == 0 {
			missing++
		} else {
			repeated += k - 1
		}
	}
	if missing > 0 || len(l.seen) > n {
		t.Errorf("of %d records %d are missing, %d are unknown", n, missing, len(l.seen)-n+missing)
	}
	if repeated > repeatedMost {
		t.Errorf("%d records came again, at most %d were in flight", repeated, repeatedMost)
	}
}

// collector is a TCP collector that can be killed and started again at its
// address.
type collector struct {
	t        *testing.T
	ledger   *ledger
	address  string
	secure   func(net.Conn) net.Conn
	listener net.Listener
	done     sync.WaitGroup
	mu       sync.Mutex
	conns    []*net.TCPConn
	accepted chan *net.TCPConn
}

func startCollector(t *testing.T, secure func(net.Conn) net.Conn) *collector {
	t.Helper()
	c := &collector{t: t, ledger: newLedger(), address: "127.0.0.1:0", secure: secure, accepted: make(chan *net.TCPConn, 100)}
	c.start()
	t.Cleanup(func() { c.kill(0) })
	return c
}

func (c *collector) start() {
	c.t.Helper()
	l, err := net.Listen("tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	c.listener, c.address = l, l.Addr().String()
	c.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.mu.Lock()
			c.conns = append(c.conns, conn.(*net.TCPConn))
			c.mu.Unlock()
			c.accepted <- conn.(*net.TCPConn)
			if c.secure != nil {
				conn = c.secure(conn)
			}
			c.done.Go(func() { c.ledger.session(true).stream(conn) })
		}
	})
}

// kill ends the collector; linger 0 resets its connections, -1 closes them as a
// process that ends does.
func (c *collector) kill(linger int) {
	_ = c.listener.Close()
	c.mu.Lock()
	for _, conn := range c.conns {
		_ = conn.SetLinger(linger)
		_ = conn.Close()
	}
	c.conns = nil
	c.mu.Unlock()
	c.done.Wait()
}

// exportNumbered exports records first to last, and marks each with its number.
func exportNumbered(t *testing.T, s *Stream, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		r := numbered(uint64(n))
		if err := s.Export(t.Context(), uint32(1+n/1000%2), &r); err != nil {
			t.Fatal(err)
		}
		s.Mark(uint64(n))
	}
}

func drain(t *testing.T, s *Stream, want uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if id, err := s.Drain(ctx); err != nil || id != want {
		t.Fatalf("Drain = %d, %v, want %d; %v", id, err, want, s.Stats().LastError)
	}
}

// awaitState asks a stream how it is until that is as wanted.
func awaitState(t *testing.T, s *Stream, what string, reached func(StreamStats) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		if _, err := s.Delivered(ctx); err != nil {
			t.Fatal(err)
		}
		if reached(s.Stats()) {
			return
		}
		if err := s.wait(ctx); err != nil {
			t.Fatalf("%s: not reached: %+v", what, s.Stats())
		}
	}
}

func isConnected(st StreamStats) bool { return st.Connected }

// wantHint asserts that the last error of a stream says what to do.
func wantHint(t *testing.T, err error, hint string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint, hint) {
		t.Errorf("error %v, hint %q; want a hint with %q", err, hintOf(err), hint)
	}
}

func hintOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// greedy is somebody who takes everything as fast as it comes, over UDP or TCP.
func greedy(tb testing.TB, url string) string {
	tb.Helper()
	switch url {
	case "tcp":
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			if c, err := l.Accept(); err == nil {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}
		}()
		tb.Cleanup(func() { _ = l.Close(); <-done })
		url = "tcp://" + l.Addr().String()
	case "udp":
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = c.Close() })
		url = "udp://" + c.LocalAddr().String()
	}
	return url
}

// timedStream is a stream to somebody who takes everything as fast as it comes.
func timedStream(tb testing.TB, w way) *Stream {
	tb.Helper()
	s := openStream(tb, Config{URL: greedy(tb, w.url), Rate: w.rate, pace: quick})
	for !s.connected(time.Now()) {
		s.look(tb.Context(), time.Now(), forever)
		if err := s.wait(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}
