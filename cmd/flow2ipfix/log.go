package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"flow2ipfix/config"
)

// newLogger writes to w what the configuration asks for. Warnings that repeat
// themselves are held back: see throttle.
func newLogger(w io.Writer, cfg config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // the configuration was checked
	var h slog.Handler
	switch f, _ := w.(*os.File); {
	case cfg.Format == "json":
		h = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: lowerLevel})
	case cfg.Format == "auto" && isJournal(f, os.Getenv(journalStream)):
		h = newJournalHandler(w, level)
	default:
		replace := lowerLevel
		if f != nil && term.IsTerminal(int(f.Fd())) {
			replace = timeOfDay
		}
		h = slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: replace})
	}
	return slog.New(&throttle{Handler: h, seen: &seen{last: map[string]*repeated{}}})
}

// lowerLevel writes levels as the configuration does.
func lowerLevel(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.LevelKey && len(groups) == 0 {
		a.Value = slog.StringValue(strings.ToLower(a.Value.String()))
	}
	return a
}

// timeOfDay is lowerLevel for people who look at a terminal, and know the day.
func timeOfDay(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 && a.Value.Kind() == slog.KindTime {
		return slog.String(a.Key, a.Value.Time().Format(time.TimeOnly))
	}
	return lowerLevel(groups, a)
}

// journalStream is the variable in which systemd says what it has connected with
// the journal: device and inode of standard error (systemd.exec(5)).
const journalStream = "JOURNAL_STREAM"

// isJournal reports whether a file is what the variable says.
func isJournal(f *os.File, variable string) bool {
	device, inode, ok := strings.Cut(variable, ":")
	if f == nil || !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && strconv.FormatUint(uint64(st.Dev), 10) == device && strconv.FormatUint(st.Ino, 10) == inode //nolint:unconvert // not the same type everywhere
}

// journalHandler writes lines as journald takes them: the level as sd-daemon(3)
// has it, the message as it is, and the attributes; journald knows the time.
type journalHandler struct {
	attrs slog.Handler // writes to line
	out   *journalOut
}

type journalOut struct {
	mu   sync.Mutex
	w    io.Writer
	line bytes.Buffer // under mu
}

func newJournalHandler(w io.Writer, level slog.Level) *journalHandler {
	out := &journalOut{w: w}
	attrs := slog.NewTextHandler(&out.line, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}})
	return &journalHandler{attrs, out}
}

func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.attrs.Enabled(ctx, l)
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	line := &h.out.line
	line.Reset()
	line.WriteString(journalLevel(r.Level))
	line.WriteString(r.Message)
	line.WriteByte(' ')
	if err := h.attrs.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.out.w.Write(append(bytes.TrimRight(line.Bytes(), " \n"), '\n'))
	return err
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{h.attrs.WithAttrs(attrs), h.out}
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{h.attrs.WithGroup(name), h.out}
}

// journalLevel is the prefix of a line: <3> is an error, <4> a warning, <6> worth
// knowing, <7> for who looks for a fault.
func journalLevel(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	default:
		return "<7>"
	}
}

// throttle lets a warning or an error through once a minute, and then says how
// many like it were held back. Those are alike that have the same message and
// the same source, flow log or collector.
type throttle struct {
	slog.Handler
	seen *seen
}

type seen struct {
	mu   sync.Mutex
	last map[string]*repeated
}

type repeated struct {
	at   time.Time
	held int
}

const (
	throttleFor = time.Minute
	// throttleKinds bounds what is remembered.
	throttleKinds = 4096
)

func (t *throttle) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return t.Handler.Handle(ctx, r)
	}
	key, reason, ofBlob := r.Message, "", false
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "source", "flow_log", "collector":
			key += "\x00" + a.Value.String()
		case "reason":
			reason = a.Value.String()
		case "blob":
			ofBlob = true
		}
		return true
	})
	if !ofBlob { // else the reason may name it
		key += "\x00" + reason
	}
	t.seen.mu.Lock()
	before := t.seen.last[key]
	switch {
	case before == nil:
		if len(t.seen.last) >= throttleKinds {
			clear(t.seen.last)
		}
		t.seen.last[key] = &repeated{at: r.Time}
	case r.Time.Sub(before.at) < throttleFor:
		before.held++
		t.seen.mu.Unlock()
		return nil
	default:
		if before.held > 0 {
			r.AddAttrs(slog.Int("held_back", before.held))
		}
		*before = repeated{at: r.Time}
	}
	t.seen.mu.Unlock()
	return t.Handler.Handle(ctx, r)
}

func (t *throttle) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &throttle{t.Handler.WithAttrs(attrs), t.seen}
}

func (t *throttle) WithGroup(name string) slog.Handler {
	return &throttle{t.Handler.WithGroup(name), t.seen}
}
