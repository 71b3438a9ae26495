package exporter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// transport takes finished messages to a collector.
type transport interface {
	// send takes a message; it does not keep b. It may hold messages back until
	// there are more, or flush is called: held says that this one is held back, with
	// those before it if there are any, and that nothing was waited for.
	send(ctx context.Context, b []byte) (held bool, err error)
	// flush sends what is held back.
	flush(ctx context.Context) error
	// sync flushes, and returns when the collector has had time to refuse what
	// was sent.
	sync(ctx context.Context) error
	// repeatTemplates says whether templates may get lost and must be sent
	// again from time to time (RFC 7011 §8.4).
	repeatTemplates() bool
	close() error
}

// Error is what went wrong between a session and its collector.
type Error struct {
	URL  string
	Hint string // what to do about it
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("collector %s: %v", e.URL, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// ErrRefused says that the collector's host answered that nothing listens.
var ErrRefused = errors.New("refused")

// urlForms is what ParseURL accepts, in words for people.
const urlForms = "udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH"

// networks says what carries a scheme.
var networks = map[string]string{"udp": "udp", "tcp": "tcp", "tls": "tcp", "dtls": "udp"}

// Address is a parsed collector URL.
type Address struct {
	Scheme string // udp, tcp, tls, dtls or file
	Target string // host:port, or a path
}

// ParseURL checks a collector URL without looking anything up.
func ParseURL(s string) (Address, error) {
	bad := func(format string, args ...any) (Address, error) {
		return Address{}, fmt.Errorf("collector %q: %s", s, fmt.Sprintf(format, args...))
	}
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		if path == "" {
			return bad("want a path, like file:flows.ipfix, or file:- for standard output")
		}
		return Address{"file", path}, nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return bad("want %s", urlForms)
	}
	network, known := networks[u.Scheme]
	switch {
	case !known:
		return bad("scheme %q is not known; want %s", u.Scheme, urlForms)
	case u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "":
		return bad("want nothing but host and port behind %s://", u.Scheme)
	case u.Port() == "":
		return bad("want a port, like %s://%s:4739", u.Scheme, u.Host)
	case u.Hostname() == "":
		return bad("want a host, like %s://127.0.0.1:%s", u.Scheme, u.Port())
	}
	if _, err := net.LookupPort(network, u.Port()); err != nil || u.Port() == "0" {
		return bad("want a port from 1 to 65535, got %s", u.Port())
	}
	return Address{u.Scheme, u.Host}, nil
}

func dial(ctx context.Context, cfg *Config) (transport, error) {
	a, err := cfg.address()
	if err != nil {
		return nil, err
	}
	switch a.Scheme {
	case "udp":
		return dialUDP(ctx, cfg, a.Target)
	case "tcp":
		return dialTCP(ctx, cfg, a.Target)
	case "tls":
		return dialTLS(ctx, cfg, a.Target)
	case "dtls":
		return dialDTLS(ctx, cfg, a.Target)
	default:
		return openFile(cfg.URL, a.Target)
	}
}
