package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/checkpoint"
)

// doctor runs the command on a configuration and returns what it found, as
// "source prod list: failed", and everything it printed.
func doctor(t *testing.T, yaml string, args ...string) (code int, checks []string, all string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flow2ipfix.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code = run(ctx, append([]string{"doctor", "--config", path, "--json", "--timeout", "10s"}, args...), nil, &stdout, &stderr)
	if ctx.Err() != nil {
		t.Error("doctor does not end")
	}
	var d diagnosis
	if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
		t.Fatalf("%v: %s%s", err, stdout.String(), stderr.String())
	}
	for _, f := range d.Checks {
		checks = append(checks, fmt.Sprintf("%s %s: %s", label(f.Of, f.Name), f.Check, f.Status))
		if f.Detail == "" || f.Status == statusFailed && f.Hint == "" {
			t.Errorf("says too little: %+v", f)
		}
	}
	return code, checks, stdout.String() + stderr.String()
}

// of leaves the checks of one subject, without its name.
func of(checks []string, label string) []string {
	var some []string
	for _, c := range checks {
		if rest, ok := strings.CutPrefix(c, label+" "); ok {
			some = append(some, rest)
		}
	}
	return some
}

func expect(t *testing.T, all string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(all, w) {
			t.Errorf("does not say %q:\n%s", w, all)
		}
	}
}

// others is what a configuration needs beside what a test is about.
const someCollector = "collectors: [{ name: c, url: 'file:/dev/null' }]\n"

func someSource(t *testing.T) string {
	return "sources: [{ name: s, directory: { path: " + t.TempDir() + " } }]\n"
}

func withState(t *testing.T) string { return "state_dir: " + t.TempDir() + "\n" }

func TestDoctorExitCodes(t *testing.T) {
	for _, tc := range []struct {
		yaml string
		want int
	}{
		{someSource(t) + someCollector + withState(t), exitOK},
		{someSource(t) + "collectors: [{ name: c, url: 'file:/nowhere/x' }]\n" + withState(t), exitFailure},
		{someSource(t) + someCollector + "state: x\n", exitConfig},
	} {
		if code, checks, _ := doctor(t, tc.yaml); code != tc.want {
			t.Errorf("ends with %d, want %d: %q", code, tc.want, checks)
		}
	}
}

// account is a storage account that is asked over HTTP.
type account struct {
	containers map[string]map[string]string
	refuse     map[string]int // status by container
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Ms-Request-Id", "1")
	_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // behind the account
	name, blob, _ := strings.Cut(rest, "/")
	fail := func(status int, code string) {
		w.Header().Set("X-Ms-Error-Code", code)
		w.WriteHeader(status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
	}
	blobs, there := a.containers[name]
	switch {
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusBadRequest)
	case a.refuse[name] > 0:
		fail(a.refuse[name], "AuthorizationPermissionMismatch")
	case !there:
		fail(http.StatusNotFound, "ContainerNotFound")
	case r.URL.Query().Get("comp") == "list":
		prefix, delimiter := r.URL.Query().Get("prefix"), r.URL.Query().Get("delimiter")
		var entries []string
		for key, content := range blobs {
			below, ok := strings.CutPrefix(key, prefix)
			folder, _, deeper := strings.Cut(below, "/")
			var name bytes.Buffer
			switch {
			case !ok:
			case deeper && delimiter != "":
				_ = xml.EscapeText(&name, []byte(prefix+folder+"/"))
				entries = append(entries, "<BlobPrefix><Name>"+name.String()+"</Name></BlobPrefix>")
			default:
				_ = xml.EscapeText(&name, []byte(key))
				entries = append(entries, fmt.Sprintf("<Blob><Name>%s</Name><Properties><Last-Modified>%s</Last-Modified><Etag>1</Etag><Content-Length>%d</Content-Length></Properties></Blob>",
					name.String(), time.Now().UTC().Format(http.TimeFormat), len(content)))
			}
		}
		slices.Sort(entries)
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>%s</Blobs><NextMarker/></EnumerationResults>`, strings.Join(slices.Compact(entries), ""))
	default:
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Now(), strings.NewReader(blobs[blob]))
	}
}

func azureYAML(url, more string) string {
	return "sources:\n- name: prod\n  azure: { account_url: '" + url + "/devstore', credential: account_key, account_key: Z2VoZWltZ2VoZWlt" + more + " }\n"
}

func TestDoctorAzure(t *testing.T) {
	blob := "flowLogResourceID=/X/Y" + time.Now().UTC().Format("/y=2006/m=01/d=02/h=15/m=00/") + "macAddress=000D3A000001/PT1H.json"
	server := httptest.NewServer(&account{
		containers: map[string]map[string]string{"insights-logs-flowlogflowevent": {blob: `{"records":[]}`}, "empty": {}},
		refuse:     map[string]int{"closed": http.StatusForbidden},
	})
	defer server.Close()
	walk := []string{"name: ok", "connection: ok", "clock: ok", "credential: ok"}
	for _, tc := range []struct {
		containers string
		code       int
		want       []string
		says       []string
	}{
		{"insights-logs-flowlogflowevent", exitOK, append(walk[:4:4], "list: ok", "newest blob: ok", "read: ok"), []string{"written", "PT1H.json can be read"}},
		{"missing", exitOK, append(walk[:4:4], "list: warning"), []string{"no traffic yet"}},
		{"empty", exitOK, append(walk[:4:4], "list: warning"), []string{"no flow logs"}},
		{"closed", exitFailure, append(walk[:4:4], "list: failed"), []string{"403 AuthorizationPermissionMismatch", "Storage Blob Data Reader"}},
	} {
		code, checks, all := doctor(t, azureYAML(server.URL, ", containers: ["+tc.containers+"]")+someCollector+withState(t))
		if diff := cmp.Diff(tc.want, of(checks, "source prod")); diff != "" || code != tc.code {
			t.Errorf("%s: code %d, want %d (-want +got):\n%s\n%s", tc.containers, code, tc.code, diff, all)
		}
		expect(t, all, tc.says...)
		if strings.Contains(all, "Z2Voe") || strings.Contains(all, "geheim") {
			t.Errorf("shows the key: %s", all)
		}
	}
}

// TestDoctorAzureSlow: an account that does not answer fails in time, and holds
// nothing else up.
func TestDoctorAzureSlow(t *testing.T) {
	l := listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	code, checks, all := doctor(t, azureYAML("http://"+l, ", containers: [abc]")+someCollector+withState(t), "--timeout", "300ms")
	want := []string{"name: ok", "connection: failed", "clock: skipped", "credential: skipped", "list: skipped", "newest blob: skipped"}
	if diff := cmp.Diff(want, of(checks, "source prod")); diff != "" || code != exitFailure {
		t.Errorf("code %d (-want +got):\n%s", code, diff)
	}
	expect(t, all, "it took longer than 300ms", "a longer --timeout")
	if diff := cmp.Diff([]string{"file: ok"}, of(checks, "collector c")); diff != "" {
		t.Error(diff)
	}
}

func TestDoctorAzureSettings(t *testing.T) {
	_, checks, all := doctor(t, "sources: [{ name: prod, azure: { account_url: 'https://a.blob.core.windows.net', credential: client_certificate, tenant_id: t.example, "+
		"client_id: 00000000-0000-0000-0000-000000000000, certificate_file: /nowhere/cert.pem } }]\n"+someCollector+withState(t))
	if diff := cmp.Diff([]string{"settings: failed"}, of(checks, "source prod")); diff != "" {
		t.Error(diff)
	}
	expect(t, all, "certificate_file: open /nowhere/cert.pem")
}

func TestDoctorDirectory(t *testing.T) {
	root := t.TempDir()
	put := func(hour time.Time, age time.Duration) {
		name := filepath.Join(root, "flow", "log", hour.UTC().Format("y=2006/m=01/d=02/h=15/m=00"), "macAddress=000D3A000001", "PT1H.json")
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	yaml := "sources: [{ name: d, directory: { path: " + root + " } }]\n" + someCollector + withState(t)
	see := func(want ...string) string {
		t.Helper()
		_, checks, all := doctor(t, yaml)
		if diff := cmp.Diff(want, of(checks, "source d")); diff != "" {
			t.Errorf("(-want +got):\n%s\n%s", diff, all)
		}
		return all
	}
	see("folder: ok", "list: warning")
	now := time.Now()
	put(now.AddDate(-3, 0, 0), 3*365*24*time.Hour)
	expect(t, see("folder: ok", "list: ok", "newest blob: warning", "read: ok"), "an archive that is finished")
	put(now.Add(-3*time.Hour), 3*time.Hour)
	put(now, 42*time.Second)
	expect(t, see("folder: ok", "list: ok", "newest blob: ok", "read: ok"), "written 42s ago: flow/log/y=")
}

func TestDoctorState(t *testing.T) {
	t.Run("in use", func(t *testing.T) {
		dir := t.TempDir()
		store, _, err := checkpoint.Open(dir, checkpoint.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		code, checks, all := doctor(t, someSource(t)+someCollector+"state_dir: "+dir+"\n")
		if diff := cmp.Diff([]string{"writable: ok", "space: ok", "in use: ok", "contents: ok"}, of(checks, "state directory")); diff != "" || code != exitOK {
			t.Errorf("code %d (-want +got):\n%s\n%s", code, diff, all)
		}
		expect(t, all, fmt.Sprintf("by process %d: the service runs", os.Getpid()))
		if rest, _ := filepath.Glob(filepath.Join(dir, ".doctor*")); rest != nil {
			t.Errorf("leaves behind %q", rest)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		dir := t.TempDir()
		garbage := bytes.Repeat([]byte("garbage!"), 4096)
		if err := os.WriteFile(filepath.Join(dir, "checkpoints.db"), garbage, 0o600); err != nil {
			t.Fatal(err)
		}
		code, checks, all := doctor(t, someSource(t)+someCollector+"state_dir: "+dir+"\n")
		if diff := cmp.Diff([]string{"writable: ok", "space: ok", "in use: ok", "contents: failed"}, of(checks, "state directory")); diff != "" || code != exitFailure {
			t.Errorf("code %d (-want +got):\n%s\n%s", code, diff, all)
		}
		expect(t, all, "no: the service does not run", "damaged", "sets the file aside")
		if now, err := os.ReadFile(filepath.Join(dir, "checkpoints.db")); err != nil || !bytes.Equal(now, garbage) {
			t.Error("doctor changed the file")
		}
	})
	t.Run("empty", func(t *testing.T) {
		dir := t.TempDir()
		_, checks, all := doctor(t, someSource(t)+someCollector+"state_dir: "+dir+"\n")
		if diff := cmp.Diff([]string{"writable: ok", "space: ok", "in use: ok", "contents: ok"}, of(checks, "state directory")); diff != "" {
			t.Error(diff)
		}
		expect(t, all, "nothing is kept yet")
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("doctor leaves %v, %v", entries, err)
		}
	})
}

// TestDoctorLeavesBehind: what hangs where no context reaches is said to hang,
// and what comes behind it is said too, in order.
func TestDoctorLeavesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		defer close(end)
		var out bytes.Buffer
		d := &diagnosis{out: &out, width: len("source hangs")}
		began := time.Now()
		err := d.examine(t.Context(), 30*time.Second, []subject{
			{"source", "hangs", func(_ context.Context, report func(finding)) {
				report(finding{Check: "folder", Status: statusOK, Detail: "is there"})
				<-end
			}},
			{"source", "waits", func(ctx context.Context, report func(finding)) {
				<-ctx.Done()
				report(finding{Check: "list", Status: statusFailed, err: context.Cause(ctx)})
			}},
			{"source", "works", func(_ context.Context, report func(finding)) {
				report(finding{Check: "list", Status: statusOK, Detail: "3 flow logs"})
			}},
		})
		if err != nil || time.Since(began) != 31*time.Second {
			t.Errorf("ends after %s with %v", time.Since(began), err)
		}
		const hint = "         hint: see what keeps it waiting: a firewall that drops packets, a proxy, a mount that hangs; or give it a longer --timeout\n"
		want := "ok       source hangs  folder       is there\n" +
			"failed   source hangs  time         it took longer than 30s\n" + hint +
			"failed   source waits  list         it took longer than 30s\n" + hint +
			"ok       source works  list         3 flow logs\n"
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestDoctorInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow2ipfix.yaml")
	if err := os.WriteFile(path, []byte(someSource(t)+someCollector+withState(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"doctor", "--config", path}, nil, &stdout, &stderr); code != exitInterrupted {
		t.Errorf("ends with %d: %s%s", code, stdout.String(), stderr.String())
	}
}

func TestDoctorColours(t *testing.T) {
	d := &diagnosis{colour: true}
	if got := d.paint(statusFailed); got != "\x1b[31mfailed \x1b[0m" {
		t.Errorf("got %q", got)
	}
	d.colour = false
	if got := d.paint(statusFailed); got != "failed " {
		t.Errorf("got %q", got)
	}
	if colourful(&bytes.Buffer{}) {
		t.Error("colours where there is no terminal")
	}
}
