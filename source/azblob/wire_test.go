package azblob

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"flow2ipfix/source"
)

// TestOnlyReads: whatever a Backend does, and as whom, nothing but GET and HEAD
// goes to the account; POST goes to Entra, for tokens.
func TestOnlyReads(t *testing.T) {
	for name := range configs(t, nil) {
		s := newFake(DefaultContainers...)
		put(t, s, at(two, "000D3A123456"), "0123456789")
		b := open(t, configs(t, s)[name])
		if shown, failed := everything(t, b); failed > 0 {
			t.Fatalf("%s: %s", name, shown)
		}
		hosts := map[string]int{}
		for _, req := range s.take() {
			hosts[req.URL.Host]++
			if req.URL.Host == host && (req.Method != http.MethodGet && req.Method != http.MethodHead || req.Body != nil && req.Body != http.NoBody) {
				t.Errorf("%s: %s %s", name, req.Method, req.URL)
			}
		}
		// The credential that was chosen, and no other, gets the token.
		asked := []string{}
		for h := range hosts {
			if h != host && h != "login.microsoft.com" {
				asked = append(asked, h)
			}
		}
		want := map[string][]string{
			ManagedIdentity: {"169.254.169.254"}, DefaultCredential: {"169.254.169.254"},
			WorkloadIdentity: {"login.microsoftonline.com"}, ClientSecret: {"login.microsoftonline.com"}, ClientCertificate: {"login.microsoftonline.com"},
		}[name]
		if !slices.Equal(asked, want) && len(asked)+len(want) > 0 {
			t.Errorf("%s: asked %q for tokens, want %q", name, asked, want)
		}
	}
}

// TestWritesAreNotSent: not even if the SDK is asked to.
func TestWritesAreNotSent(t *testing.T) {
	s := newFake(DefaultContainers...)
	for name, cfg := range configs(t, s) {
		b := open(t, cfg)
		c := b.container(DefaultContainers[0])
		_, create := c.Create(t.Context(), nil)
		_, remove := c.NewBlobClient("x").Delete(t.Context(), nil)
		_, upload := c.NewBlockBlobClient("x").UploadBuffer(t.Context(), []byte("x"), &blockblob.UploadBufferOptions{})
		_, tier := c.NewBlobClient("x").SetMetadata(t.Context(), nil, nil)
		for _, err := range []error{create, remove, upload, tier} {
			if !errors.Is(err, errWrite) {
				t.Errorf("%s: %v, want %v", name, err, errWrite)
			}
		}
		for _, req := range s.take() {
			if req.URL.Host == host {
				t.Errorf("%s: sent %s %s", name, req.Method, req.URL)
			}
		}
	}
}

// trickle is a body whose reads each take a while, and then may never end.
type trickle struct {
	ctx    context.Context
	every  time.Duration
	left   int
	hangs  bool
	closed bool
}

func (r *trickle) Read(p []byte) (int, error) {
	if r.left == 0 && !r.hangs {
		return 0, io.EOF
	}
	timer := time.NewTimer(r.every)
	defer timer.Stop()
	if r.left == 0 {
		timer.Stop()
	}
	select {
	case <-timer.C:
		r.left--
		p[0] = 'x'
		return 1, nil
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}

func (r *trickle) Close() error { r.closed = true; return nil }

// TestStalledBody: a body may be slow, and its reader slower, but not stand still.
func TestStalledBody(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newFake(DefaultContainers...)
			var body *trickle
			s.answer = func(req *http.Request) (*reply, error) {
				resp := respond(206, map[string]string{"Etag": "x", "Content-Range": "bytes 10-14/15"}, "")
				body = &trickle{ctx: req.Context(), every: 29 * time.Second, left: 5, hangs: hangs}
				if hangs {
					body.left = 3
				}
				resp.content = body
				return resp, nil
			}
			r, info, err := open(t, sasConfig(s)).Open(t.Context(), at(two, ""), 10)
			if err != nil || info.Size != 15 {
				t.Fatal(info, err)
			}
			var got []byte
			p := make([]byte, 100)
			for err == nil {
				time.Sleep(10 * time.Minute) // the collector is away
				start := time.Now()
				var n int
				n, err = r.Read(p)
				got = append(got, p[:n]...)
				if want := 30 * time.Second; hangs && err != nil && time.Since(start) != want {
					t.Errorf("given up after %s, want %s", time.Since(start), want)
				}
			}
			if closed := r.Close(); closed != nil || !body.closed {
				t.Errorf("Close: %v, body closed: %t", closed, body.closed)
			}
			switch {
			case !hangs && (!errors.Is(err, io.EOF) || string(got) != "xxxxx"):
				t.Errorf("read %q, %v", got, err)
			case hangs && (!errors.Is(err, errStalled) || !errors.Is(err, ErrTemporary) || !strings.Contains(err.Error(), "nothing came for too long (30s); the connection broke") || string(got) != "xxx"):
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

// TestStalledAnswer: neither may the beginning of an answer, nor a listing.
func TestStalledAnswer(t *testing.T) {
	for what, answer := range map[string]func(req *http.Request) (*reply, error){
		"header": func(req *http.Request) (*reply, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		},
		"listing": func(req *http.Request) (*reply, error) {
			resp := respond(200, nil, "")
			resp.content = &trickle{ctx: req.Context(), hangs: true}
			return resp, nil
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newFake(DefaultContainers...)
			s.answer = answer
			start := time.Now()
			_, err := open(t, sasConfig(s)).List(t.Context(), flowLogV, two)
			if !errors.Is(err, errStalled) || time.Since(start) != DefaultIdleTimeout {
				t.Errorf("%s: %v after %s", what, err, time.Since(start))
			}
		})
	}
}

// TestCancelledBody: a context ends the reading of a body that stands still.
func TestCancelledBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake(DefaultContainers...)
		s.answer = func(req *http.Request) (*reply, error) {
			resp := respond(206, map[string]string{"Etag": "x", "Content-Range": "bytes 10-14/15"}, "")
			resp.content = &trickle{ctx: req.Context(), hangs: true}
			return resp, nil
		}
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		r, _, err := open(t, sasConfig(s)).Open(ctx, at(two, ""), 10)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { cancel(why) })
		start := time.Now()
		if _, err := io.ReadAll(r); !errors.Is(err, why) || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		r.Close()
	})
}

func TestProxyIsNotForIdentities(t *testing.T) {
	for address, want := range map[string]bool{
		"http://169.254.169.254/metadata/identity/oauth2/token": false,
		"http://169.254.0.23/": false,
		"http://[fe80::1]/":    false,
		account1:               true,
		"http://10.1.2.3/":     true,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		asked := false
		_, err = directOr(func(*http.Request) (*url.URL, error) { asked = true; return nil, nil })(&http.Request{URL: u})
		if err != nil || asked != want {
			t.Errorf("%s: the environment's proxy is asked for: %t, want %t (%v)", address, asked, want, err)
		}
	}
	transport, err := newTransport(&url.URL{Scheme: "https", Host: host})
	if err != nil || transport.Proxy == nil || !transport.DisableCompression || transport.TLSHandshakeTimeout == 0 {
		t.Errorf("the transport is not as it should be: %v", err)
	}
}

// TestAudienceAndCloud: who is asked for tokens, and for what.
func TestAudienceAndCloud(t *testing.T) {
	for _, tc := range []struct{ cloud, url, audience, authority, scope string }{
		{"", account1, "", "login.microsoftonline.com", "https://storage.azure.com/.default"},
		{"public", account1, account1 + "/", "login.microsoftonline.com", account1 + "/.default"},
		{"usgov", "https://x.blob.core.usgovcloudapi.net", "", "login.microsoftonline.us", "https://storage.azure.com/.default"},
		{"china", "https://x.blob.core.chinacloudapi.cn", "", "login.chinacloudapi.cn", "https://storage.azure.com/.default"},
		{"china", "https://logs.example.org", "https://a.example/.default", "login.chinacloudapi.cn", "https://a.example/.default"},
	} {
		s := newFake(DefaultContainers...)
		var asked []string
		s.answer = func(req *http.Request) (*reply, error) {
			if req.Method == http.MethodPost {
				content, err := io.ReadAll(req.Body)
				if err != nil {
					t.Error(err)
				}
				form, err := url.ParseQuery(string(content))
				if err != nil {
					t.Error(err)
				}
				asked = append(asked, req.URL.Host+" "+strings.Fields(form.Get("scope"))[0])
			}
			if strings.HasPrefix(req.URL.Host, "login.") {
				return entraAnswer(req), nil
			}
			return nil, nil
		}
		cfg := configs(t, s)[ClientSecret]
		cfg.Cloud, cfg.AccountURL, cfg.Audience = tc.cloud, tc.url, tc.audience
		if _, err := open(t, cfg).List(t.Context(), flowLogV, two); err != nil {
			t.Errorf("%+v: %v", tc, err)
		}
		if want := []string{tc.authority + " " + tc.scope}; !slices.Equal(asked, want) {
			t.Errorf("%+v: asked %q, want %q", tc, asked, want)
		}
	}
}

// TestChallenge: the server does not choose for what a token is good.
func TestChallenge(t *testing.T) {
	s := newFake(DefaultContainers...)
	s.answer = func(req *http.Request) (*reply, error) {
		switch {
		case req.Method == http.MethodPost:
			content, err := io.ReadAll(req.Body)
			if err != nil || strings.Contains(string(content), "evil") {
				t.Errorf("asked for %s (%v)", content, err)
			}
		case req.URL.Host == host:
			resp := refuse(401, "InvalidAuthenticationInfo")
			resp.header.Set("WWW-Authenticate", `Bearer authorization_uri="https://evil.example/tenant/oauth2/authorize" resource_id="https://evil.example"`)
			return resp, nil
		}
		return nil, nil
	}
	if _, err := open(t, configs(t, s)[ClientSecret]).List(t.Context(), flowLogV, two); err == nil || !strings.Contains(err.Error(), "401 InvalidAuthenticationInfo; the token was not taken") {
		t.Error(err)
	}
}

func TestAPIVersion(t *testing.T) {
	s := newFake(DefaultContainers...)
	cfg := keyConfig(s)
	cfg.APIVersion = "2021-12-02"
	if _, err := open(t, cfg).List(t.Context(), flowLogV, two); err != nil {
		t.Fatal(err)
	}
	for _, req := range s.take() {
		if got := header(req, "x-ms-version"); got != "2021-12-02" {
			t.Errorf("version %q", got)
		}
	}
}

var _ source.Backend = (*Backend)(nil)
