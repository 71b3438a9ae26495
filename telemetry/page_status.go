package telemetry

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// Bounds of what the page and /status.json show, whatever the snapshot has.
const (
	shownFlowLogs  = 10 // of a source
	shownExamples  = 10
	shownWarnings  = 20
	shownTextBytes = 600
	shownNameBytes = 400
)

// Status is what /status.json says, and the page shows. Names stay as they are;
// new ones may come. Times are UTC; null is what is not known.
type Status struct {
	Time          time.Time  `json:"time"`
	Version       string     `json:"version"`
	GoVersion     string     `json:"go_version"`
	Started       time.Time  `json:"started"`
	UptimeSeconds int64      `json:"uptime_seconds"`
	Reloaded      *time.Time `json:"configuration_loaded"`
	Reloads       uint64     `json:"reloads"`
	Ready         bool       `json:"ready"` // it reads and sends; false while it starts, reloads and stops
	Stalled       []string   `json:"stages_stalled"`

	StateError   *ErrorStatus `json:"state_error"`   // why the state cannot be written, and since when; null if it can
	StateStopped bool         `json:"state_stopped"` // no flow leaves any more for that

	Summary Summary `json:"summary"`

	LagSeconds     *float64 `json:"lag_seconds"`
	FlowsPerSecond *float64 `json:"flows_per_second"` // of the last minute

	Sources    []SourceStatus    `json:"sources"`
	Collectors []CollectorStatus `json:"collectors"`
	Read       ReadStatus        `json:"read"`
	Rejected   RejectedStatus    `json:"rejected"`
	Warnings   []WarningStatus   `json:"warnings"` // the latest first
	History    []HistoryMinute   `json:"history"`  // the last hour, the present minute last
}

// SourceStatus is a source of flow logs. Lag is how old the newest delivered
// record is.
type SourceStatus struct {
	Name        string          `json:"name"`
	Kind        string          `json:"kind"`
	Place       string          `json:"place"`
	FlowLogs    int             `json:"flow_logs"`
	Shown       []FlowLogStatus `json:"flow_logs_worst"` // the worst lag first, a bounded number
	Interfaces  *int            `json:"interfaces"`      // of the newest hour; null if there are too many flow logs to say
	Blobs       int             `json:"blobs_open"`
	Undelivered int             `json:"blobs_undelivered"`
	Hours       int             `json:"hours_open"`
	OldestHour  *time.Time      `json:"oldest_hour"`
	NewestHour  *time.Time      `json:"newest_hour"`
	Newest      *time.Time      `json:"newest_read"`
	Delivered   *time.Time      `json:"newest_delivered"`
	LagSeconds  *float64        `json:"lag_seconds"`
	Answered    *time.Time      `json:"answered"` // when the place last said what there is
	ReadErrors  uint64          `json:"read_errors"`
	ListErrors  uint64          `json:"list_errors"`
	Error       *ErrorStatus    `json:"last_error"`
}

// ErrorStatus is an error and what to do about it.
type ErrorStatus struct {
	Time *time.Time `json:"time"`
	Text string     `json:"text"`
	Hint string     `json:"hint"`
}

// FlowLogStatus is a flow log.
type FlowLogStatus struct {
	Name       string     `json:"name"`
	Short      string     `json:"short_name"`
	Newest     *time.Time `json:"newest_read"`
	Delivered  *time.Time `json:"newest_delivered"`
	LagSeconds *float64   `json:"lag_seconds"`
	Interfaces int        `json:"interfaces"` // of the newest hour
	OlderHours int        `json:"older_hours_open"`
	Error      string     `json:"last_error"`
}

// CollectorStatus is a collector.
type CollectorStatus struct {
	Name             string       `json:"name"`
	URL              string       `json:"url"`
	Preset           string       `json:"preset"`
	Protocol         string       `json:"protocol"`
	Required         bool         `json:"required"`
	State            string       `json:"state"` // connected, connecting or away
	Since            *time.Time   `json:"since"`
	RetryAt          *time.Time   `json:"retry_at"`
	Error            *ErrorStatus `json:"last_error"`
	RecordsPerSecond *float64     `json:"records_per_second"` // of the last minute
	RateLimit        int          `json:"rate_limit"`         // records a second; 0 is none
	Records          uint64       `json:"records"`
	Resent           uint64       `json:"records_resent"`
	Messages         uint64       `json:"messages"`
	Bytes            uint64       `json:"bytes"`
	KeptRecords      int          `json:"kept_records"`
	KeptBytes        int          `json:"kept_bytes"`
	NotSent          uint64       `json:"tuples_not_sent"`
	Skipped          uint64       `json:"tuples_skipped"`
	Reconnects       uint64       `json:"reconnects"`
}

// ReadStatus counts what was read since the process began.
type ReadStatus struct {
	Bytes   uint64            `json:"bytes"`
	Records uint64            `json:"records"`
	Tuples  uint64            `json:"tuples"`
	ByState map[string]uint64 `json:"tuples_by_state"`
	LeftOut map[string]uint64 `json:"tuples_left_out"`
}

// RejectedStatus is what could not be read.
type RejectedStatus struct {
	Pieces   uint64          `json:"pieces"`
	Tuples   uint64          `json:"tuples"`
	ByReason []ReasonStatus  `json:"by_reason"` // the most frequent first
	Examples []ExampleStatus `json:"examples"`  // the latest first
}

// ReasonStatus is how often something was rejected.
type ReasonStatus struct {
	Reason string `json:"reason"`
	Text   string `json:"text"` // the same for people
	Pieces uint64 `json:"pieces"`
}

// ExampleStatus is a piece that was rejected.
type ExampleStatus struct {
	Time   *time.Time `json:"time"`
	Source string     `json:"source"`
	Blob   string     `json:"blob"`
	Offset int64      `json:"offset"`
	Reason string     `json:"reason"`
	Text   string     `json:"text"`
	Quote  string     `json:"quote"`
}

// WarningStatus is what was logged.
type WarningStatus struct {
	Time  *time.Time `json:"time"`
	Level string     `json:"level"`
	Text  string     `json:"text"`
	Count int        `json:"count"`
}

// HistoryMinute is a minute of the chart.
type HistoryMinute struct {
	Time           time.Time `json:"time"`
	FlowsPerSecond *float64  `json:"flows_per_second"`
	LagSeconds     *float64  `json:"lag_seconds"`
}

// newStatus puts together what a snapshot and the history say.
func newStatus(s Snapshot, h *History, now time.Time) Status {
	now = now.UTC()
	st := Status{
		Time: now, Version: plain(s.Version, shownNameBytes), GoVersion: plain(s.GoVersion, shownNameBytes),
		Started: s.Started.UTC(), UptimeSeconds: int64(max(0, now.Sub(s.Started)).Seconds()),
		Reloaded: known(s.Reloaded), Reloads: s.Restarts, Ready: s.Ready,
		Stalled: append([]string{}, s.Stalled...), StateStopped: s.StateStopped,
		Sources: []SourceStatus{}, Collectors: []CollectorStatus{}, Warnings: []WarningStatus{}, History: []HistoryMinute{},
		Read: ReadStatus{Bytes: s.BytesRead, Records: s.Records, Tuples: s.Tuples, ByState: counts(s.ByState), LeftOut: counts(s.LeftOut)},
	}
	if !s.StateFailing.IsZero() {
		st.StateError = &ErrorStatus{known(s.StateFailing), plain(s.StateError, shownTextBytes), plain(s.StateHint, shownTextBytes)}
	}
	if lag, ok := lagOf(s.Sources, now); ok {
		st.LagSeconds = seconds(lag)
	}
	if rate, ok := h.flowRate(now, s.Tuples); ok && s.Ready {
		st.FlowsPerSecond = tenths(rate)
	}
	for i := range s.Sources {
		st.Sources = append(st.Sources, newSourceStatus(&s.Sources[i], now))
	}
	for i := range s.Collectors {
		c := newCollectorStatus(&s.Collectors[i])
		if rate, ok := h.recordRate(now, s.Collectors[i].Name, c.Records); ok && s.Ready {
			c.RecordsPerSecond = tenths(rate)
		}
		st.Collectors = append(st.Collectors, c)
	}
	st.Rejected = newRejectedStatus(&s)
	for _, w := range first(s.Warnings, shownWarnings) {
		st.Warnings = append(st.Warnings, WarningStatus{known(w.Time), plain(strings.ToLower(w.Level), shownNameBytes), plain(w.Text, shownTextBytes), max(w.Count, 1)})
	}
	for _, m := range h.minutes(now) {
		one := HistoryMinute{Time: m.start}
		if m.hasFlows {
			one.FlowsPerSecond = tenths(m.flows)
		}
		if m.hasLag {
			one.LagSeconds = seconds(m.lag)
		}
		st.History = append(st.History, one)
	}
	st.Summary = summarize(&st, s.NotReady)
	return st
}

func newSourceStatus(s *SourceState, now time.Time) SourceStatus {
	st := SourceStatus{
		Name: plain(s.Name, shownNameBytes), Kind: plain(s.Kind, shownNameBytes), Place: plain(s.Place, shownNameBytes),
		FlowLogs: max(s.FlowLogCount, len(s.FlowLogs)), Shown: []FlowLogStatus{}, Blobs: s.Blobs, Undelivered: s.Undelivered, Hours: s.Hours,
		OldestHour: known(s.OldestHour), Newest: known(s.Newest), Delivered: known(s.Delivered), Answered: known(s.Answered),
		ReadErrors: s.ReadErrors, ListErrors: s.ListErrors, Error: newErrorStatus(s.LastError, s.Hint, s.LastErrorTime),
	}
	if !s.Newest.IsZero() {
		st.NewestHour = known(s.Newest.UTC().Truncate(time.Hour))
	}
	if lag, ok := lagOf([]SourceState{*s}, now); ok {
		st.LagSeconds = seconds(lag)
	}
	for _, f := range first(slices.SortedStableFunc(slices.Values(s.FlowLogs), worseFlowLog), shownFlowLogs) {
		name := plain(f.Name, shownNameBytes)
		one := FlowLogStatus{
			Name: name, Short: shortName(name), Newest: known(f.Newest), Delivered: known(f.Delivered), Interfaces: f.Interfaces, OlderHours: f.Backlog, Error: plain(f.LastError, shownTextBytes),
		}
		if !f.Delivered.IsZero() {
			one.LagSeconds = seconds(now.Sub(f.Delivered))
		}
		st.Shown = append(st.Shown, one)
	}
	if len(s.FlowLogs) >= s.FlowLogCount {
		n := 0
		for i := range s.FlowLogs {
			n += s.FlowLogs[i].Interfaces
		}
		st.Interfaces = &n
	}
	return st
}

// worseFlowLog puts first what has an error, then what lags behind the most, and
// last those of which nothing was delivered yet.
func worseFlowLog(a, b FlowLogState) int {
	if c := cmp.Compare(rank(&a), rank(&b)); c != 0 {
		return c
	}
	return cmp.Or(a.Delivered.Compare(b.Delivered), strings.Compare(a.Name, b.Name))
}

func rank(f *FlowLogState) int {
	switch {
	case f.LastError != "":
		return 0
	case f.Delivered.IsZero():
		return 2
	}
	return 1
}

// States of a collector.
const (
	connected  = "connected"
	connecting = "connecting"
	away       = "away"
)

func newCollectorStatus(c *CollectorState) CollectorStatus {
	st := CollectorStatus{
		Name: plain(c.Name, shownNameBytes), URL: plain(c.URL, shownNameBytes), Preset: plain(c.Preset, shownNameBytes), Protocol: plain(c.Protocol, shownNameBytes),
		Required: c.Required,
		State:    connected, Since: known(c.Since), RetryAt: known(c.RetryAt), Error: newErrorStatus(c.LastError, c.Hint, c.LastErrorTime),
		RateLimit: c.Rate, Records: c.Records, Resent: c.Resent, Messages: c.Messages, Bytes: c.Bytes,
		KeptRecords: c.KeptRecords, KeptBytes: c.KeptBytes, NotSent: c.NotSentTuples, Reconnects: c.Reconnects,
	}
	for _, n := range c.SkippedTuples {
		st.Skipped += n
	}
	switch {
	case c.Connected:
	case c.LastError == "":
		st.State = connecting
	default:
		st.State = away
	}
	return st
}

func newRejectedStatus(s *Snapshot) RejectedStatus {
	st := RejectedStatus{Tuples: s.RejectedTuples, ByReason: []ReasonStatus{}, Examples: []ExampleStatus{}}
	text := func(reason string) string { return plain(cmp.Or(s.ReasonTexts[reason], reason), shownTextBytes) }
	for reason, n := range s.RejectedPieces {
		if n > 0 {
			st.Pieces += n
			st.ByReason = append(st.ByReason, ReasonStatus{plain(reason, shownTextBytes), text(reason), n})
		}
	}
	slices.SortFunc(st.ByReason, func(a, b ReasonStatus) int {
		return cmp.Or(cmp.Compare(b.Pieces, a.Pieces), strings.Compare(a.Reason, b.Reason))
	})
	latest := slices.SortedStableFunc(slices.Values(s.RejectExamples), func(a, b RejectExample) int { return b.Time.Compare(a.Time) })
	for _, e := range first(latest, shownExamples) {
		st.Examples = append(st.Examples, ExampleStatus{
			known(e.Time), plain(e.Source, shownNameBytes), plain(e.Blob, shownNameBytes), e.Offset, plain(e.Reason, shownTextBytes), text(e.Reason), plain(e.Quote, shownTextBytes),
		})
	}
	return st
}

func newErrorStatus(text, hint string, at time.Time) *ErrorStatus {
	if text == "" {
		return nil
	}
	return &ErrorStatus{known(at), plain(text, shownTextBytes), plain(hint, shownTextBytes)}
}

// known is nil for the zero time.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func seconds(d time.Duration) *float64 {
	s := math.Round(max(d, 0).Seconds())
	return &s
}

func tenths(v float64) *float64 {
	v = math.Round(v*10) / 10
	return &v
}

// counts leaves out what never happened.
func counts(m map[string]uint64) map[string]uint64 {
	some := map[string]uint64{}
	for key, n := range m {
		if n > 0 {
			some[key] = n
		}
	}
	return some
}

func first[T any](all []T, n int) []T { return all[:min(n, len(all))] }
