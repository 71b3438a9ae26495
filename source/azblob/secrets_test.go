package azblob

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/log"

	"flow2ipfix/internal/secret"
)

// certificate makes a PEM file of a certificate and its key.
var certificate = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "flow2ipfix"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
})

const theFederatedToken = "s3cr3t-federated-token"

var audiences atomic.Int64

// configs has a configuration for each credential.
func configs(t *testing.T, transport http.RoundTripper) map[string]Config {
	t.Helper()
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "prod") // of "default", no tools of developers
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(theFederatedToken), 0o600); err != nil {
		t.Fatal(err)
	}
	all := map[string]Config{
		ManagedIdentity:   {ClientID: "client-1"},
		WorkloadIdentity:  {TenantID: "tenant-1", ClientID: "client-1", TokenFile: file},
		ClientSecret:      {TenantID: "tenant-1", ClientID: "client-1", ClientSecret: secret.New(theSecret + "\n")},
		ClientCertificate: {TenantID: "tenant-1", ClientID: "client-1", ClientCertificate: secret.New(certificate())},
		SAS:               {SAS: secret.New("?" + theSAS)},
		AccountKey:        {AccountKey: secret.New(theKey)},
		ConnectionString:  {ConnectionString: secret.New("DefaultEndpointsProtocol=https;AccountName=nocflowlogs;AccountKey=" + theKey + ";EndpointSuffix=core.windows.net")},
		DefaultCredential: {TenantID: "tenant-1"},
	}
	for name, cfg := range all {
		cfg.Credential, cfg.Transport, cfg.MaxRetries = name, transport, -1
		if name != ConnectionString {
			cfg.AccountURL = account1
		}
		if name == ManagedIdentity || name == DefaultCredential {
			// The SDK keeps tokens of managed identities for the whole process.
			cfg.Audience = fmt.Sprintf("https://storage-%d.azure.com", audiences.Add(1))
		}
		all[name] = cfg
	}
	return all
}

// secrets is all that must not be seen, with parts that would do.
func secrets() map[string]string {
	block, rest := pem.Decode([]byte(certificate()))
	_ = block
	return map[string]string{
		"account key": theKey, "client secret": theSecret, "SAS": theSAS, "signature": theSig, "encoded signature": url.QueryEscape(theSig),
		"key of the certificate": strings.Split(string(rest), "\n")[3], "federated token": theFederatedToken,
		"token": token, "token's signature": strings.Split(token, ".")[2], "password": thePassword,
		"key in base64": base64.StdEncoding.EncodeToString([]byte(theKey)),
	}
}

func showsNone(t *testing.T, where string, text string) {
	t.Helper()
	for what, value := range secrets() {
		if i := strings.Index(text, value); i >= 0 {
			t.Errorf("%s shows the %s: …%s…", where, what, text[max(0, i-200):min(len(text), i+200)])
		}
	}
}

// everything uses all methods.
func everything(t *testing.T, b *Backend) (shown string, failed int) {
	t.Helper()
	flowLogs, err1 := b.FlowLogs(t.Context())
	hours, err2 := b.Hours(t.Context(), flowLogV, two)
	list, err3 := b.List(t.Context(), flowLogV, two)
	r, info, err4 := b.Open(t.Context(), at(two, "000D3A123456"), 3)
	var err5 error
	if err4 == nil {
		_, err5 = io.ReadAll(r)
		r.Close()
	}
	clock, err6 := b.ServerClock(t.Context())
	findings := b.Check(t.Context())
	values := []any{flowLogs, hours, list, info, clock, findings, b.Stats(), err1, err2, err3, err4, err5, err6, errors.Join(err1, err3, err4)}
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range values {
		fmt.Fprintf(&out, "%v %+v %#v %q\n", v, v, v, v)
		logger.Info("m", "v", v)
		text, err := json.Marshal(v)
		fmt.Fprintf(&out, "%s %v\n", text, err)
		if err, ok := v.(error); ok {
			failed++
			for ; err != nil; err = errors.Unwrap(err) { // what is within is not printed by %#v
				fmt.Fprintf(&out, "%s %+v %#v\n", err, err, err)
			}
		}
	}
	for _, f := range findings {
		fmt.Fprintf(&out, "%+v %v\n", f, f.Err)
	}
	return out.String(), failed
}

// TestSecretsAreNotShown, with each credential, whatever fails: neither in errors,
// nor in findings, nor in the SDK's log.
func TestSecretsAreNotShown(t *testing.T) {
	// The SDK's log, which AZURE_SDK_GO_LOGGING turns on, has what servers say in
	// it, word by word: that of servers that tell what they were told is left out.
	var sdk bytes.Buffer
	echoes := false
	var mu sync.Mutex
	log.SetListener(func(e log.Event, text string) {
		mu.Lock()
		defer mu.Unlock()
		if !echoes {
			fmt.Fprintln(&sdk, e, text)
		}
	})
	defer log.SetListener(nil)
	// echo is a server that tells all it was told.
	echo := func(status int, code string) func(*http.Request) (*reply, error) {
		return func(req *http.Request) (*reply, error) {
			var content strings.Builder
			for _, line := range []string{req.URL.String(), req.URL.Query().Get("sig"), fmt.Sprint(req.Header)} {
				content.WriteString(strings.NewReplacer("&", "&amp;", "<", "", "\n", " ").Replace(line) + " ")
			}
			said := content.String()
			resp := respond(status, map[string]string{"X-Ms-Error-Code": code, "X-Ms-Request-Id": "1"},
				"<Error><Code>"+code+"</Code><Message>"+said+"</Message><AuthenticationErrorDetail>Signature did not match. String to sign used was "+said+"</AuthenticationErrorDetail></Error>")
			return resp, nil
		}
	}
	for what, answer := range map[string]func(*http.Request) (*reply, error){
		"all is well":  nil,
		"refused":      echo(403, "AuthenticationFailed"),
		"new code":     echo(409, "Unheard"),
		"unauthorized": echo(401, "InvalidAuthenticationInfo"),
		"busy":         echo(503, "ServerBusy"),
		"not Azure":    echo(200, ""),
		"broken": func(req *http.Request) (*reply, error) {
			return nil, &url.Error{Op: "Get", URL: req.URL.String(), Err: io.ErrUnexpectedEOF}
		},
		"broken loudly": func(req *http.Request) (*reply, error) {
			return nil, fmt.Errorf("cannot send %s: %w", req.URL, io.ErrUnexpectedEOF)
		},
	} {
		for name := range configs(t, nil) {
			synctest.Test(t, func(t *testing.T) {
				s := newFake(DefaultContainers...)
				put(t, s, at(two, "000D3A123456"), "0123456789")
				mu.Lock()
				echoes = !slices.Contains([]string{"all is well", "broken", "stopped"}, what)
				mu.Unlock()
				s.answer = func(req *http.Request) (*reply, error) {
					if answer == nil || req.URL.Host != host && what != "broken" && what != "broken loudly" {
						return nil, nil
					}
					return answer(req)
				}
				cfg := configs(t, s)[name]
				if what == "busy" {
					cfg.MaxRetries = 1
				}
				b := open(t, cfg)
				shown, failed := everything(t, b)
				if (failed > 0) != (what != "all is well") {
					t.Errorf("%s, %s: %d errors", name, what, failed)
				}
				showsNone(t, name+", "+what, shown)
				showsNone(t, name+", "+what, fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg))
			})
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if sdk.Len() == 0 {
		t.Error("the SDK logged nothing")
	}
	for what, value := range secrets() {
		if i := strings.Index(sdk.String(), value); i >= 0 {
			t.Errorf("the SDK's log shows the %s: …%s…", what, sdk.String()[max(0, i-300):min(sdk.Len(), i+100)])
		}
	}
}

// TestSecretsOfWrongSettings: what cannot be understood is not shown either.
func TestSecretsOfWrongSettings(t *testing.T) {
	base := configs(t, newFake())
	with := func(name string, change func(*Config)) Config {
		cfg := base[name]
		change(&cfg)
		return cfg
	}
	for what, cfg := range map[string]Config{
		"SAS in the URL":    with(SAS, func(c *Config) { c.AccountURL += "/?" + theSAS }),
		"user in the URL":   with(SAS, func(c *Config) { c.AccountURL = "https://x:" + theSecret + "@" + host }),
		"no URL":            with(SAS, func(c *Config) { c.AccountURL = "https://%zz" + theSecret }),
		"URL as SAS":        with(SAS, func(c *Config) { c.SAS = secret.New(account1 + "?" + theSAS) }),
		"SAS without a sig": with(SAS, func(c *Config) { c.SAS = secret.New(theSecret) }),
		"two SAS":           with(SAS, func(c *Config) { c.SAS = secret.New("sig=\n" + theSecret + "&" + theSecret) }),
		"key":               with(AccountKey, func(c *Config) { c.AccountKey = secret.New(theSecret) }),
		"no connection":     with(ConnectionString, func(c *Config) { c.ConnectionString = secret.New(theSecret) }),
		"connection, key":   with(ConnectionString, func(c *Config) { c.ConnectionString = secret.New("AccountName=a;AccountKey=" + theSecret) }),
		"connection, SAS":   with(ConnectionString, func(c *Config) { c.ConnectionString = secret.New("AccountName=a;SharedAccessSignature=" + theSecret) }),
		"connection, URL": with(ConnectionString, func(c *Config) {
			c.ConnectionString = secret.New("BlobEndpoint=https://%zz" + theSecret + ";SharedAccessSignature=" + theSAS)
		}),
		"connection, no key": with(ConnectionString, func(c *Config) { c.ConnectionString = secret.New("AccountName=a;Key=" + theSecret) }),
		"certificate":        with(ClientCertificate, func(c *Config) { c.ClientCertificate = secret.New(theSecret) }),
		"PKCS#12":            with(ClientCertificate, func(c *Config) { c.ClientCertificatePassword = secret.New(thePassword) }),
		"half a certificate": with(ClientCertificate, func(c *Config) { c.ClientCertificate = secret.New(certificate()[:2500]) }),
	} {
		_, err := New(cfg)
		if err == nil {
			t.Errorf("%s: no error", what)
			continue
		}
		showsNone(t, what, fmt.Sprintf("%v %+v %#v %v", err, err, err, cfg.Validate()))
	}
}
