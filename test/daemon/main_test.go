package daemon

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"flow2ipfix/test/peers"
)

func TestMain(m *testing.M) {
	peers.Child()
	flag.Parse()
	if list := flag.Lookup("test.list"); list != nil && list.Value.String() != "" {
		os.Exit(m.Run()) // only names are wanted
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "daemon: error:", err)
		code = 1
	}
	os.Exit(code)
}

// runTests says who takes part, builds the program and runs the tests. A part
// that is missing is an error.
func runTests(m *testing.M) (int, error) {
	var missing []error
	for _, part := range []struct {
		name    string
		version func() (string, error)
	}{
		{"azurite", func() (string, error) { return peers.FirstLine("node", azuriteProgram, "--version") }},
		{"node", func() (string, error) { return peers.FirstLine("node", "--version") }},
		{"nfcapd", peers.Nfcapd{}.Version},
		{"go-ipfix-tcp", peers.GoIPFIX{}.Version},
		{"toxiproxy", func() (string, error) { return peers.FirstLine("go", "list", "-m", "github.com/Shopify/toxiproxy/v2") }},
	} {
		version, err := part.version()
		if err != nil || strings.TrimSpace(version) == "" {
			missing = append(missing, fmt.Errorf("%s is missing: %w", part.name, err))
			continue
		}
		fmt.Printf("part %-14s %s\n", part.name, version)
	}
	if err := errors.Join(missing...); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "flow2ipfix-daemon-")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := peers.Build(dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
