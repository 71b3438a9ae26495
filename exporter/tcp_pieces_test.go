package exporter

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// pieces counts what is written to a connection.
type pieces struct {
	streamConn
	sizes []int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.sizes = append(p.sizes, len(b))
	return p.streamConn.Write(b)
}

// TestTCPWritesLargePieces: while there is more, messages go to the kernel 64 KiB at
// a time, with and without TLS; what is left goes at once with Flush.
func TestTCPWritesLargePieces(t *testing.T) {
	const records = 23 * 500
	ca := newAuthority(t)
	for _, scheme := range []string{"tcp", "tls"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if scheme == "tls" {
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{ca.sign("127.0.0.1", 1<<40)}})
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 2 {
				if c, err := l.Accept(); err == nil {
					_, _ = io.Copy(io.Discard, c)
					_ = c.Close()
				}
			}
		}()
		defer func() { _ = l.Close(); <-done }()
		cfg := Config{URL: scheme + "://" + l.Addr().String()}
		if scheme == "tls" {
			cfg.TLS.CAFile = writeAuthority(t, filepath.Join(t.TempDir(), "ca.pem"), ca)
		}
		t.Run("Session/"+scheme, func(t *testing.T) {
			s := connect(t, cfg)
			p := &pieces{}
			switch tr := s.transport.(*tcp); scheme {
			case "tcp":
				p.streamConn, tr.conn = tr.conn, p
				tr.w.Reset(p)
			default:
				p.streamConn, tr.cork.streamConn = tr.cork.streamConn, p
			}
			export(t, s, 1, records, v4)
			flush(t, s)
			checkPieces(t, p.sizes)
			sum := 0
			for _, n := range p.sizes {
				sum += n
			}
			if want := int(s.Stats().Bytes); sum < want || sum > want+len(p.sizes)*overhead {
				t.Errorf("%d octets were written, want %d", sum, want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		t.Run("Stream/"+scheme, func(t *testing.T) {
			s := openStream(t, Config{URL: cfg.URL, TLS: cfg.TLS, pace: quick})
			awaitState(t, s, "connected", isConnected)
			box := s.link.(*tcpLink).box
			var sizes []int
			try, rest := box.try, 0
			box.try = func(fd uintptr) bool {
				if rest == 0 { // of a piece that the kernel did not take whole
					sizes = append(sizes, len(box.out))
				}
				done := try(fd)
				rest = len(box.out)
				return done
			}
			exportNumbered(t, s, 1, records)
			drain(t, s, records)
			checkPieces(t, sizes)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

const overhead = 1024 // of TLS, in a piece

func checkPieces(t *testing.T, sizes []int) {
	t.Helper()
	for i, n := range sizes {
		if n > streamBytes+overhead || n < streamBytes-DefaultMaxMessageBytes && i < len(sizes)-2 {
			t.Errorf("piece %d of %d has %d octets, want %d", i, len(sizes), n, streamBytes)
		}
	}
	if len(sizes) < 10 {
		t.Errorf("only %d pieces", len(sizes))
	}
}
