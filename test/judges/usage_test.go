package judges

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flow2ipfix/test/peers"
)

// TestErrors checks how runs end that cannot do what they were asked for: with
// the right code, nothing on standard output but a summary, one error that names
// the culprit, and a hint.
func TestErrors(t *testing.T) {
	dir := t.TempDir()
	input := filepath.Join(dir, "input.json")
	if err := os.WriteFile(input, []byte(`{"records":[`+logRecord(0, logTuple(0, 42000))+`]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "folder.json")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	udp, err := peers.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	null := "file:/dev/null"
	for _, tc := range []struct {
		name string
		args []string
		code int
		says string // part of the error
	}{
		{"no such file", []string{"replay", "--collector", null, filepath.Join(dir, "absent.json")}, 1, "absent.json"},
		{"folder without flow logs", []string{"replay", "--collector", null, folder}, 1, "folder.json"},
		{"no path", []string{"replay", "--collector", null}, 2, "nothing to replay"},
		{"no collector", []string{"replay", input}, 2, "--collector"},
		{"refused UDP", []string{"replay", "--collector", fmt.Sprintf("udp://127.0.0.1:%d", udp), input}, 1, fmt.Sprintf("udp://127.0.0.1:%d: refused", udp)},
		{"refused TCP", []string{"replay", "--collector", fmt.Sprintf("tcp://127.0.0.1:%d", tcp), input}, 1, fmt.Sprintf("tcp://127.0.0.1:%d: refused", tcp)},
		{"unwritable file", []string{"replay", "--collector", "file:" + filepath.Join(dir, "absent", "x.ipfix"), input}, 1, "absent/x.ipfix"},
		{"unwritable rejects", []string{"replay", "--collector", null, "--rejects", filepath.Join(dir, "absent", "x"), input}, 1, "--rejects"},
		{"unknown scheme", []string{"replay", "--collector", "sctp://127.0.0.1:4739", input}, 2, `"sctp"`},
		{"no port", []string{"replay", "--collector", "udp://127.0.0.1", input}, 2, "want a port"},
		{"port too large", []string{"replay", "--collector", "udp://127.0.0.1:70000", input}, 2, "70000"},
		{"no URL", []string{"replay", "--collector", "127.0.0.1:4739", input}, 2, "127.0.0.1:4739"},
		{"unknown preset", []string{"replay", "--collector", null, "--preset", "nonsense", input}, 2, `"nonsense"`},
		{"unknown flag", []string{"replay", "--collectors", null, input}, 2, "--collectors"},
		{"wrong value", []string{"replay", "--collector", null, "--begin", "maybe", input}, 2, `"maybe"`},
		{"negative rate", []string{"replay", "--collector", null, "--rate", "-1", input}, 2, "--rate"},
		{"no number", []string{"replay", "--collector", null, "--rate", "fast", input}, 2, `"fast"`},
		{"unknown command", []string{"reply", input}, 2, `"reply"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := peers.Run(tc.args...)
			if r.Code != tc.code {
				t.Errorf("ended with %d, want %d", r.Code, tc.code)
			}
			lines := strings.Split(strings.TrimSuffix(r.Stderr, "\n"), "\n")
			if len(lines) != 2 || !strings.HasPrefix(lines[0], "flow2ipfix: error: ") || !strings.Contains(lines[0], tc.says) ||
				!strings.HasPrefix(lines[1], "flow2ipfix: hint: ") {
				t.Errorf("want an error that says %s, and a hint, got\n%s", tc.says, r.Stderr)
			}
		})
	}
}
