package exporter

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// udpLink is a link over UDP. What nobody refused for a while counts as delivered:
// more cannot be known.
type udpLink struct {
	udp      *udp
	settle   time.Duration
	last     uint64 // up to which message the transport was given
	settling settling
}

func openUDPLink(ctx context.Context, cfg *Config, target string) (link, error) {
	t, err := dialUDP(ctx, cfg, target)
	if err != nil {
		return nil, err
	}
	u := t.(*udp)
	u.patience = time.Second
	// What a router says of the collector's host is to be heard, too.
	if raw, err := u.conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_RECVERR, 1)
			_ = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_RECVERR, 1)
		})
	}
	return &udpLink{udp: u, settle: cfg.pace.datagram(onLoopback(u.conn))}, nil
}

func (l *udpLink) send(b []byte, upTo uint64) error {
	before, gathered := l.last, len(l.udp.held) > 0
	if _, err := l.udp.send(context.Background(), b); err != nil {
		return err
	}
	l.last = upTo
	switch n := len(l.udp.held); {
	case n == 0: // b has left
		l.left(upTo)
	case n == len(b) && gathered: // what was held before b has left
		l.left(before)
	}
	return nil
}

func (l *udpLink) left(upTo uint64) {
	if n := l.settling.len(); n == 0 || l.settling.at(n-1).upTo < upTo {
		l.settling.push(departed{upTo: upTo, at: time.Now()})
	}
}

func (l *udpLink) flush() error {
	if len(l.udp.held) == 0 {
		return nil
	}
	if err := l.udp.flush(context.Background()); err != nil {
		return err
	}
	l.left(l.last)
	return nil
}

func (l *udpLink) poll(now time.Time) (uint64, error) {
	if err := l.udp.pendingError(); err != nil {
		return l.settling.delivered, err
	}
	return l.settling.settle(now, l.settle), nil
}

func (l *udpLink) repeatTemplates() bool { return true }

func (l *udpLink) probe() time.Duration { return l.settle }

func (l *udpLink) settleTime() time.Duration { return l.settle }

func (l *udpLink) renew() time.Duration { return 0 }

func (l *udpLink) close(farewell bool) {
	if farewell {
		_ = l.flush()
	}
	_ = l.udp.close()
}
