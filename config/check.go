package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// check finds what is wrong between keys, and inside of values that are texts to
// everything before. What is empty was reported if it must not be.
func (r *report) check(cfg *Config) {
	names := unique{}
	for i := range cfg.Sources {
		s, at := &cfg.Sources[i], fmt.Sprintf("sources[%d]", i)
		r.checkName(names, at+".name", s.Name)
		if s.Azure != nil {
			r.checkAzure(at+".azure", s.Azure)
		}
		r.checkGlobs(at+".include", s.Include)
		r.checkGlobs(at+".exclude", s.Exclude)
	}
	names, urls := unique{}, unique{}
	for i := range cfg.Collectors {
		c, at := &cfg.Collectors[i], fmt.Sprintf("collectors[%d]", i)
		r.checkName(names, at+".name", c.Name)
		r.checkCollector(at, c, cfg)
		r.once(urls, at+".url", c.URL, "a collector of its own")
	}
	if !slices.ContainsFunc(cfg.Collectors, func(c Collector) bool { return c.Delivery != "best_effort" }) && len(cfg.Collectors) > 0 {
		r.Fail("collectors[0].delivery", "best_effort", "want required for at least one collector: it says when a flow log has been delivered")
	}
	r.checkTargets(cfg)
	macs, indexes := unique{}, unique{}
	for i := range cfg.Interfaces {
		in, at := &cfg.Interfaces[i], fmt.Sprintf("interfaces[%d]", i)
		r.once(macs, at+".mac", string(in.MAC), "one entry for an interface")
		r.once(indexes, at+".index", in.Index, "an index for each interface")
	}
	if l := cfg.Telemetry.Listen; l != "" && !isListenAddress(l) {
		r.Fail("telemetry.listen", l, "want address:port, like 127.0.0.1:9469, or nothing")
	}
}

// unique remembers which key first had a value.
type unique map[any]string

// once reports a value that another key has already.
func (r *report) once(seen unique, path string, value any, want string) {
	r.onceAs(seen, path, value, value, want)
}

// onceAs does so for a value that stands there as got.
func (r *report) onceAs(seen unique, path string, value, got any, want string) {
	switch first, twice := seen[value]; {
	case value == "" || value == 0: // not given
	case twice:
		r.Fail(path, got, "%s has it already; want %s", first, want)
	default:
		seen[value] = path
	}
}

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (r *report) checkName(seen unique, path, name string) {
	if name != "" && !nameForm.MatchString(name) {
		r.Fail(path, name, "want up to 64 letters, digits, dots, dashes and underscores, a letter or digit first")
	}
	r.once(seen, path, name, "a name of its own")
}

var (
	containerForm = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9])+$`)
	guidForm      = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	tenantForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]+$`)
)

func (r *report) checkAzure(at string, a *Azure) {
	r.checkAccountURL(at+".account_url", a)
	seen := unique{}
	for i, name := range a.Containers {
		path := fmt.Sprintf("%s.containers[%d]", at, i)
		if name != "" && (!containerForm.MatchString(name) || len(name) < 3 || len(name) > 63) {
			r.Fail(path, name, "want the name of a container: 3 to 63 lower case letters, digits and single dashes")
		}
		r.once(seen, path, name, "each container once")
	}
	if a.ClientID != "" && !guidForm.MatchString(a.ClientID) {
		r.Fail(at+".client_id", a.ClientID, "want a client ID like 00000000-0000-0000-0000-000000000000")
	}
	if a.TenantID != "" && !tenantForm.MatchString(a.TenantID) {
		r.Fail(at+".tenant_id", a.TenantID, "want a tenant ID like 00000000-0000-0000-0000-000000000000, or a domain of the tenant")
	}
	if a.Audience != "" {
		u, err := url.Parse(a.Audience)
		switch {
		case !accesses[a.Credential].entra && a.Credential != "":
			r.Fail(at+".audience", nil, "not used by credential %s; leave it out", a.Credential)
		case err != nil || u.Scheme != "https" || u.Host == "":
			r.Fail(at+".audience", a.Audience, "want an https:// URL, like https://storage.azure.com")
		}
	}
}

const wantAccountURL = "want an https:// URL, like https://ACCOUNT.blob.core.windows.net"

func (r *report) checkAccountURL(path string, a *Azure) {
	if a.Credential == "connection_string" {
		if a.AccountURL != "" {
			r.Fail(path, nil, "not used by credential connection_string, which says it itself; leave it out")
		}
		return
	}
	if a.AccountURL == "" {
		if a.Credential != "" {
			r.Fail(path, nil, "missing; %s", wantAccountURL)
		}
		return
	}
	u, err := url.Parse(a.AccountURL)
	switch {
	case strings.ContainsAny(a.AccountURL, "?#@"): // not shown: it may be a secret
		r.Fail(path, nil, "%s, and nothing behind it; a SAS token goes into sas_token", wantAccountURL)
		return
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		r.Fail(path, a.AccountURL, wantAccountURL)
		return
	}
	host := strings.ToLower(u.Hostname())
	parts := strings.FieldsFunc(u.Path, func(c rune) bool { return c == '/' })
	got := a.AccountURL
	switch {
	case strings.Contains(host, ".dfs."):
		r.Fail(path, got, "want the blob endpoint, https://%s", strings.Replace(host, ".dfs.", ".blob.", 1))
	case cloudOf(host) != "" && len(parts) > 0:
		r.Fail(path, got, "want https://%s alone; containers go into containers", u.Host)
	case len(parts) > 1:
		r.Fail(path, got, "want at most the account behind the host; containers go into containers")
	case u.Scheme == "http" && accesses[a.Credential].entra:
		r.Fail(path, got, "want https://; credential %s does not work without TLS", a.Credential)
	case u.Scheme == "http" && a.Credential == "sas" && !isLoopback(host):
		r.Fail(path, got, "want https://, so that nobody on the way can read the SAS token")
	case accesses[a.Credential].entra && a.Cloud != "" && cloudOf(host) != "" && cloudOf(host) != a.Cloud:
		r.Fail(strings.TrimSuffix(path, "account_url")+"cloud", a.Cloud, "want %s, to which %s belongs", cloudOf(host), host)
	case !validHost(u):
		r.Fail(path, got, wantAccountURL)
	default:
		a.AccountURL = strings.TrimRight(a.AccountURL, "/")
	}
}

// cloudOf returns the cloud that Azure's own hosts belong to, "" for others.
func cloudOf(host string) string {
	switch {
	case strings.HasSuffix(host, ".core.windows.net"), strings.HasSuffix(host, ".storage.azure.net"):
		return "public"
	case strings.HasSuffix(host, ".core.usgovcloudapi.net"), strings.HasSuffix(host, ".storage.usgovcloudapi.us"):
		return "usgov"
	case strings.HasSuffix(host, ".core.chinacloudapi.cn"):
		return "china"
	}
	return ""
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// validHost reports whether there is a host, and the port, if any, is one.
func validHost(u *url.URL) bool {
	if u.Hostname() == "" || strings.ContainsAny(u.Hostname(), " \t") {
		return false
	}
	_, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" && !strings.HasSuffix(u.Host, ":") || err == nil && u.Port() != "0"
}

func (r *report) checkGlobs(at string, globs []string) {
	for i, g := range globs {
		path := fmt.Sprintf("%s[%d]", at, i)
		if r.checkGlob(path, g); strings.Contains(g, ":") {
			r.Fail(path, g, "want a MAC without colons, like 000D3A123456")
		}
	}
}

func (r *report) checkGlob(path, g string) {
	switch {
	case g == "": // said already
	case strings.ContainsAny(g, `?[]{}\`):
		r.Fail(path, g, "want a pattern in which * alone is special, like */nsg-web* or 000D3A*")
	case strings.TrimSpace(g) != g:
		r.Fail(path, g, "want a pattern without spaces around it")
	}
}

const wantCollectorURL = "want udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH"

func (r *report) checkCollector(at string, c *Collector, cfg *Config) {
	scheme, problem := collectorURL(c.URL)
	switch {
	case c.URL == "": // said already
	case problem != "":
		r.Fail(at+".url", c.URL, "%s", problem)
	case scheme == "tls" || scheme == "dtls":
		r.checkTLS(at+".tls", scheme, &c.TLS)
	default:
		for _, t := range []struct{ key, value string }{
			{"ca_file", c.TLS.CAFile},
			{"cert_file", c.TLS.CertFile},
			{"key_file", c.TLS.KeyFile},
			{"server_name", c.TLS.ServerName},
		} {
			if t.value != "" {
				r.Fail(at+".tls."+t.key, t.value, "not used by %s; want url: tls://… or dtls://…, or no %s", c.URL, t.key)
			}
		}
	}
	if c.LocalAddress != "" {
		switch _, err := netip.ParseAddr(c.LocalAddress); {
		case err != nil:
			r.Fail(at+".local_address", c.LocalAddress, "want an IP address of this machine, like 192.0.2.1")
		case scheme == "file":
			r.Fail(at+".local_address", c.LocalAddress, "not used by %s; leave it out", c.URL)
		}
	}
	r.checkDialect(at, c, cfg, scheme)
}

func (r *report) checkTLS(at, scheme string, t *TLS) {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		r.Fail(at+".key_file", nil, "missing; want the key of cert_file")
	case t.KeyFile != "" && t.CertFile == "":
		r.Fail(at+".cert_file", nil, "missing; want the certificate of key_file")
	}
	if scheme == "dtls" && t.MinVersion == "1.3" {
		r.Fail(at+".min_version", t.MinVersion, "want 1.2, which is all that dtls:// has")
	}
}

// collectorURL returns the scheme of a collector's URL, or what is wrong with it.
func collectorURL(s string) (scheme, problem string) {
	if path, ok := strings.CutPrefix(s, "file:"); ok {
		if path == "" {
			return "", "want a path, like file:/var/lib/flow2ipfix/flows.ipfix"
		}
		return "file", ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "", wantCollectorURL
	}
	port := "4739"
	switch u.Scheme {
	case "udp", "tcp":
	case "tls", "dtls":
		port = "4740"
	default:
		return "", wantCollectorURL
	}
	switch {
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.User != nil || u.Fragment != "":
		return "", fmt.Sprintf("want nothing but host and port behind %s://", u.Scheme)
	case u.Hostname() == "":
		return "", fmt.Sprintf("want a host, like %s://127.0.0.1:%s", u.Scheme, port)
	case u.Port() == "":
		return "", fmt.Sprintf("want a port, like %s://%s:%s", u.Scheme, strings.TrimSuffix(u.Host, ":"), port)
	case !validHost(u):
		return "", "want a port from 1 to 65535"
	}
	return u.Scheme, ""
}

func isListenAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}
