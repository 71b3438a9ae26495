package judges

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	"flow2ipfix/test/peers"
)

func TestMain(m *testing.M) {
	if os.Getenv(gaugeVariable) != "" {
		os.Exit(gauge(os.Args[1:]))
	}
	flag.Parse()
	if list := flag.Lookup("test.list"); list != nil && list.Value.String() != "" {
		os.Exit(m.Run()) // only names are wanted
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "judges: error:", err)
		code = 1
	}
	os.Exit(code)
}

// runTests says who judges, builds the program and runs the tests. A judge that
// is missing is an error.
func runTests(m *testing.M) (int, error) {
	var missing []error
	for _, j := range Judges() {
		version, err := j.Version()
		if err != nil {
			missing = append(missing, fmt.Errorf("judge %s is missing: %w", j.Name(), err))
			continue
		}
		fmt.Printf("judge %-24s %s\n", j.Name(), version)
	}
	if err := errors.Join(missing...); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "flow2ipfix-judges-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := peers.Build(dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
