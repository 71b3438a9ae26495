package interop

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/interop/show"
	"flow2ipfix/test/peers"
)

func TestMain(m *testing.M) {
	var parts []peers.Part
	for _, c := range show.Collectors() {
		parts = append(parts, peers.Part{Name: c.Name(), Version: c.Version})
	}
	os.Exit(peers.Main(m, "interop", parts))
}

var fixture = filepath.Join("testdata", "everything.json")

// TestMatrix sends the fixture in every way to every collector that knows the
// protocol, and holds docs/COLLECTORS.md to what comes of it.
func TestMatrix(t *testing.T) {
	all := &matrix{}
	t.Run("variant", func(t *testing.T) {
		for _, v := range variants() {
			t.Run(testName(v), func(t *testing.T) {
				t.Parallel()
				run(t, v, all)
			})
		}
	})
	switch {
	case t.Failed():
		t.Fatal("docs/COLLECTORS.md was not looked at")
	case all.size() < len(variants()): // -run
		t.Skip("only some variants were run")
	}
	for _, words := range all.untried() {
		t.Error(words)
	}
	page, err := all.page()
	if err != nil {
		t.Fatal(err)
	}
	checkPage(t, page)
}

// testName has no commas: Telegraf takes what stands behind one for another path.
func testName(v *variant) string {
	return strings.NewReplacer(", ", "-", ",", "-", " ", "-").Replace(v.protocol + " " + v.title())
}

// running is a collector that runs.
type running struct {
	show.Collector
	show.Session
}

// run sends the fixture in one way to all collectors at once.
func run(t *testing.T, v *variant, all *matrix) {
	shape, err := v.shape()
	if err != nil {
		t.Fatal(err)
	}
	v.sent = map[string]bool{}
	for _, name := range shape.all() {
		v.sent[name] = true
	}
	records := oracle(t, v)
	job := &show.Job{
		Protocol: v.protocol, Elements: shape.all(), OptionsElements: v.optionsElements(),
		IPv6Exporter: strings.Contains(v.exporter, ":"), FixedStrings: v.stringOctets > 0,
	}
	if v.enterprise {
		job.Enterprise = enterprise
	}
	collectors := startAll(t, v, job)
	args := append([]string{"replay", "--summary", "json"}, v.args()...)
	for _, c := range collectors {
		args = append(args, "--collector", c.URL())
	}
	r := peers.Run(slices.Concat(args, v.replay, []string{fixture})...)
	if r.Code != 0 {
		for _, c := range collectors {
			if p, ok := c.Session.(interface{ Log() string }); ok {
				t.Logf("%s at %s: %s", c.Name(), c.URL(), p.Log())
			}
		}
		t.Fatalf("%q ended with %d: %s", args, r.Code, r.Stderr)
	}
	if r.Stderr != "" {
		t.Errorf("%q says: %s", args, r.Stderr)
	}
	var sum struct {
		Collectors []struct {
			Records int `json:"exported_records"`
		} `json:"collectors"`
	}
	if err := json.Unmarshal(r.Stdout, &sum); err != nil || len(sum.Collectors) != len(collectors) {
		t.Fatalf("summary %s: %v", r.Stdout, err)
	}
	for i, c := range collectors {
		sent := sum.Collectors[i].Records
		if v.protocol != netflow5 && sent != len(records) {
			t.Errorf("%s was sent %d flow records, want %d", c.Name(), sent, len(records))
		}
		t.Run(c.Name(), func(t *testing.T) { judge(t, v, shape, &c, records, sent, all) })
	}
}

// oracle returns the records that should be sent.
func oracle(t *testing.T, v *variant) []expect.Record {
	t.Helper()
	f, err := os.Open(fixture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var records []expect.Record
	o := v.oracle
	err = o.ReadRecords(f, func(r *expect.Record) {
		if v.sends(r) {
			records = append(records, *r)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// startAll starts all collectors that know the protocol, at the same time.
func startAll(t *testing.T, v *variant, job *show.Job) []running {
	t.Helper()
	var all []running
	for _, c := range show.Collectors() {
		if c.Takes(v.protocol) {
			all = append(all, running{Collector: c})
		}
	}
	dir := t.TempDir()
	errs := make([]error, len(all))
	var starting sync.WaitGroup
	for i := range all {
		starting.Go(func() {
			own := filepath.Join(dir, all[i].Name())
			if errs[i] = os.Mkdir(own, 0o755); errs[i] == nil {
				all[i].Session, errs[i] = all[i].Start(own, job)
			}
		})
	}
	starting.Wait()
	for i, c := range all {
		if errs[i] != nil {
			t.Errorf("%s: %v", c.Name(), errs[i])
			continue
		}
		t.Cleanup(func() {
			if err := c.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	if t.Failed() {
		t.FailNow()
	}
	return all
}

// judge compares what a collector shows with what it should.
func judge(t *testing.T, v *variant, s *shape, c *running, records []expect.Record, sent int, all *matrix) {
	if err := c.Wait(sent); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	flows, options, err := c.Records()
	if err != nil {
		t.Fatal(err)
	}
	b := behaviours[c.Name()]
	entry := &entry{variant: v, collector: c.Name(), sent: len(records), elements: map[string]bool{}, cases: map[string]bool{}}
	var want []show.Record
	for i := range records {
		want = append(want, b.shows(v, wanted(v, s, &records[i]), entry))
		for _, c := range cases {
			entry.cases[c.title] = entry.cases[c.title] || c.in(v, &records[i])
		}
	}
	plainFlows(flows)
	if v.protocol == netflow5 || c.Name() == "nfacctd" {
		want, flows = merge(want), merge(flows)
	}
	report(t, compare(want, flows))

	var wantOptions []show.Record
	for kind, sent := range wantedOptions(v, s, records) {
		fate := b.options[v.protocol][kind]
		entry.options = append(entry.options, kind)
		for _, o := range sent {
			if fate.tell == nil {
				continue
			}
			if r := fate.tell(o); r != nil {
				wantOptions = append(wantOptions, r)
			}
		}
	}
	report(t, compare(wantOptions, plainOptions(options)))
	entry.complaints = b.heard(t, v, c.Problems())
	all.add(entry)
}

// shows returns what a collector shows of a record.
func (b *behaviour) shows(v *variant, want show.Record, e *entry) show.Record {
	got := show.Record{}
	for name := range want {
		b.fates[v.protocol].of(name).tell(got, want, name)
		e.elements[name] = true
	}
	if b.inFlows != nil {
		b.inFlows(got, v)
	}
	if b.finish != nil {
		b.finish(got, want, v)
	}
	return got
}

// heard checks a collector's complaints: those that are known it has to make.
func (b *behaviour) heard(t *testing.T, v *variant, problems []string) []string {
	t.Helper()
	var notes []string
	for _, known := range b.complaints {
		if !known.of(v) {
			continue
		}
		about := func(p string) bool { return strings.Contains(p, known.says) }
		if !slices.ContainsFunc(problems, about) {
			t.Errorf("it does not say %q any more", known.says)
		}
		problems = slices.DeleteFunc(problems, about)
		if known.note != "" {
			notes = append(notes, known.note)
		}
	}
	for _, p := range problems[:min(len(problems), 10)] {
		t.Error(p)
	}
	return notes
}

func report(t *testing.T, differences []string) {
	t.Helper()
	for _, d := range differences[:min(len(differences), 5)] {
		t.Error(d)
	}
	if more := len(differences) - 5; more > 0 {
		t.Errorf("and %d records more", more)
	}
}

// TestDeclared checks that there is a declaration for each collector and protocol.
func TestDeclared(t *testing.T) {
	for _, c := range show.Collectors() {
		for _, protocol := range []string{ipfix, netflow9, netflow5} {
			if declared := behaviours[c.Name()].fates[protocol] != nil; declared != c.Takes(protocol) {
				t.Errorf("%s and %s: takes it %v, declared %v", c.Name(), protocol, c.Takes(protocol), declared)
			}
			for name, f := range behaviours[c.Name()].fates[protocol] {
				if told := show.Told(c.Name(), protocol, name); told != (f.mark == markMapped) && (f.mark == markMapped || f.mark == markExact) {
					t.Errorf("%s is told of %s: %v, declared %q", c.Name(), name, told, f.mark)
				}
			}
		}
	}
	if len(behaviours) != len(show.Collectors()) {
		t.Error("something is declared of a collector that there is not")
	}
}
