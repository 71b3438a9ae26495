package telemetry

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// chart is a picture of the last hour, a bucket a minute, in units of its own: the
// page stretches it to its width.
type chart struct {
	Title   string
	Class   string // of the style sheet
	Present string // the latest value in words
	Exact   string
	Summary string // for who cannot see the picture
	Empty   string // why there is no picture, in words
	Top     string // the value at the upper edge
	Middle  string
	Width   int
	Height  int
	Line    string // path of what is drawn
	Area    string // path of what is below it
	Hits    []hit
	Ticks   []string // times along the bottom, one a quarter
	TickX   []int
}

// Half is where the middle line is.
func (c chart) Half() int { return c.Height / 2 }

// hit is where the pointer finds a minute.
type hit struct {
	X, Width int
	Text     string
}

// Units of a chart.
const (
	bucketWidth = 10
	chartWidth  = historyMinutes * bucketWidth
	chartHeight = 100
	chartTicks  = 4
)

// newChart draws what value says of each minute; false is a gap. top rounds the
// largest value up to where the chart ends, text says a value and scale one of the
// scale.
func newChart(minutes []HistoryMinute, value func(*HistoryMinute) *float64, top func(float64) float64, text, scale func(float64) string) chart {
	c := chart{Width: chartWidth, Height: chartHeight}
	largest, known := 0.0, 0
	least := math.Inf(1)
	for i := range minutes {
		if v := value(&minutes[i]); v != nil {
			largest, least = max(largest, *v), min(least, *v)
			known++
		}
	}
	if known == 0 {
		return c
	}
	end := top(largest)
	c.Top, c.Middle = scale(end), scale(end/2)
	c.Summary = "the last hour, a value a minute: from " + text(least) + " to " + text(largest)
	var line, area strings.Builder
	joined := false
	for i := range minutes {
		m := &minutes[i]
		v := value(m)
		words := "not known"
		if v != nil {
			words = text(*v)
			x, y := i*bucketWidth, chartHeight-*v/end*chartHeight
			if joined {
				fmt.Fprintf(&line, "L%d %.1f", x, y)
			} else {
				fmt.Fprintf(&line, "M%d %.1f", x, y)
			}
			fmt.Fprintf(&line, "H%d", x+bucketWidth)
			if y < chartHeight {
				fmt.Fprintf(&area, "M%d %dV%.1fH%dV%dZ", x, chartHeight, y, x+bucketWidth, chartHeight)
			}
		}
		joined = v != nil
		c.Hits = append(c.Hits, hit{i * bucketWidth, bucketWidth, m.Time.UTC().Format("15:04") + " UTC: " + words})
		if len(minutes)%chartTicks == 0 && i%(len(minutes)/chartTicks) == 0 {
			c.Ticks = append(c.Ticks, m.Time.UTC().Format("15:04"))
			c.TickX = append(c.TickX, i*bucketWidth)
		}
	}
	c.Line, c.Area = line.String(), area.String()
	return c
}

// flowsChart shows how many flows were read.
func flowsChart(st *Status) chart {
	text := func(v float64) string { return rateText(v) + "\u00a0flows/s" }
	c := newChart(st.History, func(m *HistoryMinute) *float64 { return m.FlowsPerSecond }, roundUp, text, rateText)
	c.Title, c.Class, c.Empty = "Flows read in a second", "flows", "no rate is known yet: two samples are needed, and one is taken every 10 s"
	if v := st.FlowsPerSecond; v != nil {
		c.Present, c.Exact = text(*v), fmt.Sprintf("%v flows/s, mean of the last minute", *v)
	}
	return c
}

// lagChart shows how far delivery was behind.
func lagChart(st *Status) chart {
	text := func(v float64) string { return durationText(duration(v)) }
	c := newChart(st.History, func(m *HistoryMinute) *float64 { return m.LagSeconds }, roundUpTime, text, text)
	c.Title, c.Class, c.Empty = "Lag", "lag", "no lag is known yet: nothing was delivered"
	if v := st.LagSeconds; v != nil {
		c.Present, c.Exact = text(*v), fmt.Sprintf("%v s between the newest delivered flow and now", *v)
	}
	return c
}

// roundUp returns the next of 1, 2, 4, 6, 8, 10, 20, 40 and so on: halves of them
// are round as well.
func roundUp(v float64) float64 {
	if v <= 1 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 4, 6, 8, 10} {
		if v <= f*unit {
			return f * unit
		}
	}
	return 20 * unit // by rounding
}

// roundUpTime does so with seconds.
func roundUpTime(v float64) float64 {
	for _, d := range []time.Duration{
		time.Minute, 2 * time.Minute, 4 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour, 96 * time.Hour,
	} {
		if v <= d.Seconds() {
			return d.Seconds()
		}
	}
	const day = 24 * 60 * 60
	return roundUp(v/day) * day
}
