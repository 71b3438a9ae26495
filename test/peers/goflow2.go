package peers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
)

// ModuleVersion is a program's Go module's: some programs do not know their own
// version.
func ModuleVersion(program string) (string, error) {
	path, err := LookPath(program)
	if err != nil {
		return "", err
	}
	out, err := Output("go", "version", "-m", path)
	if err != nil {
		return "", err
	}
	_, mod, _ := strings.Cut(string(out), "\n\tmod\t")
	if info, err := debug.ParseBuildInfo("mod\t" + mod); err == nil {
		return program + " " + info.Main.Version, nil
	}
	return "", fmt.Errorf("%s has no version", path)
}

// StartGoflow2 starts goflow2 on a free port. It prints a JSON object a flow, with
// the fields that the mapping says.
func StartGoflow2(dir, mapping string) (*UDPPeer, error) {
	file := filepath.Join(dir, "mapping.yaml")
	if err := os.WriteFile(file, []byte(mapping), 0o644); err != nil {
		return nil, err
	}
	return StartUDP(dir, "goflow2", func(port int) ([]string, error) {
		// Its pages of metrics want a port too.
		pages, err := FreePort()
		// More than one worker would mix up lines.
		return []string{
			"-listen", fmt.Sprintf("netflow://127.0.0.1:%d/?workers=1", port), "-addr", fmt.Sprintf("127.0.0.1:%d", pages),
			"-format", "json", "-mapping", file,
		}, err
	})
}

// WaitLines waits until a program has printed so many lines.
func WaitLines(p *Process, lines int) error {
	return AwaitAll("the program writes its lines", func() (bool, error) {
		if err := p.Alive(); err != nil {
			return false, err
		}
		b, err := os.ReadFile(p.OutFile)
		return bytes.Count(b, []byte("\n")) >= lines, err
	})
}

// Complaints returns the lines of a program's log that are not as they should be.
func (p *Process) Complaints(expected func(line string) bool) []string {
	logs, err := os.ReadFile(p.LogFile)
	if err != nil {
		return []string{err.Error()}
	}
	var all []string
	for line := range strings.Lines(string(logs)) {
		if line = strings.TrimSpace(line); line != "" && !expected(line) {
			all = append(all, line)
		}
	}
	return all
}
