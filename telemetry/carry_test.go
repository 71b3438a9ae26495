package telemetry

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCarry: of all that a scrape has, exactly the counters go on over a reload, and
// none goes back, whatever the new configuration has.
func TestCarry(t *testing.T) {
	before, s := full(t), full(t)
	s.Sources[0].Name, s.Collectors[0].Name = "new-source", "new-collector"
	s.Restarts = 0 // is the daemon's own
	before.Restarts = 0
	before.Sources[1].Requests[1].Status = "gone"
	kept := before
	fresh := scrape(t, s, epoch)
	old := scrape(t, before, epoch)
	all := s.Carry(&before)
	now := scrape(t, s, epoch)
	counter := map[string]bool{}
	for _, m := range Metrics() {
		counter[m.Name] = m.Counter
	}
	for series, value := range now {
		name, _, _ := strings.Cut(series, " ")
		if !strings.HasPrefix(name, prefix) || strings.Contains(series, "new-") || name == "flow2ipfix_service_reloads_total" {
			continue
		}
		want := fresh[series]
		if counter[name] {
			want = fmt.Sprint(number(t, fresh[series]) + number(t, old[series]))
		}
		if value != want {
			t.Errorf("%s is %s; it was %s, and %s before the reload; want %s", series, value, fresh[series], old[series], want)
		}
	}
	if now[`flow2ipfix_azure_requests_total operation=`+before.Sources[1].Requests[1].Operation+` source=`+s.Sources[1].Name+` status=gone`] == "" {
		t.Error("a status that did not come since the reload is lost")
	}
	if len(s.Sources) != 2 || len(all.Sources) != 3 || len(s.Collectors) != 2 || len(all.Collectors) != 3 {
		t.Errorf("%d and %d sources, %d and %d collectors", len(s.Sources), len(all.Sources), len(s.Collectors), len(all.Collectors))
	}
	// What was taken away and comes back goes on, too.
	back := Snapshot{Collectors: []CollectorState{{Name: before.Collectors[0].Name, Records: 1}}}
	back.Carry(&all)
	if got, want := back.Collectors[0].Records, before.Collectors[0].Records+1; got != want {
		t.Errorf("%d records, want %d", got, want)
	}
	if diff := cmp.Diff(kept, before); diff != "" {
		t.Errorf("what was before has changed:\n%s", diff)
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
