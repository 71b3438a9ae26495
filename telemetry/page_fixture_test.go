package telemetry

import (
	"fmt"
	"time"
)

// noon is when the tests look at the page.
var noon = time.Date(2026, 11, 21, 3, 14, 15, 0, time.UTC)

// fixed is a Source that says the same always.
type fixed struct{ snapshot Snapshot }

func (f *fixed) Snapshot() Snapshot { return f.snapshot }

// troubled is a daemon that has a bit of everything: one collector is away, some
// pieces were rejected.
func troubled() Snapshot {
	before := func(d time.Duration) time.Time { return noon.Add(-d) }
	s := Snapshot{
		Version: "v0.5.0", GoVersion: "go1.26.0", Started: before(75 * time.Hour), Reloaded: before(5 * time.Hour), Ready: true, Restarts: 2,
		BytesRead: 98_765_432_101, Records: 1_234_567, Tuples: 87_654_321, RejectedTuples: 41,
		ByState:        map[string]uint64{"begin": 40_000_000, "continue": 30_000_000, "end": 17_000_000, "denied": 654_280},
		RejectedPieces: map[string]uint64{"field_count": 38, "syntax": 3, "never": 0},
		ReasonTexts:    map[string]string{"field_count": "tuple has too few or too many fields", "syntax": "not valid JSON"},
		LeftOut:        map[string]uint64{"before start": 12},
		RejectExamples: []RejectExample{
			{before(3 * time.Hour), "prod", "insights-logs-flowlogflowevent/a/PT1H.json", "syntax", `{"time":"2026-`, 123456},
			{before(12 * time.Minute), "prod", "insights-logs-flowlogflowevent/b/PT1H.json", "field_count", "1763690000,10.0.0.4,10.0.0.5", 7890},
		},
		Warnings: []Warning{
			{before(90 * time.Second), "WARN", "collector away, it is connected to again by and by; collector: dr-site; reason: connection refused", 14},
			{before(3 * time.Hour), "ERROR", "the state cannot be written; it is tried again, and nothing is lost", 1},
		},
	}
	prod := SourceState{
		Name: "prod", Kind: "azure", Place: "https://nocflowlogs.blob.core.windows.net", FlowLogCount: 214, Blobs: 1893, Undelivered: 3, Hours: 2,
		OldestHour: noon.Truncate(time.Hour).Add(-time.Hour), Newest: before(95 * time.Second), Delivered: before(2*time.Minute + 7*time.Second),
		Reads: 44_000, Lists: 9_000, ReadErrors: 2, LastError: "read blob: 503 ServerBusy", Hint: "nothing to do: it is tried again", LastErrorTime: before(2 * time.Hour),
	}
	for i := range 25 {
		prod.FlowLogs = append(prod.FlowLogs, FlowLogState{
			Name:   fmt.Sprintf("insights-logs-flowlogflowevent/flowLogResourceID=/00000000-1111-2222-3333-444444444444_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_VNET-SPOKE-%02d-FLOWLOG", i),
			Newest: before(time.Duration(90+17*i) * time.Second), Delivered: before(time.Duration(95+17*i) * time.Second), Interfaces: 8 + i, Backlog: i / 20,
		})
	}
	prod.FlowLogs[3].LastError = "list: 403 AuthorizationPermissionMismatch"
	prod.FlowLogs[4].Newest, prod.FlowLogs[4].Delivered = time.Time{}, time.Time{}
	s.Sources = []SourceState{prod, {
		Name: "archive", Kind: "directory", Place: "/srv/flowlogs", FlowLogCount: 1, Blobs: 4, Hours: 1, Newest: before(70 * time.Second), Delivered: before(70 * time.Second),
		OldestHour: noon.Truncate(time.Hour),
		FlowLogs:   []FlowLogState{{Name: "insights-logs-networksecuritygroupflowevent/resourceId=/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/NSG-WEB", Newest: before(70 * time.Second), Delivered: before(70 * time.Second), Interfaces: 4}},
	}}
	s.Collectors = []CollectorState{
		{
			Name: "noc", URL: "udp://10.20.0.5:2055", Preset: "ntopng", Protocol: "ipfix", Required: true, Connected: true, Since: before(5 * time.Hour),
			ExportedTuples: 40_000_000, Records: 61_234_567, Messages: 3_000_000, Bytes: 4_200_000_000, Rate: 20000,
			SkippedTuples: map[string]uint64{"begin": 40_000_000, "filter": 3},
		},
		{
			Name: "dr-site", URL: "tls://collector.dr.example:4740", Preset: "elastiflow", Protocol: "ipfix", Since: before(12*time.Minute + 30*time.Second),
			LastError: "dial tcp 203.0.113.9:4740: connect: connection refused", Hint: "check that the collector runs and listens at this address and port",
			LastErrorTime: before(9 * time.Second), RetryAt: noon.Add(21 * time.Second), Records: 60_000_000, Resent: 1200, Bytes: 4_000_000_000, KeptBytes: 1_234_567, KeptRecords: 17_000,
			NotSentTuples: 812_345, Failures: 14, Reconnects: 3,
		},
	}
	return s
}

// lived returns the history of a troubled daemon. Flow logs come by the minute.
func lived(end Snapshot) *History {
	h := NewHistory()
	tuples, records := end.Tuples, end.Collectors[0].Records
	flows := func(i int) uint64 { return uint64(4000 + 15*absolute(i%180-90) + 37*(i*7%11)) }
	for i := range historySamples {
		tuples -= flows(i)
		records -= 7300
	}
	for i := range historySamples {
		back := time.Duration(historySamples-1-i) * HistoryInterval
		tuples, records = tuples+flows(i), records+7300
		s := end
		s.Tuples = tuples
		s.Collectors = append([]CollectorState(nil), end.Collectors...)
		s.Collectors[0].Records = records
		late := time.Duration(max(0, 40-absolute(i-150))) * 12 * time.Second
		s.Sources = []SourceState{{Delivered: noon.Add(-back - 65*time.Second - time.Duration(i%6)*HistoryInterval - late)}}
		h.Add(noon.Add(-back), s)
	}
	return h
}

func absolute(n int) int { return max(n, -n) }
