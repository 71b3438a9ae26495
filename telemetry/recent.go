package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
)

const (
	// keptRejects and keptWarnings bound what is remembered.
	keptRejects  = 20
	keptWarnings = 50
	// maxWarningBytes bounds the text of a warning.
	maxWarningBytes = 1024
)

// Recent remembers the last rejects and warnings. The zero value remembers none.
// All methods may be called from any goroutine.
type Recent struct {
	mu       sync.Mutex
	rejects  [keptRejects]RejectExample
	rejected int // in all
	warnings []remembered
}

type remembered struct {
	Warning
	key string
}

// Reject remembers a reject, instead of the oldest one.
func (r *Recent) Reject(e RejectExample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejects[r.rejected%keptRejects] = e
	r.rejected++
}

// Rejects returns the last rejects, the latest first.
func (r *Recent) Rejects() []RejectExample {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []RejectExample
	for i := r.rejected - 1; i >= 0 && i >= r.rejected-keptRejects; i-- {
		all = append(all, r.rejects[i%keptRejects])
	}
	return all
}

// Warnings returns the last warnings, the latest first.
func (r *Recent) Warnings() []Warning {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Warning, len(r.warnings))
	for i := range r.warnings {
		all[i] = r.warnings[len(all)-1-i].Warning
	}
	return all
}

// warn remembers a warning. One like it goes, and is counted.
func (r *Recent) warn(w remembered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w.Count = 1
	if i := slices.IndexFunc(r.warnings, func(o remembered) bool { return o.key == w.key }); i >= 0 {
		w.Count += r.warnings[i].Count
		r.warnings = slices.Delete(r.warnings, i, i+1)
	} else if len(r.warnings) == keptWarnings {
		r.warnings = slices.Delete(r.warnings, 0, 1)
	}
	r.warnings = append(r.warnings, w)
}

// Handler returns one that remembers warnings and errors before it hands them on,
// whatever level is written.
func (r *Recent) Handler(next slog.Handler) slog.Handler { return &watcher{next: next, recent: r} }

type watcher struct {
	next   slog.Handler
	recent *Recent
	attrs  []slog.Attr
	group  string // with a dot behind it
}

// Enabled implements slog.Handler.
func (w *watcher) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || w.next.Enabled(ctx, level)
}

// Handle implements slog.Handler. Warnings are alike that have the same message and
// are about the same source, flow log or collector.
func (w *watcher) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		var text strings.Builder
		text.WriteString(r.Message)
		key := r.Level.String() + "\x00" + r.Message
		add := func(group string, a slog.Attr) {
			value := a.Value.Resolve().String()
			switch a.Key {
			case "source", "flow_log", "collector":
				key += "\x00" + value
			}
			text.WriteString("; " + group + a.Key + ": " + value)
		}
		for _, a := range w.attrs {
			add("", a)
		}
		r.Attrs(func(a slog.Attr) bool {
			add(w.group, a)
			return true
		})
		short := text.String()
		if len(short) > maxWarningBytes {
			short = strings.ToValidUTF8(short[:maxWarningBytes], "") + "…"
		}
		w.recent.warn(remembered{Warning{Time: r.Time, Level: strings.ToLower(r.Level.String()), Text: short}, key})
	}
	if !w.next.Enabled(ctx, r.Level) {
		return nil
	}
	return w.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (w *watcher) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *w
	c.next = w.next.WithAttrs(attrs)
	for _, a := range attrs {
		c.attrs = append(slices.Clip(c.attrs), slog.Attr{Key: w.group + a.Key, Value: a.Value})
	}
	return &c
}

// WithGroup implements slog.Handler.
func (w *watcher) WithGroup(name string) slog.Handler {
	c := *w
	c.next = w.next.WithGroup(name)
	if name != "" {
		c.group += name + "."
	}
	return &c
}
