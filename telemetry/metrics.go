package telemetry

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// prefix begins the names of all metrics of our own.
const prefix = "flow2ipfix_"

// Metric is one that is served: the table of them is the only place where they are
// described, and docs/METRICS.md is made of it.
type Metric struct {
	Name    string
	Counter bool // else a gauge
	Help    string
	Labels  []string

	read func(s *Snapshot, now time.Time, emit emitter)
}

// emitter takes a value, with one for each label.
type emitter func(value float64, labels ...string)

// Metrics returns the table.
func Metrics() []Metric {
	return slices.Concat(serviceMetrics, readerMetrics, sourceMetrics, azureMetrics, collectorMetrics, checkpointMetrics)
}

func zeroOne(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// of makes a metric of the whole snapshot.
func of[N int | uint64](read func(*Snapshot) N) func(*Snapshot, time.Time, emitter) {
	return func(s *Snapshot, _ time.Time, emit emitter) { emit(float64(read(s))) }
}

// by makes one of a sum that is kept apart by something.
func by(read func(*Snapshot) map[string]uint64) func(*Snapshot, time.Time, emitter) {
	return func(s *Snapshot, _ time.Time, emit emitter) { emitMap(read(s), emit) }
}

func emitMap(m map[string]uint64, emit emitter, labels ...string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		emit(float64(m[key]), append(labels, key)...)
	}
}

// ofSource and ofCollector make one of each source and each collector.
func ofSource[N int | uint64](read func(*SourceState) N) func(*Snapshot, time.Time, emitter) {
	return func(s *Snapshot, _ time.Time, emit emitter) {
		for i := range s.Sources {
			emit(float64(read(&s.Sources[i])), s.Sources[i].Name)
		}
	}
}

func ofCollector[N int | int64 | uint64 | float64](read func(*CollectorState) N) func(*Snapshot, time.Time, emitter) {
	return func(s *Snapshot, _ time.Time, emit emitter) {
		for i := range s.Collectors {
			emit(float64(read(&s.Collectors[i])), s.Collectors[i].Name)
		}
	}
}

// since is how long ago something was in each source; nothing if it never was.
func since(read func(*SourceState) time.Time) func(*Snapshot, time.Time, emitter) {
	return func(s *Snapshot, now time.Time, emit emitter) {
		for i := range s.Sources {
			if at := read(&s.Sources[i]); !at.IsZero() {
				emit(now.Sub(at).Seconds(), s.Sources[i].Name)
			}
		}
	}
}

// ofAzure leaves out sources that are no storage accounts.
func ofAzure(read func(s *SourceState, emit emitter)) func(*Snapshot, time.Time, emitter) {
	return func(s *Snapshot, _ time.Time, emit emitter) {
		for i := range s.Sources {
			if s.Sources[i].Kind == KindAzure {
				read(&s.Sources[i], emit)
			}
		}
	}
}

// foreign are metrics of client_golang that the dashboard shows: of the process and
// of the Go runtime, in which there are more. process_start_time_seconds is not one
// of them: it is made of /proc/stat, which the unit hides (ProcSubset=pid).
var foreign = []Metric{
	{Name: "process_cpu_seconds_total", Counter: true, Help: "Processor time that was used."},
	{Name: "process_resident_memory_bytes", Help: "Memory that the process has, as the kernel sees it."},
	{Name: "process_open_fds", Help: "Open files and connections."},
	{Name: "go_goroutines", Help: "Goroutines."},
	{Name: "go_memstats_heap_inuse_bytes", Help: "Memory of the heap that is in use."},
}

// WriteDocument writes what docs/METRICS.md says.
func WriteDocument(w io.Writer) error {
	var b strings.Builder
	b.WriteString(documentHead)
	for _, part := range []struct {
		title, text string
		metrics     []Metric
	}{
		{"The service", "", serviceMetrics},
		{"Reading", "At rest, `flow2ipfix_reader_tuples_total` is the sum of what was rejected, left out and decoded; and what was decoded is, for each collector, the sum of what was exported, skipped and not sent.", readerMetrics},
		{"Sources", "`source` is the source's name in the configuration.", sourceMetrics},
		{"Azure", "Of sources that are storage accounts.", azureMetrics},
		{"Collectors", "`collector` is the collector's name in the configuration.", collectorMetrics},
		{"State", "", checkpointMetrics},
		{"Process and Go runtime", "These come from Prometheus' own library, with more of their kind.", foreign},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n", part.title)
		if part.text != "" {
			fmt.Fprintf(&b, "%s\n\n", part.text)
		}
		b.WriteString("| Metric | Type | Labels | What it is |\n|---|---|---|---|\n")
		for _, m := range part.metrics {
			kind, labels := "gauge", ""
			if m.Counter {
				kind = "counter"
			}
			if len(m.Labels) > 0 {
				labels = "`" + strings.Join(m.Labels, "`, `") + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, kind, labels, m.Help)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
