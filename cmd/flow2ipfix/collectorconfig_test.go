package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flow2ipfix/collectorside"
)

// TestCollectorConfigReadsState: indexes come from the state directory, and what
// cannot be read is said, on the screen and in the file.
func TestCollectorConfigReadsState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := makeState(dir); err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(t.Context(), append([]string{"collector-config", "--from", "192.0.2.10", "--state-dir", dir}, args...), nil, &out, &errs); code != exitOK {
			t.Fatalf("%v ends with %d: %s", args, code, errs.String())
		}
		return out.String(), errs.String()
	}
	for _, name := range []string{"akvorado", "elastiflow", "solarwinds", "ntopng"} {
		out, errs := ask("--for", name)
		if !strings.Contains(out, "000D3A000001") || !strings.Contains(out, "17") || errs != "" {
			t.Errorf("%s misses interfaces: %s\n%s", name, errs, out)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.WriteFile(filepath.Join(dir, e.Name()), []byte("not a state"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, errs := ask("--for", "akvorado")
	if !strings.Contains(out, "# Note: the state directory could not be read") || !strings.Contains(errs, "warning: state directory") {
		t.Errorf("state that cannot be read is not said: %s\n%s", errs, out)
	}
	if _, errs := ask("--for", "goflow2"); errs != "" {
		t.Errorf("goflow2 needs no state, but: %s", errs)
	}
}

// TestCollectorConfigForAll: each collector has a file for what its preset sends.
func TestCollectorConfigForAll(t *testing.T) {
	for _, name := range collectorside.Names() {
		var out, errs bytes.Buffer
		args := []string{"collector-config", "--for", name, "--from", "192.0.2.10", "--enterprise-number", "32473"}
		if code := run(t.Context(), args, nil, &out, &errs); code != exitOK || out.Len() == 0 || errs.Len() > 0 {
			t.Errorf("%s ends with %d: %s", name, code, errs.String())
		}
	}
}
