package azblob

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"flow2ipfix/source"
)

// Status is how a check ended.
type Status string

// How checks end.
const (
	OK      Status = "ok"
	Warning Status = "warning" // it works, but not as it should, or not yet
	Failed  Status = "failed"
	Skipped Status = "skipped" // what it needs has failed
)

// Finding is what one check found.
type Finding struct {
	// Check is one of "name", "connection", "clock", "credential", "list",
	// "newest blob" and "read"; Container is the one that the last three are of.
	Check, Container string
	Status           Status
	// Detail says what was found, Hint what to do about it.
	Detail, Hint string
	// Err is why it failed.
	Err error
}

const (
	// looked is how many flow logs of a container are looked at for their newest
	// blob.
	looked = 20
	// Azure refuses signatures and tokens when clocks differ by 15 minutes.
	skewWarning, skewFailed = time.Minute, 10 * time.Minute
	// oldBlob is when blobs do not come any more: Azure writes one each minute in
	// which there is traffic.
	oldBlob = 2 * time.Hour
)

// Check walks the whole way to the blobs and says what it found, step by step.
// What needs a step that failed is skipped.
func (b *Backend) Check(ctx context.Context) []Finding {
	var all []Finding
	blocked := ""
	step := func(check, containerName string, blocks bool, do func() Finding) bool {
		f := Finding{Status: Skipped, Detail: "not tried, for " + blocked + " failed"}
		if blocked == "" {
			f = do()
		}
		f.Check, f.Container = check, containerName
		var e *Error
		if f.Err != nil && errors.As(f.Err, &e) && f.Hint == "" {
			f.Hint = e.Hint
		}
		all = append(all, f)
		if f.Status == Failed && blocks && blocked == "" {
			blocked = check
		}
		return f.Status == OK || f.Status == Warning
	}
	step("name", "", true, func() Finding { return b.checkName(ctx) })
	var clock Finding
	step("connection", "", true, func() Finding {
		var connection Finding
		connection, clock = b.checkConnection(ctx)
		return connection
	})
	step("clock", "", false, func() Finding { return clock })
	step("credential", "", true, func() Finding { return b.checkCredential(ctx) })
	for _, name := range b.cfg.Containers {
		var flowLogs []string
		listed := step("list", name, false, func() Finding {
			var f Finding
			f, flowLogs = b.checkList(ctx, name)
			return f
		})
		if len(flowLogs) == 0 && (listed || blocked == "") {
			continue
		}
		var newest source.Info
		step("newest blob", name, false, func() Finding {
			var f Finding
			f, newest = b.checkNewest(ctx, flowLogs)
			return f
		})
		if newest.Name != "" {
			step("read", name, false, func() Finding { return b.checkRead(ctx, newest) })
		}
	}
	return all
}

func lookup(ctx context.Context, host string) ([]string, error) {
	return net.DefaultResolver.LookupHost(ctx, host)
}

func (b *Backend) checkName(ctx context.Context) Finding {
	host, through := b.endpoint.Hostname(), ""
	if t, ok := b.wire.next.(*http.Transport); ok && t.Proxy != nil {
		if u, err := t.Proxy(&http.Request{URL: b.endpoint}); err == nil && u != nil {
			host, through = u.Hostname(), "; requests go through this proxy"
		}
	}
	addresses, err := b.resolve(ctx, host)
	if err != nil {
		return Finding{Status: Failed, Err: err, Hint: networkHint(err, host)}
	}
	private := ""
	for _, a := range addresses {
		if ip, err := netip.ParseAddr(a); err == nil && ip.IsPrivate() && through == "" {
			private = " (a private endpoint)"
		}
	}
	return Finding{Status: OK, Detail: host + " is " + strings.Join(addresses, ", ") + private + through}
}

// clockRequest asks for nothing that needs a right: any answer has the time in it.
func (b *Backend) clockRequest(ctx context.Context) (http.Header, *tls.ConnectionState, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, b.endpoint.String()+"/", nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := b.wire.Do(req)
	if err != nil {
		return nil, nil, b.fail(ctx, "connect to", "", err)
	}
	return resp.Header, resp.TLS, resp.Body.Close()
}

// ServerClock asks for the time of the account's server, which is cut to the
// second. It needs no right, and no credential.
func (b *Backend) ServerClock(ctx context.Context) (time.Time, error) {
	header, _, err := b.clockRequest(ctx)
	if err != nil {
		return time.Time{}, err
	}
	t, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return time.Time{}, b.fail(ctx, "ask for the time of", "", fmt.Errorf("%w: no date in it", errNotAzure))
	}
	return t, nil
}

func (b *Backend) checkConnection(ctx context.Context) (connection, clock Finding) {
	clock = Finding{Status: Skipped, Detail: "the answer had no date in it"}
	before := time.Now()
	header, state, err := b.clockRequest(ctx)
	if err != nil {
		return Finding{Status: Failed, Err: err}, clock
	}
	connection = Finding{Status: OK, Detail: "answered in " + time.Since(before).Round(time.Millisecond).String()}
	if state != nil && len(state.PeerCertificates) > 0 {
		c := state.PeerCertificates[0]
		connection.Detail += fmt.Sprintf("; certificate of %s by %s until %s", c.Subject.CommonName, c.Issuer.CommonName, c.NotAfter.Format(time.DateOnly))
	}
	if server := header.Get("Server"); header.Get("X-Ms-Request-Id") == "" && !strings.Contains(server, "Azur") {
		connection.Status, connection.Hint = Warning, networkHint(errNotAzure, "")
		connection.Detail += "; the answer does not look like one of Azure Blob Storage"
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return connection, clock
	}
	// The date is cut to the second, and was set somewhere between question and
	// answer.
	skew := date.Add(time.Second / 2).Sub(before.Add(time.Since(before) / 2)).Round(time.Second)
	clock = Finding{Status: OK, Detail: "the clocks agree"}
	if skew.Abs() > 2*time.Second {
		clock.Detail = fmt.Sprintf("this machine's clock is %s behind Azure's", skew)
		if skew < 0 {
			clock.Detail = fmt.Sprintf("this machine's clock is %s ahead of Azure's", -skew)
		}
	}
	const hint = "set the clock by NTP, for example with chrony or systemd-timesyncd"
	switch {
	case skew.Abs() >= skewFailed:
		clock.Status, clock.Hint = Failed, hint+": Azure refuses what is signed 15 minutes off"
	case skew.Abs() >= skewWarning:
		clock.Status, clock.Hint = Warning, hint
	}
	return connection, clock
}

func (b *Backend) checkCredential(ctx context.Context) Finding {
	account, err := b.cfg.resolve()
	switch {
	case err != nil:
		return Finding{Status: Failed, Err: err}
	case b.tokens != nil:
		token, err := b.tokens.GetToken(ctx, policy.TokenRequestOptions{Scopes: b.tokens.scopes, EnableCAE: true})
		if err != nil {
			return Finding{Status: Failed, Err: b.fail(ctx, "", "", err)}
		}
		return Finding{Status: OK, Detail: "token" + claims(token.Token) + " until " + token.ExpiresOn.UTC().Format(time.RFC3339)}
	case account.sas != "":
		return checkSAS(account.sas, time.Now())
	}
	return Finding{Status: OK, Detail: "key of account " + account.name}
}

// claims says whose a token is. It does not look at the signature: that is the
// account's business.
func claims(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	var c struct {
		Object      string `json:"oid"`
		Application string `json:"appid"`
		Tenant      string `json:"tid"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return ""
	}
	s := ""
	for _, v := range [][2]string{{"object", c.Object}, {"application", c.Application}, {"tenant", c.Tenant}} {
		if v[1] != "" {
			s += " " + v[0] + " " + v[1] + ","
		}
	}
	return strings.TrimSuffix(s, ",")
}

// checkSAS reads what a shared access signature says of itself. See
// https://learn.microsoft.com/rest/api/storageservices/create-account-sas.
func checkSAS(sas string, now time.Time) Finding {
	query, err := url.ParseQuery(sas)
	if err != nil {
		return Finding{Status: Failed, Err: errors.New("not a query")}
	}
	const anew = "make a new shared access signature"
	when := func(name string) time.Time {
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z", time.DateOnly} {
			if t, err := time.Parse(layout, query.Get(name)); err == nil {
				return t
			}
		}
		return time.Time{}
	}
	rights, start, end := query.Get("sp"), when("st"), when("se")
	f := Finding{Status: OK, Detail: "shared access signature"}
	if rights != "" {
		f.Detail += " with the rights " + rights
	}
	if !end.IsZero() {
		f.Detail += " until " + end.Format(time.RFC3339)
	}
	fail := func(why, hint string) { f.Status, f.Err, f.Hint = Failed, errors.New(why), hint }
	services, kinds := query.Get("ss"), query.Get("srt") // of an account, not of a container
	switch {
	case !end.IsZero() && !now.Before(end):
		fail("the shared access signature has expired", anew)
	case now.Before(start):
		fail("the shared access signature is not valid before "+start.Format(time.RFC3339), "wait, or "+anew+" without a start")
	case rights != "" && (!strings.Contains(rights, "r") || !strings.Contains(rights, "l")):
		fail("the shared access signature lacks the right to read or to list", anew+" with sp=rl")
	case kinds != "" && (!strings.Contains(kinds, "c") || !strings.Contains(kinds, "o")):
		fail("the shared access signature is not for containers and objects", anew+" with srt=co")
	case services != "" && !strings.Contains(services, "b"):
		fail("the shared access signature is not for blobs", anew+" with ss=b")
	case strings.Trim(rights, "rl") != "":
		f.Status, f.Hint = Warning, "it may do more than it needs to: "+anew+" with sp=rl"
	case !end.IsZero() && end.Sub(now) < 7*24*time.Hour:
		f.Status, f.Hint = Warning, "it expires soon: "+anew
	}
	return f
}

func (b *Backend) checkList(ctx context.Context, name string) (Finding, []string) {
	flowLogs, err := b.walk(ctx, name)
	var e *Error
	switch {
	case errors.Is(err, source.ErrNotFound) && errors.As(err, &e):
		return Finding{Status: Warning, Detail: "no traffic yet: the container is not there", Hint: e.Hint}, nil
	case err != nil:
		return Finding{Status: Failed, Err: err}, flowLogs
	case len(flowLogs) == 0:
		return Finding{Status: Warning, Detail: "the container has no flow logs in it", Hint: hints["ContainerNotFound"]}, nil
	case len(flowLogs) == 1:
		return Finding{Status: OK, Detail: "1 flow log"}, flowLogs
	}
	return Finding{Status: OK, Detail: fmt.Sprintf("%d flow logs", len(flowLogs))}, flowLogs
}

// checkNewest looks for the newest blob.
func (b *Backend) checkNewest(ctx context.Context, flowLogs []string) (Finding, source.Info) {
	var newest source.Info
	var at time.Time
	var errs []error
	for _, flowLog := range flowLogs[:min(looked, len(flowLogs))] {
		hour, err := b.newestHour(ctx, flowLog)
		if err == nil && !hour.IsZero() {
			err = b.list(ctx, flowLog, hour, func(info source.Info, modified time.Time) {
				if newest.Name == "" || modified.After(at) {
					newest, at = info, modified
				}
			})
		}
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if newest.Name == "" {
		if err != nil {
			return Finding{Status: Failed, Err: err}, newest
		}
		return Finding{Status: Warning, Detail: "there are folders, but no blobs in them", Hint: "wait for traffic"}, newest
	}
	age := time.Since(at).Round(time.Second)
	f := Finding{Status: OK, Err: err, Detail: fmt.Sprintf("written %s ago: %s, %d bytes", age, newest.Name, newest.Size)}
	if len(flowLogs) > looked {
		f.Detail += fmt.Sprintf(" (of %d of %d flow logs)", looked, len(flowLogs))
	}
	switch {
	case err != nil:
		f.Status = Failed
	case age > oldBlob:
		f.Status, f.Hint = Warning, "nothing was written for hours: see whether the flow logs are on and where they are stored, and whether the account's keys were rotated "+
			"(flow logs then have to be turned off and on)"
	}
	return f, newest
}

// newestHour goes down to the last folder of each level.
func (b *Backend) newestHour(ctx context.Context, flowLog string) (time.Time, error) {
	name, root := split(flowLog)
	root = strings.TrimPrefix(root+"/", "/")
	folder := root
	var hour time.Time
	for depth := 1; depth <= 4; depth++ {
		folders, err := b.folders(ctx, "list hours", name, folder)
		if err != nil {
			return hour, err
		}
		folders = slices.DeleteFunc(folders, func(f string) bool {
			_, _, ok := span(strings.TrimPrefix(f, root), depth)
			return !ok
		})
		if len(folders) == 0 {
			return time.Time{}, nil
		}
		folder = slices.Max(folders)
		hour, _, _ = span(strings.TrimPrefix(folder, root), depth)
	}
	return hour, nil
}

func (b *Backend) checkRead(ctx context.Context, info source.Info) Finding {
	r, _, err := b.Open(ctx, info.Name, 0)
	switch {
	case errors.Is(err, source.ErrNothing):
		return Finding{Status: OK, Detail: "the blob is empty"}
	case err != nil:
		return Finding{Status: Failed, Err: err}
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		return Finding{Status: Failed, Err: err}
	}
	return Finding{Status: OK, Detail: path.Base(info.Name) + " can be read"}
}
