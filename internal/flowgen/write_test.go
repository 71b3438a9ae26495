package flowgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readDir returns all files under dir by their relative path.
func readDir(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestWriteDir(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			cfg := Config{Kind: kind, NICs: 18, Minutes: 63, Tuples: 12, Seed: 9, Start: start.Add(30 * time.Minute)}
			g := newGenerator(t, cfg)
			dir := filepath.Join(t.TempDir(), "new")
			if err := g.WriteDir(t.Context(), dir); err != nil {
				t.Fatal(err)
			}
			files := readDir(t, dir)
			if want := cfg.NICs * 2; len(files) != want {
				t.Errorf("%d files, want %d", len(files), want)
			}

			again := newGenerator(t, cfg)
			var sum Totals
			for nic := range cfg.NICs {
				for minute := 0; minute < cfg.Minutes; {
					path := again.BlobPath(nic, minute)
					blob, ok := files[path]
					if !ok {
						t.Fatalf("no file %s", path)
					}
					for _, text := range readBlob(t, []byte(blob)) {
						if want := again.AppendRecord(nil, nic, minute); !bytes.Equal(text, want) {
							t.Fatalf("%s: record of minute %d: got\n%s\nwant\n%s", path, minute, text, want)
						}
						r := readRecord(t, kind, text)
						r.sum(&sum)
						minute++
					}
				}
			}
			if diff := cmp.Diff(sum, g.Totals()); diff != "" {
				t.Errorf("Totals (-read +got):\n%s", diff)
			}
		})
	}
}

func TestWriteErrors(t *testing.T) {
	cfg := Config{NICs: 1, Minutes: 5, Tuples: 5}
	f := func(write func(g *Generator) error, want string) {
		t.Helper()
		err := write(newGenerator(t, cfg))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f(func(g *Generator) error { return g.WriteDir(t.Context(), file) }, "write blob insights-logs-flowlogflowevent/")
	f(func(g *Generator) error { return g.Grow(t.Context(), file, math.Inf(1)) }, "write blob insights-logs-flowlogflowevent/")
	f(func(g *Generator) error { return g.Grow(t.Context(), t.TempDir(), 0) }, "speed: want more than 0 minutes of log time per minute (got 0)")
	f(func(g *Generator) error { return g.Grow(t.Context(), t.TempDir(), math.NaN()) }, "(got NaN)")
	f(func(g *Generator) error {
		g.AppendRecord(nil, 0, 0)
		return g.WriteDir(t.Context(), t.TempDir())
	}, "generator: want a new one (got one with 1 minutes of NIC 0 made)")
	f(func(g *Generator) error {
		g.AppendRecord(nil, 0, 0)
		return g.Grow(t.Context(), t.TempDir(), 1)
	}, "generator: want a new one (got one with 1 minutes of NIC 0 made)")
}

func TestWriteDirStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	err := newGenerator(t, Config{NICs: 1, Minutes: 5, Tuples: 5}).WriteDir(ctx, dir)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if diff := cmp.Diff(map[string]string{}, readDir(t, dir)); diff != "" {
		t.Errorf("files left: %s", diff)
	}
}

func TestGrowEndsLikeWriteDir(t *testing.T) {
	for _, kind := range kinds {
		cfg := Config{Kind: kind, NICs: 3, Minutes: 130, Tuples: 40, Seed: 4}
		whole, grown := t.TempDir(), t.TempDir()
		one, two := newGenerator(t, cfg), newGenerator(t, cfg)
		if err := one.WriteDir(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
		if err := two.Grow(t.Context(), grown, math.Inf(1)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(readDir(t, whole), readDir(t, grown)); diff != "" {
			t.Errorf("%v: %.2000s", kind, diff)
		}
		if diff := cmp.Diff(one.Totals(), two.Totals()); diff != "" {
			t.Errorf("%v: Totals: %s", kind, diff)
		}
	}
}

// watcher checks that a blob is always whole, and what was there stays.
type watcher map[string][]byte

func (w watcher) look(t *testing.T, dir, path string) {
	b, err := os.ReadFile(filepath.Join(dir, path))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	old := w[path]
	if bytes.Equal(old, b) {
		return
	}
	readBlob(t, b)
	if old != nil && !bytes.HasPrefix(b, append(old[:len(old)-len(Tail):len(old)-len(Tail)], ',')) {
		t.Errorf("%s: %d bytes do not continue the %d before", path, len(b), len(old))
	}
	w[path] = b
}

// TestGrowIsNeverTorn reads as fast as it can while Grow writes as fast as it can.
func TestGrowIsNeverTorn(t *testing.T) {
	cfg := Config{NICs: 2, Minutes: 90, Tuples: 300, Seed: 8}
	g := newGenerator(t, cfg)
	dir := t.TempDir()
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(done)
		if err := g.Grow(t.Context(), dir, math.Inf(1)); err != nil {
			t.Error(err)
		}
	})
	w := watcher{}
	for running := true; running; {
		select {
		case <-done:
			running = false // and look once more
		default:
		}
		for nic := range cfg.NICs {
			w.look(t, dir, g.BlobPath(nic, 0))
			w.look(t, dir, g.BlobPath(nic, cfg.Minutes-1))
		}
	}
	group.Wait()
	for path, blob := range w {
		want := 60
		if strings.Contains(path, "h=03") {
			want = 30
		}
		if n := len(readBlob(t, blob)); n != want {
			t.Errorf("%s: %d records, want %d", path, n, want)
		}
	}
	if len(w) != 2*cfg.NICs {
		t.Errorf("%d blobs, want %d", len(w), 2*cfg.NICs)
	}
}

// TestGrowKeepsTime looks right before and right after each record is due.
func TestGrowKeepsTime(t *testing.T) {
	const speed = 60.0
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Kind: NSG, NICs: 3, Minutes: 64, Tuples: 3, Seed: 8}
		g := newGenerator(t, cfg)
		dir := t.TempDir()
		begin := time.Now()
		var err error
		done := false
		go func() {
			err = g.Grow(t.Context(), dir, speed)
			done = true
		}()
		w := watcher{}
		order := []int{0, 1, 2}
		for minute := range cfg.Minutes {
			slices.SortFunc(order, func(a, b int) int { return g.RecordTime(a, minute).Compare(g.RecordTime(b, minute)) })
			for _, nic := range order {
				due := begin.Add(time.Duration(float64(g.RecordTime(nic, minute).Sub(start)) / speed))
				path := g.BlobPath(nic, minute)
				records := minute % 60
				for _, step := range []time.Duration{-time.Nanosecond, 0} {
					time.Sleep(time.Until(due.Add(step)))
					synctest.Wait()
					w.look(t, dir, path)
					got := 0
					if w[path] != nil {
						got = len(readBlob(t, w[path]))
					}
					if want := records + int(step) + 1; got != want {
						t.Fatalf("minute %d, %v from due: %d records, want %d", minute, step, got, want)
					}
				}
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !done || err != nil {
			t.Errorf("after the last minute: done %v, error %v", done, err)
		}
	})
}

func TestGrowStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{NICs: 2, Minutes: 600, Tuples: 10, Seed: 8}
		g := newGenerator(t, cfg)
		dir := t.TempDir()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		defer cancel()
		begin := time.Now()
		if err := g.Grow(ctx, dir, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
		}
		if took := time.Since(begin); took != 30*time.Minute {
			t.Errorf("stopped after %v, want 30 minutes", took)
		}
		files := readDir(t, dir)
		for path, blob := range files {
			if n := len(readBlob(t, []byte(blob))); n != 30 {
				t.Errorf("%s: %d records, want 30", path, n)
			}
		}
		if len(files) != 2 {
			t.Errorf("%d files, want 2", len(files))
		}
		if got, want := fmt.Sprint(g.Totals().Records), "60"; got != want {
			t.Errorf("%s records in Totals, want %s", got, want)
		}
	})
}

// BenchmarkWriteDir writes an hour of a million tuples.
func BenchmarkWriteDir(b *testing.B) {
	b.ReportAllocs()
	dir := b.TempDir()
	for b.Loop() {
		g := newGenerator(b, Config{NICs: 1, Minutes: 60, Tuples: 16667, Seed: 1})
		if err := g.WriteDir(b.Context(), dir); err != nil {
			b.Fatal(err)
		}
	}
	size := 0
	for _, blob := range readDir(b, dir) {
		size += len(blob)
	}
	b.SetBytes(int64(size))
}
