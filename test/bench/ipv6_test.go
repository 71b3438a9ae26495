package bench

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAppendIPv6(t *testing.T) {
	const log = `{"records":[{"time":"2026-11-20T10:00:49.30Z","flowLogGUID":"1","flowTuples":["1795258786981,10.100.128.4,178.2.139.211,33008,53,17,O,B,NX,0,0,0,0",` +
		`"1795168800,198.51.100.9,10.0.0.4,1,2,T,I,A,B,,,,"],"x":"12"}]}`
	const want = `x{"records":[{"time":"2026-11-20T10:00:49.30Z","flowLogGUID":"1","flowTuples":["1795258786981,fd00:0:6480::4,2603:1020:b202:8b::10d3,33008,53,17,O,B,NX,0,0,0,0",` +
		`"1795168800,2603:1020:c633:64::1009,fd00::4,1,2,T,I,A,B,,,,"],"x":"12"}]}`
	if got := string(AppendIPv6([]byte("x"), []byte(log))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A file of more than one piece becomes what all of it at once would.
func TestRewriteIPv6(t *testing.T) {
	log := `{"records":[{"flowTuples":["` + strings.Repeat(`1795258786981,10.100.128.4,178.2.139.211,33008,53,17,O,B,NX,0,0,0,0","`, 10_000) + `"]}]}`
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rewriteIPv6(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != string(AppendIPv6(nil, []byte(log))) {
		t.Errorf("got %d bytes that differ, %v", len(got), err)
	}
}
