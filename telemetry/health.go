package telemetry

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// silence is how long a source that failed may go without an answer until the
// daemon is no longer ready: one that is slow, or failed once, is no matter.
const silence = 10 * time.Minute

// unready says what is missing, in words; nothing if all is read and sent.
func (s *Snapshot) unready(now time.Time) []string {
	var missing []string
	if !s.Ready {
		why := s.NotReady
		if why == "" {
			why = "it starts"
		}
		missing = append(missing, why)
	}
	for _, stage := range s.Stalled {
		missing = append(missing, stage+" shows no sign of life")
	}
	if !s.StateFailing.IsZero() {
		stops := "flows stop by and by until it can"
		if s.StateStopped {
			stops = "flows stop until it can"
		}
		reason := withReason("the state cannot be written since "+s.StateFailing.UTC().Format(time.RFC3339), s.StateError, s.StateHint)
		missing = append(missing, reason+"; "+stops)
	}
	for i := range s.Sources {
		f := &s.Sources[i]
		var problem string
		switch {
		case f.Answered.IsZero():
			problem = "has not answered yet"
		case f.LastErrorTime.After(f.Answered) && now.Sub(f.Answered) > silence:
			problem = fmt.Sprintf("has not answered for %v", now.Sub(f.Answered).Round(time.Second))
		default:
			continue
		}
		missing = append(missing, withReason("source "+f.Name+" "+problem, f.LastError, f.Hint))
	}
	for i := range s.Collectors {
		if c := &s.Collectors[i]; c.Required && !c.Connected {
			missing = append(missing, withReason("collector "+c.Name+" is not connected", c.LastError, c.Hint))
		}
	}
	return missing
}

func withReason(text, reason, hint string) string {
	if reason != "" {
		text += ": " + reason
		if hint != "" {
			text += " (" + hint + ")"
		}
	}
	return text
}

// serveHealth says whether the process and its stages are alive. What is out there
// does not count: whoever begins a process anew for it makes nothing better.
func serveHealth(source Source) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s := source.Snapshot()
		if len(s.Stalled) > 0 {
			say(w, http.StatusServiceUnavailable, "not healthy: no sign of life from "+strings.Join(s.Stalled, ", ")+"\n")
			return
		}
		say(w, http.StatusOK, "healthy\n")
	}
}

func serveReady(source Source, now func() time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		s := source.Snapshot()
		if missing := s.unready(now()); len(missing) > 0 {
			say(w, http.StatusServiceUnavailable, "not ready: "+strings.Join(missing, "\nnot ready: ")+"\n")
			return
		}
		say(w, http.StatusOK, "ready\n")
	}
}

func say(w http.ResponseWriter, code int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}
