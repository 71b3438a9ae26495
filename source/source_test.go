package source

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParsePath(t *testing.T) {
	hour := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name string
		want Path
		ok   bool
	}{
		{
			"insights-logs-flowlogflowevent/flowLogResourceID=/SUB_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_X-FLOWLOG/y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json",
			Path{"insights-logs-flowlogflowevent/flowLogResourceID=/SUB_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_X-FLOWLOG", hour, "000D3A123456"},
			true,
		},
		{
			"resourceId=/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/N/y=2026/m=11/d=21/h=02/m=00/macAddress=000d3a123456/PT1H.json",
			Path{"resourceId=/SUBSCRIPTIONS/S/RESOURCEGROUPS/R/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/N", hour, "000d3a123456"},
			true,
		},
		{"resourceId=/N/y=2026/m=11/d=21/h=02/m=00/PT1H.json", Path{"resourceId=/N", hour, ""}, true}, // before 2018
		{"y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json", Path{"", hour, "000D3A123456"}, true},
		{"x/y=2026/m=13/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json", Path{}, false},
		{"x/y=2026/m=11/d=21/h=24/m=00/macAddress=000D3A123456/PT1H.json", Path{}, false},
		{"x/y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A12345/PT1H.json", Path{}, false},
		{"x/y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json.lock", Path{}, false},
		{"data/registry.dat", Path{}, false},
		{"", Path{}, false},
	} {
		got, ok := ParsePath(tc.name)
		if ok != tc.ok {
			t.Errorf("ParsePath(%q) reports %v, want %v", tc.name, ok, tc.ok)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("ParsePath(%q) (-want +got):\n%s", tc.name, diff)
		}
	}
}
