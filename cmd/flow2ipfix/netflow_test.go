package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sendAndCollect replays logs to a collector at a UDP port, and returns what it prints
// of so many records, and the summary.
func sendAndCollect(t *testing.T, records int, logs string, args ...string) (received []map[string]any, summary map[string]any) {
	t.Helper()
	stderr := &lines{out: make(chan string, 100)}
	var table, out, errs bytes.Buffer
	done := make(chan int)
	go func() {
		done <- run(t.Context(), []string{"collect", "--listen", "udp://127.0.0.1:0", "--format", "json", "--count", fmt.Sprint(records), "--for", "1m"}, nil, &table, stderr)
	}()
	url, ok := strings.CutPrefix(<-stderr.out, "flow2ipfix: listening on ")
	if !ok {
		t.Fatal("collect does not say where it listens")
	}
	if code := run(t.Context(), append([]string{"replay", "--summary", "json", "--collector", url, logs}, args...), nil, &out, &errs); code != exitOK {
		t.Fatalf("replay ends with %d: %s", code, errs.String())
	}
	if code := <-done; code != exitOK {
		t.Fatalf("collect ends with %d", code)
	}
	if err := json.Unmarshal(out.Bytes(), &summary); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(table.String()) {
		var r struct {
			Fields map[string]any `json:"fields"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		received = append(received, r.Fields)
	}
	return received, summary
}

// TestReplayNetFlow sends one log as NetFlow, and reads it back.
func TestReplayNetFlow(t *testing.T) {
	at := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	tuple := func(rest string, after time.Duration) string {
		return fmt.Sprintf("%q", fmt.Sprintf("%d,%s", at.Add(after).UnixMilli(), rest))
	}
	text := `{"records":[{"time":"` + at.Format(time.RFC3339) + `","flowLogVersion":4,"macAddress":"00224871C205","targetResourceID":"/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/hub","flowRecords":{"flows":[{"aclID":"acl","flowGroups":[{"rule":"r","flowTuples":[` +
		strings.Join([]string{
			tuple("10.0.0.6,192.0.2.180,23956,443,6,O,B,NX,0,0,0,0", 0),
			tuple("10.0.0.6,192.0.2.180,23956,443,6,O,E,NX,3,767,2,1580", 1500*time.Millisecond),
			tuple("fd00::6,2001:db8::9,1000,53,17,O,E,NX,1,80,0,0", 2*time.Second),
			tuple("10.0.0.6,192.0.2.181,1001,443,6,O,E,NX,8,8589934591,0,0", 2*time.Second), // 2³³-1
			tuple("198.51.100.1,10.0.0.6,50000,22,6,I,D,NX,0,0,0,0", 3*time.Second),
		}, ",") + `]}]}]}}]}`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "PT1H.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const form = "2006-01-02T15:04:05.000Z"
	later := func(d time.Duration) string { return at.Add(d).Format(form) }
	// flow writes what is compared of a record.
	flow := func(r map[string]any) string {
		s := ""
		for _, way := range []string{"source", "destination"} {
			for _, family := range []string{"4", "6"} {
				if a, ok := r[way+"IPv"+family+"Address"]; ok {
					s += fmt.Sprint(a, ":", r[way+"TransportPort"], " ")
				}
			}
		}
		return s + fmt.Sprintf("proto %v, %.0f packets, %.0f octets, in %v out %v, %v to %v",
			r["protocolIdentifier"], r["packetDeltaCount"], r["octetDeltaCount"], r["ingressInterface"], r["egressInterface"],
			r["flowStartMilliseconds"], r["flowEndMilliseconds"])
	}
	both := []string{
		"10.0.0.6:23956 192.0.2.180:443 proto 6, 3 packets, 767 octets, in 0 out 1, " + later(0) + " to " + later(1500*time.Millisecond),
		"192.0.2.180:443 10.0.0.6:23956 proto 6, 2 packets, 1580 octets, in 1 out 0, " + later(0) + " to " + later(1500*time.Millisecond),
	}
	ipv6 := "fd00::6:1000 2001:db8::9:53 proto 17, 1 packets, 80 octets, in 0 out 1, " + later(2*time.Second) + " to " + later(2*time.Second)
	large := func(packets, octets uint64) string {
		return fmt.Sprintf("10.0.0.6:1001 192.0.2.181:443 proto 6, %d packets, %d octets, in 0 out 1, %s to %s", packets, octets, later(2*time.Second), later(2*time.Second))
	}
	denied := "198.51.100.1:50000 10.0.0.6:22 proto 6, 0 packets, 0 octets, in 1 out 0, " + later(3*time.Second) + " to " + later(3*time.Second)
	for _, tc := range []struct {
		name    string
		args    []string
		want    []string
		summary map[string]any
	}{
		{
			"netflow9",
			[]string{"--protocol", "netflow9"},
			append(append([]string(nil), both...), ipv6, large(8, 8589934591), denied),
			map[string]any{"exported": 4., "skipped_by_rule": map[string]any{"begin": 1.}, "exported_records": 5., "options_records": 0., "clamped": 0.},
		},
		{
			"netflow9 with options",
			[]string{"--protocol", "netflow9", "--preset", "nfdump", "--options", "interfaces,vrfs,sampling"},
			append(append([]string(nil), both...), ipv6, large(8, 8589934591), denied),
			map[string]any{"exported": 4., "skipped_by_rule": map[string]any{"begin": 1.}, "exported_records": 5., "options_records": 3., "clamped": 0.},
		},
		{
			// Octets that 32 bits cannot carry are split over records; IPv6 stays out.
			"netflow5",
			[]string{"--protocol", "netflow5"},
			append(append([]string(nil), both...), large(3, 2863311531), large(3, 2863311530), large(2, 2863311530), denied),
			map[string]any{"exported": 3., "skipped_by_rule": map[string]any{"begin": 1., "ipv6": 1.}, "exported_records": 6., "options_records": 0., "clamped": 0.},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			received, summary := sendAndCollect(t, len(tc.want), dir, tc.args...)
			var got []string
			for _, r := range received {
				if _, ok := r["protocolIdentifier"]; ok { // else it is of options
					got = append(got, flow(r))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("received (-want +got):\n%s", diff)
			}
			for key, want := range tc.summary {
				if diff := cmp.Diff(want, summary[key]); diff != "" {
					t.Errorf("summary, %s (-want +got):\n%s", key, diff)
				}
			}
		})
	}
}
