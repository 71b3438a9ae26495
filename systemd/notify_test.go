package systemd

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager is a notify socket of the test's own.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func listen(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &manager{t, conn}
}

// next returns the next message; "" if there is none.
func (m *manager) next() string {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := m.conn.Read(b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

func (m *manager) want(want string) {
	m.t.Helper()
	if got := m.next(); got != want {
		m.t.Errorf("said %q, want %q", got, want)
	}
}

func TestNotifier(t *testing.T) {
	m := listen(t)
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	n.Ready("")
	m.want("READY=1")
	n.Status("3 s behind")
	m.want("STATUS=3 s behind")
	n.Status("3 s behind")
	m.want("")
	n.Status("a\nb")
	m.want("STATUS=a b")
	n.Reloading("loads")
	got := m.next()
	var usec int64
	if _, err := fmt.Sscanf(got, "RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=loads", &usec); err != nil || usec <= 0 {
		t.Errorf("said %q: %v", got, err)
	}
	n.Ready("loaded")
	m.want("READY=1\nSTATUS=loaded")
	n.Stopping(1500*time.Millisecond, "delivers")
	m.want("STOPPING=1\nSTATUS=delivers\nEXTEND_TIMEOUT_USEC=1500000")
	if late := n.Feed(func(time.Time) []string { t.Error("asked without a watchdog"); return nil }); late != nil {
		t.Errorf("late are %q", late)
	}
	m.want("")
	if err := n.Err(); err != nil {
		t.Error(err)
	}
}

// TestFeed: signs of life are given as long as nobody is silent, and no longer.
func TestFeed(t *testing.T) {
	m := listen(t)
	t.Setenv("WATCHDOG_USEC", "8000000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	var silent []string
	var since time.Time
	feed := func() []string {
		return n.Feed(func(s time.Time) []string { since = s; return silent })
	}
	// The time is moved, since sockets do not work in a synctest bubble.
	passes := func(d time.Duration) { n.fed = n.fed.Add(-d) }
	n.Ready("")
	m.want("READY=1")
	feed()
	m.want("")
	for range 3 {
		passes(2 * time.Second)
		fed := n.fed
		feed()
		m.want("WATCHDOG=1")
		if !since.Equal(fed) {
			t.Errorf("asked since %v, want %v", since, fed)
		}
	}
	silent = []string{"committer"}
	passes(2 * time.Second)
	if late := feed(); late != nil {
		t.Errorf("late are %q already", late)
	}
	passes(2 * time.Second)
	if late := feed(); len(late) != 1 || late[0] != "committer" {
		t.Errorf("late are %q", late)
	}
	m.want("")
	silent = nil
	feed()
	m.want("WATCHDOG=1")
}

// TestNobodyListens: a socket that is gone is an error once, and none at all
// nothing.
func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	n.Ready("x")
	if err := n.Err(); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	n.Ready("x")
	if err := n.Err(); err == nil || !strings.HasPrefix(err.Error(), "tell the service manager: ") {
		t.Errorf("got %v", err)
	}
	if err := n.Err(); err != nil {
		t.Errorf("said twice: %v", err)
	}
}

// TestWatchdogOfAnother: WATCHDOG_PID names who is to give signs of life.
func TestWatchdogOfAnother(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("WATCHDOG_PID", "1")
	n, err := New()
	if err != nil || n.watchdog != 0 {
		t.Errorf("watchdog %v, %v", n.watchdog, err)
	}
	t.Setenv("WATCHDOG_PID", "")
	t.Setenv("WATCHDOG_USEC", "soon")
	if n, err = New(); err == nil || n == nil {
		t.Errorf("%v, %v", n, err)
	}
}
