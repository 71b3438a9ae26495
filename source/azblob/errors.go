package azblob

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"flow2ipfix/internal/secret"
	"flow2ipfix/source"
)

// ErrTemporary is what an Error is if the same may well succeed later with
// nothing done about it.
var ErrTemporary = errors.New("temporary")

var errNotAzure = errors.New("the answer is not one of Azure Blob Storage")

// Error says what failed, and what to do about it. Neither it nor what it wraps
// has a secret in it.
//
// errors.Is knows it as source.ErrNotFound, source.ErrNothing and ErrTemporary. An
// operation that its context ended fails with the context's cause and no Error.
type Error struct {
	// Op is what was to be done, such as "read blob".
	Op string
	// URL is where, without a shared access signature.
	URL string
	// Status is the HTTP status and Code the service's error code, such as
	// AuthorizationPermissionMismatch, or Entra's, such as AADSTS7000215; 0 and
	// empty if there was no answer.
	Status int
	Code   string
	// RequestID is what Microsoft's support asks for.
	RequestID string
	// Hint says what to do.
	Hint string
	// Err is what else is known; it may be nil.
	Err error

	after     time.Duration
	temporary bool
}

// Error says all in one line.
func (e *Error) Error() string {
	var s strings.Builder
	s.WriteString(e.Op)
	if e.URL != "" {
		s.WriteString(" " + e.URL)
	}
	if said := strings.TrimSpace(e.status() + " " + e.Code); said != "" {
		s.WriteString(": " + said)
	}
	if e.Err != nil {
		s.WriteString(": " + e.Err.Error())
	}
	if e.Hint != "" {
		s.WriteString("; " + e.Hint)
	}
	return s.String()
}

func (e *Error) status() string {
	switch {
	case e.Status == 0:
		return ""
	case e.Code == "":
		return strings.TrimSpace(strconv.Itoa(e.Status) + " " + http.StatusText(e.Status))
	}
	return strconv.Itoa(e.Status)
}

// Unwrap returns what else is known.
func (e *Error) Unwrap() error { return e.Err }

// Is knows which of the errors of others it is.
func (e *Error) Is(target error) bool {
	switch target {
	case source.ErrNotFound:
		return e.Status == http.StatusNotFound && (e.Code == "BlobNotFound" || e.Code == "ContainerNotFound")
	case source.ErrNothing:
		return e.Status == http.StatusRequestedRangeNotSatisfiable
	case ErrTemporary:
		return e.temporary
	}
	return false
}

// RetryAfter is how long the service asks to be left alone; 0 if it does not.
func (e *Error) RetryAfter() time.Duration { return e.after }

// fail makes an Error of what the SDK returned. It keeps nothing that leads to
// requests or responses: they have credentials in them.
func (b *Backend) fail(ctx context.Context, op, name string, err error) error {
	where := b.url(name)
	if ctx.Err() != nil {
		return fmt.Errorf("%s %s: %w", op, where, context.Cause(ctx))
	}
	var e *Error
	var token *tokenError
	var response *azcore.ResponseError
	switch {
	case errors.As(err, &e), errors.Is(err, source.ErrNothing):
		return err
	case errors.As(err, &token):
		e = b.tokenFailure(token)
		if op != "" {
			e.Op = op + " " + where + ": " + e.Op
		}
	case errors.As(err, &response):
		e = b.responseFailure(response)
		e.Op, e.URL = op, where
		e.Hint = b.hint(e.Code, e.Status)
	default:
		var syntax *xml.SyntaxError
		var kind xml.UnmarshalError
		if errors.As(err, &syntax) || errors.As(err, &kind) || strings.HasPrefix(err.Error(), "unmarshalling ") {
			err = errNotAzure
		}
		e = &Error{Op: op, URL: where, temporary: isTemporary(err), Hint: networkHint(err, b.endpoint.Hostname()), Err: unwrapURL(err)}
	}
	if e.Err != nil {
		if text := e.Err.Error(); b.hide(text) != text {
			e.Err = errors.New(b.hide(text))
		}
	}
	return e
}

// signed is what requests prove with whose they are: tokens, signatures.
var signed = regexp.MustCompile(`(?i)\b(bearer|sharedkey|sig=|e[a-z0-9]{2,}\.[\w-]+\.)(\s*)[^\s&;,<>"'\]]+`)

// hide takes secrets out of what others say: it may be cut only behind that.
func (b *Backend) hide(text string) string {
	return signed.ReplaceAllString(b.hidden.Replace(text), "$1$2"+secret.Mask)
}

// unwrapURL takes off what an http.Client puts around errors: the URL, with its
// query.
func unwrapURL(err error) error {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	return err
}

func (b *Backend) responseFailure(r *azcore.ResponseError) *Error {
	e := &Error{Status: r.StatusCode, Code: r.ErrorCode, temporary: temporaryStatus(r.StatusCode)}
	if r.RawResponse == nil {
		return e
	}
	e.RequestID = r.RawResponse.Header.Get("X-Ms-Request-Id")
	e.after = retryAfter(r.RawResponse.Header, time.Now())
	payload, err := runtime.Payload(r.RawResponse)
	var said struct {
		Code    string `xml:"Code"`
		Message string `xml:"Message"`
		Detail  string `xml:"AuthenticationErrorDetail"`
		Header  string `xml:"HeaderName"`
	}
	if err != nil || xml.Unmarshal(trimBOM(payload), &said) != nil {
		return e
	}
	// Messages are for developers, and all say the request's number and time in
	// further lines. A detail says when a signature expired, or shows what was
	// signed: that is left out.
	switch text := firstLine(b.hide(said.Detail)); {
	case strings.HasPrefix(text, "Signature not valid in the specified time frame"), strings.HasPrefix(text, "Issuer validation failed"),
		strings.HasPrefix(text, "Audience validation failed"), strings.HasPrefix(text, "Lifetime validation failed"):
		e.Err = errors.New(text)
	case hints[e.Code] == "" && hintsByCredential[e.Code] == nil && said.Message != "":
		e.Err = errors.New(strings.TrimSpace(firstLine(b.hide(said.Message)) + " " + firstLine(said.Header)))
	}
	return e
}

func trimBOM(b []byte) []byte { return []byte(strings.TrimPrefix(string(b), "\ufeff")) }

// firstLine is short, too.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if r := []rune(line); len(r) > 300 {
		line = string(r[:300]) + "…"
	}
	return strings.TrimRight(line, "\r. ")
}

func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if ms, err := strconv.Atoi(h.Get(name)); err == nil && ms > 0 {
			return time.Duration(ms) * time.Millisecond
		}
	}
	text := h.Get("Retry-After")
	if s, err := strconv.Atoi(text); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

func temporaryStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// isTemporary says whether an error on the way to the server may pass by itself.
func isTemporary(err error) bool {
	var dns *net.DNSError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, errWrite), isTLS(err):
		return false
	case errors.As(err, &dns):
		return !dns.IsNotFound
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return true
	}
	var timeout interface{ Timeout() bool }
	var op *net.OpError
	return errors.As(err, &timeout) && timeout.Timeout() || errors.As(err, &op) ||
		err != nil && strings.Contains(err.Error(), "server closed idle connection")
}

// isTLS says that both sides could not agree whom they speak to.
func isTLS(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var header tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) ||
		errors.As(err, &invalid) || errors.As(err, &header) || errors.As(err, &alert) ||
		err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
