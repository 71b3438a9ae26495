package telemetry

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"regexp"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// refreshSeconds is how often the page loads itself anew.
const refreshSeconds = 15

// contentPolicy lets the page use its own style sheet and icon, and nothing else:
// no script, no other host, no frame around it.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page serves the status page, the same as JSON, and what the page needs.
type page struct {
	source  Source
	history *History
	now     func() time.Time
	html    *template.Template
}

// view is what the template gets.
type view struct {
	Status
	Charts    []chart
	StartedAt *time.Time
	Refresh   int // seconds; 0 is not at all
}

// newPage returns the handler of /, /status.json and /assets/; everything else is
// not found. It answers GET and HEAD only.
func newPage(source Source, history *History, now func() time.Time) http.Handler {
	p := &page{source, history, now, template.Must(template.New("page.html").Funcs(pageWords).ParseFS(assets, "assets/page.html"))}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.serveHTML)
	mux.HandleFunc("GET /status.json", p.serveJSON)
	mux.HandleFunc("GET /assets/page.css", asset("page.css", "text/css; charset=utf-8"))
	mux.HandleFunc("GET /assets/icon.svg", asset("icon.svg", "image/svg+xml"))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

func (p *page) status() Status { return newStatus(p.source.Snapshot(), p.history, p.now()) }

func (p *page) serveHTML(w http.ResponseWriter, r *http.Request) {
	v := view{Status: p.status(), Refresh: refreshSeconds}
	v.StartedAt = &v.Started
	v.Charts = []chart{flowsChart(&v.Status), lagChart(&v.Status)}
	if r.URL.Query().Get("refresh") == "off" {
		v.Refresh = 0
	}
	var b bytes.Buffer
	if err := p.html.Execute(&b, v); err != nil {
		http.Error(w, "show the status: "+err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, "text/html; charset=utf-8", b.Bytes())
}

func (p *page) serveJSON(w http.ResponseWriter, _ *http.Request) {
	b, err := json.MarshalIndent(p.status(), "", "  ")
	if err != nil {
		http.Error(w, "show the status: "+err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, "application/json", append(b, '\n'))
}

func asset(name, kind string) http.HandlerFunc {
	b, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(fmt.Sprintf("embedded asset: %v", err)) // it is not built without
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		answer(w, kind, b)
	}
}

// answer writes all of an answer. What the other side does not take is its own.
func answer(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body)
}

// pageWords are the functions of the template.
var pageWords = template.FuncMap{
	"count":     func(n any) string { return count(whole(n)) },
	"bytes":     func(n any) string { return bytesText(whole(n)) },
	"rate":      rateText,
	"seconds":   func(s float64) string { return durationText(duration(s)) },
	"uptime":    func(s int64) string { return durationText(time.Duration(s) * time.Second) },
	"ago":       func(now time.Time, t *time.Time) string { return ago(now, *t) },
	"clock":     func(now time.Time, t *time.Time) string { return clock(now, *t) },
	"exact":     func(t *time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"hour":      func(now time.Time, t *time.Time) string { return strings.TrimSuffix(clock(now, t.UTC()), ":00") },
	"plural":    func(n any, one, many string) string { return plural(whole(n), one, many) },
	"at":        func(now time.Time, t *time.Time) moment { return moment{now, t} },
	"rest":      func(all, shown int) int { return max(all-shown, 0) },
	"parts":     messageParts,
	"connected": connectedCount,
	"old":       func(now time.Time, t *time.Time) bool { return t == nil || now.Sub(*t) >= recentFor },
}

// attribute is where what a warning is about begins, behind its message.
var attribute = regexp.MustCompile(`; [a-z_.]+: `)

// messageParts returns the message of a warning, and what it is about.
func messageParts(s string) [2]string {
	at := attribute.FindStringIndex(s)
	if at == nil {
		return [2]string{s, ""}
	}
	return [2]string{s[:at[0]], s[at[0]+len("; "):]}
}

// moment is a time and when it is looked at.
type moment struct {
	Now time.Time
	T   *time.Time
}

// whole makes one type of those that counters have.
func whole(n any) int64 {
	switch n := n.(type) {
	case int:
		return int64(n)
	case *int:
		return int64(*n)
	case int64:
		return n
	case uint64:
		return int64(min(n, math.MaxInt64))
	}
	panic(fmt.Sprintf("the page counts a %T", n))
}
