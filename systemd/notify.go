// Package systemd is where the daemon meets its service manager: the unit and the
// user that it runs as (files beside this one), and what it tells the manager
// (sd_notify(3)). What is worth telling is decided elsewhere.
package systemd

import (
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells the service manager how the daemon is. Without a manager that
// listens it does nothing. One goroutine at a time may use it.
type Notifier struct {
	watchdog time.Duration // 0: nobody waits for signs of life
	fed      time.Time
	status   string // that was said last
	err      error
}

// New returns the Notifier that the environment asks for: NOTIFY_SOCKET,
// WATCHDOG_USEC and WATCHDOG_PID. An error is one of the latter; the Notifier
// works without a watchdog then.
func New() (*Notifier, error) {
	n := &Notifier{fed: time.Now()}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return n, fmt.Errorf("watchdog: %w", err)
	}
	n.watchdog = interval
	return n, nil
}

// send sends assignments, of which empty ones are left out.
func (n *Notifier) send(assignments ...string) {
	var lines []string
	for _, a := range assignments {
		if a = strings.TrimSpace(a); a != "" {
			lines = append(lines, a)
		}
	}
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		n.err = fmt.Errorf("tell the service manager: %w", err)
	}
}

// Err returns the first error since it was last asked: what was not told.
func (n *Notifier) Err() error {
	err := n.err
	n.err = nil
	return err
}

// line is the STATUS of words.
func (n *Notifier) line(words string) string {
	if words == "" {
		return ""
	}
	n.status = words
	return "STATUS=" + strings.Join(strings.Fields(words), " ")
}

// Ready says that the daemon reads and sends, at the start and after a reload. The
// watchdog waits from here on.
func (n *Notifier) Ready(words string) {
	n.fed = time.Now()
	n.send(daemon.SdNotifyReady, n.line(words))
}

// Reloading says that the configuration is being loaded again. Ready ends it.
func (n *Notifier) Reloading(words string) {
	n.send(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec(), n.line(words))
}

// Stopping says that the daemon ends, which may take so long.
func (n *Notifier) Stopping(within time.Duration, words string) {
	n.send(daemon.SdNotifyStopping, n.line(words), fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", within.Microseconds()))
}

// Status says in words how it goes, if that has changed.
func (n *Notifier) Status(words string) {
	if words != n.status {
		n.send(n.line(words))
	}
}

// feeds is how many times in the time that the manager waits a sign of life is
// given.
const feeds = 4

// Feed gives the manager a sign of life, if it is time for one and silent, which
// is asked who has shown none since the last one, returns nobody. It returns who is
// silent when the manager will not wait for much longer, or nil.
func (n *Notifier) Feed(silent func(since time.Time) []string) (late []string) {
	if n.watchdog == 0 {
		return nil
	}
	waited := time.Since(n.fed)
	if waited < n.watchdog/feeds {
		return nil
	}
	if names := silent(n.fed); len(names) > 0 {
		if waited < n.watchdog/2 {
			return nil
		}
		return names
	}
	n.fed = time.Now()
	n.send(daemon.SdNotifyWatchdog)
	return nil
}
