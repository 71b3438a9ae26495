// Package service runs the program as the unit in systemd/ would: below its
// settings (package sandbox), with a notify socket, a watchdog and credentials
// that belong to the tests instead of systemd. And it has systemd judge the unit.
package service

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flow2ipfix/test/peers"
	"flow2ipfix/test/sandbox"
)

const (
	unitFile     = "../../systemd/flow2ipfix.service"
	sysusersFile = "../../systemd/flow2ipfix.sysusers"
)

// watchdog is how long the tests' service manager would wait for a sign of life.
const watchdog = 4 * time.Second

// Message is what the daemon told the service manager at one time.
type Message struct {
	At     time.Time
	Fields map[string]string
}

// Manager is a service manager that only listens.
type Manager struct {
	path string
	conn *net.UnixConn

	mu       sync.Mutex
	messages []Message
}

func newManager(t *testing.T) *Manager {
	t.Helper()
	m := &Manager{path: filepath.Join(t.TempDir(), "notify")}
	var err error
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(m.path, 0o777); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for {
			n, err := m.conn.Read(b)
			if err != nil {
				return
			}
			msg := Message{time.Now(), map[string]string{}}
			for line := range strings.Lines(string(b[:n])) {
				key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
				msg.Fields[key] = value
			}
			m.mu.Lock()
			m.messages = append(m.messages, msg)
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = m.conn.Close()
		<-done
	})
	return m
}

// all returns what was said so far.
func (m *Manager) all() []Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Message(nil), m.messages...)
}

// Daemon is the program at work below the unit's settings.
type Daemon struct {
	t       *testing.T
	manager *Manager
	process *peers.Process
	dir     string // everything of this test
	config  string
	rules   *sandbox.Rules
	seen    int // messages that were looked at
}

// newDaemon prepares a daemon that does not run yet.
func newDaemon(t *testing.T) *Daemon {
	t.Helper()
	unit, err := sandbox.ReadUnit(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{t: t, manager: newManager(t), dir: t.TempDir()}
	for _, dir := range []string{filepath.Dir(peers.Product), filepath.Dir(d.dir)} {
		d.do(os.Chmod(dir, 0o755)) // whoever it runs as
	}
	if d.rules, err = unit.Rules(); err != nil {
		t.Fatal(err)
	}
	d.config = filepath.Join(d.dir, "flow2ipfix.yaml")
	for _, dir := range []string{d.state(), d.logs()} {
		d.do(os.Mkdir(dir, 0o755))
	}
	d.own(d.state())
	d.rules.Env = append(unit["Environment"], "NOTIFY_SOCKET="+d.manager.path, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()))
	t.Cleanup(func() {
		if d.process == nil {
			return
		}
		if err := d.process.End(syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			for _, m := range d.manager.all() {
				t.Log(m.At.Format("05.000"), m.Fields)
			}
			t.Log(d.process.Log())
		}
	})
	return d
}

func (d *Daemon) state() string { return filepath.Join(d.dir, "state") }

func (d *Daemon) logs() string { return filepath.Join(d.dir, "logs") }

// own gives a file to the user that the daemon runs as.
func (d *Daemon) own(path string) {
	d.t.Helper()
	if d.rules.UID != 0 {
		d.do(os.Chown(path, d.rules.UID, d.rules.UID))
	}
}

func (d *Daemon) do(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// configure writes the configuration: what is given, and where things are.
func (d *Daemon) configure(text string) {
	d.t.Helper()
	text = strings.NewReplacer("$LOGS", d.logs(), "$STATE", d.state()).Replace(text)
	d.do(os.WriteFile(d.config, []byte(text), 0o600))
	d.own(d.config)
}

// write writes a file that the daemon may read.
func (d *Daemon) write(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	d.do(os.WriteFile(path, []byte(text), 0o600))
	d.own(path)
	return path
}

// start starts the daemon.
func (d *Daemon) start() {
	d.t.Helper()
	d.rules.Args = []string{peers.Product, "run", "--config", d.config}
	cmd, err := d.rules.Command(d.dir)
	d.do(err)
	d.process, err = peers.StartCommand(d.dir, cmd)
	d.do(err)
}

// next waits for the next message that has all of these: KEY, or KEY=part of its
// value. Others before it must be WATCHDOG or STATUS.
func (d *Daemon) next(wants ...string) Message {
	d.t.Helper()
	var found Message
	err := peers.Within(2*peers.Patience, strings.Join(wants, " "), func() (bool, error) {
		for all := d.manager.all(); d.seen < len(all); {
			m := all[d.seen]
			d.seen++
			if has(m, wants) {
				found = m
				return true, nil
			}
			for key := range m.Fields {
				if key != "WATCHDOG" && key != "STATUS" {
					return false, fmt.Errorf("it said %v", m.Fields)
				}
			}
		}
		return false, d.process.Alive()
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return found
}

func has(m Message, wants []string) bool {
	for _, want := range wants {
		key, part, _ := strings.Cut(want, "=")
		value, ok := m.Fields[key]
		if !ok || !strings.Contains(value, part) {
			return false
		}
	}
	return true
}

// says waits until the log has a text.
func (d *Daemon) says(text string) {
	d.t.Helper()
	if err := peers.Await("the log says "+text, func() (bool, error) {
		if strings.Contains(d.process.Log(), text) {
			return true, nil
		}
		return false, d.process.Alive()
	}); err != nil {
		d.t.Fatal(err)
	}
}

// ends waits for the daemon to end, with a code.
func (d *Daemon) ends(code int) {
	d.t.Helper()
	select {
	case <-d.process.Exited():
	case <-time.After(peers.Patience):
		d.t.Fatal("the daemon does not end")
	}
	if got := d.process.Code(); got != code {
		d.t.Fatalf("the daemon ended with %d, want %d", got, code)
	}
}

// generate has flow logs of the present hour, of so many tuples a minute and
// interface, appear where the daemon looks.
func (d *Daemon) generate(tuples int) {
	d.t.Helper()
	hour := time.Now().UTC().Truncate(time.Hour).Format(time.RFC3339)
	made := filepath.Join(d.dir, "made")
	if r := peers.Run("generate", "--out", made, "--nics", "3", "--minutes", "40", "--tuples", fmt.Sprint(tuples), "--start", hour); r.Code != 0 {
		d.t.Fatal(r.Stderr)
	}
	entries, err := os.ReadDir(made)
	d.do(err)
	for _, e := range entries {
		d.do(os.Rename(filepath.Join(made, e.Name()), filepath.Join(d.logs(), e.Name())))
	}
	d.do(filepath.WalkDir(d.logs(), func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o644)
		if e.IsDir() {
			mode = 0o755
		}
		return os.Chmod(path, mode)
	}))
}
