package main

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"strings"

	"flow2ipfix/test/bench"
)

// The chart's measures, in pixels.
const (
	width      = 880
	margin     = 24
	labels     = 120 // at the left
	barHeight  = 26
	plotWidth  = width - 2*margin - labels - 90
	lineHeight = 18
)

// colours of the parts, in their order: reading, decoding and what comes then, and
// the kernel's grey.
var colours = []string{"#9aa0a6", "#1f5fa8", "#5b9bd5", "#2e8b57", "#7fc29b", "#c0612b", "#eba873", "#6b7076", "#8d6bb1", "#cbb8de"}

// kinds of flow logs, and what to call them.
var kinds = [][2]string{{"vnet", "VNet"}, {"nsg", "NSG"}, {"v6", "VNet, IPv6"}}

// canvas is an SVG in the making.
type canvas struct {
	bytes.Buffer
	y float64
}

func (c *canvas) text(x, y float64, class, text string) {
	fmt.Fprintf(c, `<text x="%.1f" y="%.1f" class="%s">%s</text>`+"\n", x, y, class, html.EscapeString(text))
}

func (c *canvas) bar(x, y, w float64, colour, title string) {
	fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s"><title>%s</title></rect>`+"\n", x, y, w, barHeight, colour, html.EscapeString(title))
}

// draw makes the chart: where each nanosecond goes, and tuples a second beside the
// yardsticks.
func draw(r *bench.Results) ([]byte, error) {
	if len(r.Shares) == 0 || len(r.Ratios) == 0 {
		return nil, errors.New("not all was measured: run make bench first")
	}
	c := &canvas{y: margin + 8}
	c.shares(r)
	c.y += 2 * lineHeight
	c.speeds(r)
	height := c.y + margin - 8

	var svg bytes.Buffer
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%d" height="%.0f" role="img">`+"\n", width, height, width, height)
	svg.WriteString(`<title>What a tuple costs, and how many tuples a second that makes</title>
<style>
text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f; }
.title { font-weight: 600; font-size: 15px; }
.label { text-anchor: end; }
.note { fill: #57606a; font-size: 12px; }
.strong { font-weight: 600; }
</style>
`)
	fmt.Fprintf(&svg, `<rect width="%d" height="%.0f" rx="8" fill="#ffffff"/>`+"\n", width, height)
	_, _ = c.WriteTo(&svg) // a buffer takes all
	svg.WriteString("</svg>\n")
	return svg.Bytes(), nil
}

func (c *canvas) shares(r *bench.Results) {
	c.text(margin, c.y, "title", "Where each nanosecond goes: processor time for a tuple in a whole replay")
	c.y += lineHeight
	most := 0.0
	sums := map[string]float64{}
	for kind, shares := range r.Shares {
		for _, share := range shares {
			sums[kind] += share.Ns
		}
		most = max(most, sums[kind])
	}
	for _, kind := range kinds {
		if sums[kind[0]] == 0 {
			continue
		}
		c.text(margin+labels-10, c.y+17, "label", kind[1])
		x := float64(margin + labels)
		for i, share := range r.Shares[kind[0]] {
			w := share.Ns / most * plotWidth
			c.bar(x, c.y, w, colours[i%len(colours)], fmt.Sprintf("%s: %.1f ns", share.Name, share.Ns))
			x += w
		}
		c.text(x+8, c.y+17, "strong", fmt.Sprintf("%.0f ns", sums[kind[0]]))
		c.y += barHeight + 8
	}
	// The legend, with the numbers of the first kind.
	c.y += lineHeight - 4
	x := float64(margin + labels)
	for i, share := range r.Shares[kinds[0][0]] {
		if i > 0 && i%4 == 0 {
			x, c.y = float64(margin+labels), c.y+lineHeight
		}
		fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="11" height="11" fill="%s"/>`+"\n", x, c.y-10, colours[i%len(colours)])
		c.text(x+16, c.y, "note", fmt.Sprintf("%s %.0f", share.Name, share.Ns))
		x += 172
	}
	c.y += lineHeight
	c.text(margin+labels, c.y, "note", "Numbers: nanoseconds of the "+kinds[0][1]+" flow log; both cores together.")
}

func (c *canvas) speeds(r *bench.Results) {
	c.text(margin, c.y, "title", "Tuples a second, whole replay to UDP")
	c.y += lineHeight
	most := 0.0
	for _, ratio := range r.Ratios {
		if strings.HasPrefix(ratio.Section, "whole ") {
			most = max(most, 1e3/ratio.Ours)
		}
	}
	for _, kind := range kinds {
		var bars []struct {
			speed        float64
			colour, note string
		}
		add := func(ns float64, colour, note string) {
			bars = append(bars, struct {
				speed        float64
				colour, note string
			}{1e3 / ns, colour, note})
		}
		for i, ratio := range r.Ratios {
			if ratio.Section != "whole "+kind[0] {
				continue
			}
			if len(bars) == 0 {
				add(ratio.Ours, "#1f5fa8", "flow2ipfix")
			}
			_, way, _ := strings.Cut(ratio.Yardstick, "exporter, ")
			add(r.Ratios[i].Theirs, "#b0b5ba", "encoding/json and go-ipfix, "+way)
		}
		for i, bar := range bars {
			if i == 0 {
				c.text(margin+labels-10, c.y+17, "label", kind[1])
			}
			w := bar.speed / most * (plotWidth - 120)
			c.bar(margin+labels, c.y, w, bar.colour, bar.note)
			c.text(margin+labels+w+8, c.y+17, "note", fmt.Sprintf("%.2f M  %s", bar.speed, bar.note))
			c.y += barHeight + 4
		}
		c.y += 8
	}
}
