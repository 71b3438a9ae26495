package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// Receiver is a collector at one address, which can go away and come back.
type Receiver interface {
	URL() string
	// Shows returns the fields that its verdict is on.
	Shows() expect.Fields
	// start starts the collector at its address.
	start()
	// end ends it in good order: what it had read is written.
	end()
	// take returns what came since it was last called.
	take() []peers.Arrival
	// finish ends it, and says what it found wrong, if nothing was done to it and
	// its exporter.
	finish(undisturbed bool)
}

// nfcapd is the UDP receiver.
type nfcapd struct {
	t         *testing.T
	dir       string
	port      int
	tap       *peers.Tap
	session   *peers.NfcapdSession
	sessions  []*peers.NfcapdSession
	tapped    []expect.Flow
	neverGone bool
}

// startNfcapd starts nfcapd on a port of its own.
func startNfcapd(t *testing.T) *nfcapd {
	t.Helper()
	port, err := peers.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	tap, err := peers.StartTap()
	if err != nil {
		t.Fatal(err)
	}
	n := &nfcapd{t: t, dir: t.TempDir(), port: port, tap: tap, neverGone: true}
	t.Cleanup(func() {
		n.stop()
		if err := tap.Stop(); err != nil {
			t.Error(err)
		}
	})
	n.start()
	return n
}

func (n *nfcapd) URL() string { return fmt.Sprintf("udp://127.0.0.1:%d", n.port) }

func (n *nfcapd) Shows() expect.Fields { return expect.ShowsAll } // the tap does

func (n *nfcapd) start() {
	n.t.Helper()
	dir := filepath.Join(n.dir, strconv.Itoa(len(n.sessions)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	s, err := peers.StartNfcapdOn(dir, n.port, n.tap.Port())
	if err != nil {
		n.t.Fatal(err)
	}
	n.session = s
	n.sessions = append(n.sessions, s)
}

func (n *nfcapd) end() {
	n.t.Helper()
	n.neverGone = false
	n.stop()
}

// stop waits until nfcapd has read what came and ends it, so that nothing that
// came is lost.
func (n *nfcapd) stop() {
	if n.session == nil {
		return
	}
	if err := n.session.Wait(0); err != nil {
		n.t.Error(err)
	}
	if err := n.session.Stop(); err != nil {
		n.t.Error(err)
	}
	n.session = nil
}

func (n *nfcapd) take() []peers.Arrival {
	all, err := n.tap.Take()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, a := range all {
		n.tapped = append(n.tapped, a.Flow)
	}
	return all
}

// finish compares what nfcapd wrote with what was seen of it.
func (n *nfcapd) finish(undisturbed bool) {
	n.t.Helper()
	n.stop()
	n.take()
	var flows []expect.Flow
	for _, s := range n.sessions {
		some, err := s.Flows()
		if err != nil {
			n.t.Fatal(err)
		}
		flows = append(flows, some...)
		if problems := s.Problems(); undisturbed && n.neverGone && len(problems) > 0 {
			n.t.Errorf("nfcapd: %s", strings.Join(problems, "\n"))
		}
	}
	for _, p := range n.tap.Problems() {
		n.t.Error(p)
	}
	if diff := expect.Compare(n.tapped, flows, peers.Nfcapd{}.Shows(), false); diff != "" {
		n.t.Errorf("what nfcapd wrote is not what it passed on: %s", diff)
	}
}

// goIPFIX is the TCP receiver.
type goIPFIX struct {
	t        *testing.T
	dir      string
	address  string
	buffer   int // of its socket; 0 is the system's
	present  *peers.Collector
	sessions []*peers.Collector
}

// startGoIPFIX starts go-ipfix's collector on a port of its own.
func startGoIPFIX(t *testing.T) *goIPFIX {
	t.Helper()
	g := newGoIPFIX(t)
	g.start()
	return g
}

// newGoIPFIX finds the port, and starts nothing.
func newGoIPFIX(t *testing.T) *goIPFIX {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &goIPFIX{t: t, dir: t.TempDir(), address: l.Addr().String()}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.end)
	return g
}

func (g *goIPFIX) URL() string { return "tcp://" + g.address }

func (g *goIPFIX) Shows() expect.Fields { return expect.ShowsAll }

func (g *goIPFIX) start() {
	g.t.Helper()
	dir := filepath.Join(g.dir, strconv.Itoa(len(g.sessions)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		g.t.Fatal(err)
	}
	c, err := peers.StartCollector(dir, g.address, g.buffer)
	if err != nil {
		g.t.Fatal(err)
	}
	g.present = c
	g.sessions = append(g.sessions, c)
}

func (g *goIPFIX) end() { g.signal(syscall.SIGTERM) }

// kill kills it: what it has not read yet is lost.
func (g *goIPFIX) kill() { g.signal(syscall.SIGKILL) }

func (g *goIPFIX) signal(signal syscall.Signal) {
	g.t.Helper()
	if g.present == nil {
		return
	}
	_ = g.present.Signal(syscall.SIGCONT) // it may have been stopped; an error says that it is gone
	if err := g.present.End(signal); err != nil {
		g.t.Error(err)
	}
	g.present = nil
}

// freeze stops it: its kernel takes what comes, it reads nothing.
func (g *goIPFIX) freeze() {
	g.t.Helper()
	if err := g.present.Signal(syscall.SIGSTOP); err != nil {
		g.t.Fatal(err)
	}
}

// thaw lets it go on.
func (g *goIPFIX) thaw() {
	g.t.Helper()
	if err := g.present.Signal(syscall.SIGCONT); err != nil {
		g.t.Fatal(err)
	}
}

func (g *goIPFIX) take() []peers.Arrival {
	var all []peers.Arrival
	for _, c := range g.sessions {
		some, err := c.Take()
		if err != nil {
			g.t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

func (g *goIPFIX) finish(undisturbed bool) {
	g.t.Helper()
	g.end()
	for _, c := range g.sessions {
		words := c.Complaints()
		if strings.Contains(words, "sequence number") || undisturbed && words != "" {
			g.t.Errorf("go-ipfix: %s", words)
		}
	}
}
