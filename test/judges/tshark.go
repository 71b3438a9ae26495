package judges

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// tsharkLive captures on the loopback interface what the program sends over UDP
// or TCP, and dissects it afterwards. Somebody has to listen at the port: the
// test itself, which throws away what comes in.
//
// It shows every field, and more than the other judges: each message with its
// lengths and numbers, and whatever is wrong with it.
type tsharkLive struct{ network string }

func (j tsharkLive) Name() string { return "tshark-" + j.network }

func (tsharkLive) Version() (string, error) { return peers.FirstLine("tshark", "--version") }

func (tsharkLive) Shows() expect.Fields { return expect.ShowsAll }

func (tsharkLive) Merges() bool { return false }

func (j tsharkLive) Start(dir string) (peers.Session, error) {
	l, err := listenBoth()
	if err != nil {
		return nil, err
	}
	s := &tsharkSession{network: j.network, peer: l, capture: filepath.Join(dir, "capture.pcapng")}
	s.dissection = dissection{templates: coreTemplates, repeats: j.network == "udp", begin: time.Now()}
	// Marks are UDP datagrams in both cases.
	filter := fmt.Sprintf("udp dst port %d or tcp port %d", l.port, l.port)
	if s.Process, err = peers.Start(dir, "tshark", "-i", "lo", "-B", "64", "-f", filter, "-w", s.capture); err != nil {
		return nil, errors.Join(err, l.close())
	}
	// It captures when it has captured something.
	if err := s.mark("begin"); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

type tsharkSession struct {
	*peers.Process
	peer *listeners
	dissection
	network string
	capture string
}

func (s *tsharkSession) URL() string { return fmt.Sprintf("%s://127.0.0.1:%d", s.network, s.peer.port) }

// Wait implements Session. Packets are captured in the order in which they
// passed: when a mark is in the file, so is all that went before it.
func (s *tsharkSession) Wait(int) error { return s.mark("end") }

// mark sends a datagram to the port until it is in the capture.
func (s *tsharkSession) mark(what string) error {
	mark := []byte("judges mark " + what)
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: s.peer.port}
	return peers.Await("tshark captures "+what, func() (bool, error) {
		if err := s.Alive(); err != nil {
			return false, err
		}
		if _, err := s.peer.marks.WriteTo(mark, to); err != nil {
			return false, err
		}
		b, err := os.ReadFile(s.capture)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, err
		}
		return bytes.Contains(b, mark), nil
	})
}

func (s *tsharkSession) Stop() error {
	return errors.Join(s.End(syscall.SIGINT), s.peer.close())
}

func (s *tsharkSession) Flows() ([]expect.Flow, error) {
	port := fmt.Sprintf("%s.port==%d,cflow", s.network, s.peer.port)
	notMarks := fmt.Sprintf("!(udp.srcport == %d)", s.peer.marksPort)
	s.end = time.Now()
	err := s.read("-r", s.capture, "-d", port, "-Y", notMarks)
	return s.flows, err
}

func (s *tsharkSession) Problems() []string {
	problems := s.problems
	for line := range strings.Lines(s.Log()) {
		if strings.Contains(line, "dropped") {
			problems = append(problems, "the capture is not whole: "+strings.TrimSpace(line))
		}
	}
	return problems
}

// listeners take what comes to a port over UDP and TCP, and throw it away.
type listeners struct {
	port      int
	udp       net.PacketConn
	tcp       net.Listener
	marks     net.PacketConn // to send marks from
	marksPort int
}

func listenBoth() (*listeners, error) {
	for attempt := 1; ; attempt++ {
		l := &listeners{}
		err := l.listen()
		if err == nil {
			go drainUDP(l.udp)
			go drainTCP(l.tcp)
			return l, nil
		}
		if err = errors.Join(err, l.close()); attempt == 5 {
			return nil, err
		}
	}
}

func (l *listeners) listen() (err error) {
	if l.marks, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
		return err
	}
	l.marksPort = l.marks.LocalAddr().(*net.UDPAddr).Port
	if l.tcp, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		return err
	}
	l.port = l.tcp.Addr().(*net.TCPAddr).Port
	l.udp, err = net.ListenPacket("udp4", l.tcp.Addr().String())
	return err
}

// close may be called again.
func (l *listeners) close() error {
	var errs []error
	if l.udp != nil {
		errs = append(errs, l.udp.Close())
	}
	if l.tcp != nil {
		errs = append(errs, l.tcp.Close())
	}
	if l.marks != nil {
		errs = append(errs, l.marks.Close())
	}
	l.udp, l.tcp, l.marks = nil, nil, nil
	return errors.Join(errs...)
}

func drainUDP(c net.PacketConn) {
	b := make([]byte, 1<<16)
	for {
		if _, _, err := c.ReadFrom(b); err != nil {
			return
		}
	}
}

func drainTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			b := make([]byte, 1<<16)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		}()
	}
}

// tsharkFile reads the IPFIX file (RFC 5655) that the program writes.
type tsharkFile struct{}

func (tsharkFile) Name() string { return "tshark-file" }

func (tsharkFile) Version() (string, error) { return tsharkLive{}.Version() }

func (tsharkFile) Shows() expect.Fields { return expect.ShowsAll }

func (tsharkFile) Merges() bool { return false }

func (tsharkFile) Start(dir string) (peers.Session, error) {
	return newTsharkFile(filepath.Join(dir, "flows.ipfix")), nil
}

func newTsharkFile(path string) *tsharkFileSession {
	return &tsharkFileSession{file: path, dissection: dissection{templates: coreTemplates, begin: time.Now()}}
}

type tsharkFileSession struct {
	dissection
	file string
}

func (s *tsharkFileSession) URL() string { return "file:" + s.file }

func (*tsharkFileSession) Wait(int) error { return nil }

func (*tsharkFileSession) Stop() error { return nil }

func (s *tsharkFileSession) Flows() ([]expect.Flow, error) {
	info, err := os.Stat(s.file)
	if err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return nil, nil // tshark does not take an empty file for an IPFIX file
	}
	s.end = time.Now()
	err = s.read("-r", s.file, "-X", "read_format:IPFIX File Format")
	return s.flows, err
}

func (s *tsharkFileSession) Problems() []string { return s.problems }
