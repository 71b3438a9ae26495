package exporter

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	dtlsnet "github.com/pion/dtls/v3/pkg/net"
	"golang.org/x/sys/unix"
)

// dtlsLink is a link over DTLS (RFC 7011 §10.3.3, RFC 6347): a message is a
// record, and a record a datagram. What is delivered is known as well, or as
// little, as over UDP.
//
// A collector that was started again while nothing was sent does not know our
// session, and says nothing to that. So a session is replaced by a new one from
// time to time.
type dtlsLink struct {
	url    string
	conn   *dtls.Conn
	settle time.Duration
	life   time.Duration

	gone   atomic.Pointer[Error] // why the session ended
	closed chan struct{}         // nothing reads any more

	settling settling
}

// handshakePause is how long to wait behind the handshake: for us it is over
// before it is for the collector, and some throw away what comes too early, which
// would be the templates.
const handshakePause = 250 * time.Millisecond

func openDTLSLink(ctx context.Context, cfg *Config, target string) (link, error) {
	l, err := openDTLS(ctx, cfg, target)
	if err != nil {
		return nil, err
	}
	return l, nil
}

func openDTLS(ctx context.Context, cfg *Config, target string) (*dtlsLink, error) {
	cr, err := cfg.credentials(target)
	if err != nil {
		return nil, err
	}
	options := []dtls.ClientOption{dtls.WithServerName(cr.name)}
	if cr.roots != nil {
		options = append(options, dtls.WithRootCAs(cr.roots))
	}
	if cr.certificate != nil {
		options = append(options, dtls.WithGetClientCertificate(func(*dtls.CertificateRequestInfo) (*tls.Certificate, error) { return cr.certificate, nil }))
	}
	socket, err := connectUDP(ctx, cfg, target)
	if err != nil {
		return nil, err
	}
	conn, err := dtls.ClientWithOptions(dtlsnet.PacketConnFromConn(socket), socket.RemoteAddr(), options...)
	if err == nil {
		shake, cancel := context.WithTimeout(ctx, cfg.Timeout)
		err = conn.HandshakeContext(shake)
		cancel()
		if err != nil {
			_ = conn.Close()
		}
	}
	if err != nil {
		_ = socket.Close()
		return nil, dialError(cfg.URL, fmt.Errorf("dtls: %w", err))
	}
	if err := sleep(ctx, handshakePause); err != nil {
		_ = conn.Close()
		return nil, dialError(cfg.URL, err)
	}
	l := &dtlsLink{
		url: cfg.URL, conn: conn, settle: cfg.pace.datagram(onLoopback(socket)), life: cfg.TemplateRefresh,
		closed: make(chan struct{}),
	}
	go l.listen()
	return l, nil
}

// listen notices refusals, and that the collector ends the session.
func (l *dtlsLink) listen() {
	defer close(l.closed)
	b := make([]byte, 1<<14)
	for {
		_, err := l.conn.Read(b)
		if err == nil {
			continue
		}
		l.gone.CompareAndSwap(nil, sendError(l.url, err))
		if !isRefused(err) {
			return
		}
	}
}

func (l *dtlsLink) send(b []byte, upTo uint64) error {
	if gone := l.gone.Load(); gone != nil {
		return gone
	}
	switch _, err := l.conn.Write(b); {
	case err == nil:
		l.settling.push(departed{upTo: upTo, at: time.Now()})
		return nil
	case errors.Is(err, unix.ENOBUFS): // the interface's queue is full
		return errBusy
	default:
		if gone := l.gone.Load(); gone != nil {
			return gone
		}
		return sendError(l.url, err)
	}
}

func (l *dtlsLink) flush() error { return nil }

func (l *dtlsLink) poll(now time.Time) (uint64, error) {
	if gone := l.gone.Load(); gone != nil {
		return l.settling.delivered, gone
	}
	return l.settling.settle(now, l.settle), nil
}

func (l *dtlsLink) repeatTemplates() bool { return true }

func (l *dtlsLink) probe() time.Duration { return 0 }

func (l *dtlsLink) settleTime() time.Duration { return l.settle }

func (l *dtlsLink) renew() time.Duration { return l.life }

func (l *dtlsLink) close(bool) {
	_ = l.conn.Close()
	<-l.closed
}

// dtlsTransport is DTLS for a Session.
type dtlsTransport struct{ *dtlsLink }

func dialDTLS(ctx context.Context, cfg *Config, target string) (transport, error) {
	l, err := openDTLS(ctx, cfg, target)
	if err != nil {
		return nil, err
	}
	// The handshake has shown that the collector is there, and a Session sends no
	// longer than it has something to send.
	l.settle = min(l.settle, cfg.pace.settle)
	return dtlsTransport{l}, nil
}

func (t dtlsTransport) send(ctx context.Context, b []byte) (held bool, err error) {
	for {
		err := t.dtlsLink.send(b, 0)
		if !errors.Is(err, errBusy) {
			t.settling = settling{}
			return false, err
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return false, err
		}
	}
}

func (t dtlsTransport) flush(context.Context) error { return nil }

// sync waits for a refusal of what was sent last.
func (t dtlsTransport) sync(ctx context.Context) error {
	wait := time.NewTimer(t.settle)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-t.closed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if gone := t.gone.Load(); gone != nil {
		return gone
	}
	return nil
}

func (t dtlsTransport) close() error {
	t.dtlsLink.close(true)
	return nil
}
