package telemetry

import (
	"regexp"
	"strings"
)

func (v *view) collectors() {
	v.put("<section id=\"collectors\">\n<h2>Collectors</h2>\n<div class=\"cards\">\n")
	for i := range v.Collectors {
		v.collector(&v.Collectors[i])
	}
	if len(v.Collectors) == 0 {
		v.put("<p class=\"empty\">No collector is configured.</p>\n")
	}
	v.put("</div>\n</section>\n\n")
}

func (v *view) collector(c *CollectorStatus) {
	class, delivery, preset := " optional", "best-effort", ""
	if c.Required {
		class, delivery = "", "required"
	}
	if c.Preset != "" {
		preset = " · preset " + c.Preset
	}
	v.put(`<article class="card collector %s%s" data-name="%s">
<h3>%s <span class="pill %s">%s</span></h3>
<p class="about">%s · %s%s · %s</p>
`, c.State, class, c.Name, c.Name, c.State, c.State, c.URL, c.Protocol, preset, delivery)
	switch c.State {
	case away:
		v.put("<div class=\"trouble\">\n<p>Away")
		if c.Since != nil {
			v.put(" since %s UTC, ", clock(v.Time, *c.Since))
			v.ago(*c.Since)
		}
		v.put(": %s</p>\n", c.Error.Text)
		v.toDo(c.Error.Hint)
		if c.RetryAt != nil {
			v.put("<p>Tried again ")
			v.ago(*c.RetryAt)
			v.put(".</p>\n")
		}
		v.put("</div>\n")
	case connecting:
		v.put("<p>No connection yet, it is being tried.</p>\n")
	default:
		v.put("<p>Connected")
		if c.Since != nil {
			v.put(" since %s UTC, ", clock(v.Time, *c.Since))
			v.ago(*c.Since)
		}
		v.put(".")
		if c.Error != nil && c.Error.Time != nil {
			v.put(" Last failure ")
			v.ago(*c.Error.Time)
			v.put(".")
		}
		v.put("</p>\n")
	}
	v.put("<dl class=\"facts\">\n<div><dt>Records</dt>")
	if rate := c.RecordsPerSecond; rate != nil {
		v.put(`<dd class="rate" title="%s records/s, mean of the last minute">%s<small>/s</small></dd>`, *rate, rateText(*rate))
	} else {
		v.put(`<dd class="none">no rate yet</dd>`)
	}
	kept := "nothing"
	if c.KeptBytes > 0 {
		kept = bytesText(c.KeptBytes)
	}
	v.put(`</div>
<div><dt>Sent</dt><dd class="records" title="%s records, %s bytes, %s messages">%s</dd></div>
<div><dt>Kept</dt><dd class="kept" title="%s records, %s bytes, finished and not delivered">%s</dd></div>
<div><dt>Sent again</dt><dd class="resent" title="%s records, %s reconnects">%s</dd></div>
`, c.Records, c.Bytes, c.Messages, count(c.Records), c.KeptRecords, c.KeptBytes, kept, c.Resent, c.Reconnects, countOr("nothing", c.Resent))
	if c.NotSent > 0 {
		v.put(`<div><dt>Lost to it</dt><dd class="lost" title="%s tuples that came while it was away">%s</dd></div>
`, c.NotSent, count(c.NotSent))
	}
	if c.RateLimit > 0 {
		v.put(`<div><dt>Limit</dt><dd title="%s records/s at most">%s<small>/s</small></dd></div>
`, c.RateLimit, count(c.RateLimit))
	}
	v.put("</dl>\n</article>\n")
}

func (v *view) charts() {
	v.put("<section id=\"chart\">\n<h2>The last hour</h2>\n")
	for i := range v.Charts {
		v.chart(&v.Charts[i])
	}
	v.put("</section>\n\n")
}

func (v *view) chart(c *chart) {
	v.put(`<figure class="chart %s">
<figcaption><span class="what">%s</span>`, c.Class, c.Title)
	if c.Present != "" {
		v.put(` <span class="present" title="%s">%s</span>`, c.Exact, c.Present)
	}
	v.put("</figcaption>\n")
	if c.Line == "" {
		v.put("<p class=\"empty\">%s</p>\n</figure>\n", c.Empty)
		return
	}
	v.put(`<div class="plot">
<div class="scale" aria-hidden="true"><span>%s</span><span>%s</span><span>0</span></div>
<svg viewBox="0 0 %s %s" preserveAspectRatio="none" role="img" aria-label="%s, %s">
<g class="grid"><path d="M0 0H%sM0 %sH%sM0 %sH%s"/>`,
		c.Top, c.Middle, c.Width, c.Height, c.Title, c.Summary, c.Width, c.Half(), c.Width, c.Height, c.Width)
	for _, x := range c.TickX {
		v.put(`<path d="M%s 0V%s"/>`, x, c.Height)
	}
	v.put(`</g>
<path class="area" d="%s"/>
<path class="line" d="%s"/>
<g class="hits">`, c.Area, c.Line)
	for _, h := range c.Hits {
		v.put(`<rect x="%s" y="0" width="%s" height="%s"><title>%s</title></rect>
`, h.X, h.Width, c.Height, h.Text)
	}
	v.put("</g>\n</svg>\n<div class=\"ticks\" aria-hidden=\"true\">")
	for _, t := range c.Ticks {
		v.put("<span>%s</span>", t)
	}
	v.put("<span class=\"end\">now</span></div>\n</div>\n</figure>\n")
}

func (v *view) sources() {
	v.put("<section id=\"sources\">\n<h2>Followed</h2>\n")
	for i := range v.Sources {
		v.source(&v.Sources[i])
	}
	if len(v.Sources) == 0 {
		v.put("<p class=\"empty\">No source is configured.</p>\n")
	}
	v.put("</section>\n\n")
}

func (v *view) source(s *SourceStatus) {
	v.put(`<article class="card source" data-name="%s">
<h3>%s <span class="kind">%s</span></h3>
<p class="about">%s</p>
`, s.Name, s.Name, s.Kind, s.Place)
	if e := s.Error; e != nil {
		class := "trouble"
		if e.Time == nil || v.Time.Sub(*e.Time) >= recentFor {
			class = "past"
		}
		v.put("<div class=\"%s\">\n<p>Last error", class)
		if e.Time != nil {
			v.put(" ")
			v.ago(*e.Time)
		}
		v.put(": %s</p>\n", e.Text)
		v.toDo(e.Hint)
		v.put("</div>\n")
	}
	v.facts(s)
	if len(s.Shown) == 0 {
		v.put("<p class=\"empty\">No flow log was found yet.</p>\n</article>\n")
		return
	}
	v.put(`<table class="flowlogs">
<thead><tr><th>Flow log, the worst first</th><th class="n">Lag</th><th class="n">NICs</th><th class="n">Older hours open</th></tr></thead>
<tbody>
`)
	for i := range s.Shown {
		v.flowLog(&s.Shown[i])
	}
	v.put("</tbody>\n</table>\n")
	if rest := s.FlowLogs - len(s.Shown); rest > 0 {
		v.put("<p class=\"more\">and %s more</p>\n", plural(rest, "flow log", "flow logs"))
	}
	v.put("</article>\n")
}

func (v *view) facts(s *SourceStatus) {
	v.put("<dl class=\"facts\">\n<div><dt>Lag</dt>")
	if lag := s.LagSeconds; lag != nil {
		v.put(`<dd class="lag" title="%s s">%s</dd>`, *lag, durationText(duration(*lag)))
	} else {
		v.put(`<dd class="none">nothing delivered yet</dd>`)
	}
	v.put(`</div>
<div><dt>Flow logs</dt><dd class="flowlogs" title="%s">%s</dd></div>
`, s.FlowLogs, countOr("none", s.FlowLogs))
	if n := s.Interfaces; n != nil {
		v.put(`<div><dt>NICs</dt><dd class="nics" title="%s in the newest hour">%s</dd></div>
`, *n, count(*n))
	}
	v.put("<div><dt>Newest hour</dt>")
	if hour := s.NewestHour; hour != nil {
		v.put(`<dd class="hour" title="%s">%s UTC</dd>`, exact(*hour), strings.TrimSuffix(clock(v.Time, *hour), ":00"))
	} else {
		v.put(`<dd class="none">nothing read yet</dd>`)
	}
	oldest, undelivered := "", "nothing"
	if s.OldestHour != nil {
		oldest = ", the oldest " + exact(*s.OldestHour)
	}
	if s.Undelivered > 0 {
		undelivered = plural(s.Undelivered, "blob", "blobs")
	}
	v.put(`</div>
<div><dt>Open hours</dt><dd title="%s hours, %s blobs%s">%s`, s.Hours, s.Blobs, oldest, countOr("none", s.Hours))
	if s.Hours > 0 {
		v.put("<small> · %s</small>", plural(s.Blobs, "blob", "blobs"))
	}
	v.put(`</dd></div>
<div><dt>To deliver</dt><dd class="undelivered" title="%s blobs that were read further than delivered">%s</dd></div>
</dl>
`, s.Undelivered, undelivered)
}

func (v *view) flowLog(f *FlowLogStatus) {
	v.put(`<tr>
<td class="what"><details><summary>%s</summary><p class="full">%s</p></details>`, f.Short, f.Name)
	if f.Error != "" {
		v.put(`<p class="error">%s</p>`, f.Error)
	}
	v.put("</td>\n<td class=\"n lag\" data-label=\"Lag\">")
	if f.LagSeconds != nil {
		delivered := exact(*f.Delivered)
		v.put(`<time datetime="%s" title="newest delivered record %s">%s</time>`, delivered, delivered, durationText(duration(*f.LagSeconds)))
	} else {
		v.put(`<span class="none">not known yet</span>`)
	}
	v.put(`</td>
<td class="n" data-label="NICs">%s</td>
<td class="n" data-label="Older hours">%s</td>
</tr>
`, count(f.Interfaces), countOr("none", f.OlderHours))
}

func (v *view) rejects() {
	r := &v.Rejected
	v.put("<section id=\"rejects\">\n<h2>Rejected</h2>\n")
	if len(r.ByReason) == 0 {
		v.put("<p class=\"empty\">Nothing was rejected.</p>\n</section>\n\n")
		return
	}
	v.put(`<p>%s of flow logs could not be read since the start, with %s. Everything else in the same blobs was.</p>
<table class="reasons">
<thead><tr><th>Reason</th><th class="n">Pieces</th></tr></thead>
<tbody>
`, plural(r.Pieces, "piece", "pieces"), plural(r.Tuples, "tuple", "tuples"))
	for _, reason := range r.ByReason {
		v.put(`<tr><td title="%s">%s</td><td class="n" title="%s">%s</td></tr>
`, reason.Reason, reason.Text, reason.Pieces, count(reason.Pieces))
	}
	v.put("</tbody>\n</table>\n")
	if len(r.Examples) > 0 {
		v.put("<h3>The last ones</h3>\n<ul class=\"list examples\">\n")
		for i := range r.Examples {
			v.example(&r.Examples[i])
		}
		v.put("</ul>\n")
	}
	v.put("</section>\n\n")
}

func (v *view) example(e *ExampleStatus) {
	v.put("<li><p>")
	if e.Time != nil {
		v.ago(*e.Time)
		v.put(": ")
	}
	v.put("%s</p>\n", e.Text)
	if e.Quote != "" {
		v.put("<p><code>%s</code></p>\n", e.Quote)
	}
	v.put(`<details class="where"><summary>%s, byte %s of a blob</summary><p class="full">%s</p></details></li>
`, e.Source, e.Offset, e.Blob)
}

func (v *view) warnings() {
	v.put("<section id=\"warnings\">\n<h2>Recent warnings</h2>\n")
	if len(v.Warnings) == 0 {
		v.put("<p class=\"empty\">Nothing was warned of.</p>\n</section>\n\n")
		return
	}
	v.put("<ul class=\"list\">\n")
	for _, w := range v.Warnings {
		v.put(`<li class="%s"><span class="mark">%s</span> `, w.Level, w.Level)
		if w.Time != nil {
			v.ago(*w.Time)
		}
		if w.Count > 1 {
			v.put(", %s times", count(w.Count))
		}
		message, about := messageParts(w.Text)
		v.put("<p>%s</p>", message)
		if about != "" {
			v.put(`<p class="about">%s</p>`, about)
		}
		v.put("</li>\n")
	}
	v.put("</ul>\n</section>\n\n")
}

// attribute is where what a warning is about begins, behind its message.
var attribute = regexp.MustCompile(`; [a-z_.]+: `)

// messageParts returns the message of a warning, and what it is about.
func messageParts(s string) (message, about string) {
	at := attribute.FindStringIndex(s)
	if at == nil {
		return s, ""
	}
	return s[:at[0]], s[at[0]+len("; "):]
}
