package telemetry

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// state is a Source that can be changed.
type state struct {
	mu sync.Mutex
	s  Snapshot
}

func (s *state) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.s
}

// well is a Snapshot with which nothing is wrong.
func well(now time.Time) Snapshot {
	return Snapshot{
		Ready:      true,
		Sources:    []SourceState{{Name: "prod", Kind: KindAzure, Answered: now.Add(-time.Minute)}},
		Collectors: []CollectorState{{Name: "noc", Required: true, Connected: true}, {Name: "lab"}},
	}
}

// fetch returns what a server says.
func fetch(t *testing.T, address, path, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func open(t *testing.T, cfg Config, source Source) *Server {
	t.Helper()
	s, err := New(cfg, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestHealth: what is wrong, in words.
func TestHealth(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name   string
		change func(*Snapshot)
		health string
		ready  string
	}{
		{"well", func(*Snapshot) {}, "healthy\n", "ready\n"},
		{"starts", func(s *Snapshot) { *s = Snapshot{} }, "healthy\n", "not ready: it starts\n"},
		{"ends", func(s *Snapshot) { s.Ready, s.NotReady = false, "it ends" }, "healthy\n", "not ready: it ends\n"},
		{"stalled", func(s *Snapshot) { s.Stalled = []string{"committer", "dispatcher"} }, "not healthy: no sign of life from committer, dispatcher\n", "not ready: committer shows no sign of life\nnot ready: dispatcher shows no sign of life\n"},
		{"best effort away", func(s *Snapshot) { s.Collectors[1].LastError = "refused" }, "healthy\n", "ready\n"},
		{"required away", func(s *Snapshot) {
			c := &s.Collectors[0]
			c.Connected, c.LastError, c.Hint = false, "refused", "start it"
		}, "healthy\n", "not ready: collector noc is not connected: refused (start it)\n"},
		{"never answered", func(s *Snapshot) {
			s.Sources[0].Answered, s.Sources[0].LastError = time.Time{}, "403"
		}, "healthy\n", "not ready: source prod has not answered yet: 403\n"},
		{"failed once", func(s *Snapshot) { s.Sources[0].LastError, s.Sources[0].LastErrorTime = "500", now }, "healthy\n", "ready\n"},
		{"failed for long", func(s *Snapshot) {
			s.Sources[0].Answered, s.Sources[0].LastError, s.Sources[0].LastErrorTime = now.Add(-time.Hour), "500", now
		}, "healthy\n", "not ready: source prod has not answered for 1h0m0s: 500\n"},
		{"state fails", func(s *Snapshot) {
			s.StateFailing, s.StateError, s.StateHint = epoch, "disk full", "free some space"
		}, "healthy\n", "not ready: the state cannot be written since 2026-11-21T12:00:00Z: disk full (free some space); flows stop by and by until it can\n"},
		{"state fails and all stops", func(s *Snapshot) {
			s.StateFailing, s.StateError, s.StateStopped = epoch, "disk full", true
		}, "healthy\n", "not ready: the state cannot be written since 2026-11-21T12:00:00Z: disk full; flows stop until it can\n"},
		{"reads for long", func(s *Snapshot) {
			s.Sources[0].Answered, s.Sources[0].LastError, s.Sources[0].LastErrorTime = now.Add(-time.Hour), "500", now.Add(-2*time.Hour)
		}, "healthy\n", "ready\n"},
	} {
		s := well(now)
		tt.change(&s)
		source := &state{s: s}
		for _, part := range []struct {
			what, want string
			handler    http.Handler
		}{{"health", tt.health, serveHealth(source)}, {"readiness", tt.ready, serveReady(source, func() time.Time { return now })}} {
			w := httptest.NewRecorder()
			part.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			code := http.StatusOK
			if strings.HasPrefix(part.want, "not ") {
				code = http.StatusServiceUnavailable
			}
			if w.Code != code || w.Body.String() != part.want {
				t.Errorf("%s, %s: %d %q, want %d %q", tt.name, part.what, w.Code, w.Body, code, part.want)
			}
		}
	}
}

func TestServer(t *testing.T) {
	source := &state{s: well(time.Now())}
	s := open(t, Config{Listen: "127.0.0.1:0"}, source)
	for path, want := range map[string]int{
		"/metrics": metricsWant, "/healthz": 200, "/readyz": 200, "/": 200, "/status.json": 200, "/nothing": 404,
		"/debug/pprof/": 404, "/debug/pprof/heap": 404, "/debug/pprof/profile": 404,
	} {
		if code, body := fetch(t, s.Addr(), path, ""); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	withPprof := open(t, Config{Listen: "127.0.0.1:0", Pprof: true}, source)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1", "/debug/pprof/cmdline"} {
		if code, body := fetch(t, withPprof.Addr(), path, ""); code != 200 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	source.mu.Lock()
	source.s.Stalled = []string{"committer"}
	source.mu.Unlock()
	if code, _ := fetch(t, s.Addr(), "/healthz", ""); code != 503 {
		t.Errorf("stalled: %d", code)
	}
}

// TestNames of hosts: pages of others cannot ask through a name that leads here.
func TestHostNames(t *testing.T) {
	source := &state{s: well(time.Now())}
	guarded := open(t, Config{Listen: "127.0.0.1:0"}, source)
	opened := open(t, Config{Listen: "127.0.0.1:0", AllowRemote: true}, source)
	for host, want := range map[string]int{
		"localhost": 200, "localhost:9469": 200, "127.0.0.1:9469": 200, "[::1]:9469": 200, "[::1]": 200, "10.0.0.1": 200,
		"evil.example": 403, "evil.example:9469": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example:80": 403,
	} {
		for s, want := range map[*Server]int{guarded: want, opened: 200} {
			if code, body := fetch(t, s.Addr(), "/healthz", host); code != want {
				t.Errorf("%s: %d %s, want %d", host, code, body, want)
			}
		}
	}
	for listen, want := range map[string]bool{
		"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "127.9.9.9:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "host:1": false,
	} {
		if got := OnLoopback(listen); got != want {
			t.Errorf("%s: %t", listen, got)
		}
	}
}

// TestListenErrors say what to do.
func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for listen, want := range map[string]struct {
		is   error
		text string
		hint string
	}{
		taken.Addr().String(): {syscall.EADDRINUSE, "telemetry: listen on " + taken.Addr().String() + ": bind: address already in use", "another program has the port"},
		"192.0.2.1:9469":      {syscall.EADDRNOTAVAIL, "telemetry: listen on 192.0.2.1:9469: bind: cannot assign requested address", "this machine does not have the address"},
		"no.invalid:1":        {nil, "telemetry: listen on no.invalid:1: lookup no.invalid", "correct telemetry.listen"},
	} {
		_, err := New(Config{Listen: listen}, &state{})
		var e *Error
		if !errors.As(err, &e) || want.is != nil && !errors.Is(err, want.is) || !strings.HasPrefix(err.Error(), want.text) || !strings.Contains(e.Hint, want.hint) {
			t.Errorf("%s: %v, %v", listen, err, e)
		}
	}
}

// TestPatient: an address that is taken is tried until it is free.
func TestPatient(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	synctest.Test(t, func(t *testing.T) {
		var said []error
		cfg := Config{Listen: taken.Addr().String()}
		s := NewPatient(cfg, &state{}, func(err error) { said = append(said, err) })
		time.Sleep(3*listenAgain + time.Second)
		synctest.Wait()
		if len(said) != 1 || !errors.Is(said[0], syscall.EADDRINUSE) || s.Addr() != "" || s.Config() != cfg {
			t.Errorf("said %v, listens on %q", said, s.Addr())
		}
		if err := s.Close(); err != nil { // while it still tries
			t.Error(err)
		}
	})
	failed := make(chan error, 1)
	s := NewPatient(Config{Listen: taken.Addr().String()}, &state{s: well(time.Now())}, func(err error) { failed <- err })
	if err := <-failed; !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
	taken.Close()
	for end := time.Now().Add(time.Minute); s.Addr() == "" && time.Now().Before(end); {
		conn, err := net.Dial("tcp", s.Config().Listen)
		if err == nil {
			conn.Close()
		}
	}
	if code, body := fetch(t, s.Config().Listen, "/readyz", ""); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", s.Config().Listen); err == nil {
		t.Error("it still listens")
	}
}

// TestClose: who asks is answered, and who does not ask does not hold it up.
func TestClose(t *testing.T) {
	s, err := New(Config{Listen: "127.0.0.1:0"}, &state{})
	if err != nil {
		t.Fatal(err)
	}
	slow, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	_, _ = io.WriteString(slow, "GET /metr") // and no more
	begin := time.Now()
	if err := s.Close(); err != nil || time.Since(begin) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}
