package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"flow2ipfix/config"
)

// newLogger writes to w what the configuration asks for. Warnings that repeat
// themselves are held back: see throttle.
func newLogger(w io.Writer, cfg config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Level)) // the configuration was checked
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.LevelKey {
			a.Value = slog.StringValue(strings.ToLower(a.Value.String()))
		}
		return a
	}}
	var h slog.Handler = slog.NewTextHandler(w, opts)
	if cfg.Format == "json" {
		h = slog.NewJSONHandler(w, opts)
	}
	return slog.New(&throttle{Handler: h, seen: &seen{last: map[string]*repeated{}}})
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
