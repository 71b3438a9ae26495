package azblob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func lines(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		line := string(f.Status) + " " + f.Check
		if i := slices.Index(DefaultContainers, f.Container); i >= 0 {
			line += fmt.Sprint(" ", i)
		}
		out = append(out, line+": "+f.Detail)
	}
	return out
}

// check runs a check two minutes after a blob was written.
func check(t *testing.T, credential string, change func(*fake, *Config, *Backend)) (found []Finding) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newFake(DefaultContainers...)
		hour := time.Now().UTC().Truncate(time.Hour)
		put(t, s, at(hour.Add(-24*time.Hour), "000D3A123456"), "old")
		put(t, s, at(hour, "000D3A123456"), `{"records":[]}`)
		time.Sleep(2 * time.Minute)
		cfg := configs(t, s)[credential]
		if change != nil {
			change(s, &cfg, nil)
		}
		b := open(t, cfg)
		if change != nil {
			change(s, nil, b)
		}
		found = b.Check(t.Context())
	})
	return found
}

func TestCheck(t *testing.T) {
	want := []string{
		"ok name: nocflowlogs.blob.core.windows.net is 20.60.1.2",
		"ok connection: answered in 0s",
		"ok clock: the clocks agree",
		"ok credential: token object 11111111-2222, application app-1, tenant tenant-1 until 2000-01-01T01:02:00Z",
		"ok list 0: 1 flow log",
		"ok newest blob 0: written 2m0s ago: " + at(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), "000D3A123456") + ", 14 bytes",
		"ok read 0: PT1H.json can be read",
		"warning list 1: the container has no flow logs in it",
	}
	if diff := cmp.Diff(want, lines(check(t, ManagedIdentity, nil))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestCheckFails: what fails, what is skipped then, and what to do.
func TestCheckFails(t *testing.T) {
	before := func(change func(*fake, *Config)) func(*fake, *Config, *Backend) {
		return func(s *fake, c *Config, b *Backend) {
			if b == nil {
				change(s, c)
			}
		}
	}
	answer := func(do func(req *http.Request) (*reply, error)) func(*fake, *Config, *Backend) {
		return before(func(s *fake, _ *Config) { s.answer = do })
	}
	resolves := func(addresses []string, err error) func(*fake, *Config, *Backend) {
		return func(_ *fake, _ *Config, b *Backend) {
			if b != nil {
				b.resolve = func(context.Context, string) ([]string, error) { return addresses, err }
			}
		}
	}
	for what, tc := range map[string]struct {
		credential string
		change     func(*fake, *Config, *Backend)
		want       []string // some of the lines
		hint       string
	}{
		"name": {
			SAS, resolves(nil, &net.DNSError{Err: "no such host", IsNotFound: true}),
			[]string{"failed name: ", "skipped connection: not tried, for name failed", "skipped credential: not tried, for name failed", "skipped list 1: not tried, for name failed"},
			"no name server knows nocflowlogs.blob.core.windows.net: compare account_url",
		},
		"private endpoint": {SAS, resolves([]string{"10.1.2.3"}, nil), []string{"ok name: nocflowlogs.blob.core.windows.net is 10.1.2.3 (a private endpoint)"}, ""},
		"connection": {
			SAS, answer(func(*http.Request) (*reply, error) {
				return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
			}),
			[]string{"ok name: nocflowlogs.blob.core.windows.net is 20.60.1.2", "failed connection: ", "skipped clock: not tried, for connection failed"},
			"refuses the connection",
		},
		"not Azure": {
			SAS, answer(func(req *http.Request) (*reply, error) { return respond(200, nil, "<html>"), nil }),
			[]string{"warning connection: answered in 0s; the answer does not look like one of Azure Blob Storage", "skipped clock: the answer had no date in it"},
			"compare account_url",
		},
		"clock behind": {
			SAS, before(func(s *fake, _ *Config) { s.skew = 20*time.Minute - time.Millisecond }),
			[]string{"failed clock: this machine's clock is 20m0s behind Azure's", "ok credential: shared access signature with the rights rl until 2036-01-01T00:00:00Z"},
			"set the clock by NTP",
		},
		"clock ahead": {SAS, before(func(s *fake, _ *Config) { s.skew = -2 * time.Minute }), []string{"warning clock: this machine's clock is 2m0s ahead of Azure's"}, "set the clock by NTP"},
		"token": {
			ClientSecret, answer(func(req *http.Request) (*reply, error) {
				if req.Method != http.MethodPost {
					return nil, nil
				}
				return respond(401, nil, `{"error":"invalid_client","error_description":"AADSTS7000222: expired."}`), nil
			}),
			[]string{"ok clock: the clocks agree", "failed credential: ", "skipped list 0: not tried, for credential failed"},
			"the client secret has expired",
		},
		"role": {
			ManagedIdentity, answer(func(req *http.Request) (*reply, error) {
				if req.URL.Host == host && req.Method == http.MethodGet {
					return refuse(403, "AuthorizationPermissionMismatch"), nil
				}
				return nil, nil
			}),
			[]string{"failed list 0: ", "failed list 1: "},
			"Storage Blob Data Reader",
		},
		"no container": {
			AccountKey, before(func(s *fake, _ *Config) { delete(s.containers, DefaultContainers[1]) }),
			[]string{"ok credential: key of account nocflowlogs", "ok read 0: PT1H.json can be read", "warning list 1: no traffic yet: the container is not there"},
			"Azure makes the container",
		},
		"read": {
			SAS, answer(func(req *http.Request) (*reply, error) {
				if req.Method == http.MethodGet && req.URL.Query().Get("comp") == "" {
					return refuse(403, "AuthorizationPermissionMismatch"), nil
				}
				return nil, nil
			}),
			[]string{"ok list 0: 1 flow log", "failed read 0: "},
			"lacks a right",
		},
		"old blobs": {
			SAS, before(func(s *fake, _ *Config) { time.Sleep(5 * time.Hour) }),
			[]string{"warning newest blob 0: written 5h2m0s ago: " + at(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), "000D3A123456") + ", 14 bytes"},
			"nothing was written for hours",
		},
	} {
		found := check(t, tc.credential, tc.change)
		got := lines(found)
		for _, want := range tc.want {
			if !slices.Contains(got, want) {
				t.Errorf("%s: want %q in\n%s", what, want, strings.Join(got, "\n"))
			}
		}
		hinted := tc.hint == ""
		for _, f := range found {
			hinted = hinted || strings.Contains(f.Hint, tc.hint)
			if f.Status == Failed && (f.Hint == "" || f.Err == nil && f.Check != "clock") {
				t.Errorf("%s: %s failed and does not say what to do: %+v", what, f.Check, f)
			}
		}
		if !hinted {
			t.Errorf("%s: nowhere %q in\n%+v", what, tc.hint, found)
		}
	}
}

func TestCheckSAS(t *testing.T) {
	now := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	for query, want := range map[string]string{
		"sp=rl&se=2027-11-21T02:00:00Z&sig=x":              "ok",
		"si=policy&sig=x":                                  "ok",
		"sp=rl&se=2026-11-21T01:59:00Z&sig=x":              "failed: the shared access signature has expired",
		"sp=rl&se=2026-11-20&sig=x":                        "failed: the shared access signature has expired",
		"sp=rl&st=2026-11-22&se=2027-11-20&sig=x":          "failed: the shared access signature is not valid before 2026-11-22T00:00:00Z",
		"sp=r&se=2027-11-21T02:00Z&sig=x":                  "failed: the shared access signature lacks the right to read or to list",
		"sp=rl&srt=o&ss=b&se=2027-11-21T02:00:00Z&sig=x":   "failed: the shared access signature is not for containers and objects",
		"sp=rl&srt=sco&ss=fqt&se=2027-11-21T02:00Z&sig=x":  "failed: the shared access signature is not for blobs",
		"sp=rwdl&se=2027-11-21T02:00:00Z&sig=x":            "warning: it may do more than it needs to: make a new shared access signature with sp=rl",
		"sp=rl&se=2026-11-22T02:00:00Z&sig=x":              "warning: it expires soon: make a new shared access signature",
		"sp=rl&srt=sco&ss=bfqt&se=2027-11-21T02:00Z&sig=x": "ok",
	} {
		f := checkSAS(query, now)
		got := string(f.Status)
		if f.Err != nil {
			got += ": " + f.Err.Error()
		} else if f.Hint != "" {
			got += ": " + f.Hint
		}
		if got != want || f.Status == Failed && f.Hint == "" {
			t.Errorf("%s: %s, want %s (%+v)", query, got, want, f)
		}
	}
}

func TestServerClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		s.skew = -17 * time.Minute
		b := open(t, configs(t, s)[ClientSecret])
		got, err := b.ServerClock(t.Context())
		if want := time.Now().Add(s.skew); err != nil || !got.Equal(want) {
			t.Errorf("ServerClock = %v, %v, want %v", got, err, want)
		}
		if stats := b.Stats(); stats.ClockSkew.Round(time.Minute) != s.skew || !stats.ClockSeen.Equal(time.Now()) {
			t.Errorf("noted %+v", stats)
		}
		if requests := s.take(); len(requests) != 1 || requests[0].Header.Get("Authorization") != "" {
			t.Errorf("%d requests", len(requests))
		}
	})
}

// TestCheckEnds: a context ends it.
func TestCheckEnds(t *testing.T) {
	s := newFake(DefaultContainers...)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	for _, f := range open(t, sasConfig(s)).Check(ctx) {
		if f.Check == "connection" && !errors.Is(f.Err, why) {
			t.Errorf("%+v", f)
		}
	}
}
