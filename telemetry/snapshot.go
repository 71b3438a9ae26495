// Package telemetry shows how the daemon is: metrics for Prometheus, health for
// whoever supervises it, and a status page for people. All of it is read from
// snapshots that the daemon gives; nothing here is on the way of a flow.
package telemetry

import (
	"time"
)

// Source gives snapshots. Any goroutine may call it; it does not wait for anybody.
type Source interface {
	Snapshot() Snapshot
}

// Snapshot is how the daemon is at one time. Counters count since the process
// began, also over a reload of the configuration.
type Snapshot struct {
	Version    string
	GoVersion  string
	Started    time.Time // of the process
	Reloaded   time.Time // when the configuration in use was loaded
	Ready      bool      // it reads and sends; false while it starts, reloads and stops
	NotReady   string    // why not, in words
	Stalled    []string  // stages that show no sign of life, though nothing keeps them waiting
	Sources    []SourceState
	Collectors []CollectorState

	BytesRead        uint64
	Records          uint64            // of flow logs
	Tuples           uint64            // that were read, rejected ones included
	ByState          map[string]uint64 // decoded tuples, by stateless, begin, continue, end, denied
	RejectedPieces   map[string]uint64 // by reason
	ReasonTexts      map[string]string // what the reasons mean, for people
	RejectedTuples   uint64
	UnknownVersions  uint64            // records of a version that this program does not know, read all the same
	LeftOut          map[string]uint64 // tuples that were read but not handed on: delivered before, before start
	Commits          uint64
	CommitErrors     uint64
	StateFailing     time.Time // since when the state cannot be written; zero if it can
	StateError       string
	StateHint        string // what to do about StateError
	StateStopped     bool   // no flow leaves any more until it can be written
	Restarts         uint64 // reloads of the configuration
	RejectExamples   []RejectExample
	Warnings         []Warning // the latest first
	DecodersBusy     int
	DecodersCount    int
	StateInterfaces  int // network interfaces that have an index
	HistoryAvailable bool
}

// SourceState is a source of flow logs.
type SourceState struct {
	Name, Kind, Place string // Kind is azure or directory; Place an account URL or a folder
	FlowLogs          []FlowLogState
	FlowLogCount      int
	Ages              Ages
	Blobs             int // of hours that are not finished
	Undelivered       int // blobs read further than delivered
	Hours             int // not finished
	OldestHour        time.Time
	Newest            time.Time // of the newest record that was read; zero if none was
	Delivered         time.Time // of the newest record that was delivered; zero if none was

	Discoveries, Lists, ListErrors uint64
	Reads, ReadErrors              uint64
	Rewritten, Deleted, Late       uint64
	HoursFinished                  uint64
	StateErrors                    uint64
	Answered                       time.Time // when the place last said what there is
	LastError                      string
	Hint                           string // what to do about LastError
	LastErrorTime                  time.Time

	// Of Azure only.
	Requests  []RequestCount
	ReadBytes uint64
	ClockSkew time.Duration
}

// FlowLogState is a flow log, of which a source shows a bounded number.
type FlowLogState struct {
	Name       string
	Newest     time.Time // of the newest record that was read
	Delivered  time.Time // of the newest record that was delivered
	Interfaces int       // blobs of the newest hour
	Backlog    int       // hours that are not finished, beyond the newest
	LastError  string
}

// Ages says how long ago the newest delivered record of each flow log of a source
// was, without naming any.
type Ages struct {
	Max   time.Duration       // zero if none has delivered a record
	Older [len(AgeLimits)]int // flow logs whose newest one is older than the limit
}

// AgeLimits are those of Ages.
var AgeLimits = [...]time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}

// Add adds a flow log.
func (a *Ages) Add(age time.Duration) {
	a.Max = max(a.Max, age)
	for i, limit := range AgeLimits {
		if age > limit {
			a.Older[i]++
		}
	}
}

// RequestCount is how many requests of an operation ended with a status.
type RequestCount struct {
	Operation, Status string
	Count             uint64
}

// CollectorState is a collector.
type CollectorState struct {
	Name, URL, Preset, Protocol string
	Required                    bool

	Connected     bool
	Since         time.Time // when Connected became what it is; zero before the first attempt
	LastError     string
	Hint          string // what to do about LastError
	LastErrorTime time.Time
	RetryAt       time.Time

	ExportedTuples uint64
	SkippedTuples  map[string]uint64 // by rule
	NotSentTuples  uint64            // of a best-effort collector
	Records        uint64            // flow records, each once
	Resent         uint64            // flow records that were sent again
	OptionsRecords uint64
	Templates      uint64
	Messages       uint64
	Bytes          uint64
	Clamped        uint64
	Connections    uint64
	Reconnects     uint64
	Failures       uint64
	KeptBytes      int // finished and not delivered
	KeptRecords    int
	Unacknowledged int64         // bytes that left and that the peer has not acknowledged; tcp and tls
	PacingWait     time.Duration // waited for the rate limit, in all
	Rate           int           // records/s at most; 0 is no limit
}

// RejectExample is a piece of a flow log that could not be read.
type RejectExample struct {
	Time                        time.Time
	Source, Blob, Reason, Quote string
	Offset                      int64
}

// Warning is something that the daemon logged as a warning or worse.
type Warning struct {
	Time  time.Time
	Level string
	Text  string
	Count int // how often in a row
}
