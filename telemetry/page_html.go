package telemetry

import (
	"bytes"
	"fmt"
	"html"
	"time"
)

// markup is HTML of our own. A literal becomes one by itself; a string does not, so
// that what others said cannot be taken for it.
type markup string

// view is what the page shows, and the page.
type view struct {
	Status
	Charts  []chart
	Refresh int // seconds; 0 is not at all

	out bytes.Buffer
}

// put adds HTML. Each %s in it stands between tags, or in double quotes within one,
// and takes a value. This is the only way into the page, and it escapes all values:
// names, errors and warnings are others' words. The tests read all literals.
func (v *view) put(literal markup, values ...any) {
	for i, value := range values {
		values[i] = html.EscapeString(fmt.Sprint(value))
	}
	fmt.Fprintf(&v.out, string(literal), values...)
}

func (v *view) page() []byte {
	v.put(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
`)
	if v.Refresh > 0 {
		v.put(`<meta http-equiv="refresh" content="%s">
`, v.Refresh)
	}
	v.put(`<title>%s · flow2ipfix</title>
<link rel="stylesheet" href="assets/page.css">
<link rel="icon" href="assets/icon.svg" type="image/svg+xml">
</head>
<body>
`, v.Summary.State)
	v.bar()
	v.put("<main>\n\n")
	v.summary()
	v.tiles()
	v.collectors()
	v.charts()
	v.sources()
	v.rejects()
	v.warnings()
	v.put("</main>\n")
	v.footer()
	v.put("</body>\n</html>\n")
	return v.out.Bytes()
}

func (v *view) bar() {
	v.put(`<header class="bar">
<span class="name">flow2ipfix</span>
<span class="seen"><time id="now" datetime="%s" title="%s">%s UTC</time>`,
		v.Time.Format(time.RFC3339), v.Time.Format("2006-01-02T15:04:05.000Z07:00"), v.Time.Format(time.DateTime))
	if v.Refresh > 0 {
		v.put(` · every %s&nbsp;s · <a href="?refresh=off">hold still</a>`, v.Refresh)
	} else {
		v.put(` · held still · <a href="./">go on</a>`)
	}
	v.put("</span>\n</header>\n")
}

func (v *view) summary() {
	s := &v.Summary
	v.put(`<section id="summary" class="summary %s" aria-label="Summary">
<p class="state">%s</p>
<h1>%s</h1>
`, s.State, s.State, s.Text)
	v.toDo(s.ToDo)
	if len(s.Also) > 0 {
		v.put("<ul class=\"also\">\n")
		for _, f := range s.Also {
			v.put(`<li class="%s"><span class="mark">%s</span> %s`, f.State, f.State, f.Text)
			if f.ToDo != "" {
				v.put(` <span class="todo"><b>To do:</b> %s</span>`, f.ToDo)
			}
			v.put("</li>\n")
		}
		v.put("</ul>\n")
	}
	v.put("</section>\n\n")
}

func (v *view) tiles() {
	v.put("<dl class=\"tiles\">\n<div><dt>Lag</dt>")
	if lag := v.LagSeconds; lag != nil {
		v.put(`<dd id="lag" title="%s s">%s</dd>`, *lag, durationText(duration(*lag)))
	} else {
		v.put(`<dd id="lag" class="none">not known yet</dd>`)
	}
	v.put("</div>\n<div><dt>Flows read</dt>")
	if rate := v.FlowsPerSecond; rate != nil {
		v.put(`<dd id="flows" title="%s flows/s, mean of the last minute">%s<small>/s</small></dd>`, *rate, rateText(*rate))
	} else {
		v.put(`<dd id="flows" class="none">not known yet</dd>`)
	}
	v.put(`</div>
<div><dt>Collectors</dt><dd id="connected">%s<small> of %s connected</small></dd></div>
<div><dt>Rejected</dt><dd id="rejected" title="%s pieces of flow logs, %s tuples">%s</dd></div>
</dl>

`, connectedCount(v.Collectors), len(v.Collectors), v.Rejected.Pieces, v.Rejected.Tuples, countOr("nothing", v.Rejected.Pieces))
}

func (v *view) footer() {
	started := exact(v.Started)
	v.put(`<footer>
<p><span title="%s">flow2ipfix %s</span> · up <time id="uptime" datetime="%s" title="since %s">%s</time> · configuration loaded `,
		v.GoVersion, v.Version, started, started, durationText(time.Duration(v.UptimeSeconds)*time.Second))
	if v.Reloaded != nil {
		v.ago(*v.Reloaded)
	} else {
		v.put("never")
	}
	v.put(`</p>
<p>%s <span title="%s tuples, %s bytes">in %s</span> read since the start. The same as <a href="status.json">JSON</a>, for Prometheus as <a href="metrics">metrics</a>.</p>
</footer>
`, plural(v.Read.Tuples, "tuple", "tuples"), v.Read.Tuples, v.Read.Bytes, bytesText(v.Read.Bytes))
}

// ago adds how long ago something was, or when it will be.
func (v *view) ago(t time.Time) {
	v.put(`<time datetime="%s" title="%s">%s</time>`, exact(t), exact(t), ago(v.Time, t))
}

// toDo adds what to do about something, if that is known.
func (v *view) toDo(hint string) {
	if hint != "" {
		v.put("<p class=\"todo\"><b>To do:</b> %s</p>\n", hint)
	}
}

// exact is a time for machines.
func exact(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// countOr is a number, or a word for none.
func countOr[N int | uint64](none string, n N) string {
	if n == 0 {
		return none
	}
	return count(n)
}
