package exporter

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// udp sends each message as a datagram from one connected socket: connected, so
// that the kernel reports the collector's ICMP refusals, and one, because
// collectors take another source port for another exporter.
type udp struct {
	url  string
	conn *net.UDPConn
	cfg  *Config
}

// settle is how long an ICMP refusal may take to come back. What has not been
// refused by then counts as delivered, as far as UDP can tell.
const settle = 200 * time.Millisecond

func dialUDP(ctx context.Context, cfg *Config, target string) (transport, error) {
	d := net.Dialer{Timeout: cfg.Timeout}
	if cfg.LocalAddress != "" {
		local, err := net.ResolveUDPAddr("udp", net.JoinHostPort(cfg.LocalAddress, "0"))
		if err != nil {
			return nil, &Error{URL: cfg.URL, Err: err, Hint: "the local address must be an IP address of this machine"}
		}
		d.LocalAddr = local
	}
	c, err := d.DialContext(ctx, "udp", target)
	if err != nil {
		return nil, dialError(cfg.URL, err)
	}
	return &udp{url: cfg.URL, conn: c.(*net.UDPConn), cfg: cfg}, nil
}

func (u *udp) repeatTemplates() bool { return true }

func (u *udp) send(ctx context.Context, b []byte) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		_, err := u.conn.Write(b)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // the interface's queue is full: no datagram was sent
			if err := sleep(ctx, wait); err != nil {
				return err
			}
		case errors.Is(err, unix.EMSGSIZE):
			return &Error{URL: u.url, Err: err, Hint: "the path takes no datagrams of this size: lower the message size"}
		case isRefused(err):
			// The kernel tells of an earlier datagram; this one was not sent.
			return u.refused()
		default:
			return &Error{URL: u.url, Err: err}
		}
	}
}

// sync waits for a refusal of what was sent last.
func (u *udp) sync(ctx context.Context) error {
	deadline := time.Now().Add(settle)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := u.conn.SetReadDeadline(deadline); err != nil {
		return &Error{URL: u.url, Err: err}
	}
	// A collector does not answer; if it does, nobody cares what.
	var b [1]byte
	for {
		_, err := u.conn.Read(b[:])
		var timeout net.Error
		switch {
		case err == nil:
		case errors.As(err, &timeout) && timeout.Timeout():
			return context.Cause(ctx)
		case isRefused(err):
			return u.refused()
		default:
			return &Error{URL: u.url, Err: err}
		}
	}
}

func (u *udp) refused() error {
	return &Error{URL: u.url, Err: ErrRefused, Hint: "nothing listens at that UDP port: start the collector, or correct host and port"}
}

func (u *udp) close() error { return u.conn.Close() }

func isRefused(err error) bool { return errors.Is(err, unix.ECONNREFUSED) }

// sleep waits, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
