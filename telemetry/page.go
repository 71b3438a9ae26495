package telemetry

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
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
}

// newPage returns the handler of /, /status.json and /assets/; everything else is
// not found. It answers GET and HEAD only.
func newPage(source Source, history *History, now func() time.Time) http.Handler {
	p := &page{source, history, now}
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
	v.Charts = []chart{flowsChart(&v.Status), lagChart(&v.Status)}
	if r.URL.Query().Get("refresh") == "off" {
		v.Refresh = 0
	}
	answer(w, "text/html; charset=utf-8", v.page())
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
