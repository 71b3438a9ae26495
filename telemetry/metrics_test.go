package telemetry

import (
	"bytes"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/METRICS.md")

// TestDocument: docs/METRICS.md says what is served.
func TestDocument(t *testing.T) {
	const path = "../docs/METRICS.md"
	var b bytes.Buffer
	if err := WriteDocument(&b); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(there), b.String()); diff != "" {
		t.Errorf("go test ./telemetry -run TestDocument -update writes it anew (-there +want):\n%s", diff)
	}
}

const metricsWant = 200

type given Snapshot

func (f *given) Snapshot() Snapshot { return Snapshot(*f) }

// scrape returns what a scrape says, by metric and labels.
func scrape(t *testing.T, s Snapshot, now time.Time) map[string]string {
	t.Helper()
	f := given(s)
	all, err := newRegistry(&f, func() time.Time { return now }).Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, family := range all {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, l := range m.GetLabel() {
				name += fmt.Sprintf(" %s=%s", l.GetName(), l.GetValue())
			}
			value := m.GetCounter().GetValue()
			if m.GetCounter() == nil {
				value = m.GetGauge().GetValue()
			}
			values[name] = fmt.Sprint(value)
		}
	}
	return values
}

// full has a value of its own in every number that is there, also in lists and maps
// with two entries each.
func full(t *testing.T) Snapshot {
	t.Helper()
	next := 0
	var fill func(v reflect.Value, name string)
	fill = func(v reflect.Value, name string) {
		next++
		switch v.Interface().(type) {
		case time.Time:
			v.Set(reflect.ValueOf(epoch.Add(-time.Duration(next) * time.Second)))
			return
		}
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i), v.Type().Field(i).Name)
			}
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			fill(v.Index(0), name)
			fill(v.Index(1), name)
		case reflect.Array:
			for i := range v.Len() {
				fill(v.Index(i), name)
			}
		case reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
			for _, key := range []string{"a", "b"} {
				next++
				value := reflect.New(v.Type().Elem()).Elem()
				fill(value, name)
				v.SetMapIndex(reflect.ValueOf(key), value)
			}
		case reflect.String:
			v.SetString(fmt.Sprintf("%s-%d", strings.ToLower(name), next))
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Int, reflect.Int64:
			v.SetInt(int64(next))
			if v.Type() == reflect.TypeFor[time.Duration]() {
				v.SetInt(int64(time.Duration(next) * time.Second))
			}
		case reflect.Uint64:
			v.SetUint(uint64(next))
		default:
			t.Fatalf("%s is a %s", name, v.Type())
		}
	}
	var s Snapshot
	fill(reflect.ValueOf(&s).Elem(), "Snapshot")
	for i := range s.Sources {
		s.Sources[i].Kind = KindAzure
	}
	return s
}

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// TestScrape: each metric of the table has a value of each source, collector or key,
// and all are different: none is made of another's number.
func TestScrape(t *testing.T) {
	s := full(t)
	got := scrape(t, s, epoch)
	seen := map[string]string{}
	for _, m := range Metrics() {
		want := 1
		switch labels := strings.Join(m.Labels, " "); labels {
		case "":
		case "version goversion":
		case "source", "collector", "state", "reason":
			want = 2
		case "collector rule", "source operation status":
			want = 4
		case "source seconds":
			want = 2 * len(AgeLimits)
		default:
			t.Errorf("%s: labels %s", m.Name, labels)
		}
		n := 0
		for series, value := range got {
			if name, _, _ := strings.Cut(series, " "); name != m.Name {
				continue
			}
			n++
			if other := seen[value]; other != "" && value != "1" && value != "0" {
				t.Errorf("%s and %s are both %s", series, other, value)
			}
			seen[value] = series
		}
		if n != want {
			t.Errorf("%s: %d series, want %d", m.Name, n, want)
		}
	}
	for _, m := range foreign {
		if got[m.Name] == "" {
			t.Errorf("%s is not there", m.Name)
		}
	}
	for series := range got {
		if name, _, _ := strings.Cut(series, " "); strings.HasPrefix(name, prefix) && !inTable(name) {
			t.Errorf("%s is not in the table", series)
		}
	}
	for series, want := range map[string]string{
		"flow2ipfix_reader_tuples_total":                                                          fmt.Sprint(s.Tuples),
		"flow2ipfix_source_lag_seconds source=" + s.Sources[1].Name:                               fmt.Sprint(epoch.Sub(s.Sources[1].Delivered).Seconds()),
		"flow2ipfix_collector_pacing_wait_seconds_total collector=" + s.Collectors[0].Name:        fmt.Sprint(s.Collectors[0].PacingWait.Seconds()),
		"flow2ipfix_collector_skipped_tuples_total collector=" + s.Collectors[1].Name + " rule=b": fmt.Sprint(s.Collectors[1].SkippedTuples["b"]),
		"flow2ipfix_start_time_seconds":                                                           fmt.Sprint(float64(s.Started.Unix())),
		"flow2ipfix_state_failing_seconds":                                                        fmt.Sprint(epoch.Sub(s.StateFailing).Seconds()),
		"flow2ipfix_service_ready":                                                                "0", // there are stalled stages
	} {
		if got[series] != want {
			t.Errorf("%s is %s, want %s", series, got[series], want)
		}
	}
}

func inTable(name string) bool {
	for _, m := range Metrics() {
		if m.Name == name {
			return true
		}
	}
	return false
}

// TestEmptyScrape: what is not known yet is not said.
func TestEmptyScrape(t *testing.T) {
	got := scrape(t, Snapshot{Sources: []SourceState{{Name: "s", Kind: KindDirectory}}, Collectors: []CollectorState{{Name: "c"}}}, epoch)
	for series := range got {
		for _, absent := range []string{"_lag_seconds", "timestamp", "start_time", "_age_", "azure"} {
			if strings.HasPrefix(series, prefix) && strings.Contains(series, absent) {
				t.Errorf("%s is %s", series, got[series])
			}
		}
	}
	if got["flow2ipfix_state_failing_seconds"] != "0" || got["flow2ipfix_collector_connected collector=c"] != "0" || got["flow2ipfix_source_flow_logs source=s"] != "0" {
		t.Errorf("got %v", got)
	}
}

var nameForm = regexp.MustCompile(`^flow2ipfix_((build|service|reader|source|azure|collector|checkpoint|state)_[a-z_]*[a-z]|start_time_seconds)$`)

// TestNames: as STYLE says; promtool says more, of a real scrape (test/telemetry).
func TestNames(t *testing.T) {
	labels := map[string]bool{
		"collector": true, "source": true, "reason": true, "rule": true, "state": true, "operation": true, "status": true,
		"seconds": true, "version": true, "goversion": true,
	}
	seen := map[string]bool{}
	for _, m := range Metrics() {
		if !nameForm.MatchString(m.Name) || m.Counter != strings.HasSuffix(m.Name, "_total") || seen[m.Name] {
			t.Errorf("%s: counter %t, twice %t", m.Name, m.Counter, seen[m.Name])
		}
		seen[m.Name] = true
		if !strings.HasSuffix(m.Help, ".") || strings.ContainsAny(m.Help, "|\n") {
			t.Errorf("%s: %q is not a sentence for a table", m.Name, m.Help)
		}
		for _, l := range m.Labels {
			if !labels[l] {
				t.Errorf("%s: label %s may have no bounds", m.Name, l)
			}
		}
	}
}

// TestManySeries: a scrape of all that a large daemon has does not take long, with
// nothing of the daemon's waiting meanwhile.
func TestManySeries(t *testing.T) {
	s := full(t)
	for len(s.Sources) < 50 {
		one := s.Sources[0]
		one.Name = fmt.Sprint("source-", len(s.Sources), "x")
		s.Sources = append(s.Sources, one)
	}
	for len(s.Collectors) < 50 {
		one := s.Collectors[0]
		one.Name = fmt.Sprint("collector-", len(s.Collectors), "x")
		s.Collectors = append(s.Collectors, one)
	}
	f := given(s)
	h := metricsHandler(&f)
	begin := time.Now()
	for range 5 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if w.Code != 200 || w.Body.Len() < 100_000 {
			t.Fatal(w.Code, w.Body.Len())
		}
	}
	t.Logf("a scrape takes %v", time.Since(begin)/5)
	if took := time.Since(begin) / 5; took > 500*time.Millisecond {
		t.Errorf("a scrape takes %v", took)
	}
}
