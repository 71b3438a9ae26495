package service

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"flow2ipfix/test/peers"
	"flow2ipfix/test/sandbox"
)

// mostExposed is what systemd-analyze security may give the unit, of 10.
const mostExposed = 1.5

// TestUnitIsSound: systemd finds nothing wrong with the unit. It wants the program
// and the manuals to be installed, so the copy it looks at names others.
func TestUnitIsSound(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	const program = "ExecStart=/usr/bin/flow2ipfix "
	if !strings.Contains(string(text), program) {
		t.Fatalf("the unit does not start %s", program)
	}
	copied := filepath.Join(t.TempDir(), "flow2ipfix.service")
	if err := os.WriteFile(copied, []byte(strings.Replace(string(text), program, "ExecStart="+peers.Product+" ", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", copied).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestUnitExposesLittle(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("systemd-analyze", "--no-pager", "security", "--offline=true", unitFile).CombinedOutput()
	if err != nil {
		t.Fatal(err, string(out))
	}
	m := regexp.MustCompile(`Overall exposure level for flow2ipfix.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no level: %s", out)
	}
	level, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil || level > mostExposed {
		t.Errorf("exposure %v, want %v at most: %s", level, mostExposed, out)
	}
	t.Logf("exposure level %v", level)
	if strings.Contains(string(out), "Unknown") {
		t.Errorf("systemd does not know all of it: %s", out)
	}
}

// TestUnitFits: the unit's numbers fit to each other and to the program.
func TestUnitFits(t *testing.T) {
	t.Parallel()
	u, err := sandbox.ReadUnit(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	bytes := func(s string) int {
		t.Helper()
		n, err := strconv.Atoi(strings.TrimRight(s, "KMGTiB"))
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		switch unit := strings.TrimLeft(s, "0123456789"); unit {
		case "M", "MiB":
			return n << 20
		case "G", "GiB":
			return n << 30
		default:
			t.Fatalf("%q: unit %q", s, unit)
			return 0
		}
	}
	limit := ""
	for _, v := range u["Environment"] {
		if value, ok := strings.CutPrefix(v, "GOMEMLIMIT="); ok {
			limit = value
		}
	}
	if soft, high, most := bytes(limit), bytes(u.Get("MemoryHigh")), bytes(u.Get("MemoryMax")); soft >= high || high >= most {
		t.Errorf("GOMEMLIMIT=%d, MemoryHigh=%d, MemoryMax=%d: each should lie below the next", soft, high, most)
	}
	for key, want := range map[string]string{
		"Type": "notify", "NotifyAccess": "main", "RestartPreventExitStatus": "78", "Restart": "on-failure", "User": "flow2ipfix",
		"StateDirectory": "flow2ipfix", "ConfigurationDirectory": "flow2ipfix", "ExecReload": "/bin/kill -HUP $MAINPID",
		"CapabilityBoundingSet": "",
	} {
		if got := u.Get(key); got != want || len(u[key]) == 0 {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	for _, key := range []string{"WatchdogSec", "TasksMax", "RestartSec", "TimeoutStopSec"} {
		if u.Get(key) == "" {
			t.Errorf("%s= is missing", key)
		}
	}
}

// TestSysusers: the file makes the user that the unit names, and no other.
func TestSysusers(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs(sysusersFile)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-sysusers", "--root="+root, file).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	b, err := os.ReadFile(filepath.Join(root, "etc", "passwd"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^flow2ipfix:x:\d+:\d+:[^:]*:/var/lib/flow2ipfix:(/usr)?/s?bin/nologin\n$`).Match(b) {
		t.Errorf("passwd has %q", b)
	}
}
