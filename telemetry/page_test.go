package telemetry

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ask(t *testing.T, s Snapshot, h *History, method, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	newPage(&fixed{s}, h, func() time.Time { return noon }).ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// wantAll asserts that a page has some pieces, in this order.
func wantAll(t *testing.T, body string, pieces ...string) {
	t.Helper()
	rest := plainSpaces(body)
	for _, p := range pieces {
		_, after, found := strings.Cut(rest, p)
		if !found {
			t.Fatalf("%q is missing, or not where it should be, in %s", p, body)
		}
		rest = after
	}
}

func TestPageShowsWhatThereIs(t *testing.T) {
	s := troubled()
	w := ask(t, s, lived(s), "GET", "/")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	wantAll(t, w.Body.String(),
		`<meta http-equiv="refresh" content="15">`, `<title>warning · flow2ipfix</title>`,
		`<p class="state">warning</p>`,
		`<h1>It runs and is 2 min 7 s behind, but collector dr-site has been away for 12 min; it is best-effort, and what it misses is lost to it.</h1>`,
		`<b>To do:</b> check that the collector runs`,
		`<dt>Lag</dt><dd id="lag" title="127 s">2 min 7 s</dd>`, `<dd id="flows" title="`, `1<small> of 2 connected</small>`, `title="41 pieces of flow logs, 41 tuples">41<`,
		`data-name="noc"`, `connected</span>`, `udp://10.20.0.5:2055 · ipfix · preset ntopng · required`,
		`Connected since 2026-11-20 22:14:15 UTC, <time datetime="2026-11-20T22:14:15Z" title="2026-11-20T22:14:15Z">5 h ago</time>`,
		`title="730 records/s, mean of the last minute">730<small>/s</small>`, `title="61234567 records, 4200000000 bytes, 3000000 messages">61.2 M<`, `>nothing</dd>`, `20 000<small>/s</small>`,
		`data-name="dr-site"`, `away</span>`, `best-effort`, `Away since 03:01:45 UTC`, `>12 min ago</time>: dial tcp 203.0.113.9:4740: connect: connection refused`,
		`<b>To do:</b> check that the collector runs`, `Tried again`, `in 21 s`, `>1.23 MB<`, `title="812345 tuples that came while it was away">812 k<`,
		`Flows read in a second`, `<svg viewBox="0 0 600 100"`, `class="line" d="M0 `, `02:15 UTC: `, `<figure class="chart lag">`, `now</span>`,
		`data-name="prod"`, `https://nocflowlogs.blob.core.windows.net`, `<div class="past">`, `503 ServerBusy`, `title="214">214<`, `03:00 UTC`, `3 blobs`,
		`<summary>NETWORKWATCHER_WESTEUROPE_VNET-SPOKE-03-FLOWLOG</summary>`, `insights-logs-flowlogflowevent/flowLogResourceID=`, `403 AuthorizationPermissionMismatch`,
		`<summary>NETWORKWATCHER_WESTEUROPE_VNET-SPOKE-24-FLOWLOG</summary>`, `>8 min 23 s</time>`, `and 204 flow logs more`,
		`data-name="archive"`, `<summary>NSG-WEB</summary>`, `>none</td>`,
		`41 pieces of flow logs could not be read`, `<td title="field_count">tuple has too few or too many fields</td><td class="n" title="38">38<`, `not valid JSON`,
		`12 min ago`, `<code>1763690000,10.0.0.4,10.0.0.5</code>`, `prod, byte 7890 of a blob`, `insights-logs-flowlogflowevent/b/PT1H.json`, `3 h ago`,
		`<h2>Recent warnings</h2>`, `1 min 30 s ago`, `14 times`, `<p>collector away, it is connected to again by and by</p><p class="about">collector: dr-site; reason: `, `error</span>`, `<p>the state cannot be written; it is tried again, and nothing is lost</p></li>`,
		`flow2ipfix v0.5.0`, `title="since 2026-11-18T00:14:15Z">3 d 3 h<`, `configuration loaded`, `5 h ago`, `87.7 M tuples`, `98.8 GB`, `href="status.json"`,
	)
	if n := strings.Count(w.Body.String(), `data-label="NICs"`); n != shownFlowLogs+1 {
		t.Errorf("%d flow logs are shown, want %d and 1", n, shownFlowLogs)
	}
	for _, never := range []string{"<script", "style=", "http-equiv=\"Content", "onclick", "never", "%!"} {
		if strings.Contains(w.Body.String(), never) {
			t.Errorf("the page has %q", never)
		}
	}
	if body := ask(t, s, lived(s), "GET", "/?refresh=off").Body.String(); strings.Contains(body, "http-equiv") || !strings.Contains(body, "go on") {
		t.Error("the page does not hold still when told to")
	}
}

func TestPageOfNothing(t *testing.T) {
	w := ask(t, Snapshot{NotReady: "it starts"}, NewHistory(), "GET", "/")
	wantAll(t, w.Body.String(), `class="summary starting"`, `It does not read and send now: it starts.`, `not known yet`, `not known yet`, `>nothing</dd>`,
		"No collector is configured.", "no rate is known yet", "no lag is known yet", "No source is configured.", "Nothing was rejected.", "Nothing was warned of.", "configuration loaded never")
	fresh := Snapshot{
		Ready: true, Started: noon.Add(-time.Second), Sources: []SourceState{{Name: "prod", Kind: "azure"}}, Collectors: []CollectorState{{Name: "noc", Required: true}},
	}
	wantAll(t, ask(t, fresh, NewHistory(), "GET", "/").Body.String(), `class="summary ok"`,
		"It runs and has delivered nothing yet; 0 flow logs are followed, and 0 of 1 collector is connected so far.",
		"connecting", "No connection yet, it is being tried.", "no rate yet", "nothing delivered yet", ">none</dd>", "nothing read yet", "No flow log was found yet.")
}

// TestPageEscapes has names that others chose try to become part of the page.
func TestPageEscapes(t *testing.T) {
	const hostile = "\" onmouseover=\"alert(1)\"><script>alert(1)</script><img src=x onerror=alert(1)>' onfocus='alert(1) {{.}} %s \u202e\x00\xff</title></svg>"
	s := troubled()
	s.NotReady, s.Version, s.GoVersion = hostile, hostile, hostile
	s.StateFailing, s.StateError, s.StateHint = noon, hostile, hostile
	for i := range s.Sources {
		f := &s.Sources[i]
		f.Name, f.Kind, f.Place, f.LastError, f.Hint, f.LastErrorTime = hostile, hostile, hostile, hostile, hostile, noon
		for j := range f.FlowLogs {
			f.FlowLogs[j].Name, f.FlowLogs[j].LastError = hostile, hostile
		}
	}
	for i := range s.Collectors {
		c := &s.Collectors[i]
		c.Name, c.URL, c.Preset, c.Protocol, c.LastError, c.Hint = hostile, hostile, hostile, hostile, hostile, hostile
	}
	s.RejectedPieces[hostile] = 3
	s.ReasonTexts["syntax"] = hostile
	s.RejectExamples = append(s.RejectExamples, RejectExample{noon, hostile, hostile, hostile, hostile, 1})
	s.Warnings = append(s.Warnings, Warning{noon, hostile, hostile, 1})
	for _, ready := range []bool{true, false} {
		s.Ready = ready
		for _, path := range []string{"/", "/status.json"} {
			body := ask(t, s, lived(troubled()), "GET", path).Body.String()
			never := []string{"<script", "<img", "\u202e", "\x00", "\xff"}
			if path == "/" {
				never = append(never, `" onmouseover`, `' onfocus`, "%!")
			}
			for _, bad := range never {
				if strings.Contains(body, bad) {
					t.Errorf("%s has %q", path, bad)
				}
			}
			if !strings.Contains(body, `\u202e`) {
				t.Errorf("%s does not show the name", path)
			}
		}
	}
	long := troubled()
	long.Sources[0].FlowLogs[3].Name = strings.Repeat("x", 1<<20)
	long.RejectExamples[0].Quote = strings.Repeat("y", 1<<20)
	if n := ask(t, long, NewHistory(), "GET", "/").Body.Len(); n > 64<<10 {
		t.Errorf("long names make a page of %d bytes", n)
	}
}

func TestPageHeaders(t *testing.T) {
	for _, path := range []string{"/", "/status.json", "/assets/page.css", "/assets/icon.svg", "/nowhere"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
			w := ask(t, troubled(), NewHistory(), method, path)
			want := http.StatusOK
			switch {
			case path == "/nowhere":
				want = http.StatusNotFound
			case method != "GET" && method != "HEAD":
				want = http.StatusMethodNotAllowed
				if got := w.Header().Get("Allow"); got != "GET, HEAD" {
					t.Errorf("%s %s allows %q", method, path, got)
				}
			}
			if w.Code != want {
				t.Errorf("%s %s answers %d, want %d", method, path, w.Code, want)
			}
			h := w.Header()
			got := []string{h.Get("Content-Security-Policy"), h.Get("X-Content-Type-Options"), h.Get("X-Frame-Options"), h.Get("Referrer-Policy")}
			if diff := cmp.Diff([]string{contentPolicy, "nosniff", "DENY", "no-referrer"}, got); diff != "" {
				t.Errorf("%s %s: %s", method, path, diff)
			}
		}
	}
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'"} {
		if !strings.Contains(contentPolicy, part) {
			t.Errorf("the policy lacks %s", part)
		}
	}
	if strings.Contains(contentPolicy, "unsafe") || strings.Contains(contentPolicy, "script-src") || strings.Contains(contentPolicy, "http") {
		t.Errorf("the policy is %s", contentPolicy)
	}
}

func TestStatusJSON(t *testing.T) {
	s := troubled()
	s.StateFailing, s.StateError, s.StateHint = noon, "disk full", "free some space"
	w := ask(t, s, lived(s), "GET", "/status.json")
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("the type is %q", got)
	}
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	// A name that goes or changes breaks what others made: they stay.
	want := strings.Fields(`
		collectors.bytes collectors.kept_bytes collectors.kept_records collectors.last_error.hint collectors.last_error.text collectors.last_error.time
		collectors.messages collectors.name collectors.preset collectors.protocol collectors.rate_limit collectors.reconnects collectors.records
		collectors.records_per_second collectors.records_resent collectors.required collectors.retry_at collectors.since collectors.state
		collectors.tuples_not_sent collectors.tuples_skipped collectors.url
		configuration_loaded flows_per_second go_version history.flows_per_second history.lag_seconds history.time lag_seconds
		read.bytes read.records read.tuples read.tuples_by_state.begin read.tuples_by_state.continue read.tuples_by_state.denied read.tuples_by_state.end
		read.tuples_left_out.before_start ready rejected.by_reason.pieces rejected.by_reason.reason rejected.by_reason.text
		rejected.examples.blob rejected.examples.offset rejected.examples.quote rejected.examples.reason rejected.examples.source rejected.examples.text rejected.examples.time
		rejected.pieces rejected.tuples reloads
		sources.answered sources.blobs_open sources.blobs_undelivered sources.flow_logs sources.flow_logs_worst.older_hours_open sources.flow_logs_worst.interfaces
		sources.flow_logs_worst.lag_seconds sources.flow_logs_worst.last_error sources.flow_logs_worst.name sources.flow_logs_worst.newest_delivered
		sources.flow_logs_worst.newest_read sources.flow_logs_worst.short_name sources.hours_open sources.interfaces sources.kind sources.lag_seconds
		sources.last_error.hint sources.last_error.text sources.last_error.time sources.list_errors sources.name sources.newest_delivered sources.newest_hour
		sources.newest_read sources.oldest_hour sources.place sources.read_errors stages_stalled started state_error.hint state_error.text state_error.time state_stopped
		summary.also.state summary.also.text summary.also.to_do summary.state summary.text summary.to_do time uptime_seconds
		version warnings.count warnings.level warnings.text warnings.time`)
	got := map[string]bool{}
	leaves("", doc, got)
	for _, name := range want {
		if name = strings.ReplaceAll(name, "before_start", "before start"); !got[name] {
			t.Errorf("%s is missing", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s is new: add it here", name)
	}
	var st Status
	if err := json.Unmarshal(w.Body.Bytes(), &st); err != nil {
		t.Fatal(err)
	}
	if *st.LagSeconds != 127 || len(st.History) != 60 || st.Collectors[1].State != away || st.Collectors[0].Skipped != 40_000_003 || *st.Collectors[0].RecordsPerSecond != 730 ||
		st.Sources[0].Shown[0].Error == "" || *st.Sources[1].Interfaces != 4 || st.Sources[0].Interfaces != nil || st.UptimeSeconds != 75*3600 {
		t.Errorf("got %+v", st)
	}
}

// leaves notes the names of all values that are not objects or lists of them.
func leaves(path string, v any, into map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			leaves(strings.TrimPrefix(path+"."+name, "."), member, into)
		}
	case []any:
		if len(v) == 0 {
			into[path] = true
		}
		for _, member := range v {
			leaves(path, member, into)
		}
	default:
		if v != nil || !strings.HasSuffix(path, ".last_error") {
			into[path] = true
		}
	}
}

func TestSummary(t *testing.T) {
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	well := func() Snapshot {
		return Snapshot{
			Ready: true, Started: ago(time.Hour),
			Sources:    []SourceState{{Name: "prod", Kind: "azure", FlowLogCount: 12, Newest: ago(time.Minute), Delivered: ago(time.Minute), Answered: ago(10 * time.Second)}},
			Collectors: []CollectorState{{Name: "noc", Required: true, Connected: true}, {Name: "dr", Connected: true}},
		}
	}
	for name, tc := range map[string]struct {
		change      func(*Snapshot)
		state, text string
		todo        string // a part of it
		also        int
	}{
		"well": {func(*Snapshot) {}, "ok", "It runs and is 1 min behind; 12 flow logs are followed, and both collectors are connected.", "", 0},
		"one collector": {
			func(s *Snapshot) { s.Collectors = s.Collectors[:1] },
			"ok", "It runs and is 1 min behind; 12 flow logs are followed, and the collector is connected.", "", 0,
		},
		"not ready": {func(s *Snapshot) { s.Ready, s.NotReady = false, "the configuration is loaded again" }, "starting", "It does not read and send now: the configuration is loaded again.", "", 0},
		"away": {
			func(s *Snapshot) {
				c := &s.Collectors[0]
				c.Connected, c.LastError, c.Hint, c.Since = false, "refused", "start it", ago(12*time.Minute)
				s.Collectors[1].Connected, s.Collectors[1].LastError = false, "refused"
			},
			"problem", "It runs and is 1 min behind, but collector noc has been away for 12 min; nothing is lost, reading waits for it when no more can be kept.", "start it", 1,
		},
		"stuck": {func(s *Snapshot) { s.Stalled = []string{"numbering"} }, "problem", "It runs and is 1 min behind, but it is stuck: there is no sign of life of numbering.", "systemd", 0},
		"cannot list": {
			func(s *Snapshot) {
				f := &s.Sources[0]
				f.LastError, f.Hint, f.LastErrorTime, f.Answered, f.Delivered = "403", "give the role", ago(time.Minute), ago(time.Hour), time.Time{}
			},
			"problem", "It runs and has delivered nothing yet, but source prod cannot be read as it should: 403.", "give the role", 0,
		},
		"did not answer": {
			func(s *Snapshot) { s.Sources[0].LastError, s.Sources[0].LastErrorTime = "503", ago(5*time.Second) },
			"warning", "It runs and is 1 min behind, but source prod did not answer 5 s ago: 503.", "", 0,
		},
		"answers again": {
			func(s *Snapshot) { s.Sources[0].LastError, s.Sources[0].LastErrorTime = "503", ago(time.Minute) },
			"ok", "It runs and is 1 min behind; 12 flow logs are followed, and both collectors are connected.", "", 0,
		},
		"refused, tried again soon": {
			func(s *Snapshot) {
				f := &s.Sources[0]
				f.LastError, f.Hint, f.LastErrorTime, f.Answered, f.Newest, f.Delivered = "403", "open the firewall", ago(time.Minute), ago(3*time.Hour), ago(3*time.Hour), ago(3*time.Hour)
			},
			"problem", "It runs and is 3 h behind, but source prod cannot be read as it should: 403.", "open the firewall", 1,
		},
		"refused, tried again late": {
			func(s *Snapshot) {
				f := &s.Sources[0]
				f.LastError, f.Hint, f.LastErrorTime, f.Answered, f.Newest, f.Delivered = "403", "open the firewall", ago(310*time.Second), ago(3*time.Hour), ago(3*time.Hour), ago(3*time.Hour)
			},
			"problem", "It runs and is 3 h behind, but source prod cannot be read as it should: 403.", "open the firewall", 1,
		},
		"refused from the beginning": {
			func(s *Snapshot) {
				s.Sources[0] = SourceState{Name: "prod", Kind: "azure", LastError: "403", Hint: "open the firewall", LastErrorTime: ago(time.Hour)}
			},
			"problem", "It runs and has delivered nothing yet, but source prod cannot be read as it should: 403.", "open the firewall", 0,
		},
		"lists, but cannot read": {
			func(s *Snapshot) {
				f := &s.Sources[0]
				f.LastError, f.LastErrorTime, f.Newest, f.Delivered = "403", ago(310*time.Second), ago(3*time.Hour), ago(3*time.Hour)
			},
			"problem", "It runs and is 3 h behind, but source prod cannot be read as it should: 403.", "", 1,
		},
		"an old error, and nothing newer": {
			func(s *Snapshot) {
				f := &s.Sources[0]
				f.LastError, f.LastErrorTime, f.Newest, f.Delivered = "403", ago(30*time.Minute), ago(time.Hour), ago(time.Hour)
			},
			"warning", "It runs, but source prod is 1 h behind: all that was found is delivered, and Azure wrote nothing newer.", "portal", 0,
		},
		"state fails": {
			func(s *Snapshot) {
				s.StateFailing, s.StateError = ago(20*time.Minute), "disk full"
				s.Warnings = []Warning{{ago(time.Second), "ERROR", "the state cannot be written; reason: disk full", 4}}
			},
			"problem", "It runs and is 1 min behind, but the state cannot be written since 02:54:15 UTC, and flows stop by and by until it can: disk full.", "free space on the disk of state_dir", 0,
		},
		"state fails and all stops": {
			func(s *Snapshot) {
				s.StateFailing, s.StateError, s.StateHint, s.StateStopped = ago(20*time.Minute), "read-only", "mount it anew", true
				s.Sources[0].Newest, s.Sources[0].Delivered = ago(time.Hour), ago(time.Hour)
			},
			"problem", "It runs and is 1 h behind, but the state cannot be written since 02:54:15 UTC, and flows stop until it can: read-only.", "mount it anew", 1,
		},
		"nothing there": {
			func(s *Snapshot) { s.Sources[0] = SourceState{Name: "prod", Kind: "azure", Answered: noon} },
			"warning", "It runs and has delivered nothing yet, but no flow log was found in source prod.", "doctor", 0,
		},
		"nothing newer": {
			func(s *Snapshot) { s.Sources[0].Newest, s.Sources[0].Delivered = ago(time.Hour), ago(time.Hour) },
			"warning", "It runs, but source prod is 1 h behind: all that was found is delivered, and Azure wrote nothing newer.", "portal", 0,
		},
		"nothing newer in a folder": {
			func(s *Snapshot) {
				s.Sources[0].Kind, s.Sources[0].Newest, s.Sources[0].Delivered = "directory", ago(time.Hour), ago(time.Hour)
			},
			"warning", "It runs, but source prod is 1 h behind: all that was found is delivered, and the folder has nothing newer.", "fills the folder", 0,
		},
		"catches up": {
			func(s *Snapshot) { s.Sources[0].Delivered = ago(2 * time.Hour) },
			"warning", "It runs, but source prod is 2 h behind, and catches up as fast as it can.", "rate", 0,
		},
		"away for long": {
			func(s *Snapshot) {
				s.Sources[0].Delivered = ago(2 * time.Hour)
				s.Collectors[0] = CollectorState{Name: "noc", Required: true, LastError: "refused"}
			},
			"problem", "It runs and is 2 h behind, but collector noc is away; nothing is lost, reading waits for it when no more can be kept.", "", 1,
		},
		"an error in the log": {
			func(s *Snapshot) { s.Warnings = []Warning{{ago(time.Minute), "ERROR", "the disk is full", 1}} },
			"warning", "It runs and is 1 min behind, but an error was logged 1 min ago: the disk is full.", "log", 0,
		},
		"an old error in the log": {
			func(s *Snapshot) { s.Warnings = []Warning{{ago(time.Hour), "ERROR", "the disk is full", 1}} },
			"ok", "It runs and is 1 min behind; 12 flow logs are followed, and both collectors are connected.", "", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := well()
			tc.change(&s)
			got := newStatus(s, NewHistory(), noon).Summary
			if got.State != tc.state || plainSpaces(got.Text) != tc.text || !strings.Contains(got.ToDo, tc.todo) || len(got.Also) != tc.also {
				t.Errorf("got %+v\nwant %s: %s", got, tc.state, tc.text)
			}
			for _, f := range got.Also {
				if strings.Contains(f.Text, "nothing newer") || strings.Contains(f.Text, "as fast as it can") {
					t.Errorf("it also says %s", f.Text)
				}
			}
		})
	}
}
