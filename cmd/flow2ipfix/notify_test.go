package main

import (
	"strings"
	"testing"
	"time"

	"flow2ipfix/exporter"
	"flow2ipfix/source"
)

func TestRate(t *testing.T) {
	for _, tc := range []struct {
		n    uint64
		span time.Duration
		want string
	}{{0, time.Second, "0"}, {7, time.Minute, "0.1"}, {599, time.Minute, "10.0"}, {600, time.Minute, "10"}, {123_456, 5 * time.Second, "24691"}, {1, 0, "0"}} {
		if got := rate(tc.n, tc.span); got != tc.want {
			t.Errorf("rate(%d, %v) = %s, want %s", tc.n, tc.span, got, tc.want)
		}
	}
}

func TestStatusWords(t *testing.T) {
	now := time.Now()
	if got, want := sourceWords(source.FollowerStats{}, now), "no flow logs yet"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s := source.FollowerStats{FlowLogs: 3, Blobs: 1200, Undelivered: 2, Newest: now.Add(-72 * time.Second)}
	if got, want := sourceWords(s, now), "3 flow logs, 1,200 open blobs, 2 with undelivered flows, 1m12s behind"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for want, s := range map[string]exporter.StreamStats{
		"away, ": {}, "connected, ": {Connected: true}, "connected, 1,200 records under way, ": {Connected: true, KeptRecords: 1200},
	} {
		if got := laneWords(s, false); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := laneWords(s, true); got != "" {
			t.Errorf("got %q at the end", got)
		}
	}
}

// TestStatusNamesSources: of many sources the first few are named.
func TestStatusNamesSources(t *testing.T) {
	var followers []*source.Follower
	for _, name := range strings.Fields("a b c d e f") {
		f, err := source.NewFollower(source.FollowerConfig{Name: name, Backend: nowhere{}, State: nothing{}})
		if err != nil {
			t.Fatal(err)
		}
		followers = append(followers, f)
	}
	p := &parts{}
	if got, want := statusWords(50, 10*time.Second, time.Now(), p, followers[:1]), "no flow logs yet; 5.0 flows/s; 0 collectors connected"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := statusWords(0, 10*time.Second, time.Now(), p, followers), "a: no flow logs yet; b: no flow logs yet; c: no flow logs yet; d: no flow logs yet; and 2 more sources; 0 flows/s; 0 collectors connected"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

type nowhere struct{ source.Backend }

type nothing struct{ source.State }
