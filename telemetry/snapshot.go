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
	Sources    []SourceState
	Collectors []CollectorState

	BytesRead        uint64
	Records          uint64            // of flow logs
	Tuples           uint64            // that were read, rejected ones included
	ByState          map[string]uint64 // decoded tuples, by none, begin, continue, end, denied
	RejectedPieces   map[string]uint64 // by reason
	RejectedTuples   uint64
	LeftOut          map[string]uint64 // tuples that were read but not handed on: delivered before, before start
	Commits          uint64
	CommitErrors     uint64
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
	LastError                      string
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
	Interfaces int       // blobs of the newest hour
	Backlog    int       // hours that are not finished, beyond the newest
	LastError  string
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
	LastError     string
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
