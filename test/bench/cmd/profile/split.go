package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"flow2ipfix/test/bench"
)

// parts of the program, in the order in which a flow meets them.
var parts = []string{
	"kernel: reading", "JSON", "tuples", "start times", "conversion", "encoding", "messages", "kernel: sending",
	"handing over", "memory and scheduler",
}

// split shares the processor time for a tuple out among the parts, by the stacks
// that pprof -traces prints.
func split(traces string, nsPerTuple float64) ([]bench.Share, error) {
	spent, all := map[string]float64{}, 0.0
	for stack := range strings.SplitSeq(traces, "-----------+") {
		var frames []string
		value := 0.0
		for line := range strings.Lines(stack) {
			fields := strings.Fields(line)
			if len(fields) > 1 && strings.HasSuffix(fields[0], "ns") && len(frames) == 0 {
				n, err := strconv.ParseFloat(strings.TrimSuffix(fields[0], "ns"), 64)
				if err != nil {
					return nil, fmt.Errorf("read profile: %w", err)
				}
				value, fields = n, fields[1:]
			}
			if value > 0 && len(fields) > 0 {
				frames = append(frames, fields[0])
			}
		}
		spent[partOf(frames)] += value
		all += value
	}
	if all == 0 {
		return nil, errors.New("read profile: it is empty")
	}
	shares := make([]bench.Share, len(parts))
	for i, part := range parts {
		shares[i] = bench.Share{Name: part, Ns: spent[part] / all * nsPerTuple}
	}
	return shares, nil
}

// partOf says which part a stack belongs to, whose first frame is the innermost:
// that of the first function of ours.
func partOf(frames []string) string {
	has := func(text string) bool {
		return slices.ContainsFunc(frames, func(frame string) bool { return strings.Contains(frame, text) })
	}
	kernel := len(frames) > 0 && strings.Contains(frames[0], "yscall")
	for _, frame := range frames {
		name, ours := strings.CutPrefix(frame, "flow2ipfix/")
		if !ours {
			continue
		}
		switch pkg, _, _ := strings.Cut(name, "."); {
		case kernel && pkg == "exporter":
			return "kernel: sending"
		case kernel:
			return "kernel: reading"
		case strings.HasPrefix(pkg, "internal/"):
			// What they are called for says more.
		case pkg == "flowlog" && (has("Tuple") || has("parseVNet") || has("parseNSG")):
			return "tuples"
		case pkg == "flowlog":
			return "JSON"
		case pkg == "convert/starts":
			return "start times"
		case pkg == "convert":
			return "conversion"
		case pkg == "templates" || pkg == "exporter/message":
			return "encoding"
		case pkg == "exporter":
			return "messages"
		case strings.HasPrefix(pkg, "source"):
			return "kernel: reading"
		case pkg == "bridge":
			return "handing over"
		}
	}
	return "memory and scheduler"
}
