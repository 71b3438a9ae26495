package source

import (
	"math/rand/v2"
	"regexp"
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

var azurePath = regexp.MustCompile(`^(.*?)/?y=(\d{4})/m=(\d\d)/d=(\d\d)/h=(\d\d)/m=\d\d/(?:macAddress=([0-9A-Fa-f]{12})/)?PT1H\.json$`)

// FuzzParsePath: it reads what the expression says.
func FuzzParsePath(f *testing.F) {
	name := "c/flowLogResourceID=/X/y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json"
	for _, seed := range []string{
		name, name[2:], name[len(name)-60:], "y=2024/m=02/d=29/h=23/m=59/PT1H.json", "/y=2026/m=02/d=29/h=00/m=00/PT1H.json",
		"a//y=2026/m=02/d=28/h=00/m=00/PT1H.json", "a\n/y=2026/m=02/d=28/h=00/m=00/PT1H.json", "y=0000/m=00/d=00/h=00/m=00/PT1H.json",
		"y=2026/m=02/d=28/h=00/m=00/macAddress=000D3A12345\xc6/PT1H.json", "y=2026/m=02/d=28/h=00/m=00/macAddress=000d3a12345g/PT1H.json",
	} {
		f.Add(seed)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 { // of each kind of damage
		b := []byte(name)
		at := len(b) - 1 - random.IntN(70)
		switch b[at] = "0/=yZa\xff9"[random.IntN(8)]; random.IntN(3) {
		case 0:
			b = append(b[:at], b[at+1:]...)
		case 1:
			b = append(b[:at], b[at-1:]...)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, name string) {
		var want Path
		m := azurePath.FindStringSubmatch(name)
		if m != nil {
			hour, err := time.Parse("2006-01-02T15", m[2]+"-"+m[3]+"-"+m[4]+"T"+m[5])
			if err == nil {
				want = Path{Target: m[1], Hour: hour, MAC: m[6]}
			}
		}
		got, ok := ParsePath(name)
		if got != want || ok != (want != Path{}) {
			t.Errorf("ParsePath(%q) = %v, %v; want %v", name, got, ok, want)
		}
	})
}
