package azblob

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	for name, pageOf := range map[string]int{"one page": 5000, "many pages": 1} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) (source.Backend, sourcetest.Writer) {
				s := newFake(DefaultContainers[0])
				s.pageOf = pageOf
				return open(t, sasConfig(s)), s
			})
		})
	}
}

// TestConformanceOverHTTP has what is between a fake and the world: net/http.
func TestConformanceOverHTTP(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) (source.Backend, sourcetest.Writer) {
		s := newFake(DefaultContainers[0])
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			resp := s.storage(r)
			for k, v := range resp.header {
				w.Header()[k] = v
			}
			w.WriteHeader(resp.status)
			_, _ = io.Copy(w, resp.content)
		}))
		b := open(t, Config{AccountURL: server.URL, Credential: SAS, SAS: sasConfig(nil).SAS})
		t.Cleanup(server.Close)
		return b, s
	})
}

func read(t *testing.T, b *Backend, name string, offset int64) (string, source.Info, error) {
	t.Helper()
	r, info, err := b.Open(t.Context(), name, offset)
	if err != nil {
		return "", info, err
	}
	content, err := io.ReadAll(r)
	return string(content), info, errors.Join(err, r.Close())
}

// TestRequests says which requests are sent for what.
func TestRequests(t *testing.T) {
	s := newFake(DefaultContainers...)
	name := at(two, "000D3A123456")
	put(t, s, name, "0123456789")
	put(t, s, at(two.Add(-time.Hour), "000D3A123456"), "x")
	b := open(t, keyConfig(s))
	for _, tc := range []struct {
		what string
		do   func() error
		want []string
	}{
		{"flow logs", func() error { _, err := b.FlowLogs(t.Context()); return err }, []string{
			"GET " + DefaultContainers[0] + " list delimiter=/ prefix=",
			"GET " + DefaultContainers[0] + " list delimiter=/ prefix=flowLogResourceID=/",
			"GET " + DefaultContainers[0] + " list delimiter=/ prefix=flowLogResourceID=/5A1D_NETWORKWATCHERRG/",
			"GET " + DefaultContainers[0] + " list delimiter=/ prefix=flowLogResourceID=/5A1D_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_HUB/",
			"GET " + DefaultContainers[1] + " list delimiter=/ prefix=",
		}},
		{"hours", func() error { _, err := b.Hours(t.Context(), flowLogV, two); return err }, []string{
			"GET " + DefaultContainers[0] + " list delimiter=/ prefix=flowLogResourceID=/5A1D_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_HUB/",
			"GET " + DefaultContainers[0] + " list delimiter=/ prefix=flowLogResourceID=/5A1D_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_HUB/y=2026/",
			"GET " + DefaultContainers[0] + " list delimiter=/ prefix=flowLogResourceID=/5A1D_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_HUB/y=2026/m=11/",
			"GET " + DefaultContainers[0] + " list delimiter=/ prefix=flowLogResourceID=/5A1D_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_HUB/y=2026/m=11/d=21/",
		}},
		{"blobs", func() error { _, err := b.List(t.Context(), flowLogV, two); return err }, []string{
			"GET " + DefaultContainers[0] + " list delimiter= prefix=flowLogResourceID=/5A1D_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_HUB/y=2026/m=11/d=21/h=02/",
		}},
		{"read", func() error { _, _, err := read(t, b, name, 7); return err }, []string{"GET " + name + " bytes=7-"}},
		{"read all", func() error { _, _, err := read(t, b, name, 0); return err }, []string{"GET " + name + " "}},
		{"clock", func() error { _, err := b.ServerClock(t.Context()); return err }, []string{"HEAD  "}},
	} {
		s.take()
		if err := tc.do(); err != nil {
			t.Fatalf("%s: %v", tc.what, err)
		}
		var got []string
		for _, req := range s.take() {
			query := req.URL.Query()
			line := req.Method + " " + strings.TrimPrefix(req.URL.Path, "/") + " " + header(req, "x-ms-range")
			if query.Get("comp") == "list" {
				line += fmt.Sprintf("list delimiter=%s prefix=%s", query.Get("delimiter"), query.Get("prefix"))
				if accept := header(req, "Accept"); accept != "application/xml" {
					t.Errorf("%s: accepts %q, want XML only", tc.what, accept)
				}
			}
			got = append(got, line)
			for _, never := range []string{"include", "snapshot", "versionid", "maxresults"} {
				if query.Has(never) {
					t.Errorf("%s: %s is in the query %s", tc.what, never, req.URL.RawQuery)
				}
			}
			for header := range req.Header {
				if strings.HasPrefix(strings.ToLower(header), "if-") || strings.EqualFold(header, "x-ms-lease-id") {
					t.Errorf("%s: header %s is set", tc.what, header)
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", tc.what, diff)
		}
	}
	var counts []string
	for _, c := range b.Stats().Requests {
		counts = append(counts, fmt.Sprint(c.Operation, " ", c.Status, " ", c.Count))
	}
	if diff := cmp.Diff([]string{"clock 400 1", "discover 200 9", "list 200 1", "read 200 1", "read 206 1"}, counts); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	if got := b.Stats().ReadBytes; got != 13 {
		t.Errorf("%d bytes read, want 13", got)
	}
}

// TestHoursLeavesOutWhatIsBefore: reading begins late in a long history.
func TestHoursLeavesOutWhatIsBefore(t *testing.T) {
	s := newFake(DefaultContainers...)
	for day := range 400 {
		put(t, s, at(two.AddDate(0, 0, -day), "000D3A123456"), "x")
	}
	b := open(t, sasConfig(s))
	hours, err := b.Hours(t.Context(), flowLogV, two.Add(-24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Time{two.Add(-24 * time.Hour), two}, hours); diff != "" {
		t.Errorf("hours (-want +got):\n%s", diff)
	}
	if got := len(s.take()); got != 5 { // of years, months, days, and two of hours
		t.Errorf("%d requests, want 5", got)
	}
}

// TestListPages: one request for each page, and pages as large as the service
// makes them, which is 5000 blobs.
func TestListPages(t *testing.T) {
	s := newFake(DefaultContainers...)
	s.pageOf = 50
	for i := range 101 {
		put(t, s, at(two, fmt.Sprintf("%012X", i)), "x")
	}
	b := open(t, sasConfig(s))
	got, err := b.List(t.Context(), flowLogV, two)
	if err != nil || len(got) != 101 {
		t.Fatalf("List = %d blobs, %v", len(got), err)
	}
	if got := len(s.take()); got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

// TestListLeavesOut what is no blob, or not the one of now.
func TestListLeavesOut(t *testing.T) {
	s := newFake(DefaultContainers...)
	put(t, s, at(two, "000D3A000000"), "0123")
	for i, b := range []*stored{
		{properties: "<ResourceType>directory</ResourceType>"},
		{outside: "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>"},
		{outside: "<Snapshot>2026-11-21T02:00:00.0000000Z</Snapshot>"},
		{outside: "<VersionId>2026-11-21T02:00:00.0000000Z</VersionId><IsCurrentVersion>false</IsCurrentVersion>"},
		{outside: "<Deleted>true</Deleted>"},
	} {
		name := at(two, fmt.Sprintf("000D3A00000%d", i+1))
		put(t, s, name, "0123")
		_, rest := split(name)
		stored := s.containers[DefaultContainers[0]][rest]
		stored.properties, stored.outside = b.properties, b.outside
	}
	put(t, s, strings.TrimSuffix(at(two, "000D3A00000A"), "/PT1H.json"), "") // a folder's own entry
	put(t, s, at(two, "000D3A00000B")+".bak", "")
	current := at(two, "000D3A00000C")
	put(t, s, current, "0123")
	_, rest := split(current)
	s.containers[DefaultContainers[0]][rest].outside = "<VersionId>2026-11-21T02:00:00.0000000Z</VersionId><IsCurrentVersion>true</IsCurrentVersion><Deleted>false</Deleted>"
	infos, err := open(t, sasConfig(s)).List(t.Context(), flowLogV, two)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, info := range infos {
		got = append(got, info.Name)
	}
	if diff := cmp.Diff([]string{at(two, "000D3A000000"), current}, got); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
}

func TestMissingContainers(t *testing.T) {
	s := newFake(DefaultContainers[0])
	put(t, s, at(two, "000D3A123456"), "x")
	b := open(t, sasConfig(s))
	got, err := b.FlowLogs(t.Context())
	if err != nil || !slices.Equal(got, []string{flowLogV}) {
		t.Errorf("FlowLogs = %q, %v", got, err)
	}
	if missing := b.Stats().Missing; !slices.Equal(missing, DefaultContainers[1:]) {
		t.Errorf("missing: %q", missing)
	}
	put(t, s, sourcetest.Name(DefaultContainers[1]+"/x", two, ""), "x")
	if got, err := b.FlowLogs(t.Context()); err != nil || len(got) != 2 || len(b.Stats().Missing) != 0 {
		t.Errorf("FlowLogs = %q, %v; missing %q", got, err, b.Stats().Missing)
	}

	b = open(t, sasConfig(newFake()))
	if got, err := b.FlowLogs(t.Context()); !errors.Is(err, source.ErrNotFound) || len(got) > 0 || !strings.Contains(err.Error(), "no traffic yet") {
		t.Errorf("FlowLogs without a container = %q, %v", got, err)
	}
	if missing := b.Stats().Missing; !slices.Equal(missing, DefaultContainers) {
		t.Errorf("missing: %q", missing)
	}
}

// TestOneContainerFails: what the others have is found all the same.
func TestOneContainerFails(t *testing.T) {
	s := newFake(DefaultContainers...)
	put(t, s, at(two, "000D3A123456"), "x")
	s.answer = func(req *http.Request) (*reply, error) {
		if strings.HasPrefix(req.URL.Path, "/"+DefaultContainers[1]) {
			return refuse(403, "AuthorizationPermissionMismatch"), nil
		}
		return nil, nil
	}
	got, err := open(t, sasConfig(s)).FlowLogs(t.Context())
	var e *Error
	if !slices.Equal(got, []string{flowLogV}) || !errors.As(err, &e) || e.Status != 403 {
		t.Errorf("FlowLogs = %q, %v", got, err)
	}
}

// TestOpenDistrusts answers that are not to what was asked.
func TestOpenDistrusts(t *testing.T) {
	name := at(two, "000D3A123456")
	tag := map[string]string{"Etag": `"0x1"`}
	for what, answer := range map[string]func(*http.Request) *reply{
		"all of it": func(req *http.Request) *reply { return respond(200, tag, "0123456789") },
		"another range": func(req *http.Request) *reply {
			return respond(206, map[string]string{"Etag": `"0x1"`, "Content-Range": "bytes 2-9/10"}, "23456789")
		},
		"a part of it": func(req *http.Request) *reply {
			return respond(206, map[string]string{"Etag": `"0x1"`, "Content-Range": "bytes 4-5/10"}, "45")
		},
		"an unknown size": func(req *http.Request) *reply {
			return respond(206, map[string]string{"Etag": `"0x1"`, "Content-Range": "bytes 4-9/*"}, "456789")
		},
		"no ETag": func(req *http.Request) *reply {
			return respond(206, map[string]string{"Content-Range": "bytes 4-9/10"}, "456789")
		},
		"ends before time": func(req *http.Request) *reply {
			return respond(206, map[string]string{"Etag": `"0x1"`, "Content-Range": "bytes 4-9/10"}, "456")
		},
		"a redirection": func(req *http.Request) *reply {
			return respond(302, map[string]string{"Location": "https://login.example/"}, "")
		},
	} {
		s := newFake(DefaultContainers...)
		s.answer = func(req *http.Request) (*reply, error) { return answer(req), nil }
		_, _, err := read(t, open(t, sasConfig(s)), name, 4)
		var e *Error
		if !errors.As(err, &e) || e.Hint == "" {
			t.Errorf("%s: %v, want an error that says what to do", what, err)
		}
		if what == "ends before time" && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v, want %v", what, err, io.ErrUnexpectedEOF)
		}
		if n := len(s.take()); n != 1 {
			t.Errorf("%s: %d requests, want 1", what, n)
		}
	}
	b := open(t, sasConfig(newFake(DefaultContainers...)))
	for _, name := range []string{"", "container", "container/"} {
		if _, _, err := b.Open(t.Context(), name, 0); err == nil {
			t.Errorf("Open(%q) has no error", name)
		}
	}
	if _, _, err := b.Open(t.Context(), at(two, ""), -1); err == nil {
		t.Error("Open(-1) has no error")
	}
}

// TestOpenAtTheEndOfAzurite, which does not refuse to read nothing.
func TestOpenAtTheEndOfAzurite(t *testing.T) {
	s := newFake(DefaultContainers...)
	s.answer = func(*http.Request) (*reply, error) {
		return respond(206, map[string]string{"Etag": `"0x1"`, "Content-Range": "bytes 10-9/10"}, ""), nil
	}
	if _, _, err := read(t, open(t, sasConfig(s)), at(two, ""), 10); !errors.Is(err, source.ErrNothing) {
		t.Errorf("Open = %v, want %v", err, source.ErrNothing)
	}
}

// TestListDistrusts: what is not a listing is not an empty one.
func TestListDistrusts(t *testing.T) {
	for what, content := range map[string]string{
		"a login page": "<html><body>log in</body></html>",
		"nothing":      "",
		"other XML":    "<x/>",
		"half":         `<?xml version="1.0"?><EnumerationResults ServiceEndpoint="x" ContainerName="y"><Blobs><Blob>`,
	} {
		s := newFake(DefaultContainers...)
		s.answer = func(req *http.Request) (*reply, error) { return respond(200, nil, content), nil }
		b := open(t, sasConfig(s))
		_, err1 := b.List(t.Context(), flowLogV, two)
		_, err2 := b.FlowLogs(t.Context())
		_, err3 := b.Hours(t.Context(), flowLogV, two)
		for _, err := range []error{err1, err2, err3} {
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Hint, "account_url") {
				t.Errorf("%s: %v, want an error that says what to compare", what, err)
			}
		}
	}
}
