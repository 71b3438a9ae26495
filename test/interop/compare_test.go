package interop

import (
	"strings"
	"testing"

	"flow2ipfix/test/interop/show"
)

// A comparison that never complains is worth nothing.

func TestCompare(t *testing.T) {
	record := func(more ...string) show.Record {
		r := show.Record{"sourceIPv4Address": "10.0.0.1", "sourceTransportPort": "1", "packetDeltaCount": "2", "octetDeltaCount": "80"}
		for i := 0; i < len(more); i += 2 {
			r[more[i]] = more[i+1]
		}
		return r
	}
	for _, tc := range []struct {
		name      string
		want, got []show.Record
		says      string
	}{
		{"same", []show.Record{record(), record("a", "1")}, []show.Record{record("a", "1"), record()}, ""},
		{"missing", []show.Record{record(), record()}, []show.Record{record()}, "missing octetDeltaCount=80 "},
		{"unexpected", []show.Record{record()}, []show.Record{record(), record()}, "unexpected octetDeltaCount=80 "},
		{"another value", []show.Record{record("a", "1")}, []show.Record{record("a", "2")}, `a is "2", want "1"`},
		{"not shown", []show.Record{record("a", "1")}, []show.Record{record()}, `a is not shown, want "1"`},
		{"shown", []show.Record{record()}, []show.Record{record("a", "0")}, `a is "0", which should not be shown`},
		{"merged", merge([]show.Record{record(), record("packetDeltaCount", "3")}), []show.Record{record("packetDeltaCount", "5", "octetDeltaCount", "160")}, ""},
		{"merged wrongly", merge([]show.Record{record(), record("a", "1")}), []show.Record{record("packetDeltaCount", "4", "octetDeltaCount", "160")}, "missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			words := strings.Join(compare(tc.want, tc.got), "\n")
			if tc.says == "" && words != "" || !strings.Contains(words, tc.says) {
				t.Errorf("got %q, want %q", words, tc.says)
			}
		})
	}
}

func TestFlowIDs(t *testing.T) {
	way := func(from, to, id string) show.Record {
		return show.Record{"sourceIPv4Address": from, "destinationIPv4Address": to, "flowId": id}
	}
	for _, tc := range []struct {
		name    string
		records []show.Record
		good    bool
	}{
		{"both ways", []show.Record{way("a", "b", "1"), way("b", "a", "1"), way("a", "c", "2")}, true},
		{"each way another", []show.Record{way("a", "b", "1"), way("b", "a", "2")}, false},
		{"two flows", []show.Record{way("a", "b", "1"), way("a", "c", "1")}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plainFlows(tc.records)
			if good := strings.HasPrefix(tc.records[0]["flowId"], "of "); good != tc.good {
				t.Errorf("the id is %q", tc.records[0]["flowId"])
			}
		})
	}
}
