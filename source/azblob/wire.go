package azblob

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// newTransport is like the SDK's own, but never sends requests for a managed
// identity's token through a proxy, and leaves bodies as they are.
func newTransport(endpoint *url.URL) (*http.Transport, error) {
	if _, err := http.ProxyFromEnvironment(&http.Request{URL: endpoint}); err != nil {
		return nil, errors.New("proxy: want a URL such as http://proxy:3128 in HTTPS_PROXY") // there may be a password in it
	}
	return &http.Transport{
		Proxy:                 directOr(http.ProxyFromEnvironment),
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
		MaxIdleConns:          64,
		MaxIdleConnsPerHost:   32,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		DisableCompression:    true,
	}, nil
}

// directOr asks for a proxy, but not for link-local addresses: that is where a
// virtual machine asks for its identity.
func directOr(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		if ip, err := netip.ParseAddr(req.URL.Hostname()); err == nil && ip.IsLinkLocalUnicast() {
			return nil, nil
		}
		return proxy(req)
	}
}

var (
	errWrite = errors.New("not sent: flow2ipfix only ever reads")
	// errStalled is the cause of an end for want of bytes.
	errStalled error = stalled{}
)

type stalled struct{}

func (stalled) Error() string { return "nothing came for too long" }
func (stalled) Timeout() bool { return true }

// wire is the last stop of all requests to the account. It counts them, lets
// only those pass that read, and ends those that bring nothing any more.
//
// It is no http.Client because that follows redirects, and puts the URL, with a
// SAS in it, into its errors.
type wire struct {
	next     http.RoundTripper
	idle     time.Duration
	counters *counters
}

func (w *wire) Do(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return nil, errWrite
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(w.idle, func() { cancel(errStalled) })
	resp, err := w.next.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	w.counters.count(operation(req), resp, err)
	if err != nil {
		err = w.ended(ctx, err)
		cancel(nil)
		return nil, err
	}
	w.counters.clock(resp)
	resp.Body = &body{ReadCloser: resp.Body, wire: w, ctx: ctx, cancel: cancel, timer: timer}
	return resp, nil
}

// ended says why something ended that may have been ended by the timer.
func (w *wire) ended(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return fmt.Errorf("%w (%s)", errStalled, w.idle)
	}
	return unwrapURL(err)
}

// body ends when no byte comes for the idle time. The time in which nobody reads
// does not count.
type body struct {
	io.ReadCloser
	wire   *wire
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.wire.idle)
	n, err := b.ReadCloser.Read(p)
	b.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.wire.ended(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.timer.Stop()
	b.cancel(nil)
	return err
}

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(req *policy.Request) (*http.Response, error) { return f(req) }

// sasPolicy adds a shared access signature to requests. In the client's URL it
// would be where errors are made of.
func sasPolicy(query string) policy.Policy {
	return policyFunc(func(req *policy.Request) (*http.Response, error) {
		u := req.Raw().URL
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += query
		return req.Next()
	})
}

func apiVersion(version string) policy.Policy {
	return policyFunc(func(req *policy.Request) (*http.Response, error) {
		// The SDK sets this one in lower case, and signs it so.
		req.Raw().Header["x-ms-version"] = []string{version}
		return req.Next()
	})
}
