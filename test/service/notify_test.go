package service

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"flow2ipfix/test/peers"
)

// listen starts the small collector at an address.
func listen(t *testing.T, url string) {
	t.Helper()
	p, err := peers.Start(t.TempDir(), peers.Product, "collect", "--listen", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.End(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := peers.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// TestNotify: a daemon tells its service manager how it is, from a start at which
// nothing that it needs is there, over reloads, to its end.
func TestNotify(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	address := freeAddress(t)
	config := `
sources: [{ name: dir, directory: { path: $LOGS, poll_interval: 1s } }]
start: earliest
state_dir: $STATE
collectors: [{ name: noc, url: "tcp://` + address + `" }]
telemetry: { listen: "" }
shutdown_timeout: 3s
`
	d.configure(config)
	began := time.Now()
	d.start()
	if ready := d.next("READY=1"); d.seen != 1 || ready.At.Sub(began) > 10*time.Second {
		t.Fatalf("READY came after %v, behind %d other messages", ready.At.Sub(began), d.seen-1)
	}
	if info, err := os.ReadDir(d.state()); err != nil || len(info) == 0 {
		t.Errorf("READY before the state was open: %v, %v", info, err)
	}
	d.next("STATUS=no flow logs yet", "STATUS=away: noc")
	fed := 0
	for _, m := range d.manager.all() {
		if has(m, []string{"WATCHDOG=1"}) {
			fed++
		}
	}
	if fed < 2 { // neither is a reason to be started anew
		t.Errorf("%d signs of life in 5 seconds", fed)
	}

	listen(t, "tcp://"+address)
	d.next("STATUS=1 collector connected")
	d.generate(20)
	d.next("STATUS= behind; ")
	d.next("WATCHDOG=1")

	hangUp := func() Message {
		t.Helper()
		var before, after unix.Timespec
		d.do(unix.ClockGettime(unix.CLOCK_MONOTONIC, &before))
		d.do(d.process.Signal(syscall.SIGHUP))
		m := d.next("RELOADING=1", "MONOTONIC_USEC")
		d.do(unix.ClockGettime(unix.CLOCK_MONOTONIC, &after))
		at, err := strconv.ParseInt(m.Fields["MONOTONIC_USEC"], 10, 64)
		if err != nil || at < before.Nano()/1000 || at > after.Nano()/1000 {
			t.Errorf("MONOTONIC_USEC=%s (%v), want between %d and %d", m.Fields["MONOTONIC_USEC"], err, before.Nano()/1000, after.Nano()/1000)
		}
		return m
	}
	d.configure("surprise: 1\n")
	hangUp()
	d.next("READY=1", "STATUS=wrong and not used")
	d.says("surprise")
	d.next("STATUS= behind; ")
	d.configure(strings.Replace(config, "name: noc", "name: soc", 1))
	hangUp()
	d.next("READY=1", "STATUS=started")
	d.says("collector=soc")
	d.next("STATUS= behind; ")
	d.next("WATCHDOG=1")

	d.do(d.process.Signal(syscall.SIGTERM))
	stopping := d.next("STOPPING=1", "STATUS=delivering")
	if usec, err := strconv.ParseInt(stopping.Fields["EXTEND_TIMEOUT_USEC"], 10, 64); err != nil || usec < (3*time.Second).Microseconds() {
		t.Errorf("EXTEND_TIMEOUT_USEC=%s is less than shutdown_timeout", stopping.Fields["EXTEND_TIMEOUT_USEC"])
	}
	d.ends(0)
	for _, m := range d.manager.all()[d.seen:] {
		if !has(m, []string{"WATCHDOG=1"}) {
			t.Errorf("after STOPPING it said %v", m.Fields)
		}
	}
}

// TestWatchdog: the collector is standard output, and nobody reads it, so that the
// collector's lane hangs while it writes. The signs of life stop, although the
// rest goes on; when somebody reads, they come again. Then it is killed as systemd
// does it, and says where it was.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.configure(`
sources: [{ name: dir, directory: { path: $LOGS, poll_interval: 1s } }]
start: earliest
state_dir: $STATE
collectors: [{ name: noc, url: "file:-" }]
telemetry: { listen: "" }
`)
	d.rules.Args = []string{peers.Product, "run", "--config", d.config}
	cmd, err := d.rules.Command(d.dir)
	d.do(err)
	r, w, err := os.Pipe()
	d.do(err)
	defer r.Close()
	errors, err := os.Create(d.dir + "/stderr")
	d.do(err)
	defer errors.Close()
	cmd.Stdout, cmd.Stderr = w, errors
	d.do(cmd.Start())
	_ = w.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	log := func() string {
		b, _ := os.ReadFile(errors.Name())
		return string(b)
	}
	defer func() {
		if t.Failed() {
			t.Log(log())
			for _, m := range d.manager.all() {
				t.Log(m.At.Format("05.000"), m.Fields)
			}
		}
	}()
	feeds := func() (n int, last time.Time) {
		for _, m := range d.manager.all() {
			if has(m, []string{"WATCHDOG=1"}) {
				n, last = n+1, m.At
			}
		}
		return n, last
	}
	wait := func(what string, done func() bool) {
		t.Helper()
		if err := peers.Within(2*peers.Patience, what, func() (bool, error) { return done(), nil }); err != nil {
			t.Fatal(err)
		}
	}
	wait("the watchdog is fed", func() bool { n, _ := feeds(); return n >= 2 })
	d.generate(400)
	wait("the watchdog is fed no more", func() bool {
		_, last := feeds()
		return time.Since(last) > watchdog+time.Second
	})
	all := d.manager.all()
	if last := all[len(all)-1]; !has(last, []string{"STATUS"}) || time.Since(last.At) > 2*watchdog {
		t.Errorf("the rest does not go on: it last said %v, %v ago", last.Fields, time.Since(last.At))
	}
	wait("the log", func() bool { return strings.Contains(log(), `parts="collector noc"`) })

	stuck, _ := feeds()
	b := make([]byte, 1<<20)
	for range 64 {
		if err := r.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(b); err != nil {
			break // it has had all
		}
		if n, _ := feeds(); n > stuck {
			break
		}
	}
	wait("the watchdog is fed again", func() bool { n, _ := feeds(); return n > stuck })

	d.do(cmd.Process.Signal(syscall.SIGABRT))
	select {
	case err := <-ended:
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() == 0 || exit.ExitCode() == 78 { //nolint:errorlint // Wait says that it is that
			t.Errorf("SIGABRT ended it with %v", err)
		}
	case <-time.After(peers.Patience):
		t.Fatal("SIGABRT does not end it")
	}
	if !strings.Contains(log(), "serviceLane") {
		t.Error("the log does not say where its goroutines were")
	}
}
