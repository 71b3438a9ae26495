package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"flow2ipfix/bridge"
	"flow2ipfix/checkpoint"
	"flow2ipfix/config"
	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
	"flow2ipfix/source"
	"flow2ipfix/source/azblob"
	"flow2ipfix/telemetry"
)

// observer makes snapshots of the daemon for its listener, and keeps over reloads
// what must not begin anew: the listener, counters, what happened lately. Nobody
// who carries flows waits for it.
type observer struct {
	started time.Time
	recent  telemetry.Recent
	history *telemetry.History
	stop    context.CancelFunc // of what the history is made of
	stopped chan struct{}

	// Of the goroutine that runs the daemon: the listener in use, and one that is to
	// follow it.
	server, next *telemetry.Server
	used         bool

	mu      sync.Mutex
	running *running // nil: none is
	before  telemetry.Snapshot
	last    telemetry.Snapshot // of the one that ran before
	reloads uint64
}

// running is the daemon with one configuration.
type running struct {
	*parts
	loaded    time.Time
	store     *checkpoint.Store
	service   *bridge.Service
	followers []*source.Follower
	ending    string // why it does, under observer.mu; empty if it does not
}

// stalledAfter is how long a stage may give no sign of life: less than the watchdog
// of the unit allows.
const stalledAfter = time.Minute

func newObserver() *observer {
	return &observer{started: time.Now(), history: telemetry.NewHistory()}
}

// logger lets warnings be remembered, too.
func (o *observer) logger(log *slog.Logger) *slog.Logger {
	return slog.New(o.recent.Handler(log.Handler()))
}

// use lets the listener be as a configuration says. At the first time it is an error
// if it cannot be opened; later, prepare has seen to that.
func (o *observer) use(cfg config.Telemetry, log *slog.Logger) error {
	first := !o.used
	o.used = true
	if cfg.Listen != "" && !cfg.AllowRemote && !telemetry.OnLoopback(cfg.Listen) {
		log.Warn("others than this machine can ask for metrics and status, without a password", "listen", cfg.Listen,
			"hint", "set telemetry.listen to 127.0.0.1:9469, or telemetry.allow_remote to true if it is meant so")
	}
	want := o.config(cfg)
	switch {
	case o.server != nil && o.server.Config() == want:
		return nil
	case o.next != nil && o.next.Config() == want:
		err := o.closeServer()
		o.server, o.next = o.next, nil
		return err
	case cfg.Listen == "":
		return o.closeServer()
	case first:
		s, err := telemetry.New(want, o)
		if err != nil {
			return err
		}
		o.server = s
	default:
		if err := o.closeServer(); err != nil {
			return err
		}
		o.server = telemetry.NewPatient(want, o, func(err error) {
			log.Error("there are no metrics and no status for now; it is tried again", "reason", err.Error(), "hint", hintOf(err))
		})
	}
	if o.stop == nil {
		ctx, stop := context.WithCancel(context.Background())
		o.stop, o.stopped = stop, make(chan struct{})
		go func() {
			defer close(o.stopped)
			o.history.Run(ctx, o)
		}()
	}
	return nil
}

func (o *observer) config(cfg config.Telemetry) telemetry.Config {
	return telemetry.Config{Listen: cfg.Listen, AllowRemote: cfg.AllowRemote, Pprof: cfg.Pprof, History: o.history}
}

// prepare opens the listener of a configuration that is to be used next, unless
// the old one has the port.
func (o *observer) prepare(cfg config.Telemetry) error {
	if o.next != nil {
		if err := o.next.Close(); err != nil {
			return err
		}
		o.next = nil
	}
	if cfg.Listen == "" || o.server != nil && samePort(o.server.Config().Listen, cfg.Listen) {
		return nil
	}
	s, err := telemetry.New(o.config(cfg), o)
	if err != nil {
		return err
	}
	o.next = s
	return nil
}

func samePort(a, b string) bool {
	_, portA, _ := net.SplitHostPort(a)
	_, portB, _ := net.SplitHostPort(b)
	return portA == portB
}

func (o *observer) closeServer() error {
	if o.server == nil {
		return nil
	}
	err := o.server.Close()
	o.server = nil
	return err
}

func (o *observer) close() error {
	if o.stop != nil {
		o.stop()
		<-o.stopped
	}
	err := o.closeServer()
	if o.next != nil {
		err = errors.Join(err, o.next.Close())
	}
	return err
}

// begin says that the daemon runs.
func (o *observer) begin(r *running) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running = r
}

// ending says that it is to end, and why.
func (o *observer) ending(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running != nil {
		o.running.ending = why
	}
}

// end takes over what was counted.
func (o *observer) end() {
	o.mu.Lock()
	r, before := o.running, o.before
	o.mu.Unlock()
	s := r.snapshot(time.Now())
	all := s.Carry(&before)
	for i := range s.Collectors {
		s.Collectors[i].Connected = false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running, o.before, o.last = nil, all, s
	o.reloads++
}

// Snapshot implements telemetry.Source.
func (o *observer) Snapshot() telemetry.Snapshot {
	o.mu.Lock()
	r, before, s, reloads := o.running, o.before, o.last, o.reloads
	ending := ""
	if r != nil {
		ending = r.ending
	}
	o.mu.Unlock()
	now := time.Now()
	switch {
	case r == nil && reloads == 0:
		s.NotReady = "it starts"
	case r == nil:
		s.NotReady = "it begins anew with another configuration"
	default:
		s = r.snapshot(now)
		s.Carry(&before)
		s.Ready, s.NotReady = ending == "", ending
	}
	s.Version, s.GoVersion, s.Started = versionText(), runtime.Version(), o.started
	s.Restarts, s.HistoryAvailable, s.ReasonTexts = reloads, true, reasonTexts
	s.RejectExamples, s.Warnings = o.recent.Rejects(), o.recent.Warnings()
	return s
}

// reasonTexts are not to be changed.
var reasonTexts = func() map[string]string {
	texts := map[string]string{}
	for _, r := range flowlog.Reasons() {
		texts[r.String()] = r.Text()
	}
	return texts
}()

// rejected remembers a piece that could not be read.
func (o *observer) rejected(source, blob string, r flowlog.Reject) {
	o.recent.Reject(telemetry.RejectExample{Time: time.Now(), Source: source, Blob: blob, Reason: r.Reason.String(), Quote: r.Quote, Offset: r.Offset})
}

// snapshot says how it is, without what was before.
func (r *running) snapshot(now time.Time) telemetry.Snapshot {
	st := r.service.Stats()
	s := telemetry.Snapshot{
		Reloaded: r.loaded, Stalled: r.pulse.Silent(now.Add(-stalledAfter)),
		BytesRead: st.BytesRead, Records: st.Read.Records, Tuples: st.Read.Tuples,
		ByState: map[string]uint64{}, RejectedPieces: map[string]uint64{}, LeftOut: map[string]uint64{},
		RejectedTuples: st.Read.Rejected[flowlog.PieceTuple], UnknownVersions: st.Read.UnknownVersions,
		Commits: st.Commits, CommitErrors: st.CommitErrors, StateFailing: st.StateFailing, StateStopped: st.Stopped,
		DecodersBusy: st.Decoding, DecodersCount: st.Decoders, StateInterfaces: r.store.Interfaces().Len(),
	}
	s.StateError, s.StateHint = errorWords(st.StateError)
	for i, n := range st.ByState {
		s.ByState[stateNames[i]] = n
	}
	for _, reason := range flowlog.Reasons() {
		s.RejectedPieces[reason.String()] = st.Read.RejectedReasons[reason]
	}
	for i, n := range st.Left {
		s.LeftOut[strings.ReplaceAll(source.Left(i).String(), " ", "_")] = n
	}
	for i := range r.followers {
		s.Sources = append(s.Sources, r.source(i, now))
	}
	for i := range r.streams {
		s.Collectors = append(s.Collectors, r.collector(i, &st.Lanes[i]))
	}
	return s
}

// shownFlowLogs is how many flow logs a snapshot has of a source.
const shownFlowLogs = 200

func (r *running) source(i int, now time.Time) telemetry.SourceState {
	f, cfg := r.followers[i], &r.cfg.Sources[i]
	st := f.Stats()
	s := telemetry.SourceState{
		Name: cfg.Name, FlowLogCount: st.FlowLogs, Blobs: st.Blobs, Undelivered: st.Undelivered, Hours: st.Hours,
		OldestHour: st.OldestHour, Newest: st.Newest, Delivered: st.Delivered, Answered: st.Answered,
		Discoveries: st.Discoveries, Lists: st.Lists, ListErrors: st.ListErrors, Reads: st.Reads, ReadErrors: st.ReadErrors,
		Rewritten: st.Rewritten, Deleted: st.Deleted, Late: st.Late, HoursFinished: st.HoursFinished, StateErrors: st.StateErrors,
		LastErrorTime: st.LastErrorTime,
	}
	s.LastError, s.Hint = errorWords(st.LastError)
	if b, ok := r.backends[i].(*azblob.Backend); ok {
		s.Kind, s.Place = telemetry.KindAzure, b.Account()
		azure := b.Stats()
		s.ReadBytes, s.ClockSkew = azure.ReadBytes, azure.ClockSkew
		for _, q := range azure.Requests {
			s.Requests = append(s.Requests, telemetry.RequestCount{Operation: q.Operation, Status: q.Status, Count: q.Count})
		}
	} else {
		s.Kind, s.Place = telemetry.KindDirectory, cfg.Directory.Path
	}
	flowLogs := f.FlowLogs()
	for k := range flowLogs {
		if at := flowLogs[k].Delivered; !at.IsZero() {
			s.Ages.Add(now.Sub(at))
		}
	}
	if len(flowLogs) > shownFlowLogs {
		slices.SortFunc(flowLogs, worse)
		flowLogs = flowLogs[:shownFlowLogs]
	}
	for k := range flowLogs {
		l := &flowLogs[k]
		state := telemetry.FlowLogState{Name: l.Name, Newest: l.Newest, Delivered: l.Delivered, Interfaces: l.Interfaces, Backlog: l.Backlog}
		state.LastError, _ = errorWords(l.LastError)
		s.FlowLogs = append(s.FlowLogs, state)
	}
	return s
}

// worse puts first what does not work, then what is the furthest behind, and last
// what has had nothing yet.
func worse(a, b source.FlowLogStats) int {
	rank := func(l *source.FlowLogStats) int {
		switch {
		case l.LastError != nil:
			return 0
		case l.Newest.IsZero():
			return 2
		}
		return 1
	}
	return cmp.Or(rank(&a)-rank(&b), a.Newest.Compare(b.Newest), strings.Compare(a.Name, b.Name))
}

// errorWords returns what an error says, and what to do about it.
func errorWords(err error) (reason, hint string) {
	if err == nil {
		return "", ""
	}
	reason, hint = err.Error(), hintOf(err)
	var azure *azblob.Error
	if errors.As(err, &azure) && azure.Hint != "" {
		reason, hint = strings.Replace(reason, "; "+azure.Hint, "", 1), azure.Hint
	}
	return reason, hint
}

func (r *running) collector(i int, lane *bridge.ServiceLaneStats) telemetry.CollectorState {
	cfg, st := &r.cfg.Collectors[i], r.streams[i].Stats()
	c := telemetry.CollectorState{
		Name: cfg.Name, URL: cfg.URL, Preset: cfg.Preset, Protocol: cfg.Protocol, Required: cfg.Delivery != "best_effort",
		Connected: st.Connected, Since: st.Since, LastErrorTime: st.LastErrorTime, RetryAt: st.RetryAt,
		ExportedTuples: lane.Exported, SkippedTuples: map[string]uint64{}, NotSentTuples: lane.NotSent,
		Records: st.Records, Resent: st.ResentRecords, OptionsRecords: st.Options, Templates: st.Templates,
		Messages: st.Messages, Bytes: st.Bytes, Clamped: st.Clamped,
		Connections: st.Connections, Reconnects: st.Reconnects, Failures: st.Failures,
		KeptBytes: st.KeptBytes, KeptRecords: st.KeptRecords, Unacknowledged: st.Unacknowledged, PacingWait: st.PacingWait,
		Rate: r.rates[i],
	}
	c.LastError, c.Hint = errorWords(st.LastError)
	for rule, n := range lane.Skipped {
		if rule != int(convert.NotSkipped) {
			c.SkippedTuples[convert.Skip(rule).String()] = n
		}
	}
	return c
}
