package judges

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// testCase is what the program is given, and what it is told to do with it.
type testCase struct {
	name string
	// generate are flags of flow2ipfix generate, and files flow logs in testdata,
	// of which there is one or the other.
	generate []string
	files    []string
	// flags are flags of replay; oracle expects what they ask for.
	flags  []string
	oracle expect.Oracle
	// enough is how many tuples there have to be at least, so that the case does
	// not become empty unnoticed.
	enough uint64
	// nothing says that no record is expected.
	nothing bool
}

// 20 interfaces are two virtual networks, so two observation domains, and with
// two hours the blobs of one interface do not follow each other.
var cases = []testCase{
	{name: "nsg-v1", generate: []string{"--kind", "nsg-v1", "--nics", "20", "--minutes", "120", "--tuples", "2"}, enough: 3000},
	{name: "nsg-v2", generate: []string{"--kind", "nsg", "--nics", "20", "--minutes", "120", "--tuples", "2"}, enough: 3000},
	{name: "vnet-v4", generate: []string{"--kind", "vnet", "--nics", "20", "--minutes", "120", "--tuples", "2"}, enough: 3000},
	{name: "ipv6", generate: []string{"--nics", "3", "--minutes", "120", "--tuples", "10", "--ipv6"}, enough: 3000},
	{name: "odd", files: []string{"odd-vnet.json", "odd-nsg.json"}, enough: 40},
	{name: "begin", files: []string{"begin.json"}, nothing: true, enough: 5},
	{
		name: "begin-export", files: []string{"begin.json"},
		flags: []string{"--begin", "export"}, oracle: expect.Oracle{ExportBegin: true}, enough: 5,
	},
	{name: "denied", files: []string{"denied.json"}, enough: 8},
	{
		name: "denied-one", files: []string{"denied.json"},
		flags: []string{"--denied-counters", "one"}, oracle: expect.Oracle{DeniedOne: true}, enough: 8,
	},
	{
		name: "denied-skip", files: []string{"denied.json"},
		flags: []string{"--denied", "skip"}, oracle: expect.Oracle{SkipDenied: true}, nothing: true, enough: 8,
	},
}

// TestCases has every judge judge every case.
func TestCases(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			paths, want := c.expect(t)
			for _, j := range Judges() {
				t.Run(j.Name(), func(t *testing.T) { c.judge(t, j, paths, want) })
			}
		})
	}
}

// expect makes the input and returns what to replay, and what should come of it.
func (c *testCase) expect(t *testing.T) (paths []string, want []expect.Flow) {
	t.Helper()
	var files []string
	if c.generate != nil {
		dir := t.TempDir()
		var err error
		if files, err = generate(dir, c.generate...); err != nil {
			t.Fatal(err)
		}
		paths = []string{dir}
	}
	for _, name := range c.files {
		files = append(files, filepath.Join("testdata", name))
		paths = files
	}
	if err := c.oracle.ReadFiles(files, func(f expect.Flow) { want = append(want, f) }); err != nil {
		t.Fatal(err)
	}
	if c.oracle.Tuples < c.enough || c.nothing != (len(want) == 0) {
		t.Fatalf("the case has become another one: %d tuples, %d flow records", c.oracle.Tuples, len(want))
	}
	return paths, want
}

// judge replays the case to one judge.
func (c *testCase) judge(t *testing.T, j Judge, paths []string, want []expect.Flow) {
	s := startJudge(t, j)
	flags := append([]string{"replay", "--collector", s.URL(), "--summary", "json"}, c.flags...)
	r := peers.Run(slices.Concat(flags, paths)...)
	if r.Code != 0 || r.Stderr != "" {
		t.Fatalf("replay ended with %d: %s", r.Code, r.Stderr)
	}
	got := verdict(t, j, s, want)
	sum, err := readSummary(r)
	if err != nil {
		t.Fatal(err)
	}
	o := &c.oracle
	if *sum.Rejected != 0 || sum.FailedBlobs != 0 || *sum.Records != o.LogRecords || *sum.Tuples != o.Tuples || *sum.Skipped != o.Skipped {
		t.Errorf("summary %s; want %d records, %d tuples, %d skipped and nothing rejected", r.Stdout, o.LogRecords, o.Tuples, o.Skipped)
	}
	if arrived := sumRecords(got); *sum.ExportedRecords != arrived {
		t.Errorf("the summary says %d exported records, %d arrived", *sum.ExportedRecords, arrived)
	}
	if m, ok := s.(interface {
		sent() (messages, octets uint64)
	}); ok {
		if messages, octets := m.sent(); messages != *sum.Messages || octets != *sum.Bytes {
			t.Errorf("the summary says %d messages of %d bytes, %d of %d arrived", *sum.Messages, *sum.Bytes, messages, octets)
		}
	}
}

// TestSeveralCollectors sends one case to several judges in one run.
func TestSeveralCollectors(t *testing.T) {
	c := testCase{generate: []string{"--nics", "3", "--minutes", "120", "--tuples", "10", "--ipv6"}, enough: 3000}
	paths, want := c.expect(t)
	judges := []Judge{peers.Nfcapd{}, goflow2{}, tsharkFile{}, peers.GoIPFIX{}}
	args := []string{"replay", "--summary", "json"}
	var sessions []peers.Session
	for _, j := range judges {
		s := startJudge(t, j)
		sessions = append(sessions, s)
		args = append(args, "--collector", s.URL())
	}
	r := peers.Run(slices.Concat(args, paths)...)
	if r.Code != 0 || r.Stderr != "" {
		t.Fatalf("replay ended with %d: %s", r.Code, r.Stderr)
	}
	for i, j := range judges {
		verdict(t, j, sessions[i], want)
	}
	var sum summary
	if err := json.Unmarshal(r.Stdout, &sum); err != nil {
		t.Fatal(err)
	}
	if n := uint64(len(judges)); *sum.Tuples != c.oracle.Tuples || *sum.Skipped != n*c.oracle.Skipped || *sum.ExportedRecords != n*c.oracle.Records {
		t.Errorf("summary %s; want %d tuples, and for each of %d collectors %d skipped and %d records",
			r.Stdout, c.oracle.Tuples, n, c.oracle.Skipped, c.oracle.Records)
	}
}

// startJudge starts a judge and sees to it that it is stopped.
func startJudge(t *testing.T, j Judge) peers.Session {
	t.Helper()
	s, err := j.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// verdict waits for a judge and compares what it got with what it should have.
func verdict(t *testing.T, j Judge, s peers.Session, want []expect.Flow) []expect.Flow {
	t.Helper()
	if err := s.Wait(len(want)); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	got, err := s.Flows()
	if err != nil {
		t.Fatal(err)
	}
	problems := s.Problems()
	for _, p := range problems[:min(len(problems), 10)] {
		t.Errorf("%s: %s", j.Name(), p)
	}
	if len(problems) > 10 {
		t.Errorf("%s: and %d problems more", j.Name(), len(problems)-10)
	}
	if diff := expect.Compare(want, got, j.Shows(), j.Merges()); diff != "" {
		t.Errorf("%s: %s", j.Name(), diff)
	}
	return got
}

func sumRecords(flows []expect.Flow) uint64 {
	var n uint64
	for _, f := range flows {
		n += f.Records
	}
	return n
}
