package azblob

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"flow2ipfix/internal/secret"
)

// The names of credentials.
const (
	ManagedIdentity   = "managed_identity"
	WorkloadIdentity  = "workload_identity"
	ClientSecret      = "client_secret"
	ClientCertificate = "client_certificate"
	SAS               = "sas"
	AccountKey        = "account_key"
	ConnectionString  = "connection_string"
	DefaultCredential = "default"
)

// Credentials is the names of all credentials.
var Credentials = []string{
	ManagedIdentity, WorkloadIdentity, ClientSecret, ClientCertificate,
	SAS, AccountKey, ConnectionString, DefaultCredential,
}

// DefaultContainers is where Azure writes virtual network and NSG flow logs.
var DefaultContainers = []string{"insights-logs-flowlogflowevent", "insights-logs-networksecuritygroupflowevent"}

// The defaults of Config.
const (
	DefaultMaxRetries  = 3
	DefaultIdleTimeout = 30 * time.Second
)

// Config says which account is read, and as whom. Zero values mean the defaults
// that the fields' comments name.
type Config struct {
	// AccountURL is the account's blob endpoint, such as
	// https://nocflowlogs.blob.core.windows.net. It has no meaning beside a
	// connection string, which names the endpoint itself.
	AccountURL string
	// Containers are those to read; DefaultContainers.
	Containers []string
	// Credential is one of Credentials. It is never guessed.
	Credential string

	// TenantID and ClientID name an application, or a tenant alone, or with a
	// managed identity the user-assigned one; without ClientID it is the system's.
	TenantID, ClientID string
	// ClientSecret is the application's.
	ClientSecret secret.Secret
	// ClientCertificate is the content of a PEM or PKCS#12 file with certificate
	// and private key.
	ClientCertificate         secret.Secret
	ClientCertificatePassword secret.Secret
	// SendCertificateChain is for applications that trust a subject and issuer
	// rather than one certificate.
	SendCertificateChain bool
	// TokenFile is where a workload identity finds its token; what
	// AZURE_FEDERATED_TOKEN_FILE says.
	TokenFile string
	// SAS is a shared access signature, with or without '?' in front.
	SAS secret.Secret
	// AccountName goes with AccountKey; it is the first part of AccountURL's host.
	AccountName      string
	AccountKey       secret.Secret
	ConnectionString secret.Secret

	// Cloud is public, usgov or china: where Entra is asked for tokens; public.
	Cloud string
	// Audience is for whom tokens are asked; https://storage.azure.com.
	Audience string
	// APIVersion is the version of the REST protocol to ask for, such as
	// 2021-12-02, where a service does not know the SDK's.
	APIVersion string

	// MaxRetries is how often a request is repeated that failed for a while; 3.
	// Less than 0 means never.
	MaxRetries int
	// IdleTimeout is how long a response may bring nothing; 30 s.
	IdleTimeout time.Duration
	// Transport sends all requests, those for tokens included; by default one that
	// honours HTTPS_PROXY. It is for tests.
	Transport http.RoundTripper
}

var clouds = map[string]cloud.Configuration{
	"":       cloud.AzurePublic,
	"public": cloud.AzurePublic,
	"usgov":  cloud.AzureGovernment,
	"china":  cloud.AzureChina,
}

// CloudNames are what Config.Cloud may be.
var CloudNames = []string{"public", "usgov", "china"}

var suffixes = map[string]string{
	".core.windows.net":         "public",
	".core.usgovcloudapi.net":   "usgov",
	".core.chinacloudapi.cn":    "china",
	".storage.azure.net":        "public", // DNS zone endpoints
	".storage.usgovcloudapi.us": "usgov",
}

var errBadKey = errors.New("account_key: want base64, as the portal shows it under Access keys")

// Validate says all that is wrong with the settings.
func (c Config) Validate() error {
	_, err := c.resolve()
	return err
}

// resolve checks the settings and says which account they mean.
func (c Config) resolve() (*account, error) {
	errs := c.checkCredential()
	a, err := c.account()
	errs = append(errs, err)
	seen := map[string]bool{}
	for _, name := range c.Containers {
		if name == "" || strings.ContainsAny(name, "/?#% ") || name != strings.ToLower(name) {
			errs = append(errs, fmt.Errorf("containers: want names such as %s, got %q", DefaultContainers[0], name))
		}
		if seen[name] {
			errs = append(errs, fmt.Errorf("containers: %q is named twice", name))
		}
		seen[name] = true
	}
	if _, known := clouds[c.Cloud]; !known {
		errs = append(errs, fmt.Errorf("cloud: want one of %s, got %q", strings.Join(CloudNames, ", "), c.Cloud))
	}
	if c.IdleTimeout < 0 {
		errs = append(errs, fmt.Errorf("idle timeout: want more than 0, got %s", c.IdleTimeout))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return a, nil
}

// uses says what each credential must have and may have.
var uses = map[string]struct{ must, may []string }{
	ManagedIdentity:   {nil, []string{"client_id", "audience"}},
	WorkloadIdentity:  {nil, []string{"tenant_id", "client_id", "token_file", "audience"}},
	ClientSecret:      {[]string{"tenant_id", "client_id", "client_secret"}, []string{"audience"}},
	ClientCertificate: {[]string{"tenant_id", "client_id", "client_certificate"}, []string{"client_certificate_password", "audience"}},
	SAS:               {[]string{"sas"}, nil},
	AccountKey:        {[]string{"account_key"}, []string{"account_name"}},
	ConnectionString:  {[]string{"connection_string"}, nil},
	DefaultCredential: {nil, []string{"tenant_id", "audience"}},
}

func (c Config) checkCredential() (errs []error) {
	use, known := uses[c.Credential]
	if !known {
		return []error{fmt.Errorf("credential: want one of %s, got %q", strings.Join(Credentials, ", "), c.Credential)}
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"tenant_id", c.TenantID != ""},
		{"client_id", c.ClientID != ""},
		{"client_secret", !c.ClientSecret.IsZero()},
		{"client_certificate", !c.ClientCertificate.IsZero()},
		{"client_certificate_password", !c.ClientCertificatePassword.IsZero()},
		{"token_file", c.TokenFile != ""},
		{"sas", !c.SAS.IsZero()},
		{"account_key", !c.AccountKey.IsZero()},
		{"account_name", c.AccountName != ""},
		{"connection_string", !c.ConnectionString.IsZero()},
		{"audience", c.Audience != ""},
	} {
		must := slices.Contains(use.must, field.name)
		switch {
		case must && !field.set:
			errs = append(errs, fmt.Errorf("%s: credential %s needs it", field.name, c.Credential))
		case field.set && !must && !slices.Contains(use.may, field.name):
			errs = append(errs, fmt.Errorf("%s: credential %s does not use it; remove it, or choose another credential", field.name, c.Credential))
		}
	}
	return errs
}

// usesTokens says that the credential is one of Entra's.
func (c Config) usesTokens() bool {
	return !slices.Contains([]string{SAS, AccountKey, ConnectionString}, c.Credential)
}

func (c Config) checkURL(text string) (*url.URL, error) {
	const want = "account_url: want the account's blob endpoint, such as https://nocflowlogs.blob.core.windows.net"
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case text == "":
		return nil, errors.New(want + "; got nothing")
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New(want) // what was given may have a SAS in it
	case u.User != nil:
		return nil, errors.New(want + ", without a user name")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, errors.New(want + ", without what follows '?': a shared access signature goes to sas")
	case strings.Contains(u.Host, ".dfs."):
		return nil, fmt.Errorf("%s; got the dfs endpoint %s", want, u.Host)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	own := ""
	for suffix, name := range suffixes {
		if strings.HasSuffix(u.Hostname(), suffix) {
			own = name
		}
	}
	switch parts := strings.Count(u.Path, "/"); {
	case own != "" && parts > 0, parts > 1:
		return nil, fmt.Errorf("%s, without a path: containers have a setting of their own; got %s", want, u)
	case own != "" && c.usesTokens() && clouds[c.Cloud].ActiveDirectoryAuthorityHost != clouds[own].ActiveDirectoryAuthorityHost:
		return nil, fmt.Errorf("cloud: want %s, to which %s belongs, got %q", own, u.Host, c.Cloud)
	case u.Scheme == "http" && c.usesTokens():
		return nil, fmt.Errorf("account_url: want https with credential %s, got %s", c.Credential, u)
	case u.Scheme == "http" && c.Credential == SAS && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("account_url: want https, over which nobody can read the shared access signature, got %s", u)
	}
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
