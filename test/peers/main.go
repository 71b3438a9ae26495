package peers

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Part is a program or library that tests need.
type Part struct {
	Name    string
	Version func() (string, error)
}

// Main is what TestMain does: it says who takes part, builds the program, runs the
// tests and returns the exit code. A part that is missing is an error.
func Main(m *testing.M, what string, parts []Part) int {
	flag.Parse()
	if list := flag.Lookup("test.list"); list != nil && list.Value.String() != "" {
		return m.Run() // only names are wanted
	}
	code, err := runTests(m, what, parts)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: %v\n", what, err)
		return 1
	}
	return code
}

func runTests(m *testing.M, what string, parts []Part) (int, error) {
	var missing []error
	for _, part := range parts {
		version, err := part.Version()
		if err == nil && strings.TrimSpace(version) == "" {
			err = errors.New("it names no version")
		}
		if err != nil {
			missing = append(missing, fmt.Errorf("%s is missing: %w", part.Name, err))
			continue
		}
		fmt.Printf("%s: %-24s %s\n", what, part.Name, version)
	}
	if err := errors.Join(missing...); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "flow2ipfix-"+what+"-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := Build(dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
