package telemetry

import (
	"math"
	"strings"
	"testing"
	"time"
)

// hour is an hour of minutes with some values; NaN is a gap.
func hour(values ...float64) []HistoryMinute {
	all := make([]HistoryMinute, historyMinutes)
	for i := range all {
		all[i].Time = noon.Add(time.Duration(i-historyMinutes+1) * time.Minute)
		if at := i - historyMinutes + len(values); at >= 0 && !math.IsNaN(values[at]) {
			all[i].FlowsPerSecond, all[i].LagSeconds = &values[at], &values[at]
		}
	}
	return all
}

func TestChart(t *testing.T) {
	gap := math.NaN()
	for name, tc := range map[string]struct {
		values         []float64
		top, line      string
		area, subpaths int
	}{
		"no data":        {},
		"zero":           {[]float64{0}, "1", "M590 100.0H600", 0, 1},
		"one point":      {[]float64{7}, "8", "M590 12.5H600", 1, 1},
		"two points":     {[]float64{5, 10}, "10", "M580 50.0H590L590 0.0H600", 2, 1},
		"a gap":          {[]float64{10, gap, 10}, "10", "M570 0.0H580M590 0.0H600", 2, 2},
		"a small number": {[]float64{0.1}, "1", "M590 90.0H600", 1, 1},
		"a large number": {[]float64{1.1e9}, "2 G", "M590 45.0H600", 1, 1},
		"at the edge":    {[]float64{1000}, "1 000", "M590 0.0H600", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := flowsChart(&Status{History: hour(tc.values...)})
			if plainSpaces(c.Top) != tc.top || c.Line != tc.line || strings.Count(c.Area, "M") != tc.area || strings.Count(c.Line, "M") != tc.subpaths {
				t.Errorf("top %q, line %q, area %q; want %q, %q", c.Top, c.Line, c.Area, tc.top, tc.line)
			}
			if strings.Contains(c.Line+c.Area, "NaN") || strings.Contains(c.Line+c.Area, "Inf") || c.Empty == "" {
				t.Errorf("line %q, area %q, empty %q", c.Line, c.Area, c.Empty)
			}
			if len(tc.values) > 0 && (len(c.Hits) != 60 || len(c.Ticks) != 4 || c.Ticks[0] != "02:15" || c.Ticks[3] != "03:00") {
				t.Errorf("%d hits, ticks %q", len(c.Hits), c.Ticks)
			}
		})
	}
	c := lagChart(&Status{History: hour(45, 5*24*3600)})
	if plainSpaces(c.Top) != "6 d" || c.Hits[59].Text != "03:14 UTC: 5\u00a0d" || c.Hits[0].Text != "02:15 UTC: not known" {
		t.Errorf("the top is %q, the hits %q and %q", c.Top, c.Hits[0].Text, c.Hits[59].Text)
	}
}

// TestRoundUp: the top of a chart is never below a value, nor far above.
func TestRoundUp(t *testing.T) {
	for v := 0.001; v < 1e12; v *= 1.07 {
		if top := roundUp(v); top < v || top > 2*max(v, 0.5)+1e-6 {
			t.Errorf("%v is rounded up to %v", v, top)
		}
		if top := roundUpTime(v); top < v || v > 60 && top > 2.5*v {
			t.Errorf("%v s are rounded up to %v", v, top)
		}
	}
}

func plainSpaces(s string) string {
	return strings.NewReplacer("\u00a0", " ", "\u202f", " ").Replace(s)
}

func TestWords(t *testing.T) {
	is := func(got, want string) {
		t.Helper()
		if plainSpaces(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	is(count(0), "0")
	is(count(999), "999")
	is(count(-1000), "-1 000")
	is(count(99_999), "99 999")
	is(count(123_456), "123 k")
	is(count(999_999), "1 M")
	is(count(87_654_321), "87.7 M")
	is(count(math.MaxInt64), "9.22 E")
	is(bytesText(0), "0 B")
	is(bytesText(1500), "1.5 kB")
	is(bytesText(98_765_432_101), "98.8 GB")
	is(rateText(0), "0")
	is(rateText(0.04), "< 0.1")
	is(rateText(3), "3")
	is(rateText(9.94), "9.9")
	is(rateText(9.96), "10")
	is(durationText(-time.Second), "0 s")
	is(durationText(59*time.Second), "59 s")
	is(durationText(127*time.Second), "2 min 7 s")
	is(durationText(12*time.Minute+30*time.Second), "12 min")
	is(durationText(3*time.Hour+5*time.Minute), "3 h 5 min")
	is(durationText(75*time.Hour), "3 d 3 h")
	is(durationText(45*24*time.Hour), "45 d")
	is(ago(noon, noon), "just now")
	is(ago(noon, noon.Add(21*time.Second)), "in 21 s")
	is(ago(noon, noon.Add(-42*time.Second)), "42 s ago")
	is(clock(noon, noon.Add(-time.Hour)), "02:14:15")
	is(clock(noon, noon.Add(-4*time.Hour)), "2026-11-20 23:14:15")
	is(plural(1, "blob", "blobs"), "1 blob")
	is(plural(2000, "blob", "blobs"), "2 000 blobs")
	is(plain("a\x00b\u202ec\xffd\r\n\ufffd\u2028", 100), `a\u0000b\u202ec\xffd\u000d `+"\ufffd"+`\u2028`)
	is(plain("äöü€", 3), "äö…")
	is(shortName("a/b/NSG-WEB/"), "NSG-WEB")
	is(shortName(""), "")
}
