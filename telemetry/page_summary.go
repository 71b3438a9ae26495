package telemetry

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Summary is what an operator wants to know first: one sentence, and what to do.
// Also has what else is wrong, the worst first.
type Summary struct {
	State string    `json:"state"` // ok, starting, warning or problem
	Text  string    `json:"text"`
	ToDo  string    `json:"to_do"`
	Also  []Finding `json:"also"`
}

// Finding is something that is not as it should be.
type Finding struct {
	State string `json:"state"` // warning or problem
	Text  string `json:"text"`
	ToDo  string `json:"to_do"`

	saysLag bool // the sentence needs no other word on how far it is behind
}

// States of a Summary, from good to bad.
const (
	stateOK       = "ok"
	stateStarting = "starting"
	stateWarning  = "warning"
	stateProblem  = "problem"
)

const (
	// lateAfter is when delivery is said to be behind. Azure takes some minutes
	// to write what happened in one.
	lateAfter = 15 * time.Minute
	// recentFor is how long something that happened once is worth a word at the
	// top of the page.
	recentFor = 5 * time.Minute
	// triedAgain is how soon a source is tried again at the latest, with some time
	// for the try: until then its last error still stands.
	triedAgain = 6 * time.Minute
)

// summarize says how the daemon is.
func summarize(st *Status, notReady string) Summary {
	found := slices.Concat(stageFindings(st), stateFindings(st), collectorFindings(st), sourceFindings(st), lagFindings(st), logFindings(st))
	slices.SortStableFunc(found, func(a, b Finding) int { return severity(b.State) - severity(a.State) })
	s := Summary{State: stateOK, Also: []Finding{}}
	switch {
	case !st.Ready:
		s.State, s.Text = stateStarting, "It does not read and send now"
		if notReady != "" {
			s.Text += ": " + plain(notReady, shownTextBytes)
		}
		s.Text += "."
	case len(found) > 0:
		worst := found[0]
		found = found[1:]
		s.State, s.ToDo = worst.State, worst.ToDo
		s.Text = "It runs" + behind(st) + ", but " + worst.Text + "."
		if worst.saysLag {
			s.Text = "It runs, but " + worst.Text + "."
		}
	default:
		s.Text = wellText(st)
	}
	for _, f := range found {
		first, size := utf8.DecodeRuneInString(f.Text)
		f.Text = string(unicode.ToUpper(first)) + f.Text[size:] + "."
		s.Also = append(s.Also, f)
	}
	return s
}

func severity(state string) int {
	return slices.Index([]string{stateOK, stateStarting, stateWarning, stateProblem}, state)
}

// behind says how far delivery is behind.
func behind(st *Status) string {
	if st.LagSeconds == nil {
		return " and has delivered nothing yet"
	}
	return " and is " + durationText(duration(*st.LagSeconds)) + " behind"
}

// wellText is the sentence of a daemon that nothing is wrong with.
func wellText(st *Status) string {
	flowLogs := 0
	for i := range st.Sources {
		flowLogs += st.Sources[i].FlowLogs
	}
	text := "It runs" + behind(st) + "; " + plural(flowLogs, "flow log is followed", "flow logs are followed")
	n, all := connectedCount(st.Collectors), len(st.Collectors)
	switch {
	case n < all:
		return text + fmt.Sprintf(", and %d of %s connected so far.", n, plural(all, "collector is", "collectors are"))
	case n == 1:
		return text + ", and the collector is connected."
	case n == 2:
		return text + ", and both collectors are connected."
	}
	return text + ", and all " + plural(n, "collector is", "collectors are") + " connected."
}

func connectedCount(all []CollectorStatus) (n int) {
	for i := range all {
		if all[i].State == connected {
			n++
		}
	}
	return n
}

func stageFindings(st *Status) []Finding {
	if len(st.Stalled) == 0 {
		return nil
	}
	return []Finding{{
		stateProblem, "it is stuck: there is no sign of life of " + strings.Join(st.Stalled, ", "),
		"keep the log of the last minutes and report it; systemd starts it again when its watchdog runs out, elsewhere do so yourself", false,
	}}
}

func stateFindings(st *Status) []Finding {
	e := st.StateError
	if e == nil {
		return nil
	}
	f := Finding{
		State: stateProblem, Text: "the state cannot be written since " + clock(st.Time, *e.Time) + " UTC, and flows stop by and by until it can: " + e.Text,
		ToDo: "free space on the disk of state_dir, and see that the service's user may write there; nothing is lost, and it goes on by itself",
	}
	if st.StateStopped {
		f.Text = strings.Replace(f.Text, "flows stop by and by until it can", "flows stop until it can", 1)
	}
	if e.Hint != "" {
		f.ToDo = e.Hint + "; nothing is lost, and it goes on by itself"
	}
	return []Finding{f}
}

func collectorFindings(st *Status) []Finding {
	var found []Finding
	for i := range st.Collectors {
		c := &st.Collectors[i]
		if c.State != away {
			continue
		}
		f := Finding{State: stateProblem, Text: "collector " + c.Name + " is away", ToDo: c.Error.Hint}
		if c.Since != nil {
			f.Text = "collector " + c.Name + " has been away for " + durationText(st.Time.Sub(*c.Since))
		}
		if c.Required {
			f.Text += "; nothing is lost, reading waits for it when no more can be kept"
		} else {
			f.State = stateWarning
			f.Text += "; it is best-effort, and what it misses is lost to it"
		}
		found = append(found, f)
	}
	return found
}

func sourceFindings(st *Status) []Finding {
	var found []Finding
	for i := range st.Sources {
		s := &st.Sources[i]
		recent, silent := failing(st, s)
		switch {
		case (recent || silent) && (s.LagSeconds == nil || duration(*s.LagSeconds) > lateAfter), silent && s.Answered != nil && st.Time.Sub(*s.Answered) > silence:
			found = append(found, Finding{stateProblem, "source " + s.Name + " cannot be read as it should: " + s.Error.Text, s.Error.Hint, false})
		case silent:
			found = append(found, Finding{stateWarning, "source " + s.Name + " did not answer " + ago(st.Time, *s.Error.Time) + ": " + s.Error.Text, s.Error.Hint, false})
		case s.FlowLogs == 0 && st.UptimeSeconds > 60:
			found = append(found, Finding{
				stateWarning, "no flow log was found in source " + s.Name,
				"see that flow logs are written there, and that containers, include and exclude in the configuration fit them; \"flow2ipfix doctor\" looks", false,
			})
		}
	}
	return found
}

// failing says whether a source had an error that still stands: silent if it has
// not answered since, however long ago that was.
func failing(st *Status, s *SourceStatus) (recent, silent bool) {
	if s.Error == nil || s.Error.Time == nil {
		return false, false
	}
	at := *s.Error.Time
	return st.Time.Sub(at) < triedAgain, s.Answered == nil || s.Answered.Before(at)
}

// lagFindings says which sources are behind, and on whose side that is.
func lagFindings(st *Status) []Finding {
	var found []Finding
	for i := range st.Sources {
		s := &st.Sources[i]
		if s.LagSeconds == nil || duration(*s.LagSeconds) <= lateAfter {
			continue
		}
		f := Finding{State: stateWarning, Text: "source " + s.Name + " is " + durationText(duration(*s.LagSeconds)) + " behind", saysLag: true}
		waiting := slices.ContainsFunc(st.Collectors, func(c CollectorStatus) bool { return c.Required && c.State != connected })
		recent, silent := failing(st, s)
		delivered := s.Newest != nil && s.Delivered != nil && !s.Delivered.Before(*s.Newest) && s.Undelivered == 0
		switch {
		case st.StateError != nil:
			f.Text += ", and the state cannot be written"
			f.ToDo = "see to the state first; it catches up by itself"
		case silent, recent && delivered:
			f.Text += ", and cannot be read as it should"
			f.ToDo = "see to the error of the source first; it catches up by itself"
		case delivered:
			f.Text += ": all that was found is delivered, and Azure wrote nothing newer"
			f.ToDo = "see in the Azure portal whether the flow log is enabled and the network has traffic"
			if s.Kind != "azure" {
				f.Text = strings.Replace(f.Text, "Azure wrote nothing newer", "the folder has nothing newer", 1)
				f.ToDo = "see whether whoever fills the folder still does"
			}
		case waiting:
			f.Text += ", as long as a required collector is not connected"
			f.ToDo = "bring the collector back; it catches up by itself"
		default:
			f.Text += ", and catches up as fast as it can"
			f.ToDo = "if it does not get less, raise the collectors' rate, or see what they wait for"
		}
		found = append(found, f)
	}
	return found
}

// logFindings has the last error that was logged, if nothing else says it: those
// of sources and collectors are warnings.
func logFindings(st *Status) []Finding {
	for i := range st.Warnings {
		w := &st.Warnings[i]
		if st.StateError != nil && strings.Contains(w.Text, st.StateError.Text) {
			continue // said already
		}
		if w.Level == "error" && w.Time != nil && st.Time.Sub(*w.Time) < recentFor {
			return []Finding{{stateWarning, "an error was logged " + ago(st.Time, *w.Time) + ": " + w.Text, "see the log around that time", false}}
		}
	}
	return nil
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
