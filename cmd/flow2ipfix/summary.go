package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"flow2ipfix/bridge"
	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
)

// summaryJSON is what `replay --summary json` prints. For each collector the sum
// holds: tuples = exported + skipped + not sent + rejected tuples. With one
// collector that all went to, it holds at the top too.
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
	OptionsRecords  uint64             `json:"options_records"`
	Clamped         uint64             `json:"clamped"`
	Messages        uint64             `json:"messages"`
	Bytes           uint64             `json:"bytes"`
	Seconds         float64            `json:"seconds"`
	Interfaces      []interfaceName    `json:"interfaces"`
	Domains         []domainName       `json:"domains"`
	Collectors      []collectorSummary `json:"collectors"`
}

// interfaceName and domainName say what the numbers in the records mean.
type interfaceName struct {
	Index uint32 `json:"index"`
	MAC   string `json:"mac"`
}

type domainName struct {
	ID     uint32 `json:"id"`
	Target string `json:"target"`
}

type collectorSummary struct {
	URL             string `json:"url"`
	Error           string `json:"error,omitempty"`
	Exported        uint64 `json:"exported"`
	Skipped         uint64 `json:"skipped"`
	ExportedRecords uint64 `json:"exported_records"`
	OptionsRecords  uint64 `json:"options_records"`
	Clamped         uint64 `json:"clamped"` // values that the protocol could not carry
	Messages        uint64 `json:"messages"`
	Bytes           uint64 `json:"bytes"`
	NotSent         uint64 `json:"not_sent"`
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
		j.OptionsRecords += l.Sent.Options
		j.Clamped += l.Sent.Clamped
		j.Messages += l.Sent.Messages
		j.Bytes += l.Sent.Bytes
		j.Collectors = append(j.Collectors, collectorSummary{
			URL: l.Name, Error: errorText(l.Err), Exported: l.Exported, Skipped: l.SkippedTuples(),
			ExportedRecords: l.Sent.Records, OptionsRecords: l.Sent.Options, Clamped: l.Sent.Clamped, Messages: l.Sent.Messages, Bytes: l.Sent.Bytes, NotSent: notSent(s, l),
		})
	}
	for _, index := range slices.Sorted(maps.Keys(s.Interfaces)) {
		j.Interfaces = append(j.Interfaces, interfaceName{index, s.Interfaces[index].String()})
	}
	for _, id := range slices.Sorted(maps.Keys(s.Targets)) {
		j.Domains = append(j.Domains, domainName{id, s.Targets[id]})
	}
	return j
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// notSent returns the decoded tuples that a collector did not get any more.
func notSent(s *bridge.Summary, l *bridge.LaneSummary) uint64 {
	return s.Decoded() - l.Exported - l.SkippedTuples()
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
		records := count(l.Sent.Records, "flow record")
		if n := l.Sent.Options; n > 0 {
			records += " and " + count(n, "options record")
		}
		fmt.Fprintf(&b, "exported  %s as %s in %s, %s, to %s\n", count(l.Exported, "tuple"), records,
			count(l.Sent.Messages, "message"), size(l.Sent.Bytes), l.Name)
		if n := l.Sent.Clamped; n > 0 {
			fmt.Fprintf(&b, "clamped   %s that the protocol cannot carry, to %s\n", count(n, "value"), l.Name)
		}
		if n := notSent(s, l); n > 0 {
			fmt.Fprintf(&b, "not sent  %s to %s\n", count(n, "tuple"), l.Name)
		}
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
