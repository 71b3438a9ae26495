package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"flow2ipfix/config"
	"flow2ipfix/exporter"
)

// examineCollector walks the way to a collector.
func examineCollector(ctx context.Context, whole *config.Config, c *config.Collector, report func(finding)) {
	cfg, err := exporterConfig(whole, c)
	var a exporter.Address
	if err == nil {
		a, err = exporter.ParseURL(c.URL)
	}
	if err != nil {
		report(finding{Check: "settings", Status: statusFailed, Hint: cmp.Or(hintOf(err), configHint), err: err})
		return
	}
	if !examineName(ctx, a, report) {
		report(finding{Check: a.Scheme, Status: statusSkipped, Detail: "not tried, for name failed"})
		return
	}
	reached, err := exporter.Probe(ctx, cfg)
	f := finding{Check: a.Scheme, Status: statusOK}
	if err != nil {
		f.Status, f.err = statusFailed, reworded(ctx, c.URL, err)
	} else {
		f.Detail = c.URL + ": " + reachedHow(a, reached)
	}
	report(f)
	now := time.Now()
	if reached.Certificate != nil {
		report(certificate("certificate", reached.Certificate, now, "renew the collector's certificate"))
	}
	if reached.Client != nil {
		report(certificate("client cert", reached.Client, now, "renew the certificate of cert_file"))
	}
}

// examineName looks up the host of a collector, if it is a name.
func examineName(ctx context.Context, a exporter.Address, report func(finding)) bool {
	if a.Scheme == "file" {
		return true
	}
	host, _, err := net.SplitHostPort(a.Target)
	if err != nil {
		return true // the probe says it better
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("look up %s: %w", host, context.Cause(ctx))
		}
		report(finding{Check: "name", Status: statusFailed, err: err, Hint: unlessSlow(err, "correct the host name in url, or see that this machine's name server knows it")})
		return false
	}
	report(finding{Check: "name", Status: statusOK, Detail: host + " is " + strings.Join(addresses, ", ")})
	return true
}

// reworded says an error without naming the collector twice; if it came because
// the time ended, that is the reason.
func reworded(ctx context.Context, url string, err error) error {
	var e *exporter.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", url, err)
	}
	why := e.Err
	if ctx.Err() != nil {
		why = context.Cause(ctx)
	}
	return withHint(fmt.Errorf("%s: %w", url, why), e.Hint)
}

// reachedHow says what a probe has shown, and no more than that.
func reachedHow(a exporter.Address, r exporter.Reached) string {
	from := ""
	if local, err := netip.ParseAddrPort(r.Local); err == nil {
		from = ", from " + local.Addr().Unmap().String()
	}
	switch a.Scheme {
	case "udp":
		return "nothing refused the templates that were sent" + from + "; UDP cannot show more"
	case "file":
		if a.Target == "-" {
			return "standard output"
		}
		return "can be written"
	case "tcp":
		return "connected" + from
	default:
		return r.Protocol + " connected" + from
	}
}

// expiresSoon is when a certificate is to be renewed.
const expiresSoon = 14 * 24 * time.Hour

// certificate says whose a certificate is, and how long it is valid.
func certificate(check string, c *x509.Certificate, now time.Time, renew string) finding {
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		names = []string{cmp.Or(c.Subject.CommonName, c.Subject.String(), "nobody")}
	}
	f := finding{Check: check, Status: statusOK}
	f.Detail = fmt.Sprintf("for %s, by %s, until %s", strings.Join(names, ", "), cmp.Or(c.Issuer.CommonName, c.Issuer.String(), "nobody"), c.NotAfter.UTC().Format(time.RFC3339))
	switch {
	case now.After(c.NotAfter):
		f.Status, f.Detail, f.Hint = statusFailed, f.Detail+": it has expired", renew+", or set this machine's clock"
	case now.Before(c.NotBefore):
		f.Status, f.Detail, f.Hint = statusFailed, f.Detail+": it is not valid before "+c.NotBefore.UTC().Format(time.RFC3339), "set this machine's clock, or wait"
	case c.NotAfter.Sub(now) < expiresSoon:
		f.Status, f.Detail, f.Hint = statusWarning, f.Detail+": it expires soon", renew
	}
	return f
}
