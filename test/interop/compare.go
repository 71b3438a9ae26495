package interop

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"flow2ipfix/test/interop/show"
)

// line is a record as one line, its elements in order.
func line(r show.Record) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r)) {
		fmt.Fprintf(&b, "%s=%s ", name, r[name])
	}
	return b.String()
}

// plainFlows writes flow ids as flowID does, if they are the same for both ways of
// a flow and for nothing else.
func plainFlows(records []show.Record) {
	flows, ids := map[string]map[string]bool{}, map[string]map[string]bool{}
	note := func(all map[string]map[string]bool, key, value string) {
		if all[key] == nil {
			all[key] = map[string]bool{}
		}
		all[key][value] = true
	}
	of := func(r show.Record) string {
		return flowID(r["sourceIPv4Address"], r["sourceTransportPort"], r["destinationIPv4Address"], r["destinationTransportPort"])
	}
	for _, r := range records {
		if id, ok := r["flowId"]; ok {
			note(flows, id, of(r))
			note(ids, of(r), id)
		}
	}
	for _, r := range records {
		if id, ok := r["flowId"]; ok && len(flows[id]) == 1 && len(ids[of(r)]) == 1 {
			r["flowId"] = of(r)
		}
	}
}

// merge adds up records that differ in nothing but their counters: nfacctd does
// that, and NetFlow version 5 splits what is too much for a record.
func merge(records []show.Record) []show.Record {
	var all []show.Record
	first := map[string]show.Record{}
	for _, r := range records {
		key := maps.Clone(r)
		for _, counter := range append([]string{"records"}, counters...) {
			delete(key, counter)
		}
		sum := first[line(key)]
		delete(r, "records")
		if sum == nil {
			first[line(key)] = r
			all = append(all, r)
			continue
		}
		for _, counter := range counters {
			a, errA := strconv.ParseUint(sum[counter], 10, 64)
			b, errB := strconv.ParseUint(r[counter], 10, 64)
			if errA == nil && errB == nil {
				sum[counter] = strconv.FormatUint(a+b, 10)
			}
		}
	}
	return all
}

// compare returns what differs between two lists of records in any order, in
// words; nothing if they are the same.
func compare(want, got []show.Record) []string {
	count := map[string]int{}
	text := map[string]show.Record{}
	for _, r := range want {
		count[line(r)]++
		text[line(r)] = r
	}
	for _, r := range got {
		count[line(r)]--
		text[line(r)] = r
	}
	var missing, unexpected []show.Record
	for _, key := range slices.Sorted(maps.Keys(count)) {
		for n := count[key]; n > 0; n-- {
			missing = append(missing, text[key])
		}
		for n := count[key]; n < 0; n++ {
			unexpected = append(unexpected, text[key])
		}
	}
	var words []string
	for _, m := range missing {
		i := nearest(m, unexpected)
		if i < 0 {
			words = append(words, "missing "+line(m))
			continue
		}
		words = append(words, fmt.Sprintf("of %s: %s", about(m), difference(m, unexpected[i])))
		unexpected = slices.Delete(unexpected, i, i+1)
	}
	for _, u := range unexpected {
		words = append(words, "unexpected "+line(u))
	}
	return words
}

// about names a flow.
func about(r show.Record) string {
	return fmt.Sprintf("%s %s > %s %s", r["sourceIPv4Address"], r["sourceTransportPort"], r["destinationIPv4Address"], r["destinationTransportPort"])
}

// nearest returns the record that has most in common with another one; -1 if none
// has half of it.
func nearest(r show.Record, others []show.Record) int {
	best, most := -1, len(r)/2
	for i, o := range others {
		n := 0
		for name, value := range r {
			if o[name] == value {
				n++
			}
		}
		if n > most || n == most && best < 0 && about(o) == about(r) {
			best, most = i, n
		}
	}
	return best
}

func difference(want, got show.Record) string {
	var parts []string
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		w, inWant := want[name]
		g, inGot := got[name]
		switch {
		case !inGot:
			parts = append(parts, fmt.Sprintf("%s is not shown, want %q", name, w))
		case !inWant:
			parts = append(parts, fmt.Sprintf("%s is %q, which should not be shown", name, g))
		case w != g:
			parts = append(parts, fmt.Sprintf("%s is %q, want %q", name, g, w))
		}
	}
	return strings.Join(parts, "; ")
}
