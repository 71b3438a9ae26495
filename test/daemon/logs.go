package daemon

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// Line is a record of a flow log: what an interface's traffic was in a minute.
type Line struct {
	Blob string // container and name of the blob that it belongs to
	Time time.Time
	Text []byte
}

// Spec says what flow logs to make.
type Spec struct {
	Kind    string // vnet or nsg
	NICs    int
	Start   time.Time
	Minutes int
	Tuples  int // of a record, on average
	Seed    int
}

// MakeLogs lets the program make flow logs and takes them apart. dir is empty.
// The lines are in the order of their times.
func MakeLogs(dir string, specs ...Spec) ([]Line, error) {
	var lines []Line
	for i, s := range specs {
		out := filepath.Join(dir, strconv.Itoa(i))
		r := peers.Run("generate", "--out", out, "--kind", s.Kind, "--nics", strconv.Itoa(s.NICs), "--minutes", strconv.Itoa(s.Minutes),
			"--tuples", strconv.Itoa(s.Tuples), "--seed", strconv.Itoa(s.Seed), "--start", s.Start.Format(time.RFC3339))
		if r.Code != 0 {
			return nil, fmt.Errorf("generate ended with %d: %s", r.Code, r.Stderr)
		}
		err := filepath.WalkDir(out, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			name, err := filepath.Rel(out, path)
			if err != nil {
				return err
			}
			some, err := readLines(path, filepath.ToSlash(name))
			lines = append(lines, some...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(lines, func(a, b Line) int { return a.Time.Compare(b.Time) })
	return lines, nil
}

// readLines takes a blob in a file apart.
func readLines(path, name string) ([]Line, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b, []byte(head)) || !bytes.HasSuffix(b, []byte(tail)) {
		return nil, fmt.Errorf("%s does not begin or end as a flow log does", path)
	}
	var blob struct {
		Records []json.RawMessage `json:"records"`
	}
	if err := json.Unmarshal(b, &blob); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var lines []Line
	for _, text := range blob.Records {
		var r struct {
			Time time.Time `json:"time"`
		}
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		lines = append(lines, Line{Blob: name, Time: r.Time, Text: text})
	}
	return lines, nil
}

// minutes cuts lines, which are in order, into those of each minute of log time.
func minutes(lines []Line) [][]Line {
	var all [][]Line
	for i, l := range lines {
		if i == 0 || !l.Time.Truncate(time.Minute).Equal(lines[i-1].Time.Truncate(time.Minute)) {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], l)
	}
	return all
}

// inHour returns the lines whose blob is one of an hour.
func inHour(lines []Line, hour time.Time) []Line {
	part := hour.UTC().Format("/y=2006/m=01/d=02/h=15/")
	return slices.DeleteFunc(slices.Clone(lines), func(l Line) bool { return !strings.Contains(l.Blob, part) })
}

// byBlob returns the lines of each blob, and the blobs' names in the order in
// which a reader should read them: by hour, then by name.
func byBlob(lines []Line) (names []string, blobs map[string][]Line) {
	blobs = map[string][]Line{}
	for _, l := range lines {
		blobs[l.Blob] = append(blobs[l.Blob], l)
	}
	for name := range blobs {
		names = append(names, name)
	}
	return expect.ReadingOrder(names), blobs
}

// writers is how many blobs are written at once.
const writers = 8

// Write appends lines to their blobs, those of a minute of log time before those
// of the next, each in a block of its own.
func (s *Store) Write(ctx context.Context, lines []Line) error {
	for _, minute := range minutes(lines) {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(writers)
		_, blobs := byBlob(minute)
		for name, some := range blobs {
			g.Go(func() error {
				for _, l := range some {
					if err := s.Append(ctx, name, l.Text); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// WriteWhole writes the blobs of lines whole, as they are after their hour: a
// block a record, but committed once.
func (s *Store) WriteWhole(ctx context.Context, lines []Line) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	names, blobs := byBlob(lines)
	for _, name := range names {
		g.Go(func() error { return s.Rewrite(ctx, name, texts(blobs[name])...) })
	}
	return g.Wait()
}

func texts(lines []Line) [][]byte {
	all := make([][]byte, len(lines))
	for i, l := range lines {
		all[i] = l.Text
	}
	return all
}

// number gives the interface that a blob is of an index.
func number(interfaces map[string]uint32, blob string) error {
	_, rest, _ := strings.Cut(blob, "/macAddress=")
	mac, _, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(mac[len("000D3A"):], 16, 32)
	if err != nil {
		return fmt.Errorf("%s: %w", blob, err)
	}
	interfaces[mac] = uint32(n) + 1
	return nil
}

// Expected returns what a collector should get of lines, as the oracle sees them
// in a reader's order.
func Expected(lines []Line) ([]expect.Flow, error) {
	var flows []expect.Flow
	oracle := &expect.Oracle{Interfaces: map[string]uint32{}}
	names, blobs := byBlob(lines)
	for _, name := range names { // the same ones, whatever else there is
		if err := number(oracle.Interfaces, name); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		some := slices.SortedStableFunc(slices.Values(blobs[name]), func(a, b Line) int { return cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
		text := head + string(bytes.Join(texts(some), []byte(","))) + tail
		if err := oracle.Read(strings.NewReader(text), func(f expect.Flow) { flows = append(flows, f) }); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return flows, nil
}
