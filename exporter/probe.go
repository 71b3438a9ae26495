package exporter

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/pion/dtls/v3"
	"golang.org/x/sys/unix"

	"flow2ipfix/exporter/message"
)

// Reached is what a Probe found out about the way to a collector.
type Reached struct {
	// Local and Remote are the two ends of the connection; empty if none came
	// about, and of files.
	Local, Remote string
	// Protocol is the version that both sides agreed on, like "TLS 1.3".
	Protocol string
	// Certificate is the collector's, also when it is the reason for the error; nil
	// if none was shown.
	Certificate *x509.Certificate
	// Client is the certificate that the configuration shows to the collector.
	Client *x509.Certificate
}

// probeDomain is said where no observation domain is meant (RFC 7011 §3.1).
const probeDomain = 0

// Probe tries once to reach the collector, and sends no flow to it. Over TCP and
// TLS it connects, shakes hands, and gives the collector as long to object as a
// Stream does. Over DTLS likewise. Over UDP it sends one message, with templates
// only and of observation domain 0: that is what every exporter begins with, and
// what collectors take best; an empty datagram looks like the end of a connection
// to some. Of a file it looks whether it can be written, and does not make it.
//
// The error says what to do. Reached is as far as it came.
func Probe(ctx context.Context, cfg Config) (Reached, error) {
	var r Reached
	if err := cfg.setDefaults(); err != nil {
		return r, err
	}
	a, err := cfg.address()
	if err != nil {
		return r, err
	}
	if a.Scheme == "file" {
		if err := probeFile(a.Target); err != nil {
			return r, &Error{URL: cfg.URL, Err: err, Hint: fileHint(err)}
		}
		return r, nil
	}
	if a.Scheme == "tls" || a.Scheme == "dtls" {
		cr, err := cfg.credentials(a.Target)
		if err != nil {
			return r, err
		}
		if cr.certificate != nil {
			r.Client = cr.certificate.Leaf
		}
	}
	l, err := openLink(ctx, &cfg)
	if err != nil {
		r.Certificate = refusedCertificate(err)
		return r, err
	}
	defer l.close(true)
	settle := cfg.pace.settle
	switch l := l.(type) {
	case *udpLink:
		r.Local, r.Remote = l.udp.conn.LocalAddr().String(), l.udp.conn.RemoteAddr().String()
		settle = l.settle
		if err := l.send(probeMessage(&cfg, time.Now()), 1); err != nil {
			return r, err
		}
		if err := l.flush(); err != nil {
			return r, err
		}
	case *tcpLink:
		r.Local, r.Remote = l.box.LocalAddr().String(), l.box.RemoteAddr().String()
		if a, ok := l.box.RemoteAddr().(*net.TCPAddr); ok {
			if a.IP.IsLoopback() {
				settle = cfg.pace.near
			}
		}
		if c, ok := l.conn.(*tls.Conn); ok {
			state := c.ConnectionState()
			r.Protocol, r.Certificate = tls.VersionName(state.Version), state.PeerCertificates[0]
		}
	case *dtlsLink:
		r.Local, r.Remote = l.conn.LocalAddr().String(), l.conn.RemoteAddr().String()
		settle = l.settle
		r.Protocol, r.Certificate = "DTLS 1.2", dtlsCertificate(l.conn)
	}
	return r, undisturbed(ctx, l, settle, cfg.pace.tick)
}

// probeMessage returns a message that says as little as a collector takes without
// complaint: templates or, of NetFlow version 5, nothing at all.
func probeMessage(cfg *Config, now time.Time) []byte {
	k := message.New(cfg.Templates, cfg.MaxMessageBytes, cfg.MaxRecords)
	var m message.Message
	k.Begin(&m, make([]byte, 0, cfg.MaxMessageBytes), probeDomain, now)
	m.AddTemplates(0)
	b := m.Finish()
	k.Seal(b, m.Epoch, 0, now)
	return b
}

// undisturbed waits for what the collector has to say against a link.
func undisturbed(ctx context.Context, l link, settle, tick time.Duration) error {
	for end := time.Now().Add(settle); ; {
		if _, err := l.poll(time.Now()); err != nil {
			return err
		}
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		if err := sleep(ctx, min(left, tick)); err != nil {
			return err
		}
	}
}

func dtlsCertificate(c *dtls.Conn) *x509.Certificate {
	state, ok := c.ConnectionState()
	if !ok || len(state.PeerCertificates) == 0 {
		return nil
	}
	certificate, err := x509.ParseCertificate(state.PeerCertificates[0])
	if err != nil {
		return nil
	}
	return certificate
}

// refusedCertificate returns the certificate because of which a handshake failed
// on this side.
func refusedCertificate(err error) *x509.Certificate {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &verification) && len(verification.UnverifiedCertificates) > 0:
		return verification.UnverifiedCertificates[0]
	case errors.As(err, &authority):
		return authority.Cert
	case errors.As(err, &name):
		return name.Certificate
	case errors.As(err, &invalid):
		return invalid.Cert
	}
	return nil
}

// probeFile looks whether a Stream could append to a file.
func probeFile(path string) error {
	if path == "-" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writable(filepath.Dir(path), unix.W_OK|unix.X_OK)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder", path)
	case info.Mode()&fs.ModeNamedPipe != 0:
		return fmt.Errorf("%s is a named pipe", path)
	case !info.Mode().IsRegular():
		return writable(path, unix.W_OK)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := wholeMessages(context.Background(), io.LimitReader(f, message.HeaderBytes)); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writable asks for this process' rights without using them.
func writable(path string, rights uint32) error {
	if err := unix.Faccessat(unix.AT_FDCWD, path, rights, unix.AT_EACCESS); err != nil {
		return &fs.PathError{Op: "write to", Path: path, Err: err}
	}
	return nil
}

func fileHint(err error) string {
	if errors.Is(err, errNotIPFIX) {
		return "flows are appended to IPFIX files only: name another file, or move this one away"
	}
	return hintPath
}
