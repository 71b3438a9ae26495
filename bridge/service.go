package bridge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
	"flow2ipfix/internal/pulse"
	"flow2ipfix/source"
	"flow2ipfix/templates"
)

// ServiceConfig is what a Service works with.
type ServiceConfig struct {
	Sources    []Follower
	Lanes      []ServiceLane
	Store      Store
	Interfaces convert.Interfaces
	Domains    convert.Domains
	Names      convert.Names
	// Inventory gets the names of what appears; may be nil.
	Inventory *templates.Inventory
	// MaxRecordBytes is the largest record that is decoded; 0 is 32 MiB.
	MaxRecordBytes int
	// Readers is how many blobs are decoded at once, of all sources together; 4.
	Readers int
	// OnReject is called for each rejected piece of a blob; may be nil. Several
	// goroutines call it.
	OnReject func(source, blob string, r flowlog.Reject)
	// OnError is called for what goes wrong and is tried again: a blob that cannot
	// be decoded to its end, cursors or indexes that cannot be kept. May be nil.
	OnError func(error)
	// Pulse watches the dispatcher, the committer and the blobs that are read; may
	// be nil.
	Pulse *pulse.Board
}

// ServiceLane is a collector of a Service, and what it is told.
type ServiceLane struct {
	Name   string
	Policy convert.Policy
	// BestEffort lanes are waited for only as long as they take something: what
	// they miss is counted. What the others have delivered is done.
	BestEffort bool
	// NotSent counts what they miss; may be nil.
	NotSent *NotSent
	// Stream takes the lane's records; it is closed by Run.
	Stream Stream
	// Pulse is the lane's sign, which its stream shows as well; may be nil.
	Pulse *pulse.Sign
}

// Stream is what a Service needs of an exporter.Stream.
type Stream interface {
	sink
	Mark(id uint64)
	Flush(context.Context) error
	Delivered(context.Context) (uint64, error)
	Drain(context.Context) (uint64, error)
	Close() error
}

// Follower is what a Service needs of a source.Follower.
type Follower interface {
	Name() string
	Run(ctx context.Context, read func(context.Context, *source.Delta) (source.Cursor, error)) error
	Delivered(blob string, offset int64)
}

// Service follows sources and delivers what is new to collectors, at least once:
// how far a blob has been delivered is kept in a Store, only after every lane
// that is not best-effort has delivered it.
type Service struct {
	cfg     ServiceConfig
	free    chan *batch
	decoded chan *batch
	reading chan *flowlog.Decoder // not in use
	lanes   []*serviceLane
	numbers numbering
	commits committer

	numbersFail trouble

	mu    sync.Mutex
	stats ServiceStats
}

// ServiceStats is what a Service has done so far.
type ServiceStats struct {
	BytesRead uint64
	Read      flowlog.Stats
	ByState   [StateCount]uint64       // decoded tuples, but for those that were left out
	Left      [source.LeftCount]uint64 // tuples of records that were left out
	Commits   uint64
	// CommitErrors is how often cursors could not be kept.
	CommitErrors uint64
	// StateFailing is since when something cannot be kept, StateError why: cursors,
	// or the indexes of new interfaces. Zero and nil while all can be.
	StateFailing time.Time
	StateError   error
	// Stopped says that no flow leaves for that reason any more: it is that of a new
	// interface, or there is too much to be kept.
	Stopped bool
	// Decoders is how many blobs can be decoded at once, Decoding how many are.
	Decoders, Decoding int
	Lanes              []ServiceLaneStats
}

// ServiceLaneStats counts tuples. When nothing is under way, Exported, Skipped and
// NotSent add up to what was decoded and not left out.
type ServiceLaneStats struct {
	Name     string
	Exported uint64
	Skipped  [convert.SkipCount]uint64
	NotSent  uint64 // of best-effort lanes
}

// ErrNotInTime says that a Service was to end before all that it had read was
// delivered. Nothing is lost: the next one reads it again.
var ErrNotInTime = errors.New("not all was delivered in time, it will be sent again")

// serviceBatches is how many batches there are beside one a reader, and those
// that lanes may hold that are best-effort.
const serviceBatches = 3

// NewService connects to nobody yet.
func NewService(cfg ServiceConfig) (*Service, error) {
	required := func(l ServiceLane) bool { return !l.BestEffort }
	if len(cfg.Sources) == 0 || !slices.ContainsFunc(cfg.Lanes, required) {
		return nil, errors.New("service: want at least one source, and one collector that is not best-effort")
	}
	if cfg.Readers <= 0 {
		cfg.Readers = 4
	}
	if cfg.OnError == nil {
		cfg.OnError = func(error) {}
	}
	count := cfg.Readers + serviceBatches
	for i := range cfg.Lanes {
		if cfg.Lanes[i].BestEffort {
			count += bestEffortBatches + 1
		}
	}
	s := &Service{
		cfg:     cfg,
		free:    make(chan *batch, count),
		decoded: make(chan *batch, count),
		reading: make(chan *flowlog.Decoder, cfg.Readers),
		numbers: newNumbering(cfg.Interfaces, cfg.Domains, cfg.Names, cfg.Inventory),
	}
	for range count {
		s.free <- &batch{home: s.free}
	}
	for range cfg.Readers {
		s.reading <- flowlog.NewDecoder(nil, 0, flowlog.Options{})
	}
	for _, l := range cfg.Lanes {
		size := count
		if l.BestEffort {
			size = bestEffortBatches
		}
		s.lanes = append(s.lanes, &serviceLane{
			outlet: outlet{name: l.Name, policy: l.Policy}, stream: l.Stream, bestEffort: l.BestEffort, sign: l.Pulse,
			in: make(chan *batch, size), patience: patience, lost: cmp.Or(l.NotSent, new(NotSent)),
		})
	}
	s.commits.init(cfg.Store, s.lanes, cfg.OnError)
	return s, nil
}

// Run follows until ctx ends. Then it reads no more, and has until abort ends to
// deliver what was read and to keep how far that was.
func (s *Service) Run(ctx, abort context.Context) error {
	work, working := errgroup.WithContext(abort)
	ctx, stopReading := context.WithCancel(ctx)
	defer stopReading()
	context.AfterFunc(working, stopReading) // nobody is there to read for
	readers, reading := errgroup.WithContext(ctx)
	for i, f := range s.cfg.Sources {
		readers.Go(func() error {
			return f.Run(reading, func(ctx context.Context, d *source.Delta) (source.Cursor, error) { return s.read(ctx, i, d) })
		})
	}
	var readErr error // of a source that gave up; what was read is delivered all the same
	work.Go(func() error {
		if err := readers.Wait(); ctx.Err() == nil {
			readErr = err
		}
		close(s.decoded)
		return nil
	})
	work.Go(func() error {
		defer func() {
			for _, l := range s.lanes {
				close(l.in)
			}
		}()
		return s.dispatch(working)
	})
	sending, laneCtx := errgroup.WithContext(working)
	for _, l := range s.lanes {
		sending.Go(func() error { return l.run(laneCtx, s) })
	}
	sent := make(chan struct{})
	work.Go(func() error {
		defer close(sent)
		return sending.Wait()
	})
	var keepErr error // of the last commit
	work.Go(func() error {
		keepErr = s.commits.run(sent, s.cfg.Sources, s.cfg.Pulse.Add("committer"))
		return nil
	})
	err := work.Wait()
	errs := []error{readErr, keepErr}
	for _, l := range s.lanes {
		errs = append(errs, l.stream.Close())
	}
	if abort.Err() != nil && errors.Is(err, context.Cause(abort)) {
		err = ErrNotInTime
	}
	return errors.Join(append(errs, err)...)
}

// read decodes what is new in a blob, and returns how far it came, without an
// error if that was to the end. It returns before what was read is delivered.
func (s *Service) read(ctx context.Context, from int, d *source.Delta) (cursor source.Cursor, err error) {
	cursor = source.Cursor{Offset: d.Offset}
	if d.Left == source.LeftDelivered {
		cursor.Last = d.Since
	}
	r, err := d.Open(ctx)
	if err != nil {
		return cursor, err
	}
	defer func() { _ = r.Close() }()
	// Only now: opening is mostly waiting for the network, of which many can be
	// under way.
	dec, _, stopped := pulse.Take(d.Sign, s.reading, ctx.Done())
	if stopped {
		return cursor, context.Cause(ctx)
	}
	defer func() { s.reading <- dec }()

	in := &countingReader{r: r, n: new(atomic.Uint64)}
	dec.ResetWith(in, d.Offset, flowlog.Options{
		MaxRecordBytes: s.cfg.MaxRecordBytes,
		Growing:        d.Growing,
		OnReject: func(r flowlog.Reject) {
			if s.cfg.OnReject != nil {
				s.cfg.OnReject(s.cfg.Sources[from].Name(), d.Blob, r)
			}
		},
	})
	var counted flowlog.Stats
	var left uint64
	count := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stats.BytesRead += in.n.Swap(0)
		now := dec.Stats()
		s.stats.Read.Add(now.Sub(counted))
		s.stats.Left[d.Left] += left
		counted, left = now, 0
	}
	defer count()
	mac, _ := flowlog.ParseMAC(d.Path.MAC)
	begun := time.Now()
	for {
		bt, _, stopped := pulse.Take(d.Sign, s.free, ctx.Done())
		if stopped {
			return cursor, context.Cause(ctx)
		}
		bt.mac, bt.strand = mac, d.Strand
		var decodeErr error
		for bt.Len() < batchFlows && len(bt.Records) < batchRecords {
			if decodeErr = dec.Next(&bt.Batch); decodeErr != nil {
				break
			}
			r := &bt.Records[len(bt.Records)-1]
			if at := time.UnixMilli(r.Time); r.Time > 0 {
				if cursor.Last.Before(at) {
					cursor.Last = at
				}
				if !d.Since.IsZero() && !at.After(d.Since) {
					left += uint64(bt.DropLast())
				}
			}
			if dec.Buffered() < len(`{"records":`) {
				break // the next one may be long in coming
			}
		}
		ended := errors.Is(decodeErr, io.EOF) || errors.Is(decodeErr, flowlog.ErrUnfinished)
		switch moved := dec.Offset() != cursor.Offset; {
		case !moved && ended && cursor.Offset != d.Offset && d.Info.ETag != "":
			// What was handed on before did not know that it was the last.
			bt.progress = progress{source: from, blob: d.Blob, cursor: cursor}
			bt.progress.cursor.ETag = d.Info.ETag
			s.decoded <- bt
		case !moved:
			bt.goHome()
		default:
			cursor.Offset = dec.Offset()
			cursor.Tail = bytes.Clone(dec.Tail())
			if cursor.Offset-d.Offset == int64(len(cursor.Tail)) { // short: what stands before it belongs to it
				cursor.Tail = append(bytes.Clone(d.Tail), cursor.Tail...)
				cursor.Tail = cursor.Tail[max(0, len(cursor.Tail)-source.TailBytes):]
			}
			bt.progress = progress{source: from, blob: d.Blob, cursor: cursor}
			if ended {
				bt.progress.cursor.ETag = d.Info.ETag // there is no more of this version
			}
			var gone chan struct{}
			if bt.Len() > giantFlows {
				gone = make(chan struct{})
				bt.gone = gone
			}
			s.decoded <- bt // never full: there are no more batches than it holds
			if gone != nil {
				pulse.Take(d.Sign, gone, ctx.Done())
			}
		}
		count()
		switch {
		case decodeErr == nil:
			if d.Turn > 0 && cursor.Offset > d.Offset && time.Since(begun) >= d.Turn {
				return cursor, source.ErrTurn
			}
		case ended:
			return cursor, nil
		case ctx.Err() != nil:
			return cursor, context.Cause(ctx)
		default:
			return cursor, decodeErr
		}
	}
}

// showStates publishes what the dispatcher has counted.
func (s *Service) showStates() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.ByState = s.numbers.byState
}

// show publishes what a lane has done.
func (s *Service) show(l *serviceLane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.shown = ServiceLaneStats{Name: l.name, Exported: l.exported, Skipped: l.skipped, NotSent: l.notSent}
}

// Stats may be called at any time.
func (s *Service) Stats() ServiceStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	for _, l := range s.lanes {
		shown := l.shown
		shown.Name = l.name
		shown.NotSent += l.refused.Load()
		st.Lanes = append(st.Lanes, shown)
	}
	s.commits.mu.Lock()
	st.Commits, st.CommitErrors = s.commits.commits, s.commits.failures
	full := len(s.commits.waiting) >= maxWaiting
	s.commits.mu.Unlock()
	if f := s.commits.failing.now.Load(); f != nil {
		st.StateFailing, st.StateError, st.Stopped = f.since, f.err, full
	}
	if f := s.numbersFail.now.Load(); f != nil {
		if st.StateFailing.IsZero() || f.since.Before(st.StateFailing) {
			st.StateFailing = f.since
		}
		st.StateError, st.Stopped = f.err, true // this is what stops it
	}
	st.Decoders = cap(s.reading)
	st.Decoding = st.Decoders - len(s.reading)
	return st
}
