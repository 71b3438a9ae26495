package azblob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
)

// TestServiceErrors: each of Azure's codes says what to do.
func TestServiceErrors(t *testing.T) {
	for _, tc := range []struct {
		status     int
		code       string
		credential string
		want       string
	}{
		{403, "AuthorizationPermissionMismatch", ManagedIdentity, `give the identity the role "Storage Blob Data Reader"`},
		{403, "AuthorizationPermissionMismatch", SAS, "lacks a right: make one for the container with read and list (sp=rl)"},
		{403, "InsufficientAccountPermissions", ClientSecret, `the role "Storage Blob Data Reader"`},
		{403, "AuthorizationFailure", ManagedIdentity, "firewall keeps this machine out: under Networking allow its public address or its subnet, or reach the account by its private endpoint"},
		{403, "KeyBasedAuthenticationNotPermitted", AccountKey, "choose managed_identity or another credential of Entra's, or allow storage account key access"},
		{403, "KeyBasedAuthenticationNotPermitted", ConnectionString, "choose managed_identity"},
		{403, "AuthenticationFailed", AccountKey, "the key is wrong or was rotated, or this machine's clock is off"},
		{403, "AuthenticationFailed", ConnectionString, "the key is wrong or was rotated"},
		{403, "AuthenticationFailed", SAS, "has expired, is not valid yet, is not whole, or the key that signed it was rotated: make a new one"},
		{403, "AuthenticationFailed", ManagedIdentity, "compare this machine's clock"},
		{401, "InvalidAuthenticationInfo", ManagedIdentity, "tenant must be that of the storage account"},
		{401, "NoAuthenticationInformation", SAS, "takes the credential away"},
		{403, "AuthorizationSourceIPMismatch", SAS, "for other addresses than this machine's"},
		{403, "AuthorizationResourceTypeMismatch", SAS, "srt=co"},
		{403, "AuthorizationServiceMismatch", SAS, "ss=b"},
		{403, "AuthorizationProtocolMismatch", SAS, "use https"},
		{403, "AccountIsDisabled", SAS, "disabled"},
		{404, "ContainerNotFound", SAS, "no traffic yet: Azure makes the container with the first flow"},
		{404, "BlobNotFound", SAS, "it was deleted"},
		{409, "BlobArchived", SAS, "rehydrate"},
		{412, "ConditionNotMet", SAS, "it is read again from the same place"},
		{412, "", SAS, "it is read again from the same place"},
		{416, "InvalidRange", SAS, "nothing new is in the blob"},
		{416, "", SAS, "nothing new is in the blob"},
		{429, "", SAS, "more requests than it takes"},
		{503, "ServerBusy", SAS, "more requests than it takes; it is tried again later"},
		{500, "OperationTimedOut", SAS, "took too long; it is tried again"},
		{500, "InternalError", SAS, "the service failed; it is tried again"},
		{502, "", SAS, "something between here and Azure failed"},
		{400, "InvalidHeaderValue", SAS, "bring it up to date"},
		{407, "", SAS, "the proxy wants a user and a password"},
		{302, "", SAS, "a proxy or a login page answered in place of Azure"},
		{403, "", SAS, "the right to list and read blobs"},
	} {
		s := newFake(DefaultContainers...)
		s.answer = func(req *http.Request) (*reply, error) {
			switch {
			case req.URL.Host != host:
				return nil, nil
			case tc.code == "":
				return respond(tc.status, nil, "<html>"), nil
			}
			return refuse(tc.status, tc.code), nil
		}
		cfg := configs(t, s)[tc.credential]
		b := open(t, cfg)
		_, _, open := b.Open(t.Context(), at(two, "000D3A123456"), 3)
		_, list := b.List(t.Context(), flowLogV, two)
		_, hours := b.Hours(t.Context(), flowLogV, two)
		_, flowLogs := b.FlowLogs(t.Context())
		for op, err := range map[string]error{"read blob": open, "list blobs": list, "list hours": hours, "list flow logs": flowLogs} {
			var e *Error
			if !errors.As(err, &e) {
				t.Errorf("%d %s: %s: %v, want an *Error", tc.status, tc.code, op, err)
				continue
			}
			if e.Status != tc.status || e.Code != tc.code || e.Op != op || !strings.Contains(e.Hint, tc.want) || !strings.Contains(err.Error(), e.Hint) {
				t.Errorf("%d %s by %s: %s\nwant %q in it", tc.status, tc.code, tc.credential, err, tc.want)
			}
			if !strings.HasPrefix(e.URL, account1+"/"+DefaultContainers[0]) && !strings.HasPrefix(e.URL, account1+"/"+DefaultContainers[1]) {
				t.Errorf("%d %s: URL is %s", tc.status, tc.code, e.URL)
			}
			for target, want := range map[error]bool{
				source.ErrNotFound: strings.HasSuffix(tc.code, "NotFound"),
				source.ErrNothing:  tc.status == 416,
				ErrTemporary:       tc.status == 429 || tc.status/100 == 5,
			} {
				if errors.Is(err, target) != want {
					t.Errorf("%d %s: is %q: %t, want %t", tc.status, tc.code, target, !want, want)
				}
			}
			if text := err.Error(); strings.Count(text, "developers") > 0 && e.Hint != "" && hints[tc.code] != "" || strings.Contains(e.Error(), "\n") {
				t.Errorf("%d %s: says what helps nobody: %s", tc.status, tc.code, text)
			}
		}
	}
}

// TestAnError: all of it, in the words that an operator reads.
func TestAnError(t *testing.T) {
	s := newFake(DefaultContainers...)
	s.answer = func(req *http.Request) (*reply, error) {
		resp := respond(403, map[string]string{"X-Ms-Error-Code": "AuthenticationFailed", "X-Ms-Request-Id": "0c6d"}, `<Error><Code>AuthenticationFailed</Code><Message>Server failed.`+
			`</Message><AuthenticationErrorDetail>Signature not valid in the specified time frame: Start [Fri, 20 Nov 2026 02:00:00 GMT] - Expiry [Sat, 21 Nov 2026 02:00:00 GMT] - Current [Sat, 21 Nov 2026 02:00:30 GMT]</AuthenticationErrorDetail></Error>`)
		return resp, nil
	}
	_, err := open(t, sasConfig(s)).List(t.Context(), DefaultContainers[0]+"/X", two)
	want := "list blobs https://nocflowlogs.blob.core.windows.net/insights-logs-flowlogflowevent/X/y=2026/m=11/d=21/h=02/: 403 AuthenticationFailed: " +
		"Signature not valid in the specified time frame: Start [Fri, 20 Nov 2026 02:00:00 GMT] - Expiry [Sat, 21 Nov 2026 02:00:00 GMT] - Current [Sat, 21 Nov 2026 02:00:30 GMT]; " +
		"the shared access signature has expired, is not valid yet, is not whole, or the key that signed it was rotated: make a new one, and look at this machine's clock"
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
	var e *Error
	if !errors.As(err, &e) || e.RequestID != "0c6d" {
		t.Errorf("the request's ID is not kept: %+v", e)
	}
}

func TestUnknownCodeSaysWhatAzureSays(t *testing.T) {
	s := newFake(DefaultContainers...)
	s.answer = func(req *http.Request) (*reply, error) { return refuse(409, "NewAndUnknown"), nil }
	_, err := open(t, sasConfig(s)).List(t.Context(), flowLogV, two)
	if err == nil || !strings.HasSuffix(err.Error(), ": 409 NewAndUnknown: What developers are told") {
		t.Error(err)
	}
}

// TestNetworkErrors: those on the way to the account.
func TestNetworkErrors(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for what, tc := range map[string]struct {
		err       error
		want      string
		temporary bool
	}{
		"no such name":      {dial(&net.DNSError{Err: "no such host", Name: host, IsNotFound: true}), "no name server knows " + host, false},
		"no name server":    {dial(&net.DNSError{Err: "server misbehaving", Name: host, IsTemporary: true}), "the name server does not answer", true},
		"unknown authority": {&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, "add its certificate authority to the system's", false},
		"another host":      {&tls.CertificateVerificationError{Err: x509.HostnameError{Host: host, Certificate: &x509.Certificate{}}}, "the TLS handshake with " + host + " failed", false},
		"expired":           {&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}, "this machine's clock", false},
		"alert":             {tls.AlertError(40), "the TLS handshake", false},
		"no TLS":            {errors.New("http: server gave HTTP response to HTTPS client"), "the TLS handshake", false},
		"refused":           {dial(os.NewSyscallError("connect", syscall.ECONNREFUSED)), host + " refuses the connection", true},
		"unreachable":       {dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH)), "cannot be reached: allow https to it in firewalls, or set HTTPS_PROXY", true},
		"timeout":           {dial(os.ErrDeadlineExceeded), "cannot be reached", true},
		"reset":             {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "the connection broke; it is tried again", true},
		"closed":            {io.EOF, "the connection broke", true},
		"proxy":             {&net.OpError{Op: "proxyconnect", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "the proxy cannot be reached", true},
		"proxy's password":  {errors.New("Proxy Authentication Required"), "the proxy wants a user and a password", false},
	} {
		s := newFake(DefaultContainers...)
		s.answer = func(*http.Request) (*reply, error) { return nil, tc.err }
		b := open(t, sasConfig(s))
		_, list := b.List(t.Context(), flowLogV, two)
		_, _, read := b.Open(t.Context(), at(two, ""), 1)
		_, clock := b.ServerClock(t.Context())
		for _, err := range []error{list, read, clock} {
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Hint, tc.want) || e.Status != 0 {
				t.Errorf("%s: %v\nwant %q in it", what, err, tc.want)
			}
			if errors.Is(err, ErrTemporary) != tc.temporary {
				t.Errorf("%s: temporary: %t", what, !tc.temporary)
			}
			if errors.Is(err, source.ErrNotFound) {
				t.Errorf("%s: says that the blob is not there", what)
			}
		}
	}
}

// TestTokenErrors: those of getting a token.
func TestTokenErrors(t *testing.T) {
	entraSays := func(code, text string) func(*http.Request) (*reply, error) {
		return func(req *http.Request) (*reply, error) {
			if req.Method != http.MethodPost {
				return nil, nil
			}
			return respond(401, map[string]string{"Content-Type": "application/json"}, `{"error":"invalid_client","error_description":"`+code+`: `+text+
				` Trace ID: 1 Correlation ID: 2 Timestamp: 2026-11-21 02:00:00Z","error_codes":[7]}`), nil
		}
	}
	imds := func(status int, content string) func(*http.Request) (*reply, error) {
		return func(req *http.Request) (*reply, error) { return respond(status, nil, content), nil }
	}
	broken := func(err error) func(*http.Request) (*reply, error) {
		return func(*http.Request) (*reply, error) { return nil, err }
	}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, tc := range []struct {
		credential string
		answer     func(*http.Request) (*reply, error)
		want, code string
		temporary  bool
	}{
		{ClientSecret, entraSays("AADSTS7000215", "Invalid client secret provided."), "give the secret's value, not its ID", "AADSTS7000215", false},
		{ClientSecret, entraSays("AADSTS7000222", "The provided client secret keys are expired."), "the client secret has expired: make a new one", "AADSTS7000222", false},
		{ClientSecret, entraSays("AADSTS700016", "Application was not found."), "compare client_id and tenant_id", "AADSTS700016", false},
		{ClientSecret, entraSays("AADSTS90002", "Tenant not found."), "there is no such tenant", "AADSTS90002", false},
		{ClientSecret, entraSays("AADSTS99999", "Something new."), "AADSTS99999: Something new; compare tenant_id, client_id", "AADSTS99999", false},
		{ClientCertificate, entraSays("AADSTS700027", "Client assertion contains an invalid signature."), "the certificate is not one of the application's, or has expired", "AADSTS700027", false},
		{WorkloadIdentity, entraSays("AADSTS700213", "No matching federated identity record found."), "no federated credential with this token's subject", "AADSTS700213", false},
		{ClientSecret, broken(dial(&net.DNSError{Err: "no such host", IsNotFound: true})), "no name server knows login.microsoftonline.com", "", false},
		{ClientSecret, broken(dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))), "login.microsoftonline.com refuses the connection", "", true},
		{ManagedIdentity, broken(dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH))), "if this machine is none, install the Azure Arc agent or choose another credential", "", true},
		{ManagedIdentity, broken(dial(os.NewSyscallError("connect", syscall.ECONNREFUSED))), "no token came from 169.254.169.254", "", true},
		{ManagedIdentity, imds(404, "not here"), "if this machine is none", "", false},
		{ManagedIdentity, imds(400, `{"error":"invalid_request","error_description":"Identity not found"}`), "no user-assigned identity with this client_id", "", false},
		{"system", imds(400, `{"error":"invalid_request","error_description":"Identity not found"}`), "turn it on under Identity, or set client_id", "", false},
		{ManagedIdentity, imds(500, "x"), "the service of managed identities failed; it is tried again", "", true},
		{DefaultCredential, broken(dial(os.NewSyscallError("connect", syscall.EHOSTUNREACH))), "none of the SDK's credentials works here: choose one of them by name", "", true},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newFake(DefaultContainers...)
			s.answer = func(req *http.Request) (*reply, error) {
				if req.URL.Host == host {
					t.Errorf("%s: a request without a token was sent", tc.credential)
				}
				return tc.answer(req)
			}
			cfg := configs(t, s)[tc.credential]
			if tc.credential == "system" {
				cfg = configs(t, s)[ManagedIdentity]
				cfg.ClientID = ""
			}
			b := open(t, cfg)
			_, err := b.List(t.Context(), flowLogV, two)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tc.want) || e.Code != tc.code || e.Hint == "" || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v\nwant %q in it", tc.credential, err, tc.want)
			}
			if errors.Is(err, ErrTemporary) != tc.temporary {
				t.Errorf("%s: temporary: %t: %v", tc.credential, !tc.temporary, err)
			}
			// Who asks soon after gets the same answer, and does not wait for it.
			s.take()
			if _, again := b.List(t.Context(), flowLogV, two); again == nil || again.Error() != err.Error() || len(s.take()) > 0 {
				t.Errorf("%s: again: %v, want %v", tc.credential, again, err)
			}
			time.Sleep(rememberFailure)
			s.answer = nil
			if _, err := b.List(t.Context(), flowLogV, two); err != nil {
				t.Errorf("%s: later: %v", tc.credential, err)
			}
		})
	}
}

// TestArc: the agent of a machine elsewhere has its token files for a group.
func TestArc(t *testing.T) {
	t.Setenv("IDENTITY_ENDPOINT", "http://localhost:40342/metadata/identity/oauth2/token")
	t.Setenv("IMDS_ENDPOINT", "http://localhost:40342")
	s := newFake(DefaultContainers...)
	s.answer = func(req *http.Request) (*reply, error) {
		if req.URL.Host == "localhost:40342" {
			return respond(401, map[string]string{"WWW-Authenticate": "Basic realm=/var/opt/azcmagent/tokens/1.key"}, ""), nil
		}
		t.Errorf("asked %s, too", req.URL)
		return nil, nil
	}
	cfg := configs(t, s)[ManagedIdentity]
	cfg.ClientID = ""
	_, err := open(t, cfg).List(t.Context(), flowLogV, two)
	if err == nil || !strings.Contains(err.Error(), "add it to the group himds") {
		t.Error(err)
	}
}

func TestWorkloadIdentityWithoutItsFile(t *testing.T) {
	cfg := configs(t, newFake(DefaultContainers...))[WorkloadIdentity]
	cfg.TokenFile += ".missing"
	_, err := open(t, cfg).List(t.Context(), flowLogV, two)
	if err == nil || !strings.Contains(err.Error(), "the token file cannot be read: AZURE_FEDERATED_TOKEN_FILE must name it") {
		t.Error(err)
	}
}

// TestRetries: what is temporary is tried again, and no more often than said.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake(DefaultContainers...)
		name := at(two, "000D3A123456")
		put(t, s, name, "0123456789")
		fails := 0
		wait := ""
		s.answer = func(req *http.Request) (*reply, error) {
			if fails--; fails >= 0 {
				resp := refuse(503, "ServerBusy")
				resp.header.Set("Retry-After", wait)
				return resp, nil
			}
			return nil, nil
		}
		cfg := sasConfig(s)
		cfg.MaxRetries = 2
		b := open(t, cfg)
		for _, tc := range []struct {
			fails    int
			wait     string
			requests int
			after    time.Duration
		}{
			{0, "", 1, 0},
			{1, "", 2, 0},
			{2, "3", 3, 6 * time.Second},
			{9, "1", 3, 2 * time.Second},
			{1, "60", 1, 0}, // too long to wait for in a request
		} {
			fails, wait = tc.fails, tc.wait
			start := time.Now()
			_, _, err := read(t, b, name, 1)
			if n := len(s.take()); n != tc.requests {
				t.Errorf("%+v: %d requests", tc, n)
			}
			if took := time.Since(start); took < tc.after || took > tc.after+5*time.Second {
				t.Errorf("%+v: took %s", tc, took)
			}
			var e *Error
			switch {
			case tc.requests == tc.fails+1:
				if err != nil {
					t.Errorf("%+v: %v", tc, err)
				}
			case !errors.As(err, &e) || !errors.Is(err, ErrTemporary) || e.RetryAfter() == 0 || e.RetryAfter().String() != (map[string]string{"1": "1s", "60": "1m0s"})[tc.wait]:
				t.Errorf("%+v: %v (after %v)", tc, err, e)
			}
		}
		// What is not temporary is not tried again.
		for _, status := range []int{403, 404, 409, 412, 416} {
			s.answer = func(req *http.Request) (*reply, error) { return refuse(status, "X"), nil }
			if _, _, err := b.Open(t.Context(), name, 1); err == nil || len(s.take()) != 1 {
				t.Errorf("%d: %v, not after 1 request", status, err)
			}
		}
	})
}

// TestEnds: an operation that its context ends says why, and at once.
func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("enough")
		s := newFake(DefaultContainers...)
		s.answer = func(req *http.Request) (*reply, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		for name, cfg := range configs(t, s) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second/2, func() { cancel(why) })
			start := time.Now()
			_, err := open(t, cfg).List(ctx, flowLogV, two)
			if !errors.Is(err, why) || time.Since(start) != time.Second/2 {
				t.Errorf("%s: %v after %s", name, err, time.Since(start))
			}
		}
	})
}
