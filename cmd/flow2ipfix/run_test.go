package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flow2ipfix/internal/collect"
)

// buffer is what a daemon writes to standard error.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// daemon is a running `flow2ipfix run` over a directory.
type daemon struct {
	dir, config string
	log         buffer
	stop        context.CancelFunc
	ended       chan int
}

func startDaemon(t *testing.T) *daemon {
	t.Helper()
	return startDaemonWith(t, "")
}

// startDaemonWith has another collector than a file, if there is a URL.
func startDaemonWith(t *testing.T, url string) *daemon {
	t.Helper()
	return startDaemonConfigured(t, func(d *daemon) {
		if url != "" {
			d.write(t, "one", url, filepath.Join(d.dir, "state"))
		}
	})
}

// startDaemonConfigured lets the configuration be changed first.
func startDaemonConfigured(t *testing.T, change func(*daemon)) *daemon {
	t.Helper()
	d := &daemon{dir: t.TempDir(), ended: make(chan int, 1)}
	d.config = filepath.Join(d.dir, "flow2ipfix.yaml")
	d.configure(t, "one")
	change(d)
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	go func() {
		d.ended <- run(ctx, []string{"run", "--config", d.config}, nil, &d.log, &d.log)
	}()
	t.Cleanup(func() {
		stop()
		select {
		case <-d.ended:
		case <-time.After(time.Minute):
			t.Error("the daemon does not end")
		}
		if t.Failed() {
			t.Log(d.log.String())
		}
	})
	return d
}

// configure writes a configuration with a collector, which is a file.
func (d *daemon) configure(t *testing.T, collector string) {
	t.Helper()
	d.write(t, collector, "file:"+d.output(collector), filepath.Join(d.dir, "state"))
}

func (d *daemon) write(t *testing.T, collector, url, state string) {
	t.Helper()
	text := fmt.Sprintf(`
sources: [{ name: dir, directory: { path: %q, poll_interval: 100ms } }]
start: earliest
state_dir: %q
collectors: [{ name: %s, url: %q }]
shutdown_timeout: 2s
telemetry: { listen: "" }
`, d.logs(), state, collector, url)
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (d *daemon) logs() string { return filepath.Join(d.dir, "logs") }

func (d *daemon) output(collector string) string { return filepath.Join(d.dir, collector+".ipfix") }

// grow lets the flow logs below the daemon's folder have so many records each,
// of an hour that is not finished, and returns how many flow records replay makes
// of them.
func (d *daemon) grow(t *testing.T, records int) uint64 {
	t.Helper()
	made, sent := filepath.Join(d.dir, "made"), filepath.Join(t.TempDir(), "x")
	var out bytes.Buffer
	if _, err := os.Stat(made); err != nil {
		hour := time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339)
		if code := run(t.Context(), []string{"generate", "--out", made, "--nics", "3", "--minutes", "50", "--tuples", "30", "--start", hour}, nil, &out, &out); code != exitOK {
			t.Fatal(out.String())
		}
	}
	err := filepath.WalkDir(made, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		const between = `},{"time":`
		parts := strings.Split(string(b), between)
		text := strings.Join(parts[:min(records, len(parts))], between)
		if records < len(parts) {
			text += "}]}"
		}
		to := filepath.Join(d.logs(), strings.TrimPrefix(path, made))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to+".new", []byte(text), 0o600); err != nil {
			return err
		}
		return os.Rename(to+".new", to)
	})
	if err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"replay", "--strict", "--collector", "file:" + sent, d.logs()}, nil, &out, &out); code != exitOK {
		t.Fatal(out.String())
	}
	return recordsIn(t, sent)
}

func recordsIn(t *testing.T, path string) uint64 {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		return 0
	}
	c, err := collect.Listen(t.Context(), "file:"+path, collect.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context(), collect.SinkFunc(func(*collect.Record) error { return nil })); err != nil {
		return 0 // it is being written
	}
	return c.Stats().DataRecords
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}

// TestRun: everything there is goes out once, and a restart sends nothing again.
func TestRun(t *testing.T) {
	d := startDaemon(t)
	want := d.grow(t, 20)
	waitFor(t, "the last record", func() bool { return recordsIn(t, d.output("one")) >= want })
	d.stop()
	if code := <-d.ended; code != exitOK {
		t.Errorf("ended with %d", code)
	}
	d.ended <- exitOK
	if got := recordsIn(t, d.output("one")); got != want {
		t.Errorf("%d records, want %d", got, want)
	}

	ctx, stop := context.WithCancel(t.Context())
	again := make(chan int, 1)
	go func() { again <- run(ctx, []string{"run", "--config", d.config}, nil, &d.log, &d.log) }()
	want = d.grow(t, 35)
	waitFor(t, "what is new", func() bool { return recordsIn(t, d.output("one")) >= want })
	stop()
	if code := <-again; code != exitOK {
		t.Errorf("ended with %d", code)
	}
	if got := recordsIn(t, d.output("one")); got != want {
		t.Errorf("%d records after a restart, want %d", got, want)
	}
}

// TestRunReloads: SIGHUP takes a configuration that is right, and says what is
// wrong with another one.
func TestRunReloads(t *testing.T) {
	d := startDaemon(t)
	want := d.grow(t, 20)
	waitFor(t, "the last record", func() bool { return recordsIn(t, d.output("one")) >= want })

	hangUp := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(d.config, []byte("sources: []\nsurprise: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp()
	waitFor(t, "the refusal", func() bool { return strings.Contains(d.log.String(), "the new configuration is not used") })
	if !strings.Contains(d.log.String(), "surprise") {
		t.Error("the log does not say what is wrong")
	}
	want = d.grow(t, 30)
	waitFor(t, "what came after", func() bool { return recordsIn(t, d.output("one")) >= want })

	d.configure(t, "two")
	hangUp()
	waitFor(t, "the new beginning", func() bool { return strings.Count(d.log.String(), "msg=started") == 2 })
	all := d.grow(t, 50)
	waitFor(t, "what came last", func() bool { return recordsIn(t, d.output("two")) >= all-want })
	if one, two := recordsIn(t, d.output("one")), recordsIn(t, d.output("two")); one != want || two != all-want {
		t.Errorf("%d and %d records, want %d and %d", one, two, want, all-want)
	}
}

// TestRunReloadsInAnOutage: the collector's address is corrected while it is away;
// and a state directory that cannot be is refused.
func TestRunReloadsInAnOutage(t *testing.T) {
	d := startDaemonWith(t, "tcp://127.0.0.1:1")
	want := d.grow(t, 20)
	waitFor(t, "the outage", func() bool { return strings.Contains(d.log.String(), "collector away") })
	hangUp := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	d.write(t, "two", "file:"+d.output("two"), "/proc/nowhere")
	hangUp()
	waitFor(t, "the refusal", func() bool { return strings.Contains(d.log.String(), "the new configuration is not used") })
	d.configure(t, "two")
	hangUp()
	waitFor(t, "the new beginning", func() bool { return strings.Count(d.log.String(), "msg=started") == 2 })
	if !strings.Contains(d.log.String(), "not all was delivered in time") {
		t.Error("nothing is said of what was not delivered")
	}
	waitFor(t, "the last record", func() bool { return recordsIn(t, d.output("two")) >= want })
	if got := recordsIn(t, d.output("two")); got != want {
		t.Errorf("%d records, want %d", got, want)
	}
}

// TestRunEndsInAnOutage: what waits for a collector is no failure.
func TestRunEndsInAnOutage(t *testing.T) {
	d := startDaemonWith(t, "tcp://127.0.0.1:1")
	d.grow(t, 20)
	waitFor(t, "the outage", func() bool { return strings.Contains(d.log.String(), "collector away") })
	d.stop()
	if code := <-d.ended; code != exitOK {
		t.Errorf("ended with %d", code)
	}
	d.ended <- exitOK
	if !strings.Contains(d.log.String(), "not all was delivered in time") {
		t.Error("nothing is said of what was not delivered")
	}
}

func TestRunRefusesConfigurations(t *testing.T) {
	var out buffer
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte("start: sometimes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"run", "--config", path}, nil, &out, &out); code != exitConfig {
		t.Errorf("code %d, want %d", code, exitConfig)
	}
	for _, want := range []string{"start", "sources", "collectors"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing is said of %s:\n%s", want, out.String())
		}
	}
}
