package judges

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// logRecord is a record of a virtual network flow log with the given tuples,
// each a JSON value.
func logRecord(minute int, tuples ...string) string {
	return fmt.Sprintf(`{"time":"2026-11-20T10:%02d:06.1234567Z","flowLogVersion":4,"macAddress":"000D3A00BAD1","category":"FlowLogFlowEvent",`+
		`"targetResourceID":"/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/bad","operationName":"FlowLogFlowEvent",`+
		`"flowRecords":{"flows":[{"aclID":"a","flowGroups":[{"rule":"UserRule_R","flowTuples":[%s]}]}]}}`, minute, strings.Join(tuples, ","))
}

// logTuple is a tuple of a flow of its own.
func logTuple(minute, port int) string {
	return fmt.Sprintf(`"%d,10.9.5.4,203.0.113.50,%d,443,6,O,E,NX,3,300,2,200"`, 1795168800000+minute*60_000, port)
}

// badPiece is a piece of a flow log that is to be rejected.
type badPiece struct {
	text   string // at most a beginning of the piece
	reason string
}

// TestBadInput has good flows among bad ones judged: the bad ones cost no more
// than themselves, and are counted and written down.
func TestBadInput(t *testing.T) {
	badTuple := badPiece{`"1795168860000,10.9.5.4,203.0.113.50,70000,443,6,O,E,NX,3,300,2,200"`, "port"}
	noTuple := badPiece{`{"not":"a tuple"}`, "type"}
	badRecord := badPiece{strings.Replace(logRecord(2, logTuple(2, 40003)), `"macAddress":`, `"macAddress" `, 1), "syntax"}
	torn := badPiece{logRecord(4, logTuple(4, 40005), logTuple(4, 40006)), "truncated"}
	torn.text = torn.text[:len(torn.text)-80]

	good := []string{logRecord(0, logTuple(0, 40001)), logRecord(1, logTuple(1, 40002), logTuple(1, 40004)), logRecord(3, logTuple(3, 40007))}
	withBad := logRecord(1, logTuple(1, 40002), badTuple.text, noTuple.text, logTuple(1, 40004))
	clean := `{"records":[` + strings.Join(good, ",") + `]}`
	dirty := `{"records":[` + strings.Join([]string{good[0], withBad, badRecord.text, good[2], torn.text}, ",")
	bad := []badPiece{badTuple, noTuple, badRecord, torn}

	var want []expect.Flow
	oracle := &expect.Oracle{}
	if err := oracle.Read(strings.NewReader(clean), func(f expect.Flow) { want = append(want, f) }); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "PT1H.json")
	if err := os.WriteFile(path, []byte(dirty), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, path, blob string
		flags            []string
		code             int
	}{
		{"file", path, path, nil, 0},
		{"standard input", "-", "standard input", nil, 0},
		{"strict", path, path, []string{"--strict"}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := startJudge(t, peers.Nfcapd{})
			rejects := filepath.Join(t.TempDir(), "rejects.json")
			args := []string{"replay", "--collector", s.URL(), "--summary", "json", "--rejects", rejects, tc.path}
			r := peers.RunWith(strings.NewReader(dirty), slices.Concat(args, tc.flags)...)
			if r.Code != tc.code {
				t.Errorf("replay ended with %d, want %d: %s", r.Code, tc.code, r.Stderr)
			}
			verdict(t, peers.Nfcapd{}, s, want)
			checkRejects(t, rejects, tc.blob, dirty, bad)
			if n := strings.Count(r.Stderr, "flow2ipfix: warning: "+tc.blob+": byte "); n != len(bad) {
				t.Errorf("want %d warnings, got\n%s", len(bad), r.Stderr)
			}
			sum, err := readSummary(r)
			if err != nil {
				t.Fatal(err)
			}
			if *sum.Blobs != 1 || *sum.Records != 3 || *sum.Rejected != 4 || sum.RejectedTuples != 2 ||
				*sum.Tuples != oracle.Tuples+2 || *sum.ExportedRecords != oracle.Records {
				t.Errorf("summary %s", r.Stdout)
			}
			for _, b := range bad {
				if sum.Reasons[b.reason] != 1 {
					t.Errorf("rejected_by_reason %v, want one %s", sum.Reasons, b.reason)
				}
			}
		})
	}
}

// checkRejects checks the file of rejected pieces against the blob.
func checkRejects(t *testing.T, path, blob, content string, want []badPiece) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(bytes.Lines(b))
	if len(lines) != len(want) {
		t.Fatalf("want %d rejects, got\n%s", len(want), b)
	}
	for i, line := range lines {
		var got struct {
			Blob   string `json:"blob"`
			Offset *int   `json:"offset"`
			Reason string `json:"reason"`
			Quote  string `json:"quote"`
		}
		if err := json.Unmarshal(line, &got); err != nil || got.Offset == nil {
			t.Errorf("reject %s: %v", line, err)
			continue
		}
		if offset := strings.Index(content, want[i].text); got.Blob != blob || *got.Offset != offset || got.Reason != want[i].reason {
			t.Errorf("reject %s: want blob %q, offset %d, reason %s", line, blob, offset, want[i].reason)
		}
		if got.Quote == "" || !strings.HasPrefix(content[*got.Offset:], got.Quote) {
			t.Errorf("at byte %d there is %.40q, not the quote %.40q", *got.Offset, content[*got.Offset:], got.Quote)
		}
	}
}

// TestUnreadableFile has one of three files fail: the others arrive.
func TestUnreadableFile(t *testing.T) {
	dir := t.TempDir()
	var want []expect.Flow
	oracle := &expect.Oracle{}
	paths := []string{filepath.Join(dir, "a.json"), "/proc/self/mem", filepath.Join(dir, "c.json")} // reading at 0 fails, even for root
	for i, path := range []string{paths[0], paths[2]} {
		text := `{"records":[` + logRecord(i, logTuple(i, 41000+i)) + `]}`
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := oracle.ReadFiles([]string{paths[0], paths[2]}, func(f expect.Flow) { want = append(want, f) }); err != nil {
		t.Fatal(err)
	}
	s := startJudge(t, peers.Nfcapd{})
	r := peers.Run(append([]string{"replay", "--collector", s.URL(), "--summary", "json"}, paths...)...)
	if lines := strings.Count(r.Stderr, "\n"); r.Code != 1 || lines != 2 || !strings.Contains(r.Stderr, "/mem: read flow log at byte 0: ") ||
		!strings.Contains(r.Stderr, "hint: ") {
		t.Errorf("replay ended with %d, want 1, one warning and a hint: %s", r.Code, r.Stderr)
	}
	verdict(t, peers.Nfcapd{}, s, want)
	sum, err := readSummary(r)
	if err != nil {
		t.Fatal(err)
	}
	if sum.FailedBlobs != 1 || *sum.ExportedRecords != oracle.Records {
		t.Errorf("summary %s", r.Stdout)
	}
}
