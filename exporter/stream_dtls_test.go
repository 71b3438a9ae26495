package exporter

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/dtls/v3"
)

// oneClient is a socket that hears the first who begins a handshake, and nobody
// else: what a server is for a client.
type oneClient struct {
	*net.UDPConn
	from  net.Addr
	first []byte
}

func (o *oneClient) ReadFrom(b []byte) (int, net.Addr, error) {
	if n := copy(b, o.first); n > 0 {
		o.first = nil
		return n, o.from, nil
	}
	for {
		n, from, err := o.UDPConn.ReadFrom(b)
		if err != nil || from.String() == o.from.String() {
			return n, from, err
		}
	}
}

// dtlsCollector is a collector over DTLS that can be killed and started again.
type dtlsCollector struct {
	t       *testing.T
	ledger  *ledger
	address string
	options []dtls.ServerOption
	socket  *net.UDPConn
	done    sync.WaitGroup
	raw     chan []byte // each message, if there is room
}

func startDTLS(t *testing.T, options ...dtls.ServerOption) *dtlsCollector {
	t.Helper()
	c := &dtlsCollector{t: t, ledger: newLedger(), address: "127.0.0.1:0", options: options, raw: make(chan []byte, 1000)}
	c.start()
	t.Cleanup(c.kill)
	return c
}

func (c *dtlsCollector) start() {
	c.t.Helper()
	at, err := net.ResolveUDPAddr("udp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.socket, err = net.ListenUDP("udp", at); err != nil {
		c.t.Fatal(err)
	}
	_ = c.socket.SetReadBuffer(4 << 20)
	c.address = c.socket.LocalAddr().String()
	socket := c.socket
	c.done.Go(func() { c.serve(socket) })
}

func (c *dtlsCollector) serve(socket *net.UDPConn) {
	b := make([]byte, 1<<16)
	for {
		n, from, err := socket.ReadFrom(b)
		if err != nil {
			return
		}
		if b[0] != 22 { // of a session that we do not know
			continue
		}
		conn, err := dtls.ServerWithOptions(&oneClient{socket, from, bytes.Clone(b[:n])}, from, c.options...)
		if err != nil {
			c.t.Error(err)
			return
		}
		if err := conn.HandshakeContext(context.Background()); err == nil {
			a := c.ledger.session(false)
			for {
				n, err := conn.Read(b)
				if err != nil {
					break
				}
				a.message(bytes.Clone(b[:n]))
				select {
				case c.raw <- bytes.Clone(b[:n]):
				default:
				}
			}
		}
		_ = conn.Close() // and the socket
	}
}

// kill ends the collector without a word.
func (c *dtlsCollector) kill() {
	_ = c.socket.Close()
	c.done.Wait()
}

func TestStreamDTLSRestarted(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	c := startDTLS(t, dtls.WithCertificates(ca.sign("127.0.0.1", time.Hour)), dtls.WithClientAuth(dtls.RequireAndVerifyClientCert), dtls.WithClientCAs(ca.pool()))
	cfg := Config{URL: "dtls://" + c.address, pace: quick, LocalAddress: "127.0.0.2"}
	cfg.TLS.CAFile = writeAuthority(t, filepath.Join(dir, "ca.pem"), ca)
	writePair(t, dir, ca.sign("flow2ipfix", time.Hour), &cfg.TLS)
	s := openStream(t, cfg)
	exportNumbered(t, s, 1, 500)
	drain(t, s, 500)
	c.ledger.await(t, 500)
	for round := 1; round <= 2; round++ {
		c.kill()
		first := round*500 + 1
		exportNumbered(t, s, first, first+499)
		awaitState(t, s, "lost", func(st StreamStats) bool { return !st.Connected && st.Failures > 0 })
		if id, err := s.Delivered(t.Context()); err != nil || id >= uint64(first) {
			t.Errorf("Delivered = %d, %v: what was refused is not", id, err)
		}
		if hintOf(s.Stats().LastError) == "" {
			t.Errorf("no hint for %v", s.Stats().LastError)
		}
		c.start()
		drain(t, s, uint64(first)+499)
		c.ledger.await(t, first+499)
	}
	c.ledger.check(t, 1500, 0)
}

// TestStreamDTLSRenewed: a session is replaced from time to time, and nothing is
// sent twice for it.
func TestStreamDTLSRenewed(t *testing.T) {
	ca := newAuthority(t)
	l, err := dtls.ListenWithOptions("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, dtls.WithCertificates(ca.sign("127.0.0.1", time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	ledger := newLedger()
	done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() {
				defer func() { _ = conn.Close() }()
				a, b := ledger.session(false), make([]byte, 1<<16)
				for {
					n, err := conn.Read(b)
					if err != nil {
						return
					}
					a.message(b[:n])
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); done.Wait() })
	cfg := Config{URL: "dtls://" + l.Addr().String(), pace: quick, TemplateRefresh: 100 * time.Millisecond}
	cfg.TLS.CAFile = writeAuthority(t, filepath.Join(t.TempDir(), "ca.pem"), ca)
	s := openStream(t, cfg)
	n := 0
	for s.Stats().Connections < 4 {
		n++
		exportNumbered(t, s, n, n)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	drain(t, s, uint64(n))
	ledger.await(t, n)
	ledger.check(t, n, 0)
	if st := s.Stats(); st.ResentRecords > 0 || st.Failures > 0 {
		t.Errorf("stats %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStreamDTLSTrust(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	path := writeAuthority(t, filepath.Join(t.TempDir(), "ca.pem"), ca)
	own := ca.sign("127.0.0.1", time.Hour)
	for _, tc := range []struct {
		name   string
		server []dtls.ServerOption
		hint   string
	}{
		{"unknown authority", []dtls.ServerOption{dtls.WithCertificates(other.sign("127.0.0.1", time.Hour))}, "the CA file must hold"},
		{"wrong name", []dtls.ServerOption{dtls.WithCertificates(ca.sign("collector.example", time.Hour))}, "is for: collector.example"},
		{"no certificate of ours", []dtls.ServerOption{
			dtls.WithCertificates(own), dtls.WithClientAuth(dtls.RequireAndVerifyClientCert), dtls.WithClientCAs(ca.pool()),
		}, "client certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := startDTLS(t, tc.server...)
			s := openStream(t, Config{URL: "dtls://" + c.address, pace: quick, TLS: TLS{CAFile: path}})
			exportNumbered(t, s, 1, 10)
			awaitState(t, s, "failed", func(st StreamStats) bool { return st.Failures > 0 })
			wantHint(t, s.Stats().LastError, tc.hint)
			checkClosed(t, s)
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		s := openStream(t, Config{URL: "dtls://" + closedPort(t, "udp"), pace: quick, TLS: TLS{CAFile: path}})
		exportNumbered(t, s, 1, 10)
		awaitState(t, s, "failed", func(st StreamStats) bool { return st.Failures > 0 })
		checkRefused(t, s.Stats().LastError)
	})
	t.Run("nobody answers", func(t *testing.T) {
		silent := listenUDP(t)
		s := openStream(t, Config{URL: "dtls://" + silent.LocalAddr().String(), pace: quick, Timeout: 100 * time.Millisecond, TLS: TLS{CAFile: path}})
		exportNumbered(t, s, 1, 10)
		awaitState(t, s, "failed", func(st StreamStats) bool { return st.Failures > 0 })
		wantHint(t, s.Stats().LastError, "no answer")
		checkClosed(t, s)
	})
}

func TestSessionDTLS(t *testing.T) {
	ca := newAuthority(t)
	c := startDTLS(t, dtls.WithCertificates(ca.sign("127.0.0.1", time.Hour)))
	s := connect(t, Config{URL: "dtls://" + c.address, TLS: TLS{CAFile: writeAuthority(t, filepath.Join(t.TempDir(), "ca.pem"), ca)}})
	sameRecords(t, s)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	for range wanted(t) {
		select {
		case m := <-c.raw:
			got = append(got, m)
		case <-time.After(10 * time.Second):
			t.Fatalf("%d messages arrived", len(got))
		}
	}
	if diff := cmp.Diff(outlines(t, wanted(t)), outlines(t, got)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	c.kill()
	export(t, s, 1, 23, v4)
	if err := s.Sync(t.Context()); err == nil {
		t.Error("nobody refuses what nobody takes")
	} else {
		checkRefused(t, err)
	}
}
