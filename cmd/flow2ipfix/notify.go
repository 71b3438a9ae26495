package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"flow2ipfix/config"
	"flow2ipfix/internal/pulse"
	"flow2ipfix/source"
	"flow2ipfix/systemd"
)

// statusEvery is how often the service manager is told in words how it goes.
const statusEvery = 5 * time.Second

// stopMargin is what ending takes beside shutdown_timeout: the last commit and
// good-byes to the collectors.
const stopMargin = 15 * time.Second

// herald tells the service manager what the daemon does.
type herald struct {
	notify  *systemd.Notifier
	problem error // of New, said once
	said    bool  // that a stage is silent
	ended   bool
	at      time.Time // of the last status
	tuples  uint64    // then
}

func newHerald() *herald {
	n, err := systemd.New()
	return &herald{notify: n, problem: err}
}

// started says that all that there is to start has been.
func (h *herald) started(log *slog.Logger, cfg *config.Config) {
	if h.problem != nil {
		log.Warn("the service manager's watchdog is not served", "reason", h.problem.Error(), "hint", "WATCHDOG_USEC is systemd's to set: start the daemon from a unit")
		h.problem = nil
	}
	h.at, h.tuples = time.Now(), 0
	h.notify.Ready(fmt.Sprintf("started: %s, %s", count(uint64(len(cfg.Sources)), "source"), count(uint64(len(cfg.Collectors)), "collector")))
	h.check(log)
}

func (h *herald) reloading() { h.notify.Reloading("loading the configuration again") }

// refused says that a reload is over and has changed nothing.
func (h *herald) refused() {
	h.notify.Ready("the new configuration is wrong and not used, the log says why; the old one goes on")
	h.at = time.Now() // let that stand for a while
}

// stopping says once that the daemon ends.
func (h *herald) stopping(within time.Duration) {
	if !h.ended {
		h.ended = true
		h.notify.Stopping(within+stopMargin, "delivering what was read, then ending")
	}
}

// second is called every second, while all goes on: a sign of life is given if
// every stage has given one, and now and then it is said how it goes.
func (h *herald) second(log *slog.Logger, signs *pulse.Board, now tally, p *parts, followers []*source.Follower) {
	switch late := h.notify.Feed(signs.Silent); {
	case late != nil && !h.said:
		h.said = true
		log.Error("a part of the daemon does not go on, and the service manager will start it anew", "parts", strings.Join(late, ", "),
			"hint", "look at what that part works with, like the disk of the state or a mounted folder; if it is well, report this with the journal")
	case late == nil:
		h.said = false
	}
	if !h.ended && now.at.Sub(h.at) >= statusEvery {
		tuples := now.service.Read.Tuples
		h.notify.Status(statusWords(tuples-h.tuples, now.at.Sub(h.at), now.at, p, followers))
		h.at, h.tuples = now.at, tuples
	}
	h.check(log)
}

func (h *herald) check(log *slog.Logger) {
	if err := h.notify.Err(); err != nil {
		log.Warn("the service manager was not told how it goes", "reason", err.Error(), "hint", "see that NOTIFY_SOCKET can be reached; in a unit, RestrictAddressFamilies= has to have AF_UNIX")
	}
}

// shownSources is how many sources the status names.
const shownSources = 4

// statusWords are for one line of systemctl status: how far behind the sources
// are, how many flows come, and which collectors are away.
func statusWords(tuples uint64, span time.Duration, now time.Time, p *parts, followers []*source.Follower) string {
	var words []string
	for i, f := range followers {
		if i == shownSources {
			words = append(words, fmt.Sprintf("and %d more sources", len(followers)-i))
			break
		}
		s := f.Stats()
		word := "no flow logs yet"
		switch {
		case !s.Newest.IsZero():
			word = behind(s.Newest, now)
		case s.FlowLogs > 0:
			word = "nothing new yet in " + count(uint64(s.FlowLogs), "flow log")
		}
		if len(followers) > 1 {
			word = f.Name() + ": " + word
		}
		words = append(words, word)
	}
	words = append(words, rate(tuples, span)+" flows/s")
	var away []string
	for i, s := range p.streams {
		if !s.Stats().Connected {
			away = append(away, p.cfg.Collectors[i].Name)
		}
	}
	if len(away) > 0 {
		words = append(words, "away: "+strings.Join(away, ", "))
	} else {
		words = append(words, count(uint64(len(p.streams)), "collector")+" connected")
	}
	return strings.Join(words, "; ")
}
