package azblob

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"flow2ipfix/internal/secret"
)

// account is which account is meant, and the credential if it is none of Entra's.
type account struct {
	endpoint *url.URL
	name     string // for key
	key      string
	sas      string // a query, encoded
}

func (c Config) account() (*account, error) {
	if c.Credential == ConnectionString {
		if c.AccountURL != "" {
			return nil, errors.New("account_url: the connection string names the endpoint; remove it")
		}
		return c.parseConnectionString(strings.TrimSpace(c.ConnectionString.Reveal()))
	}
	u, err := c.checkURL(c.AccountURL)
	if err != nil {
		return nil, err
	}
	a := &account{endpoint: u}
	switch c.Credential {
	case SAS:
		if a.sas, err = parseSAS(c.SAS.Reveal()); err != nil {
			return nil, fmt.Errorf("sas: %w", err)
		}
	case AccountKey:
		a.key = strings.TrimSpace(c.AccountKey.Reveal())
		if a.name = c.AccountName; a.name == "" {
			a.name = accountName(u)
		}
	}
	return a, nil
}

// accountName is the name in the host, or in the path behind a host that is an
// address, as emulators have it.
func accountName(u *url.URL) string {
	if strings.Count(u.Path, "/") == 1 {
		return u.Path[1:]
	}
	if net.ParseIP(u.Hostname()) != nil {
		return ""
	}
	name, _, _ := strings.Cut(u.Hostname(), ".")
	return name
}

// parseSAS returns the query of a shared access signature, encoded: what was
// copied may be encoded or not.
func parseSAS(text string) (string, error) {
	text = strings.TrimLeft(strings.TrimSpace(text), "?&")
	if strings.Contains(text, "://") {
		return "", errors.New("want what stands right of the '?', got a URL")
	}
	var query []string
	signed := false
	for pair := range strings.SplitSeq(text, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		}
		if !ok || name == "" || strings.ContainsAny(name, "% \t\r\n") {
			return "", errors.New("want a shared access signature, such as sv=…&sp=rl&sig=…")
		}
		signed = signed || name == "sig" && value != ""
		query = append(query, name+"="+url.QueryEscape(value))
	}
	if !signed {
		return "", errors.New("want a shared access signature with sig=… in it: it is not whole")
	}
	return strings.Join(query, "&"), nil
}

// emulator is what UseDevelopmentStorage=true stands for: the name and key that
// Microsoft publishes for Azurite.
const emulator = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;" +
	"AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;" +
	"BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1"

// parseConnectionString reads what the portal shows under Access keys, or under
// Shared access signature. Its errors show nothing of it.
func (c Config) parseConnectionString(text string) (*account, error) {
	parts := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimRight(text, ";"), ";") {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil, errors.New("connection_string: want name=value parts with ';' between them, as the portal shows them")
		}
		parts[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	if strings.EqualFold(parts["usedevelopmentstorage"], "true") && text != emulator {
		return c.parseConnectionString(emulator)
	}
	or := func(name, otherwise string) string {
		if v := parts[name]; v != "" {
			return v
		}
		return otherwise
	}
	endpoint := parts["blobendpoint"]
	if endpoint == "" {
		if parts["accountname"] == "" {
			return nil, errors.New("connection_string: want AccountName or BlobEndpoint in it")
		}
		endpoint = fmt.Sprintf("%s://%s.blob.%s", or("defaultendpointsprotocol", "https"), parts["accountname"], or("endpointsuffix", "core.windows.net"))
	}
	a := &account{}
	var err error
	switch {
	case parts["accountkey"] != "":
		a.key = parts["accountkey"]
	case parts["sharedaccesssignature"] != "":
		if a.sas, err = parseSAS(parts["sharedaccesssignature"]); err != nil {
			return nil, fmt.Errorf("connection_string: SharedAccessSignature: %w", err)
		}
		c.Credential = SAS
	default:
		return nil, errors.New("connection_string: want AccountKey or SharedAccessSignature in it")
	}
	if a.endpoint, err = c.checkURL(endpoint); err != nil {
		return nil, fmt.Errorf("connection_string: %w", err)
	}
	a.name = or("accountname", accountName(a.endpoint))
	return a, nil
}

// hidden replaces all secrets, whole and in parts, by a mask.
func (a *account) hidden(c Config) *strings.Replacer {
	words := []string{a.key, a.sas}
	for _, s := range []secret.Secret{c.ClientSecret, c.ClientCertificate, c.ClientCertificatePassword, c.SAS, c.AccountKey, c.ConnectionString} {
		words = append(words, s.Reveal())
	}
	if query, err := url.ParseQuery(a.sas); err == nil {
		words = append(words, query.Get("sig"), url.QueryEscape(query.Get("sig")))
	}
	var pairs []string
	for _, word := range words {
		if word = strings.TrimSpace(word); word != "" {
			pairs = append(pairs, word, secret.Mask)
		}
	}
	return strings.NewReplacer(pairs...)
}
