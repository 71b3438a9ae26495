package exporter

import (
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// udpCollector is a collector over UDP that can go away and come back.
type udpCollector struct {
	t       *testing.T
	ledger  *ledger
	address string
	conn    *net.UDPConn
	done    sync.WaitGroup
}

func startUDP(t *testing.T) *udpCollector {
	t.Helper()
	c := &udpCollector{t: t, ledger: newLedger(), address: "127.0.0.1:0"}
	c.start()
	t.Cleanup(c.leave)
	return c
}

func (c *udpCollector) start() {
	c.t.Helper()
	at, err := net.ResolveUDPAddr("udp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", at)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	c.conn, c.address = conn, conn.LocalAddr().String()
	c.done.Go(func() {
		b := make([]byte, 1<<16)
		sessions := make(map[string]*audit)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			a := sessions[from.String()]
			if a == nil {
				a = c.ledger.session(true) // loopback loses nothing as long as there is room
				sessions[from.String()] = a
			}
			a.message(b[:n])
		}
	})
}

func (c *udpCollector) leave() {
	_ = c.conn.Close()
	c.done.Wait()
}

func TestStreamUDPAway(t *testing.T) {
	for name, rate := range map[string]int{"gathered": 0, "paced": 50_000} {
		t.Run(name, func(t *testing.T) {
			c := startUDP(t)
			s := openStream(t, Config{URL: "udp://" + c.address, pace: quick, Rate: rate})
			const each, rounds = 2000, 3
			for round := range rounds {
				exportNumbered(t, s, round*each+1, (round+1)*each)
				drain(t, s, uint64((round+1)*each))
				c.ledger.await(t, (round+1)*each)
				if round == rounds-1 {
					break
				}
				c.leave()
				before := s.Stats().Failures
				// The first one is refused, and all others with it.
				first := (round+1)*each + 1
				exportNumbered(t, s, first, first)
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				awaitState(t, s, "refused twice", func(st StreamStats) bool { return st.Failures >= before+2 && !st.Connected })
				checkRefused(t, s.Stats().LastError)
				if id, err := s.Delivered(t.Context()); err != nil || id != uint64(first)-1 {
					t.Errorf("Delivered = %d, %v, want %d", id, err, first-1)
				}
				c.start()
				drain(t, s, uint64(first))
				c.ledger.await(t, first)
				c.ledger.check(t, first, round) // which the next round exports anew
			}
			c.ledger.check(t, each*rounds, 2)
		})
	}
}

// TestStreamUDPDeliveredNotEarly: what is out counts when the time for a refusal
// is over, not before.
func TestStreamUDPDeliveredNotEarly(t *testing.T) {
	c := startUDP(t)
	p := quick
	p.near = 150 * time.Millisecond
	s := openStream(t, Config{URL: "udp://" + c.address, pace: p})
	awaitState(t, s, "connected", isConnected)
	exportNumbered(t, s, 1, 1)
	sent := time.Now()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	drain(t, s, 1)
	if took := time.Since(sent); took < p.near {
		t.Errorf("delivered after %v, want %v at least", took, p.near)
	}
}

// TestStreamResolvesAgain: the name of a collector is looked up for each
// connection.
func TestStreamResolvesAgain(t *testing.T) {
	here, there := startUDP(t), newLedger()
	_, port, err := net.SplitHostPort(here.address)
	if err != nil {
		t.Fatal(err)
	}
	moved := &udpCollector{t: t, ledger: there, address: net.JoinHostPort("127.0.0.3", port)}
	moved.start()
	defer moved.leave()
	answer := serveName(t)
	answer([4]byte{127, 0, 0, 1})
	s := openStream(t, Config{URL: "udp://collector.test.:" + port, pace: quick})
	exportNumbered(t, s, 1, 100)
	drain(t, s, 100)
	here.ledger.await(t, 100)
	here.leave()
	answer([4]byte{127, 0, 0, 3})
	exportNumbered(t, s, 101, 200)
	drain(t, s, 200)
	there.await(t, 100)
	if n, _ := there.count(); n != 100 {
		t.Errorf("%d records arrived where the collector is now, want 100", n)
	}
}

// serveName makes collector.test resolve to the address that the returned function
// was last called with.
func serveName(t *testing.T) func([4]byte) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var address [4]byte
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			end := 12 // of the question
			for b[end] != 0 {
				end += int(b[end]) + 1
			}
			end += 5
			if n < end {
				continue
			}
			kind := binary.BigEndian.Uint16(b[end-4:])
			reply := append([]byte(nil), b[:end]...)
			copy(reply[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
			if kind == 1 {
				reply[7] = 1
				mu.Lock()
				reply = append(reply, 0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, address[0], address[1], address[2], address[3])
				mu.Unlock()
			}
			_, _ = server.WriteTo(reply, from)
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = server.Close()
		<-done
	})
	return func(a [4]byte) {
		mu.Lock()
		defer mu.Unlock()
		address = a
	}
}

func TestStreamNameUnknown(t *testing.T) {
	s := openStream(t, Config{URL: "udp://collector.invalid:4739", pace: quick})
	exportNumbered(t, s, 1, 1)
	awaitState(t, s, "failed", func(st StreamStats) bool { return st.Failures > 0 })
	wantHint(t, s.Stats().LastError, "can resolve it")
}

func TestStreamFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows.ipfix")
	read := func(path string) *ledger {
		t.Helper()
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		l := newLedger()
		a := l.session(false)
		a.stream(f)
		return l
	}
	for round := range 3 {
		s := openStream(t, Config{URL: "file:" + path, pace: quick})
		exportNumbered(t, s, round*1000+1, (round+1)*1000)
		drain(t, s, uint64((round+1)*1000))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		read(path).check(t, (round+1)*1000, 0)
		// A crash leaves a part of a message behind.
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte{0, 10, 0, 200, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}[:10+round*5]); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := openStream(t, Config{URL: "file:" + path, pace: quick})
	exportNumbered(t, s, 3001, 3010)
	drain(t, s, 3010)
	read(path).check(t, 3010, 0)
	// Logs are rotated.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	awaitState(t, s, "moved", func(st StreamStats) bool { return st.Connections == 2 })
	exportNumbered(t, s, 3011, 3020)
	drain(t, s, 3020)
	if n, _ := read(path).count(); n != 10 {
		t.Errorf("the new file has %d records, want 10", n)
	}
	read(path+".1").check(t, 3010, 0)
}

func TestStreamFileErrors(t *testing.T) {
	foreign := filepath.Join(t.TempDir(), "notes")
	short := foreign + ".short" // shorter than a header, but not the begin of one
	for path, text := range map[string]string{foreign: "this is not IPFIX at all", short: "hello"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for url, hint := range map[string]string{
		"file:/dev/full":                "the disk is full",
		"file:/nowhere/x":               "in a directory that exists",
		"file:" + foreign:               "IPFIX files only",
		"file:" + short:                 "IPFIX files only",
		"file:" + filepath.Dir(foreign): "can be written",
	} {
		s := openStream(t, Config{URL: url, pace: quick})
		exportNumbered(t, s, 1, 10)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		awaitState(t, s, url, func(st StreamStats) bool { return st.Failures > 1 })
		wantHint(t, s.Stats().LastError, hint)
		if id, err := s.Delivered(t.Context()); id != 0 || err != nil {
			t.Errorf("%s: Delivered = %d, %v", url, id, err)
		}
	}
	for path, text := range map[string]string{foreign: "this is not IPFIX at all", short: "hello"} {
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("a file that is not ours now holds %q, %v", b, err)
		}
	}
}

func TestBacklogReusesMemory(t *testing.T) {
	b := newBacklog(1<<20, 1400)
	d := &domain{id: 1}
	for i := range uint64(10_000) {
		if !b.room(1400) {
			t.Fatalf("no room for message %d, %d bytes are kept", i, b.used)
		}
		m := append(b.begin(1400), make([]byte, 100+i%1300)...)
		b.mark(i + 1)
		b.finish(kept{data: m, domain: d, records: 1})
		if n := b.end(); n > 300 {
			b.drop(n - 300)
			if b.marked != n-300 {
				t.Fatalf("marked %d, want %d", b.marked, n-300)
			}
		}
	}
	if diff := cmp.Diff([]int{300, 300}, []int{b.kept.len(), b.marks.len()}); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if n := b.chunks.len() + len(b.free); n > 12 {
		t.Errorf("%d chunks for 300 messages", n)
	}
	b.drop(b.end())
	if b.used != 0 || b.chunks.len() != 1 || b.marked != 10_000 {
		t.Errorf("after all is delivered %d bytes in %d chunks are kept, %d is marked", b.used, b.chunks.len(), b.marked)
	}
}
