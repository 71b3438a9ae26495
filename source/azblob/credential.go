package azblob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// defaultAudience is that of Blob Storage in all clouds.
const defaultAudience = "https://storage.azure.com"

// tokens gets tokens from Entra. It remembers a failure for a while: the SDK
// would let all who wait for a token try one after another.
type tokens struct {
	credential azcore.TokenCredential
	scopes     []string

	mu     sync.Mutex
	failed error
	until  time.Time
}

const rememberFailure = 5 * time.Second

// tokenError is an error of getting a token. MSAL keeps nothing but the text of
// errors on the way to a server; onWay is the last one as it was.
type tokenError struct{ err, onWay error }

func (e *tokenError) Error() string { return e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

// attempt is where the error of a request goes, by its context.
type attempt struct{ err error }

type attemptKey struct{}

// NonRetriable keeps the SDK from trying again: the credential has done so.
func (*tokenError) NonRetriable() {}

func newTokens(cfg Config, transport http.RoundTripper, c *counters) (*tokens, error) {
	options := azcore.ClientOptions{
		Cloud: clouds[cfg.Cloud],
		// Without these, a machine that has no managed identity takes minutes to
		// say so.
		Retry:     policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Second, MaxRetryDelay: 5 * time.Second, TryTimeout: 15 * time.Second},
		Telemetry: policy.TelemetryOptions{ApplicationID: applicationID},
		Transport: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		PerRetryPolicies: []policy.Policy{policyFunc(func(req *policy.Request) (*http.Response, error) {
			resp, err := req.Next()
			c.count(OpToken, resp, err)
			if a, ok := req.Raw().Context().Value(attemptKey{}).(*attempt); ok {
				a.err = err
			}
			return resp, err
		})},
	}
	credential, err := newCredential(cfg, options)
	if err != nil {
		return nil, fmt.Errorf("credential %s: %w", cfg.Credential, err)
	}
	scope := strings.TrimSuffix(strings.TrimRight(cmp.Or(cfg.Audience, defaultAudience), "/"), "/.default") + "/.default"
	return &tokens{credential: credential, scopes: []string{scope}}, nil
}

// newCredential makes the credential that was chosen, and no other.
func newCredential(cfg Config, options azcore.ClientOptions) (azcore.TokenCredential, error) {
	switch cfg.Credential {
	case ManagedIdentity:
		o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
		if cfg.ClientID != "" {
			o.ID = azidentity.ClientID(cfg.ClientID)
		}
		return azidentity.NewManagedIdentityCredential(o)
	case WorkloadIdentity:
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: options, ClientID: cfg.ClientID, TenantID: cfg.TenantID, TokenFilePath: cfg.TokenFile,
		})
	case ClientSecret:
		return azidentity.NewClientSecretCredential(cfg.TenantID, cfg.ClientID, strings.TrimSpace(cfg.ClientSecret.Reveal()),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options})
	case ClientCertificate:
		certificates, key, err := azidentity.ParseCertificates([]byte(cfg.ClientCertificate.Reveal()), []byte(cfg.ClientCertificatePassword.Reveal()))
		if err != nil {
			// What the parser says may quote what it parses.
			return nil, errors.New("client_certificate: want a PEM file with certificate and private key, or a PKCS#12 file and its client_certificate_password; " +
				"a PEM key must not be encrypted, and OpenSSL 3 writes PKCS#12 that can be read only with -legacy")
		}
		return azidentity.NewClientCertificateCredential(cfg.TenantID, cfg.ClientID, certificates, key,
			&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, SendCertificateChain: cfg.SendCertificateChain})
	default:
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options, TenantID: cfg.TenantID})
	}
}

// GetToken implements azcore.TokenCredential.
func (t *tokens) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t.mu.Lock()
	failed, until := t.failed, t.until
	t.mu.Unlock()
	if failed != nil && time.Now().Before(until) {
		return azcore.AccessToken{}, failed
	}
	var a attempt
	token, err := t.credential.GetToken(context.WithValue(ctx, attemptKey{}, &a), options)
	if err == nil {
		return token, nil
	}
	err = &tokenError{err, unwrapURL(a.err)}
	if ctx.Err() == nil {
		t.mu.Lock()
		t.failed, t.until = err, time.Now().Add(rememberFailure)
		t.mu.Unlock()
	}
	return azcore.AccessToken{}, err
}
