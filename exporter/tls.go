package exporter

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// TLS says whom a tls:// or dtls:// session trusts, and how it shows who it is.
// Files are PEM. They are read again for each connection, so that they can be
// exchanged while the program runs.
type TLS struct {
	// CAFile holds the authorities that may have signed the collector's
	// certificate; empty trusts those that this machine trusts.
	CAFile string
	// CertFile and KeyFile are shown to collectors that ask for a certificate.
	CertFile, KeyFile string
	// ServerName is whose certificate the collector must have; empty is the host
	// of the URL.
	ServerName string
	// MinVersion is the oldest version that is spoken, "1.2" or "1.3"; 1.2. DTLS
	// only has 1.2 here.
	MinVersion string
}

var tlsVersions = map[string]uint16{"": tls.VersionTLS12, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func (t *TLS) check(scheme string) error {
	version, known := tlsVersions[t.MinVersion]
	switch {
	case scheme != "tls" && scheme != "dtls":
		if *t != (TLS{}) {
			return fmt.Errorf("tls: want a URL tls://host:port or dtls://host:port with TLS settings, got %s", scheme)
		}
	case !known:
		return fmt.Errorf("tls min version: want 1.2 or 1.3, got %q", t.MinVersion)
	case scheme == "dtls" && version != tls.VersionTLS12:
		return errors.New("tls min version: want 1.2 with dtls://, which does not speak 1.3 yet; use tls://, or leave it out")
	case t.CertFile == "" && t.KeyFile != "":
		return errors.New("tls cert file: want one beside the key file")
	case t.CertFile != "" && t.KeyFile == "":
		return errors.New("tls key file: want one beside the certificate file")
	}
	return nil
}

// credentials is what TLS names, read.
type credentials struct {
	roots       *x509.CertPool // nil: the system's
	certificate *tls.Certificate
	name        string
}

// credentials reads the files. target is host:port.
func (c *Config) credentials(target string) (*credentials, error) {
	host, _, err := net.SplitHostPort(target)
	if err != nil {
		return nil, &Error{URL: c.URL, Err: err, Hint: "want " + urlForms}
	}
	cr := &credentials{name: host}
	if c.TLS.ServerName != "" {
		cr.name = c.TLS.ServerName
	}
	if path := c.TLS.CAFile; path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fileError(c.URL, "CA file", path, err)
		}
		cr.roots = x509.NewCertPool()
		if !cr.roots.AppendCertsFromPEM(pem) {
			return nil, fileError(c.URL, "CA file", path, errors.New("holds no certificate"))
		}
	}
	if path := c.TLS.CertFile; path != "" {
		pair, err := tls.LoadX509KeyPair(path, c.TLS.KeyFile)
		if err != nil {
			return nil, fileError(c.URL, "certificate or key file", path, err)
		}
		cr.certificate = &pair
	}
	return cr, nil
}

func (c *Config) tlsConfig(target string) (*tls.Config, error) {
	cr, err := c.credentials(target)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{
		RootCAs: cr.roots, ServerName: cr.name, MinVersion: tlsVersions[c.TLS.MinVersion],
		DynamicRecordSizingDisabled: true, // nobody waits for the first bytes of much
	}
	if cr.certificate != nil {
		// Whatever authorities the collector asks for, it is shown: so its log can
		// say why it does not like it.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cr.certificate, nil }
	}
	return conf, nil
}
