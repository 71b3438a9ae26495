package sourcetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"flow2ipfix/source"
)

// Memory is a Backend, and its Writer, in memory. It counts how it is asked and
// fails when it is told to. Its zero value is empty.
type Memory struct {
	mu     sync.Mutex
	before func(ctx context.Context, method, of string) error
	body   func(name string, offset int64, r io.Reader) io.Reader
	blobs  map[string]map[string]stored // by hour's folder and name
	writes int
	calls  map[string]int
}

type stored struct {
	content, etag string
	modified      time.Time
}

// Before sets what is called before each request, with the name of the method
// and what is asked for; an error is the answer. It may wait. Nil: no request
// fails.
func (m *Memory) Before(do func(ctx context.Context, method, of string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = do
}

// Body sets what stands between a blob and its reader. Nil: nothing does.
func (m *Memory) Body(do func(name string, offset int64, r io.Reader) io.Reader) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.body = do
}

// Calls returns how often each method was called since the last time.
func (m *Memory) Calls() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = nil
	return calls
}

func (m *Memory) ask(ctx context.Context, method, of string) error {
	m.mu.Lock()
	if m.calls == nil {
		m.calls = map[string]int{}
	}
	m.calls[method]++
	before := m.before
	m.mu.Unlock()
	if before != nil {
		if err := before(ctx, method, of); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// folder returns what stands before the minute in a blob's name, and before the
// last part in another.
func folder(name string) string {
	if path, ok := source.ParsePath(name); ok {
		return hourFolder(path.Target, path.Hour)
	}
	return name[:max(0, strings.LastIndexByte(name, '/'))]
}

func hourFolder(flowLog string, hour time.Time) string {
	return flowLog + hour.UTC().Format("/y=2006/m=01/d=02/h=15")
}

// paths returns what the folders of the hours say.
func (m *Memory) paths() []source.Path {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []source.Path
	for folder, blobs := range m.blobs {
		if path, ok := source.ParsePath(folder + "/m=00/PT1H.json"); ok && len(blobs) > 0 {
			found = append(found, path)
		}
	}
	return found
}

// FlowLogs implements source.Backend.
func (m *Memory) FlowLogs(ctx context.Context) ([]string, error) {
	if err := m.ask(ctx, "FlowLogs", ""); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, path := range m.paths() {
		found[path.Target] = true
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// Hours implements source.Backend.
func (m *Memory) Hours(ctx context.Context, flowLog string, from time.Time) ([]time.Time, error) {
	if err := m.ask(ctx, "Hours", flowLog); err != nil {
		return nil, err
	}
	var hours []time.Time
	for _, path := range m.paths() {
		if path.Target == flowLog && !path.Hour.Before(from) {
			hours = append(hours, path.Hour)
		}
	}
	slices.SortFunc(hours, time.Time.Compare)
	return slices.Compact(hours), nil
}

// List implements source.Backend.
func (m *Memory) List(ctx context.Context, flowLog string, hour time.Time) ([]source.Info, error) {
	if err := m.ask(ctx, "List", flowLog+hour.UTC().Format(" 2006-01-02T15")); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var infos []source.Info
	for name, b := range m.blobs[hourFolder(flowLog, hour)] {
		if strings.HasSuffix(name, "/PT1H.json") {
			infos = append(infos, b.info(name))
		}
	}
	slices.SortFunc(infos, func(a, b source.Info) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

func (b stored) info(name string) source.Info {
	return source.Info{Name: name, Size: int64(len(b.content)), ETag: b.etag, Modified: b.modified}
}

// Open implements source.Backend.
func (m *Memory) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, source.Info, error) {
	if err := m.ask(ctx, "Open", name); err != nil {
		return nil, source.Info{}, err
	}
	m.mu.Lock()
	b, ok := m.blobs[folder(name)][name]
	body := m.body
	m.mu.Unlock()
	switch {
	case !ok:
		return nil, source.Info{}, fmt.Errorf("open %s: %w", name, source.ErrNotFound)
	case offset >= int64(len(b.content)):
		return nil, source.Info{}, fmt.Errorf("open %s: %w", name, source.ErrNothing)
	}
	var r io.Reader = bytes.NewReader([]byte(b.content[offset:]))
	if body != nil {
		r = body(name, offset, r)
	}
	return io.NopCloser(r), b.info(name), nil
}

// Containers implements Writer.
func (m *Memory) Containers() [2]string {
	return [2]string{"insights-logs-flowlogflowevent", "insights-logs-networksecuritygroupflowevent"}
}

// Put implements Writer.
func (m *Memory) Put(_ context.Context, name string, blocks ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.write(name, strings.Join(blocks, ""))
	return nil
}

func (m *Memory) write(name, content string) {
	in := folder(name)
	if m.blobs == nil {
		m.blobs = map[string]map[string]stored{}
	}
	if m.blobs[in] == nil {
		m.blobs[in] = map[string]stored{}
	}
	m.writes++
	m.blobs[in][name] = stored{content, "0x" + strconv.Itoa(m.writes), time.Now().UTC().Round(0)}
}

// SetModified makes a blob one that was last written to at another time.
func (m *Memory) SetModified(name string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.blobs[folder(name)][name]
	b.modified = at
	m.blobs[folder(name)][name] = b
}

// Append implements Writer.
func (m *Memory) Append(_ context.Context, name, block string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.blobs[folder(name)][name]
	if !ok {
		return source.ErrNotFound
	}
	m.write(name, b.content[:len(b.content)-len(Foot)]+block+Foot)
	return nil
}

// Delete implements Writer.
func (m *Memory) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.blobs[folder(name)], name)
	return nil
}
