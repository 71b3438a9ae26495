package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the program a command of the scripts in testdata.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"flow2ipfix": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata"})
}

// TestFieldsDocument holds docs/FIELDS.md to the program.
func TestFieldsDocument(t *testing.T) {
	want, err := os.ReadFile("../../docs/FIELDS.md")
	if err != nil {
		t.Fatal(err)
	}
	var got, stderr bytes.Buffer
	if code := run(context.Background(), []string{"templates", "--format", "markdown"}, nil, &got, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("docs/FIELDS.md is not what the program says; write it anew with\n"+
			"  go run ./cmd/flow2ipfix templates --format markdown >docs/FIELDS.md\n(-document +program):\n%s", diff)
	}
}

// TestHelpNamesEveryCommand: each command says what it is for, and takes --help.
func TestHelpNamesEveryCommand(t *testing.T) {
	var root bytes.Buffer
	if code := run(context.Background(), []string{"--help"}, nil, &root, &root); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	for _, c := range newRoot(newUI(&root, &root), nil).Commands() {
		if !strings.Contains(root.String(), "  "+c.Name()+" ") {
			t.Errorf("flow2ipfix --help does not name %s", c.Name())
		}
		var out bytes.Buffer
		if code := run(context.Background(), []string{c.Name(), "--help"}, nil, &out, &out); code != exitOK || !strings.Contains(out.String(), "Usage:") {
			t.Errorf("flow2ipfix %s --help ends with %d: %s", c.Name(), code, out.String())
		}
	}
}

func TestWords(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{count(0, "file"), "0 files"},
		{count(1, "file"), "1 file"},
		{count(1234567, "tuple"), "1,234,567 tuples"},
		{thousands(999), "999"},
		{thousands(1000), "1,000"},
		{size(0), "0 B"},
		{size(999), "999 B"},
		{size(1000), "1.0 kB"},
		{size(99_823_013), "99.8 MB"},
		{size(999_960), "1.0 MB"},
		{size(18_446_744_073_709_551_615), "18.4 EB"},
		{orList([]string{"a"}), "a"},
		{orList([]string{"a", "b", "c"}), "a, b or c"},
		{strings.Join(wrap("one two three", 7), "|"), "one two|three"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// lines is a writer that passes lines on.
type lines struct {
	mu   sync.Mutex
	rest string
	out  chan string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest += string(p)
	for {
		line, rest, ok := strings.Cut(l.rest, "\n")
		if !ok {
			return len(p), nil
		}
		l.rest = rest
		l.out <- line
	}
}

// TestCollectReceivesReplay sends from one command to the other.
func TestCollectReceivesReplay(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	if code := run(t.Context(), []string{"generate", "--out", dir, "--nics", "2", "--minutes", "3", "--ipv6"}, nil, &out, &out); code != exitOK {
		t.Fatal(out.String())
	}
	var reference bytes.Buffer
	file := filepath.Join(t.TempDir(), "x.ipfix")
	if code := run(t.Context(), []string{"replay", "--collector", "file:" + file, dir}, nil, &out, &out); code != exitOK {
		t.Fatal(out.String())
	}
	if code := run(t.Context(), []string{"collect", "--listen", "file:" + file}, nil, &reference, &out); code != exitOK {
		t.Fatal(out.String())
	}
	want := strings.Count(reference.String(), "\n") - 1
	for _, scheme := range []string{"udp", "tcp"} {
		stderr := &lines{out: make(chan string, 100)}
		var table bytes.Buffer
		done := make(chan int)
		go func() {
			done <- run(t.Context(), []string{"collect", "--listen", scheme + "://127.0.0.1:0", "--count", fmt.Sprint(want), "--for", "1m"}, nil, &table, stderr)
		}()
		url, ok := strings.CutPrefix(<-stderr.out, "flow2ipfix: listening on ")
		if !ok {
			t.Fatal("collect does not say where it listens")
		}
		if code := run(t.Context(), []string{"replay", "--collector", url, dir}, nil, &out, &out); code != exitOK {
			t.Fatalf("replay ends with %d: %s", code, out.String())
		}
		if code := <-done; code != exitOK {
			t.Errorf("%s: collect ends with %d", scheme, code)
		}
		if diff := cmp.Diff(reference.String(), table.String()); diff != "" {
			t.Errorf("%s (-file +%s):\n%s", scheme, scheme, diff)
		}
	}
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte("not a flow log"), 0o644); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tc := range []struct {
		ctx    context.Context
		args   string
		want   int
		stderr string
	}{
		{context.Background(), "version", exitOK, ""},
		{context.Background(), "replay --collector file:/dev/null " + bad, exitOK, "record rejected"},
		{context.Background(), "replay --collector file:/dev/null " + dir + "/none", exitFailure, "no such file"},
		{context.Background(), "replay --collector udp://127.0.0.1:1 " + bad, exitOK, ""}, // nothing to send
		{context.Background(), "replay --collector tcp://127.0.0.1:1 " + bad, exitFailure, "refused"},
		{context.Background(), "collect --listen file:" + dir + "/none", exitFailure, "no such file"},
		{context.Background(), "replay", exitUsage, "nothing to replay"},
		{context.Background(), "replay --rate x .", exitUsage, "invalid argument"},
		{context.Background(), "frobnicate", exitUsage, "unknown command"},
		{context.Background(), "replay --strict --collector file:/dev/null " + bad, exitRejected, "record rejected"},
		{canceled, "replay --collector file:/dev/null " + bad, exitInterrupted, "interrupted"},
		{canceled, "demo", exitInterrupted, "interrupted"},
		{canceled, "generate --out " + dir + "/x", exitInterrupted, "interrupted"},
		{canceled, "collect --listen udp://127.0.0.1:0", exitInterrupted, ""},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(tc.ctx, strings.Fields(tc.args), nil, &stdout, &stderr); got != tc.want || !strings.Contains(stderr.String(), tc.stderr) {
			t.Errorf("flow2ipfix %s ends with %d, want %d and %q\n%s", tc.args, got, tc.want, tc.stderr, stderr.String())
		}
	}
}
