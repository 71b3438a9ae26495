package telemetry

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRejects(t *testing.T) {
	var r Recent
	if got := r.Rejects(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	for i := range 3 * keptRejects / 2 {
		r.Reject(RejectExample{Offset: int64(i)})
	}
	got := r.Rejects()
	if len(got) != keptRejects || got[0].Offset != 29 || got[keptRejects-1].Offset != 10 {
		t.Errorf("%d, from %d to %d", len(got), got[0].Offset, got[len(got)-1].Offset)
	}
}

func texts(r *Recent) []string {
	var all []string
	for _, w := range r.Warnings() {
		all = append(all, fmt.Sprintf("%s %d %s", w.Level, w.Count, w.Text))
	}
	return all
}

// TestWarnings: those of the last time, alike ones as one, whatever level is
// written; and what is written is as it would be without.
func TestWarnings(t *testing.T) {
	var r Recent
	var out, plain bytes.Buffer
	opts := &slog.HandlerOptions{Level: slog.LevelError, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	watched, direct := slog.New(r.Handler(slog.NewTextHandler(&out, opts))), slog.New(slog.NewTextHandler(&plain, opts))
	for _, log := range []*slog.Logger{watched, direct} {
		log.Info("nothing")
		log.Warn("away", "collector", "one", "retry_in", time.Second)
		log.Warn("away", "collector", "two")
		log.Error("failed", "reason", "x", "hint", "do y")
		log.With("source", "s").WithGroup("g").Error("bad", "n", 1)
		log.Warn("away", "collector", "one", "retry_in", 2*time.Second)
	}
	want := []string{
		"warn 2 away; collector: one; retry_in: 2s", "error 1 bad; source: s; g.n: 1",
		"error 1 failed; reason: x; hint: do y", "warn 1 away; collector: two",
	}
	if got := texts(&r); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got %q, want %q", got, want)
	}
	if out.String() != plain.String() || !strings.Contains(out.String(), "g.n=1") || strings.Contains(out.String(), "away") {
		t.Errorf("written %q, want %q", out.String(), plain.String())
	}
	for i := range 2 * keptWarnings {
		watched.Warn("many", "source", fmt.Sprint(i), "text", strings.Repeat("ä", maxWarningBytes))
	}
	all := r.Warnings()
	if len(all) != keptWarnings || !strings.Contains(all[0].Text, "source: 99") || len(all[0].Text) > maxWarningBytes+3 {
		t.Errorf("%d, the last is %q", len(all), all[0].Text)
	}
}

func TestRecentAtOnce(t *testing.T) {
	var r Recent
	log := slog.New(r.Handler(slog.DiscardHandler))
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			for range 200 {
				log.Warn("alike", "n", i)
				r.Reject(RejectExample{})
				r.Rejects()
				r.Warnings()
			}
		})
	}
	wait.Wait()
	if got := r.Warnings(); len(got) != 1 || got[0].Count != 1600 {
		t.Errorf("%v", got)
	}
}
