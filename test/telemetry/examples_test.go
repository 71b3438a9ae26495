package telemetry

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"flow2ipfix/test/peers"
)

const (
	rulesFile     = "../../examples/prometheus/flow2ipfix.rules.yml"
	rulesTests    = "../../examples/prometheus/tests.yml"
	dashboardFile = "../../examples/grafana/flow2ipfix.json"
)

// promtool runs it and fails the test if it has anything to say against what it
// gets.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	cmd, err := peers.Command("promtool", args...)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil || stdin != "" && len(out) > 0 {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// documented returns the metrics that docs/METRICS.md describes.
func documented(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\|").FindAllStringSubmatch(string(b), -1) {
		names[m[1]] = true
	}
	if len(names) < 50 {
		t.Fatalf("docs/METRICS.md has %d metrics", len(names))
	}
	return names
}

var metricName = regexp.MustCompile(`\b(?:flow2ipfix|go|process)_[a-z0-9_]+\b`)

// checkNames: an expression has metrics that there are.
func checkNames(t *testing.T, what, expr string, document map[string]bool) {
	t.Helper()
	for _, name := range metricName.FindAllString(expr, -1) {
		if !document[name] {
			t.Errorf("%s: %s is not in docs/METRICS.md", what, name)
		}
	}
}

type rule struct {
	Alert, Expr string
	Labels      map[string]string
	Annotations map[string]string
}

// TestRules: each alert is of metrics that there are, says what to do, and was seen
// to fire and not to fire.
func TestRules(t *testing.T) {
	promtool(t, "", "check", "rules", rulesFile)
	promtool(t, "", "test", "rules", rulesTests)
	document := documented(t)
	var rules struct{ Groups []struct{ Rules []rule } }
	read(t, rulesFile, &rules)
	var tests struct {
		Tests []struct {
			Rules []struct {
				Alert    string `yaml:"alertname"`
				Expected []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	read(t, rulesTests, &tests)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, one := range tests.Tests {
		for _, r := range one.Rules {
			if len(r.Expected) > 0 {
				fires[r.Alert] = true
			} else {
				silent[r.Alert] = true
			}
		}
	}
	alerts := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			alerts++
			checkNames(t, r.Alert, r.Expr, document)
			if !fires[r.Alert] || !silent[r.Alert] {
				t.Errorf("%s: shown to fire %t, shown not to %t", r.Alert, fires[r.Alert], silent[r.Alert])
			}
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || !regexp.MustCompile("^(info|warning|critical)$").MatchString(r.Labels["severity"]) {
				t.Errorf("%s has no words or no severity", r.Alert)
			}
		}
	}
	if alerts < 10 {
		t.Errorf("%d alerts", alerts)
	}
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ Expr, LegendFormat string }
}

// TestDashboard: it is JSON that Grafana reads, its panels do not lie one over
// another, and Prometheus understands what they ask for.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title, UID    string
		SchemaVersion int
		Panels        []panel
		Annotations   struct{ List []struct{ Expr string } }
		Templating    struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	if board.Title == "" || board.UID == "" || board.SchemaVersion == 0 {
		t.Errorf("title %q, uid %q, schema version %d", board.Title, board.UID, board.SchemaVersion)
	}
	document := documented(t)
	replace := []string{"$__rate_interval", "5m"}
	for _, v := range board.Templating.List {
		checkNames(t, "variable "+v.Name, v.Definition, document)
		replace = append(replace, "$"+v.Name, ".*")
	}
	variables := strings.NewReplacer(replace...)
	var exprs []string
	taken := map[[2]int]int{}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] || p.ID == 0 || p.Title == "" {
			t.Errorf("panel %d %q", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, there := taken[[2]int{x, y}]; there || x >= 24 {
					t.Errorf("panel %d lies over %d, or beyond the edge", p.ID, other)
				}
				taken[[2]int{x, y}] = p.ID
			}
		}
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("panel %q asks for %d things", p.Title, len(p.Targets))
		}
		for _, target := range p.Targets {
			checkNames(t, p.Title, target.Expr, document)
			exprs = append(exprs, target.Expr)
		}
	}
	for _, a := range board.Annotations.List {
		checkNames(t, "annotation", a.Expr, document)
		exprs = append(exprs, a.Expr)
	}
	// As rules, so that promtool reads them.
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, expr := range exprs {
		expr = variables.Replace(expr)
		if strings.Contains(expr, "$") {
			t.Errorf("%s has a variable that there is not", expr)
		}
		fmt.Fprintf(&rules, "      - { record: \"dashboard:expr:%d\", expr: %q }\n", i, expr)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}
