package exporter

import (
	"bufio"
	"cmp"
	"context"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// tcpLink is a link over TCP, with or without TLS.
//
// The peer's kernel acknowledges what the collector has not read yet, and when
// the collector is killed that is gone. So what is acknowledged counts as
// delivered only when the connection is still there a while later and has moved
// in the meantime. While the collector is slower than we are, its kernel's buffer
// is full, of which we do not know the size: then as much as a large one holds
// must be acknowledged behind it; and when nothing is held up any more, the
// collector gets time to read that much, at the pace that it had.
type tcpLink struct {
	url    string
	settle time.Duration
	box    *outbox
	conn   streamConn // over box
	w      *bufio.Writer

	gone   atomic.Pointer[Error] // why the collector's side ended
	closed chan struct{}         // nothing reads any more

	last     uint64
	settling settling
	acked    int // of settling: how many have their time
	progress int64
	behind   int64     // bytes that were written and not acknowledged
	moved    time.Time // when bytes were last acknowledged, or all were
	unread   int64     // what a slow collector's kernel may hold
	slow     stretch   // the last in which the collector was slower than we
}

const (
	// maxOutbox is how much waits outside of the kernel.
	maxOutbox = streamBytes
	// maxUnread is how much a slow collector's kernel may hold: the largest buffer
	// that Linux gives a connection of itself, on most machines.
	maxUnread = 6 << 20
	// maxRest is how many settle times a slow collector gets at most to read it.
	maxRest = 10
	// farewellTime is how long a collector may take to close its side.
	farewellTime = settle
)

func openTCPLink(ctx context.Context, cfg *Config, a Address) (link, error) {
	l := &tcpLink{url: cfg.URL, settle: cfg.pace.settle, closed: make(chan struct{}), unread: min(maxUnread, int64(cfg.MaxKeptBytes/2))}
	conf, err := cfg.tlsConfig(a.Target)
	if err != nil {
		return nil, err
	}
	socket, err := connectTCP(ctx, cfg, a.Target)
	if err != nil {
		return nil, err
	}
	if l.box, err = newOutbox(socket); err == nil {
		err = l.box.setOption(unix.TCP_USER_TIMEOUT, int(cfg.pace.stall/time.Millisecond))
	}
	if err != nil {
		_ = socket.Close()
		return nil, dialError(cfg.URL, err)
	}
	l.conn = l.box
	if a.Scheme == "tls" {
		l.box.direct = true
		if l.conn, err = handshakeTLS(ctx, cfg, l.box, conf); err != nil {
			_ = socket.Close()
			return nil, err
		}
		l.box.direct, l.box.gather = false, true
	}
	l.w = bufio.NewWriterSize(l.conn, streamBytes)
	go l.listen()
	return l, nil
}

// listen notices that the collector closes; what it says is of no interest.
func (l *tcpLink) listen() {
	defer close(l.closed)
	_, err := io.Copy(io.Discard, l.conn)
	l.gone.Store(sendError(l.url, cmp.Or(err, io.EOF)))
}

// fault words why the link ended, by what the collector said if it said
// something.
func (l *tcpLink) fault(err error) error {
	if gone := l.gone.Load(); gone != nil {
		return gone
	}
	return sendError(l.url, err)
}

func (l *tcpLink) send(b []byte, upTo uint64) error {
	if waiting, _ := l.box.waiting(); waiting > maxOutbox {
		if err := l.box.push(); err != nil {
			return l.fault(err)
		}
		if waiting, _ = l.box.waiting(); waiting > maxOutbox {
			return errBusy
		}
	}
	if l.w.Available() < len(b) {
		if err := l.flush(); err != nil {
			return err
		}
	}
	if _, err := l.w.Write(b); err != nil {
		return l.fault(err)
	}
	l.last = upTo
	return nil
}

func (l *tcpLink) flush() error {
	if l.w.Buffered() > 0 {
		if err := l.w.Flush(); err != nil {
			return l.fault(err)
		}
		_, total := l.box.waiting()
		l.settling.push(departed{upTo: l.last, position: total})
	}
	if err := l.box.push(); err != nil {
		return l.fault(err)
	}
	return nil
}

func (l *tcpLink) poll(now time.Time) (uint64, error) {
	if gone := l.gone.Load(); gone != nil {
		return l.settling.delivered, gone
	}
	acknowledged, all, heldUp, err := l.box.state()
	if err != nil {
		return l.settling.delivered, l.fault(err)
	}
	if all || acknowledged > l.progress {
		l.moved = now
	}
	l.progress = acknowledged
	_, total := l.box.waiting()
	l.behind = total - acknowledged
	keepsUp := l.slow.over(now, heldUp, acknowledged, l.unread, l.settle)
	for ; l.acked < l.settling.len() && l.settling.at(l.acked).position <= acknowledged; l.acked++ {
		l.settling.at(l.acked).at = now
	}
	for l.acked > 0 {
		d := l.settling.at(0)
		if l.moved.Sub(d.at) < l.settle || !keepsUp && d.position > acknowledged-l.unread {
			break
		}
		l.settling.delivered = d.upTo
		l.settling.pop()
		l.acked--
	}
	return l.settling.delivered, nil
}

func (l *tcpLink) unacknowledged() int64 { return l.behind }

// stretch is a time in which bytes were held up. It is over when none were for so
// long that the collector may have read all that its kernel took.
type stretch struct {
	began, ended time.Time // zero: it is over; it goes on
	first, last  int64     // bytes that were acknowledged then
}

// over says how it stands at now, and reports whether no stretch goes on.
func (s *stretch) over(now time.Time, heldUp bool, acknowledged, unread int64, settle time.Duration) bool {
	switch {
	case heldUp && s.began.IsZero():
		*s = stretch{began: now, first: acknowledged}
	case heldUp:
		s.ended = time.Time{}
	case s.began.IsZero():
	case s.ended.IsZero():
		s.ended, s.last = now, acknowledged
	default:
		rest := s.ended.Sub(s.began)
		if n := s.last - s.first; n > unread {
			rest = time.Duration(float64(rest) * float64(unread) / float64(n))
		}
		if now.Sub(s.ended) >= settle+min(rest, maxRest*settle) {
			*s = stretch{}
		}
	}
	return s.began.IsZero()
}

func (l *tcpLink) repeatTemplates() bool { return false }

func (l *tcpLink) probe() time.Duration { return 0 }

func (l *tcpLink) settleTime() time.Duration { return l.settle }

func (l *tcpLink) renew() time.Duration { return 0 }

func (l *tcpLink) close(farewell bool) {
	if farewell && l.gone.Load() == nil && l.flush() == nil {
		// As of a Session: a plain close could be a reset.
		_ = l.box.SetReadDeadline(time.Now().Add(farewellTime))
		_ = l.conn.CloseWrite()
		_ = l.box.push()
		_ = l.box.CloseWrite()
		<-l.closed
	}
	_ = l.box.Close()
	<-l.closed
}
