package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"flow2ipfix/bridge"
	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
)

// summaryJSON is what `replay --summary json` prints. For tuples the sum holds:
// tuples = exported + skipped + rejected tuples.
type summaryJSON struct {
	Blobs           uint64             `json:"blobs"`
	FailedBlobs     uint64             `json:"failed_blobs"`
	BytesRead       uint64             `json:"bytes_read"`
	Records         uint64             `json:"records"`
	Tuples          uint64             `json:"tuples"`
	TuplesByState   map[string]uint64  `json:"tuples_by_state"`
	Exported        uint64             `json:"exported"`
	Skipped         uint64             `json:"skipped"`
	SkippedByRule   map[string]uint64  `json:"skipped_by_rule"`
	Rejected        uint64             `json:"rejected"`
	RejectedTuples  uint64             `json:"rejected_tuples"`
	RejectedReasons map[string]uint64  `json:"rejected_by_reason"`
	UnknownVersions uint64             `json:"unknown_versions"`
	ExportedRecords uint64             `json:"exported_records"`
	Messages        uint64             `json:"messages"`
	Bytes           uint64             `json:"bytes"`
	Seconds         float64            `json:"seconds"`
	Collectors      []collectorSummary `json:"collectors"`
}

type collectorSummary struct {
	URL             string `json:"url"`
	Exported        uint64 `json:"exported"`
	Skipped         uint64 `json:"skipped"`
	ExportedRecords uint64 `json:"exported_records"`
	Messages        uint64 `json:"messages"`
	Bytes           uint64 `json:"bytes"`
}

var stateNames = [bridge.StateCount]string{"stateless", "begin", "continue", "end", "denied"}

// newSummaryJSON adds the collectors up: what is exported, skipped, sent is the
// sum over all of them, so the sum of tuples holds per collector.
func newSummaryJSON(s *bridge.Summary, took time.Duration) summaryJSON {
	j := summaryJSON{
		Blobs: s.Blobs, FailedBlobs: s.FailedBlobs, BytesRead: s.BytesRead,
		Records: s.Read.Records, Tuples: s.Read.Tuples,
		TuplesByState: map[string]uint64{}, SkippedByRule: map[string]uint64{}, RejectedReasons: map[string]uint64{},
		Rejected: s.Read.RejectedPieces(), RejectedTuples: s.Read.Rejected[flowlog.PieceTuple],
		UnknownVersions: s.Read.UnknownVersions,
		Seconds:         took.Seconds(),
	}
	for i, n := range s.ByState {
		if n > 0 {
			j.TuplesByState[stateNames[i]] = n
		}
	}
	for _, r := range flowlog.Reasons() {
		if n := s.Read.RejectedReasons[r]; n > 0 {
			j.RejectedReasons[r.String()] = n
		}
	}
	for i := range s.Lanes {
		l := &s.Lanes[i]
		for rule, n := range l.Skipped {
			if n > 0 {
				j.SkippedByRule[convert.Skip(rule).String()] += n
			}
		}
		j.Exported += l.Exported
		j.Skipped += l.SkippedTuples()
		j.ExportedRecords += l.Sent.Records
		j.Messages += l.Sent.Messages
		j.Bytes += l.Sent.Bytes
		j.Collectors = append(j.Collectors, collectorSummary{l.Name, l.Exported, l.SkippedTuples(), l.Sent.Records, l.Sent.Messages, l.Sent.Bytes})
	}
	return j
}

func printSummary(w io.Writer, format string, s *bridge.Summary, took time.Duration) error {
	if format == "json" {
		return json.NewEncoder(w).Encode(newSummaryJSON(s, took))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "read      %s, %s: %s, %s\n", count(s.Blobs, "file"), size(s.BytesRead), count(s.Read.Records, "record"), count(s.Read.Tuples, "tuple"))
	if s.FailedBlobs > 0 {
		fmt.Fprintf(&b, "failed    %s could not be read to the end\n", count(s.FailedBlobs, "file"))
	}
	for i := range s.Lanes {
		l := &s.Lanes[i]
		fmt.Fprintf(&b, "exported  %s as %s in %s, %s, to %s\n", count(l.Exported, "tuple"), count(l.Sent.Records, "flow record"),
			count(l.Sent.Messages, "message"), size(l.Sent.Bytes), l.Name)
		if n := l.SkippedTuples(); n > 0 {
			fmt.Fprintf(&b, "skipped   %s: %s\n", count(n, "tuple"), breakdown(l.Skipped[:], func(i int) string { return convert.Skip(i).String() }))
		}
	}
	if n := s.Read.RejectedPieces(); n > 0 {
		fmt.Fprintf(&b, "rejected  %s: %s\n", count(n, "piece"), breakdown(s.Read.RejectedReasons[:], func(i int) string { return flowlog.Reason(i).String() }))
	}
	if n := s.Read.UnknownVersions; n > 0 {
		fmt.Fprintf(&b, "note      %s of a flow-log version that this program does not know, read like the known ones\n", count(n, "record"))
	}
	rate := float64(s.Read.Tuples) / max(took.Seconds(), 1e-9)
	fmt.Fprintf(&b, "took      %s, %s tuples/s\n", round(took), thousands(uint64(rate)))
	_, err := io.WriteString(w, b.String())
	return err
}

// round leaves three or so digits of a duration.
func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(10 * time.Millisecond)
}

// breakdown lists what is not 0, like "12 begin, 3 denied".
func breakdown(counts []uint64, name func(int) string) string {
	var parts []string
	for i, n := range counts {
		if n > 0 {
			parts = append(parts, thousands(n)+" "+name(i))
		}
	}
	return strings.Join(parts, ", ")
}
