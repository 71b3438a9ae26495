package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Config is what a Server works with.
type Config struct {
	// Listen is the address and port.
	Listen string
	// AllowRemote says that others than this machine are meant to ask.
	AllowRemote bool
	// Pprof serves /debug/pprof/ as well.
	Pprof bool
	// History is what the status page charts; nil is an empty one.
	History *History
}

// Server answers on one address. There is no password: whoever reaches it may ask.
type Server struct {
	cfg   Config
	local bool // the address is of loopback
	http  *http.Server
	ended chan struct{}

	// The Server's life.
	stopped context.Context
	stop    context.CancelFunc

	mu sync.Mutex
	on net.Listener // nil: it could not be opened, and is tried again
}

// Error says why no listener could be opened, and what to do.
type Error struct {
	Listen string
	Err    error
	Hint   string
}

func (e *Error) Error() string { return fmt.Sprintf("telemetry: listen on %s: %v", e.Listen, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// How long a request may take: nobody needs longer who means well.
const (
	readTimeout  = 10 * time.Second
	writeTimeout = 30 * time.Second
	// profileTimeout is longer than profiles take.
	profileTimeout = 3 * time.Minute
	idleTimeout    = 2 * time.Minute
	stopTimeout    = 2 * time.Second
	maxHeaderBytes = 16 << 10
	listenAgain    = 5 * time.Second
)

// New opens the listener and answers from then on, until Close.
func New(cfg Config, source Source) (*Server, error) {
	l, err := listen(cfg.Listen)
	if err != nil {
		return nil, err
	}
	s := newServer(cfg, source)
	s.on = l
	go s.serve(l)
	return s, nil
}

// NewPatient is New for an address that should be free by now: if it is not, that is
// tried again and again, and failed is told why, once.
func NewPatient(cfg Config, source Source, failed func(error)) *Server {
	s := newServer(cfg, source)
	go func() {
		for said := false; ; said = true {
			l, err := listen(cfg.Listen)
			if err == nil {
				s.mu.Lock()
				s.on = l
				s.mu.Unlock()
				s.serve(l)
				return
			}
			if !said {
				failed(err)
			}
			select {
			case <-time.After(listenAgain):
			case <-s.stopped.Done():
				close(s.ended)
				return
			}
		}
	}()
	return s
}

// serve answers until Close; if that was before, it closes the listener.
func (s *Server) serve(l net.Listener) {
	defer close(s.ended)
	_ = s.http.Serve(l)
}

func newServer(cfg Config, source Source) *Server {
	history := cfg.History
	if history == nil {
		history = NewHistory()
	}
	s := &Server{cfg: cfg, local: OnLoopback(cfg.Listen), ended: make(chan struct{})}
	s.stopped, s.stop = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metricsHandler(source))
	mux.Handle("GET /healthz", serveHealth(source))
	mux.Handle("GET /readyz", serveReady(source, time.Now))
	mux.Handle("/", newPage(source, history, time.Now))
	s.http = &http.Server{
		Handler: s.guard(mux), ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	if cfg.Pprof {
		s.http.WriteTimeout = profileTimeout
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return s
}

// Config returns what the Server was made with.
func (s *Server) Config() Config { return s.cfg }

// Addr returns where it listens; empty as long as it does not.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on == nil {
		return ""
	}
	return s.on.Addr().String()
}

// Close answers who has asked, for a moment, and ends.
func (s *Server) Close() error {
	s.stop()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.ended
	return err
}

// guard refuses what comes by another name than this machine's: a page in a
// browser here could otherwise ask through a name of its own (DNS rebinding).
func (s *Server) guard(next http.Handler) http.Handler {
	if !s.local || s.cfg.AllowRemote {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isOwnName(r.Host) {
			say(w, http.StatusForbidden, "ask for localhost or 127.0.0.1; for other names, set telemetry.allow_remote: true\n")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isOwnName(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if len(name) > 1 && name[0] == '[' && name[len(name)-1] == ']' {
		name = name[1 : len(name)-1]
	}
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost"
}

// OnLoopback reports whether only this machine reaches an address.
func OnLoopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		return l, nil
	}
	e := &Error{Listen: address, Err: err, Hint: "correct telemetry.listen, or set it to \"\" to open no port"}
	_, port, _ := net.SplitHostPort(address)
	var op *net.OpError
	if errors.As(err, &op) {
		e.Err = op.Err // the rest says the address again
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		e.Hint = fmt.Sprintf("another program has the port; \"ss -ltnp sport = :%s\" says which one: end it, or set telemetry.listen to another port", port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.Hint = "this machine does not have the address: set telemetry.listen to one of \"ip address\", like 127.0.0.1:9469"
	case errors.Is(err, syscall.EACCES):
		e.Hint = "ports below 1024 need a right of their own: set telemetry.listen to a port like 9469"
	}
	return nil, e
}
