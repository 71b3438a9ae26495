package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	vnet = "insights-logs-flowlogflowevent/flowLogResourceID=/SUB_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_HUB-FLOWLOG"
	nsg  = "insights-logs-networksecuritygroupflowevent/resourceId=/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/WEB"
	macA = "000D3A123456"
	macB = "00224871C205"

	head, foot = sourcetest.Head, sourcetest.Foot
)

// memory is a State, and what a checkpoint is told.
type memory struct {
	mu      sync.Mutex
	begin   time.Time
	begun   bool
	low     map[string]time.Time
	cursors map[string]source.Cursor
	forgot  []string
	err     error // of each method
}

func newMemory() *memory {
	return &memory{low: map[string]time.Time{}, cursors: map[string]source.Cursor{}}
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = err
}

func (m *memory) Begin(_ string, at time.Time) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.begun {
		m.begin, m.begun = at, true
	}
	return m.begin, m.err
}

func (m *memory) LowWater(_, flowLog string) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.low[flowLog], m.err
}

func (m *memory) Cursors(_, flowLog string) (map[string]source.Cursor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[string]source.Cursor{}
	for name, cursor := range m.cursors {
		if strings.HasPrefix(name, flowLog+"/y=") {
			found[name] = cursor
		}
	}
	return found, m.err
}

func (m *memory) Finish(_, flowLog string, hour time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.low[flowLog] = hour
	maps.DeleteFunc(m.cursors, func(name string, _ source.Cursor) bool {
		path, _ := source.ParsePath(name)
		return path.Target == flowLog && path.Hour.Before(hour)
	})
	return nil
}

func (m *memory) Forget(_, blob string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.cursors, blob)
	m.forgot = append(m.forgot, blob)
	return m.err
}

func (m *memory) lowWater(flowLog string) time.Time {
	at, _ := m.LowWater("", flowLog)
	return at
}

// rig is a Follower between a Backend in memory and a reader that understands
// records like those of rec.
type rig struct {
	t       *testing.T
	backend *sourcetest.Memory
	state   *memory
	cfg     source.FollowerConfig
	follow  *source.Follower
	stop    context.CancelFunc
	ended   chan error

	// reader is who reads; nil: the rig.
	reader func(context.Context, *source.Delta) (source.Cursor, error)
	// Read stands before each read; nil: nothing does.
	Read func(ctx context.Context, d *source.Delta) error

	mu        sync.Mutex
	limit     int64 // how many bytes a read takes; 0 is all
	hold      bool  // nothing is delivered
	held      []func()
	got       []string // ids of records, in order
	left      []string // and the reason, of those that Since leaves out
	torn      []string // blobs that ended in a record
	blobs     []string // that were read, by hour and MAC
	events    []string
	reading   map[string]bool
	most, now int
}

// newRig begins at 2026-11-21 02:16, when the hour before is over; it does not run
// yet.
func newRig(t *testing.T) *rig {
	t.Helper()
	time.Sleep(time.Until(at(2, 16, 0))) // the bubble's clock begins in 2000
	r := &rig{t: t, backend: new(sourcetest.Memory), state: newMemory(), reading: map[string]bool{}}
	r.cfg = source.FollowerConfig{Name: "test", Backend: r.backend, State: r.state}
	return r
}

func at(h, m, s int) time.Time { return time.Date(2026, 11, 21, h, m, s, 0, time.UTC) }

// rec is a record of an id, logged at a time.
func rec(id string, at time.Time) string {
	return fmt.Sprintf(`{"time":"%s","id":"%s","fill":"%s"}`, at.UTC().Format(time.RFC3339), id, strings.Repeat("x", 40))
}

func (r *rig) start() {
	r.t.Helper()
	r.cfg.OnEvent = func(e source.Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		text := e.Kind.String()
		if e.Blob != "" {
			path, _ := source.ParsePath(e.Blob)
			text += " " + path.Hour.Format("15/") + path.MAC
		}
		if e.Err != nil {
			text += ": " + e.Err.Error()
		}
		r.events = append(r.events, text)
	}
	follow, err := source.NewFollower(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(r.t.Context())
	r.follow, r.stop, r.ended = follow, stop, make(chan error, 1)
	ended, read := r.ended, r.reader
	if read == nil {
		read = r.read
	}
	go func() { ended <- follow.Run(ctx, read) }()
	synctest.Wait()
}

// end ends the run. What is held is lost.
func (r *rig) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.ended; !errors.Is(err, context.Canceled) {
		r.t.Errorf("Run ended: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = nil
}

// pass lets time go by, until all is done that is to be done then.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) until(at time.Time) {
	r.t.Helper()
	r.pass(time.Until(at))
}

func (r *rig) put(name string, blocks ...string) {
	r.t.Helper()
	if err := r.backend.Put(context.Background(), name, blocks...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) append(name, block string) {
	r.t.Helper()
	if err := r.backend.Append(context.Background(), name, block); err != nil {
		r.t.Fatal(err)
	}
}

// log grows a blob by a record logged now.
func (r *rig) log(name, id string) {
	r.t.Helper()
	r.grow(name, rec(id, time.Now()))
}

// grow grows a blob by records.
func (r *rig) grow(name, records string) {
	r.t.Helper()
	if r.backend.Append(context.Background(), name, ","+records) != nil {
		r.put(name, head, records, foot)
	}
}

func (r *rig) read(ctx context.Context, d *source.Delta) (source.Cursor, error) {
	r.mu.Lock()
	r.blobs = append(r.blobs, d.Path.Hour.Format("15/")+d.Path.MAC)
	if r.reading[d.Blob] {
		r.t.Errorf("%s is read twice at once", d.Blob)
	}
	r.reading[d.Blob] = true
	r.now++
	r.most = max(r.most, r.now)
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.reading, d.Blob)
		r.now--
		r.mu.Unlock()
	}()
	if r.Read != nil {
		if err := r.Read(ctx, d); err != nil {
			return source.Cursor{}, err
		}
	}
	body, err := d.Open(ctx)
	if err != nil {
		return source.Cursor{}, err
	}
	defer body.Close()
	r.mu.Lock()
	limit := r.limit
	r.mu.Unlock()
	var in io.Reader = body
	if limit > 0 {
		in = io.LimitReader(body, limit)
	}
	b, err := io.ReadAll(in)
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.Growing && strings.HasSuffix(string(b), foot) {
		r.t.Errorf("%s grows, but its foot is not held back", d.Blob)
	}
	cursor, moved := r.decode(d, string(b), err == nil && limit == 0)
	if err == nil && limit == 0 {
		cursor.ETag = d.Info.ETag
	}
	if moved {
		follow := r.follow
		deliver := func() {
			r.state.mu.Lock()
			r.state.cursors[d.Blob] = cursor
			r.state.mu.Unlock()
			follow.Delivered(d.Blob, cursor.Offset)
		}
		if r.hold {
			r.held = append(r.held, deliver)
		} else {
			deliver()
		}
	}
	cursor.ETag = "not the reader's to say"
	return cursor, err
}

// decode takes records from a stretch, as flowlog would.
func (r *rig) decode(d *source.Delta, text string, whole bool) (cursor source.Cursor, moved bool) {
	before := string(d.Tail) + text
	pos := 0
	if d.Offset == 0 && strings.HasPrefix(text, head) {
		pos = len(head)
		cursor.Offset = int64(pos)
	}
	for cursor.Offset = max(cursor.Offset, d.Offset); pos < len(text); {
		if strings.IndexByte(",]}\n", text[pos]) >= 0 {
			pos++
			continue
		}
		end := strings.IndexByte(text[pos:], '}')
		if end < 0 || strings.Contains(text[pos:pos+end], "]") {
			if whole && !d.Growing {
				r.torn = append(r.torn, d.Blob)
				cursor.Offset = d.Offset + int64(len(text))
			}
			break
		}
		fields := strings.Split(text[pos:pos+end], `"`)
		if len(fields) < 8 {
			r.t.Errorf("%s at %d is no record: %q", d.Blob, d.Offset+int64(pos), text[pos:])
			break
		}
		logged, err := time.Parse(time.RFC3339, fields[3])
		if err != nil {
			r.t.Error(err)
		}
		if logged.After(d.Since) {
			r.got = append(r.got, fields[7])
		} else {
			r.left = append(r.left, fields[7]+": "+d.Left.String())
		}
		cursor.Last = logged
		pos += end + 1
		cursor.Offset = d.Offset + int64(pos)
	}
	if moved = cursor.Offset > d.Offset; moved {
		stop := int(cursor.Offset-d.Offset) + len(d.Tail)
		cursor.Tail = []byte(before[max(0, stop-source.TailBytes):stop])
	}
	return cursor, moved
}

// deliver delivers what is held, and from now on at once.
func (r *rig) deliver() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, deliver := range r.held {
		deliver()
	}
	r.held, r.hold = nil, false
}

// take returns what was gathered in one of the rig's lists, and empties it.
func take(r *rig, list *[]string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := *list
	*list = nil
	return got
}

func (r *rig) want(what string, list *[]string, want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, take(r, list), cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("%s %s (-want +got):\n%s", time.Now().UTC().Format("15:04:05"), what, diff)
	}
}

// wantSet is want where the order may be any.
func (r *rig) wantSet(what string, list *[]string, want ...string) {
	r.t.Helper()
	r.mu.Lock()
	slices.Sort(*list)
	r.mu.Unlock()
	slices.Sort(want)
	r.want(what, list, want...)
}

// holding says whether what is read from now on is held, and not delivered.
func (r *rig) holding(hold bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold = hold
}

func (r *rig) wantLow(flowLog string, want time.Time) {
	r.t.Helper()
	if got := r.state.lowWater(flowLog); !got.Equal(want) {
		r.t.Errorf("%s: the low-water mark is %v, want %v", time.Now().UTC().Format("15:04:05"), got, want)
	}
}

func (r *rig) wantCalls(want map[string]int) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.backend.Calls(), cmpopts.EquateEmpty()); diff != "" {
		r.t.Errorf("%s requests (-want +got):\n%s", time.Now().UTC().Format("15:04:05"), diff)
	}
}
