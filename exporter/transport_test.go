package exporter

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// sameRecords exports the same few hundred records to any session.
func sameRecords(t *testing.T, s *Session) {
	t.Helper()
	s.now = func() time.Time { return time.Unix(1_700_000_000, 0) }
	export(t, s, 1, 100, v4)
	export(t, s, 2, 50, v6)
	export(t, s, 2, 3, v4)
	export(t, s, 1, 700, v4)
}

// wanted is what sameRecords makes, message by message.
func wanted(t *testing.T) [][]byte {
	t.Helper()
	s, f := fakeSession(t, Config{})
	sameRecords(t, s)
	flush(t, s)
	return f.messages
}

func listenUDP(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	return c
}

func connect(t *testing.T, cfg Config) *Session {
	t.Helper()
	cfg.Templates = generic(t)
	s, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestUDP(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  Config
		prep func(*udp)
	}{
		{"gathered", Config{}, nil},
		{"paced", Config{Rate: 1_000_000}, nil},
		{"paced to go alone", Config{Rate: 20_000}, nil},
		{"one by one", Config{}, func(u *udp) { u.gather = false }},
		{"kernel refuses to segment", Config{}, func(u *udp) { u.control[4] = 0xFF }},
		{"kernel refuses to segment, paced", Config{Rate: 1_000_000}, func(u *udp) { u.control[4] = 0xFF }},
		{"from a local address", Config{LocalAddress: "127.0.0.2"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := listenUDP(t)
			tc.cfg.URL = "udp://" + c.LocalAddr().String()
			s := connect(t, tc.cfg)
			if tc.prep != nil {
				tc.prep(s.transport.(*udp))
			}
			sameRecords(t, s)
			if err := s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got [][]byte
			b := make([]byte, 65536)
			for range wanted(t) {
				if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
					t.Fatal(err)
				}
				n, from, err := c.ReadFromUDPAddrPort(b)
				if err != nil {
					t.Fatalf("after %d datagrams: %v", len(got), err)
				}
				if want := stdcmp.Or(tc.cfg.LocalAddress, "127.0.0.1"); from.Addr().Unmap().String() != want {
					t.Errorf("a datagram came from %v, want %s", from, want)
				}
				got = append(got, bytes.Clone(b[:n]))
			}
			if diff := cmp.Diff(outlines(t, wanted(t)), outlines(t, got)); diff != "" {
				t.Fatalf("datagrams (-want +got):\n%s", diff)
			}
			if u := s.transport.(*udp); u.gather != (tc.prep == nil) {
				t.Errorf("messages are gathered: %v", u.gather)
			}
			if !cmp.Equal(wanted(t), got) {
				t.Error("datagrams differ in what their outlines do not show")
			}
		})
	}
}

func TestTCPLocalAddress(t *testing.T) {
	url, accepted := stuckServer(t)
	connect(t, Config{URL: url, LocalAddress: "127.0.0.3"})
	c := <-accepted
	defer func() { _ = c.Close() }()
	if got := c.RemoteAddr().(*net.TCPAddr).IP.String(); got != "127.0.0.3" {
		t.Errorf("the connection comes from %s", got)
	}
}

func TestUDPFallsBackForGood(t *testing.T) {
	c := listenUDP(t)
	s := connect(t, Config{URL: "udp://" + c.LocalAddr().String()})
	u := s.transport.(*udp)
	u.control[4] = 0xFF // a length that no control message has
	sameRecords(t, s)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u.gather {
		t.Error("messages are still gathered after the kernel refused")
	}
}

// closedPort returns a loopback address where nothing listens, nor will while the test
// runs: who only frees a port may find somebody else at it.
func closedPort(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		// It belongs to a socket that talks to somebody else alone.
		c, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c.LocalAddr().String()
	}
	// It belongs to a socket that does not listen.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port)
}

func checkRefused(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.Is(err, ErrRefused) || !errors.As(err, &e) || !strings.Contains(e.Hint, "start the collector") {
		t.Errorf("got %v, want a refusal with a hint", err)
	}
}

func TestUDPRefused(t *testing.T) {
	for _, rate := range []int{0, 1000} {
		s := connect(t, Config{URL: "udp://" + closedPort(t, "udp"), Rate: rate})
		export(t, s, 1, 1, v4)
		checkRefused(t, s.Sync(t.Context()))
	}
}

func TestUDPRefusedOffLoopbackIsWaitedFor(t *testing.T) {
	s := connect(t, Config{URL: "udp://" + closedPort(t, "udp")})
	s.transport.(*udp).settle = 10 * time.Second // as if it were far away
	export(t, s, 1, 1, v4)
	checkRefused(t, s.Sync(t.Context()))
}

func TestUDPSettleEndsWithTheContext(t *testing.T) {
	c := listenUDP(t)
	s := connect(t, Config{URL: "udp://" + c.LocalAddr().String()})
	s.transport.(*udp).settle = time.Hour
	export(t, s, 1, 1, v4)
	ctx, cancel := context.WithCancel(t.Context())
	synced := make(chan error, 1)
	go func() { synced <- s.Sync(ctx) }()
	b := make([]byte, 2000)
	if _, _, err := c.ReadFrom(b); err != nil { // it has been sent, and waits
		t.Fatal(err)
	}
	cancel()
	if err := <-synced; !errors.Is(err, context.Canceled) {
		t.Errorf("Sync = %v, want %v", err, context.Canceled)
	}
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	received := make(chan []byte, 1)
	go func() {
		defer close(received)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		b, _ := io.ReadAll(c)
		received <- b
	}()
	s := connect(t, Config{URL: "tcp://" + l.Addr().String()})
	sameRecords(t, s)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Templates come once a connection: the fake's are not due again either.
	if !bytes.Equal(bytes.Join(wanted(t), nil), <-received) {
		t.Error("the stream is not the messages one behind the other")
	}
}

func TestTCPRefused(t *testing.T) {
	_, err := New(t.Context(), Config{URL: "tcp://" + closedPort(t, "tcp"), Templates: generic(t)})
	checkRefused(t, err)
}

// stuckServer accepts one connection and does not read.
func stuckServer(t *testing.T) (url string, conn <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		select {
		case c := <-accepted:
			_ = c.Close()
		default:
		}
	})
	return "tcp://" + l.Addr().String(), accepted
}

// exportUntilError exports until the collector takes no more.
func exportUntilError(ctx context.Context, s *Session) error {
	for {
		if err := s.Export(ctx, 1, &v4); err != nil {
			return err
		}
	}
}

func TestTCPThatDoesNotRead(t *testing.T) {
	url, _ := stuckServer(t)
	s := connect(t, Config{URL: url, Timeout: 100 * time.Millisecond})
	var e *Error
	if err := exportUntilError(t.Context(), s); !errors.As(err, &e) || !os.IsTimeout(e.Err) || !strings.Contains(e.Hint, "does not read") {
		t.Errorf("Export = %v, want a timeout with a hint", err)
	}
}

func TestTCPWriteEndsWithTheContext(t *testing.T) {
	url, _ := stuckServer(t)
	s := connect(t, Config{URL: url, Timeout: time.Hour})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- exportUntilError(ctx, s) }()
	cancel(cause)
	if err := <-ended; !errors.Is(err, cause) {
		t.Errorf("Export = %v, want %v", err, cause)
	}
}

func TestTCPThatCloses(t *testing.T) {
	url, accepted := stuckServer(t)
	s := connect(t, Config{URL: url})
	if err := (<-accepted).Close(); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := exportUntilError(t.Context(), s); !errors.As(err, &e) || !strings.Contains(e.Hint, "closed the connection") {
		t.Errorf("Export = %v, want that the collector closed, with a hint", err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows.ipfix")
	s := connect(t, Config{URL: "file:" + path})
	sameRecords(t, s)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.Join(wanted(t), nil), b) {
		t.Error("the file is not the messages one behind the other")
	}
}

func TestFileErrors(t *testing.T) {
	if _, err := New(t.Context(), Config{URL: "file:/nowhere/x", Templates: generic(t)}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("New = %v, want %v", err, os.ErrNotExist)
	}
	s, err := New(t.Context(), Config{URL: "file:/dev/full", Templates: generic(t)})
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if err := exportUntilError(t.Context(), s); !errors.As(err, &e) || e.Hint != "the disk is full: free some space on it" {
		t.Errorf("Export = %v, want that the disk is full", err)
	}
	if err := s.Close(); err == nil {
		t.Error("Close says nothing of what could not be written")
	}
}

func TestParseURL(t *testing.T) {
	for _, tc := range []struct {
		url  string
		want Address
	}{
		{"udp://127.0.0.1:2055", Address{"udp", "127.0.0.1:2055"}},
		{"tcp://collector.example:4739", Address{"tcp", "collector.example:4739"}},
		{"udp://[2001:db8::1]:4739", Address{"udp", "[2001:db8::1]:4739"}},
		{"tls://collector.example:4740", Address{"tls", "collector.example:4740"}},
		{"dtls://192.0.2.1:4740", Address{"dtls", "192.0.2.1:4740"}},
		{"udp://collector:netflow", Address{}},
		{"file:flows.ipfix", Address{"file", "flows.ipfix"}},
		{"file:/tmp/a b", Address{"file", "/tmp/a b"}},
		{"file:-", Address{"file", "-"}},
	} {
		got, err := ParseURL(tc.url)
		if got != tc.want || (err != nil) != (tc.want == Address{}) {
			t.Errorf("ParseURL(%q) = %v, %v; want %v", tc.url, got, err, tc.want)
		}
	}
	for url, want := range map[string]string{
		"":                      `collector "": want udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH`,
		"127.0.0.1:2055":        `collector "127.0.0.1:2055": want udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH`,
		"collector:2055":        `collector "collector:2055": want udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH`,
		"sctp://h:1":            `collector "sctp://h:1": scheme "sctp" is not known; want udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH`,
		"udp://h":               `collector "udp://h": want a port, like udp://h:4739`,
		"udp://:2055":           `collector "udp://:2055": want a host, like udp://127.0.0.1:2055`,
		"udp://h:0":             `collector "udp://h:0": want a port from 1 to 65535, got 0`,
		"udp://h:70000":         `collector "udp://h:70000": want a port from 1 to 65535, got 70000`,
		"udp://h:2055/x":        `collector "udp://h:2055/x": want nothing but host and port behind udp://`,
		"udp://user@h:2055":     `collector "udp://user@h:2055": want nothing but host and port behind udp://`,
		"tcp://h:1?tls=yes":     `collector "tcp://h:1?tls=yes": want nothing but host and port behind tcp://`,
		"file:":                 `collector "file:": want a path, like file:flows.ipfix, or file:- for standard output`,
		"udp://[2001:db8::1:99": `collector "udp://[2001:db8::1:99": want udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH`,
	} {
		if _, err := ParseURL(url); err == nil || err.Error() != want {
			t.Errorf("ParseURL(%q) = %v\nwant %s", url, err, want)
		}
	}
}
