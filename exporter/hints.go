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
	"strings"

	"golang.org/x/sys/unix"
)

// What an operator can do about an error, where more than one place says it.
const (
	hintLocalAddress = "the local address must be an IP address of this machine"
	hintNotReading   = "the collector takes no more data: see why it does not read"
	hintRefused      = "nothing listens at that port: start the collector, or correct host and port"
	hintRefusedUDP   = "nothing listens at that UDP port: start the collector, or correct host and port"
	hintElse         = "see the log of the collector, and whether this machine can reach it"
)

// dialError words why no connection came about.
func dialError(url string, err error) error {
	var worded *Error
	if errors.As(err, &worded) {
		return err
	}
	e := &Error{URL: url, Err: err, Hint: hintFor(err)}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		e.Hint = "check the host name, and that this machine can resolve it"
	case isRefused(err):
		e.Err = ErrRefused
		e.Hint = hintRefused
	case e.Hint != "":
	case errors.Is(err, io.EOF), errors.Is(err, unix.ECONNRESET):
		e.Hint = "the collector closed the connection at once: see its log"
	case os.IsTimeout(err) || errors.Is(err, context.DeadlineExceeded):
		e.Hint = "no answer: check that the collector runs and that no firewall drops the packets"
	default:
		e.Hint = hintElse
	}
	return e
}

// sendError words why a connection ended.
func sendError(url string, err error) *Error {
	e := &Error{URL: url, Err: err, Hint: hintFor(err)}
	switch {
	case isRefused(err):
		e.Err = ErrRefused
		e.Hint = hintRefusedUDP
	case e.Hint != "":
	case errors.Is(err, unix.EMSGSIZE):
		e.Hint = "the path takes no datagrams of this size: lower max_message_bytes (--max-message-bytes)"
	case errors.Is(err, unix.ENOBUFS):
		e.Hint = "the queue of the interface stays full: lower the rate, or see what else fills it"
	case errors.Is(err, unix.ETIMEDOUT):
		e.Hint = "the collector takes no data, or cannot be reached any more: see whether it runs and reads"
	case os.IsTimeout(err):
		e.Hint = hintNotReading
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET), errors.Is(err, io.EOF):
		e.Hint = "the collector closed the connection: see its log"
	default:
		e.Hint = hintElse
	}
	return e
}

// hintFor says what to do about errors that mean the same whenever they come: of
// this machine's network, of TLS, and of files.
func hintFor(err error) string {
	switch {
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
		return "no route to the collector: check this machine's routes and links"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return "a firewall of this machine refuses it"
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return hintLocalAddress
	}
	return hintForTLS(err)
}

// hintForTLS says what to do about a handshake that failed, or a connection that
// the collector ended because of it: with TLS 1.3 it looks at our certificate
// when the handshake is over for us.
func hintForTLS(err error) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	text := err.Error()
	switch {
	case errors.As(err, &authority):
		return "the CA file must hold the certificate of the authority that signed the collector's certificate"
	case errors.As(err, &name):
		return "the server name must be one that the collector's certificate is for: " + namesOf(name.Certificate)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the collector's certificate is not valid today: renew it, or set this machine's clock"
	case errors.As(err, &invalid):
		return "the collector must have a certificate that is meant for servers"
	case errors.As(err, &record):
		return "the collector does not speak TLS at that port: use its TLS port, or tcp://"
	case strings.Contains(text, "protocol version"):
		return "the collector and this side share no TLS version: see the minimum version of both"
	case strings.Contains(text, "certificate required"):
		return "the collector wants a client certificate: set certificate and key file"
	case strings.Contains(text, "remote error") && strings.Contains(text, "handshake failure"):
		return "the collector refuses the handshake: it may want a client certificate, or share no cipher; see its log"
	case (strings.Contains(text, "remote error") || strings.Contains(text, "alert: ")) && isAboutCertificate(text):
		return "the collector does not accept our client certificate: certificate and key file must be of an authority that it trusts"
	case strings.Contains(text, "remote error") || strings.Contains(text, "alert: ") && !strings.Contains(text, "CloseNotify"):
		return "the collector ended the TLS session: see its log"
	}
	return ""
}

func isAboutCertificate(alert string) bool {
	alert = strings.ToLower(alert)
	return strings.Contains(alert, "certificate") || strings.Contains(alert, "unknown ca") || strings.Contains(alert, "unknownca") ||
		strings.Contains(alert, "access denied") || strings.Contains(alert, "accessdenied")
}

// namesOf lists what a certificate is for.
func namesOf(c *x509.Certificate) string {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "it names none, and must be made anew with a subject alternative name"
	}
	return strings.Join(names, ", ")
}

// fileError words what is wrong with a file that the configuration names.
func fileError(url, what, path string, err error) error {
	e := &Error{URL: url, Err: fmt.Errorf("%s: %w", what, err), Hint: "the " + what + " must be a PEM file that this user can read"}
	var path0 *fs.PathError
	if !errors.As(err, &path0) {
		e.Err = fmt.Errorf("%s %s: %w", what, path, err)
	}
	return e
}
