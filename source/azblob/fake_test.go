package azblob

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"flow2ipfix/internal/secret"
	"flow2ipfix/source/sourcetest"
)

const (
	host     = "nocflowlogs.blob.core.windows.net"
	account1 = "https://" + host
)

// fake is a storage account, Entra and a virtual machine's identity in
// memory, as far as the Backend asks. It notes all requests.
type fake struct {
	// answer, if not nil, may answer in place of the service.
	answer func(*http.Request) (*reply, error)
	pageOf int           // how many entries a list has; 5000
	skew   time.Duration // of its clock

	mu         sync.Mutex
	containers map[string]map[string]*stored
	writes     int
	requests   []*http.Request
}

type stored struct {
	content, etag string
	modified      time.Time
	properties    string // further ones, as XML
	outside       string // what stands beside the properties, as XML
}

func newFake(containers ...string) *fake {
	s := &fake{containers: map[string]map[string]*stored{}, pageOf: 5000}
	for _, c := range containers {
		s.containers[c] = map[string]*stored{}
	}
	return s
}

// reply is an answer that is not sent yet.
type reply struct {
	status  int
	header  http.Header
	content io.ReadCloser
}

// RoundTrip implements http.RoundTripper.
func (s *fake) RoundTrip(req *http.Request) (*http.Response, error) {
	r, err := s.reply(req)
	if err != nil {
		return nil, err
	}
	length, err := strconv.ParseInt(r.header.Get("Content-Length"), 10, 64)
	return &http.Response{
		StatusCode: r.status, Status: strconv.Itoa(r.status) + " " + http.StatusText(r.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.header, Body: r.content, ContentLength: length, Request: req,
	}, err
}

func (s *fake) reply(req *http.Request) (*reply, error) {
	s.mu.Lock()
	s.requests = append(s.requests, req)
	s.mu.Unlock()
	if err := req.Context().Err(); err != nil {
		return nil, context.Cause(req.Context())
	}
	if s.answer != nil {
		if resp, err := s.answer(req); resp != nil || err != nil {
			return resp, err
		}
	}
	switch req.URL.Host {
	case "login.microsoftonline.com", "login.microsoft.com":
		return entraAnswer(req), nil
	case "169.254.169.254":
		return respond(200, nil, `{"access_token":"`+token+`","expires_in":"3600","expires_on":"`+strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)+
			`","resource":"https://storage.azure.com","token_type":"Bearer"}`), nil
	}
	resp := s.storage(req)
	resp.header.Set("Date", time.Now().Add(s.skew).UTC().Format(http.TimeFormat))
	resp.header.Set("X-Ms-Request-Id", "0c6d3f9a-001e-0041-0000-000000000000")
	return resp, nil
}

// token says whose it is, as Entra's do.
var token = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"oid":"11111111-2222","appid":"app-1","tid":"tenant-1"}`)) + ".c2VjcmV0LXNpZ25hdHVyZQ"

func entraAnswer(req *http.Request) *reply {
	base := "https://" + req.URL.Host + "/tenant-1"
	switch {
	case strings.Contains(req.URL.Path, "/discovery/instance"):
		return respond(200, nil, `{"tenant_discovery_endpoint":"`+base+`/v2.0/.well-known/openid-configuration","metadata":[{"preferred_network":"`+req.URL.Host+
			`","preferred_cache":"`+req.URL.Host+`","aliases":["`+req.URL.Host+`"]}]}`)
	case strings.HasSuffix(req.URL.Path, "openid-configuration"):
		return respond(200, nil, `{"token_endpoint":"`+base+`/oauth2/v2.0/token","authorization_endpoint":"`+base+`/oauth2/v2.0/authorize","issuer":"`+base+`/v2.0"}`)
	}
	return respond(200, nil, `{"token_type":"Bearer","expires_in":3600,"access_token":"`+token+`"}`)
}

func respond(status int, header map[string]string, content string) *reply {
	r := &reply{status, http.Header{}, io.NopCloser(strings.NewReader(content))}
	r.header.Set("Content-Length", strconv.Itoa(len(content)))
	for k, v := range header {
		r.header.Set(k, v)
	}
	return r
}

// header returns what a request says in a header, however it is written.
func header(req *http.Request, name string) string {
	for key, values := range req.Header {
		if strings.EqualFold(key, name) {
			return strings.Join(values, ",")
		}
	}
	return ""
}

// refuse answers as Blob Storage does.
func refuse(status int, code string) *reply {
	return respond(status, map[string]string{"X-Ms-Error-Code": code, "Content-Type": "application/xml"},
		"\ufeff"+`<?xml version="1.0" encoding="utf-8"?><Error><Code>`+code+`</Code><Message>What developers are told.`+"\n"+`RequestId:0c6d
Time:2026-11-21T02:00:00Z</Message></Error>`)
}

func (s *fake) storage(req *http.Request) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, rest, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/"), "/")
	blobs, ok := s.containers[name]
	switch {
	case req.Method == http.MethodHead:
		return respond(400, nil, "")
	case !ok:
		return refuse(404, "ContainerNotFound")
	case req.URL.Query().Get("comp") == "list":
		return s.list(req, name, blobs)
	case blobs[rest] == nil:
		return refuse(404, "BlobNotFound")
	}
	b := blobs[rest]
	headers := map[string]string{"Etag": `"` + b.etag + `"`, "Content-Type": "application/octet-stream", "Last-Modified": b.modified.UTC().Format(http.TimeFormat)}
	given := header(req, "x-ms-range")
	if given == "" {
		return respond(200, headers, b.content)
	}
	offset, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(given, "bytes="), "-"))
	if err != nil {
		return refuse(400, "InvalidHeaderValue")
	}
	if offset >= len(b.content) {
		return refuse(416, "InvalidRange")
	}
	headers["Content-Range"] = fmt.Sprintf("bytes %d-%d/%d", offset, len(b.content)-1, len(b.content))
	return respond(206, headers, b.content[offset:])
}

// list speaks the XML of
// https://learn.microsoft.com/rest/api/storageservices/list-blobs.
func (s *fake) list(req *http.Request, name string, blobs map[string]*stored) *reply {
	query := req.URL.Query()
	prefix, delimiter := query.Get("prefix"), query.Get("delimiter")
	type entry struct {
		name string
		blob *stored
	}
	var entries []entry
	for key, b := range blobs {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		if i := strings.Index(key[len(prefix):], "/"); delimiter != "" && i >= 0 {
			key, b = key[:len(prefix)+i+1], nil
		}
		entries = append(entries, entry{key, b})
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	entries = slices.CompactFunc(entries, func(a, b entry) bool { return a.name == b.name })
	first, _ := strconv.Atoi(query.Get("marker"))
	last := min(len(entries), first+s.pageOf)
	var out bytes.Buffer
	text := func(s string) string {
		var b bytes.Buffer
		_ = xml.EscapeText(&b, []byte(s))
		return b.String()
	}
	fmt.Fprintf(&out, "\ufeff"+`<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="%s/" ContainerName="%s"><Prefix>%s</Prefix><Blobs>`, account1, name, text(prefix))
	for _, e := range entries[first:last] {
		if e.blob == nil {
			fmt.Fprintf(&out, "<BlobPrefix><Name>%s</Name></BlobPrefix>", text(e.name))
			continue
		}
		modified := e.blob.modified.UTC().Format(http.TimeFormat)
		fmt.Fprintf(&out, `<Blob><Name>%s</Name><Properties><Creation-Time>%s</Creation-Time><Last-Modified>%s</Last-Modified><Etag>%s</Etag>`+
			`<Content-Length>%d</Content-Length><Content-Type>application/octet-stream</Content-Type><Content-Encoding /><Content-Language /><Content-CRC64 /><Content-MD5 />`+
			`<Cache-Control /><Content-Disposition /><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><AccessTierInferred>true</AccessTierInferred>`+
			`<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted>%s</Properties><OrMetadata />%s</Blob>`,
			text(e.name), modified, modified, e.blob.etag, len(e.blob.content), e.blob.properties, e.blob.outside)
	}
	next := ""
	if last < len(entries) {
		next = strconv.Itoa(last)
	}
	fmt.Fprintf(&out, "</Blobs><NextMarker>%s</NextMarker></EnumerationResults>", next)
	return respond(200, map[string]string{"Content-Type": "application/xml"}, out.String())
}

// The service is a sourcetest.Writer, too.

func (s *fake) Containers() [2]string { return [2]string(DefaultContainers) }

func (s *fake) Put(_ context.Context, name string, blocks ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	containerName, rest := split(name)
	if s.containers[containerName] == nil {
		s.containers[containerName] = map[string]*stored{}
	}
	s.writes++
	s.containers[containerName][rest] = &stored{content: strings.Join(blocks, ""), etag: fmt.Sprintf("0x8DF%013X", s.writes), modified: time.Now()}
	return nil
}

func (s *fake) Append(ctx context.Context, name, block string) error {
	s.mu.Lock()
	containerName, rest := split(name)
	b := s.containers[containerName][rest]
	s.mu.Unlock()
	return s.Put(ctx, name, strings.TrimSuffix(b.content, sourcetest.Foot), block, sourcetest.Foot)
}

func (s *fake) Delete(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	containerName, rest := split(name)
	delete(s.containers[containerName], rest)
	return nil
}

func (s *fake) take() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.requests
	s.requests = nil
	return taken
}

// The secrets of all configurations that tests use.
const (
	theKey      = "c2VjcmV0LWtleS1zZWNyZXQta2V5LXNlY3JldC1rZXkrLw=="
	theSecret   = "s3cr3t~Q.client-secret-value"
	thePassword = "certificate-passw0rd"
	theSAS      = "sv=2026-02-06&sp=rl&sr=c&se=2036-01-01T00%3A00%3A00Z&sig=c2VjcmV0LXNpZw%2Bsas%2Fsecret%3D"
	theSig      = "c2VjcmV0LXNpZw+sas/secret="
)

func sasConfig(s http.RoundTripper) Config {
	return Config{AccountURL: account1, Credential: SAS, SAS: secret.New("?" + theSAS), Transport: s, MaxRetries: -1}
}

func keyConfig(s http.RoundTripper) Config {
	return Config{AccountURL: account1, Credential: AccountKey, AccountKey: secret.New(theKey), Transport: s, MaxRetries: -1}
}

func open(t testing.TB, cfg Config) *Backend {
	t.Helper()
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.resolve = func(context.Context, string) ([]string, error) { return []string{"20.60.1.2"}, nil }
	t.Cleanup(b.Close)
	return b
}

func put(t testing.TB, s *fake, name string, content string) {
	t.Helper()
	if err := s.Put(t.Context(), name, content); err != nil {
		t.Fatal(err)
	}
}

var (
	flowLogV = DefaultContainers[0] + "/flowLogResourceID=/5A1D_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_HUB"
	two      = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
)

func at(hour time.Time, mac string) string { return sourcetest.Name(flowLogV, hour, mac) }
