package source

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"flow2ipfix/internal/pulse"
)

// FollowerConfig is what a Follower works with. Name, Backend and State must be
// given.
type FollowerConfig struct {
	// Name is the source's in State.
	Name    string
	Backend Backend
	State   State
	// Start leaves out records that are not later, at the first run; zero leaves
	// out none. From then on State knows.
	Start time.Time
	// PollInterval is how often each flow log is asked for news, ±10 %; 0 is 30 s.
	PollInterval time.Duration
	// Grace is how long an hour is watched after its end, or after it was last
	// seen to change; 0 is 15 min.
	Grace time.Duration
	// Include and Exclude are globs over a flow log's path and over the MAC, in
	// which upper and lower case are the same, '*' stands for anything, '/'
	// included, and '?' for one character. A blob is read if its path or its MAC
	// is like one of Include, or that is empty, and neither is like one of
	// Exclude.
	Include, Exclude []string
	// Readers is how many blobs are read at once; 0 is 4.
	Readers int
	// MaxLists is how many requests for lists are made at once; 0 is 8.
	MaxLists int
	// OnEvent is told what an operator should know, by several goroutines at
	// once. May be nil.
	OnEvent func(Event)
	// Pulse watches discovery, each flow log and each blob that is read; may be nil.
	Pulse *pulse.Board
}

const (
	discoveryInterval = 5 * time.Minute
	maxBackoff        = 5 * time.Minute
	firstRetry        = time.Second
	// listTimeout is how long a list may take, stallTimeout how long a blob may
	// say nothing, before it is given up for now.
	listTimeout  = 2 * time.Minute
	stallTimeout = time.Minute
)

var errStalled = fmt.Errorf("nothing came for %v", stallTimeout)

// Follower follows the blobs of a Backend, by the minute as they grow, hour after
// hour. Each flow log has a goroutine of its own, so that one that is slow or
// fails does not hold up the others. Hours that were over before they could be read
// are a backlog: it is read beside what is fresh, oldest first, with what is left of
// the readers.
type Follower struct {
	cfg     FollowerConfig
	filter  filter
	begin   time.Time
	read    func(context.Context, *Delta) (Cursor, error)
	readers *places
	lists   chan struct{}

	mu     sync.RWMutex
	flows  map[string]*followed
	counts counters
}

// NewFollower checks the configuration. It asks for nothing yet.
func NewFollower(cfg FollowerConfig) (*Follower, error) {
	if cfg.Name == "" || cfg.Backend == nil || cfg.State == nil {
		return nil, errors.New("follow: want a name, a backend and a state")
	}
	for _, d := range []struct {
		what  string
		value *time.Duration
		usual time.Duration
	}{{"poll interval", &cfg.PollInterval, 30 * time.Second}, {"hour grace", &cfg.Grace, 15 * time.Minute}} {
		if *d.value < 0 {
			return nil, fmt.Errorf("follow: %s: want a positive duration, got %v", d.what, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if cfg.Readers <= 0 {
		cfg.Readers = 4
	}
	if cfg.MaxLists <= 0 {
		cfg.MaxLists = 8
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	f := &Follower{
		cfg:     cfg,
		readers: &places{count: cfg.Readers, every: cfg.PollInterval},
		lists:   make(chan struct{}, cfg.MaxLists),
		flows:   map[string]*followed{},
	}
	var err error
	if f.filter, err = newFilter(cfg.Include, cfg.Exclude); err != nil {
		return nil, fmt.Errorf("follow: %w", err)
	}
	return f, nil
}

// Name returns the source's name in State.
func (f *Follower) Name() string { return f.cfg.Name }

// Run follows until ctx ends and returns why it did; it returns earlier only if
// State cannot say where to begin. It is to be called once.
//
// It calls read for each stretch of a blob that is new: for several blobs at
// once, never twice at once for one. Within a Strand of a flow log hours come in
// order, but for those that cannot be listed or lag behind. read
// opens the delta, reads to the end or as long as its Turn is, and returns how far
// it came, which may be less than all; also beside an error. It is called again for the rest. The
// Cursor's ETag is the Follower's to set here; one that goes into a checkpoint
// may have Delta.Info.ETag if the delta was read to its end.
//
// Each Offset that read returned must come back through Delivered, sooner or
// later, even if no record stood before it: an hour is not finished before.
func (f *Follower) Run(ctx context.Context, read func(context.Context, *Delta) (Cursor, error)) error {
	sign := f.cfg.Pulse.Add("source " + f.cfg.Name)
	defer sign.Done()
	begin, err := f.cfg.State.Begin(f.cfg.Name, f.cfg.Start)
	if err != nil {
		return fmt.Errorf("follow %s: %w", f.cfg.Name, err)
	}
	f.begin, f.read = begin, read
	var group errgroup.Group
	for failures := 0; ctx.Err() == nil; {
		wait := jitter(discoveryInterval, 10)
		sign.ShowFor(discoveryInterval) // within which it is given up
		if err := f.discover(ctx, &group); err == nil {
			failures = 0
			f.counts.answered.Store(time.Now().UnixNano())
			if f.Stats().FlowLogs == 0 {
				wait = jitter(f.cfg.PollInterval, 10) // the first one is waited for
			}
		} else if ctx.Err() == nil {
			failures++
			wait = backoff(min(f.cfg.PollInterval, 30*time.Second), failures)
			f.counts.listErrors.Add(1)
			f.failed(err)
			f.cfg.OnEvent(Event{Kind: DiscoveryFailed, Err: err, Retry: wait})
		}
		sign.ShowFor(wait)
		sleep(ctx, wait)
	}
	sign.ShowFor(pulse.Forever) // those it waits for have signs of their own
	_ = group.Wait()            // its goroutines have no errors
	return context.Cause(ctx)
}

// discover looks for flow logs and begins to follow those that are new.
func (f *Follower) discover(ctx context.Context, group *errgroup.Group) error {
	f.counts.discoveries.Add(1)
	asked, cancel := context.WithTimeout(ctx, discoveryInterval)
	found, err := f.cfg.Backend.FlowLogs(asked)
	cancel()
	there := map[string]bool{}
	for _, name := range found {
		there[name] = true
		f.mu.Lock()
		known := f.flows[name] != nil
		f.mu.Unlock()
		if known || !f.filter.flowLog(name) {
			continue
		}
		following, stop := context.WithCancel(ctx)
		w := newFollowed(f, name, stop)
		f.mu.Lock()
		f.flows[name] = w
		f.mu.Unlock()
		f.cfg.OnEvent(Event{Kind: FlowLogFound, FlowLog: name})
		group.Go(func() error {
			defer stop()
			w.run(following)
			return nil
		})
	}
	if err != nil { // then those that are missing may be there all the same
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, w := range f.flows {
		if !there[name] && w.idle() {
			w.stop()
			delete(f.flows, name)
			f.cfg.OnEvent(Event{Kind: FlowLogGone, FlowLog: name})
		}
	}
	return nil
}

// Delivered says that a blob has been delivered up to an offset, once State's
// keeper knows it as well. Offsets of one blob come in the order in which read
// returned them.
func (f *Follower) Delivered(blob string, offset int64) {
	flowLog := ""
	if i := strings.LastIndex(blob, "/y="); i >= 0 {
		flowLog = blob[:i]
	}
	f.mu.RLock()
	w := f.flows[flowLog]
	f.mu.RUnlock()
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if b := w.blobs[blob]; b != nil {
		b.delivered = max(b.delivered, offset)
		w.see(b)
	}
}

// acquire takes one of a number of places; it reports false if ctx ended first.
func acquire(ctx context.Context, places chan struct{}, sign *pulse.Sign) bool {
	return pulse.Put(sign, places, struct{}{}, ctx.Done())
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// jitter returns d, up to so many percent more or less.
func jitter(d time.Duration, percent int64) time.Duration {
	spread := int64(d) / 100 * percent
	return d - time.Duration(spread) + time.Duration(rand.Int64N(2*spread+1))
}

// backoff returns how long to wait after so many failures: base, doubled each
// time, up to 5 minutes.
func backoff(base time.Duration, failures int) time.Duration {
	d := base
	for range failures - 1 {
		if d *= 2; d >= maxBackoff {
			break
		}
	}
	return jitter(min(d, max(base, maxBackoff)), 10)
}
