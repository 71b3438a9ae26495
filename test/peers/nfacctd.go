package peers

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// NfacctdVersion is pmacct's.
func NfacctdVersion() (string, error) {
	out, err := Output("nfacctd", "-V")
	line, _, _ := strings.Cut(string(out), "\n")
	if line != "" {
		return line, nil // it ends with an error when asked
	}
	return line, err
}

// NfacctdConfig says what nfacctd prints.
type NfacctdConfig struct {
	Aggregate  []string // primitives, its own and the custom ones
	Primitives string   // the custom ones, a line each
	More       string   // other lines of the configuration
}

// With plugin_buffer_size the last records would stay in a buffer between
// nfacctd and its plugin until it ends.
const nfacctdFile = `daemonize: false
nfacctd_ip: 127.0.0.1
nfacctd_port: %d
nfacctd_pipe_size: 8000000
plugins: print
print_output: json
print_output_file: %s
print_output_file_append: true
print_refresh_time: 1
timestamps_since_epoch: true
aggregate_primitives: %s
aggregate: %s
%s`

// NfacctdPeer is a running nfacctd with its print plugin, which writes a JSON
// object a line, what it has once a second.
type NfacctdPeer struct {
	*UDPPeer
	file string
}

// StartNfacctd starts nfacctd on a free port. Its files lie in dir.
func StartNfacctd(dir string, c *NfacctdConfig) (*NfacctdPeer, error) {
	s := &NfacctdPeer{file: filepath.Join(dir, "flows.json")}
	primitives, config := filepath.Join(dir, "primitives.lst"), filepath.Join(dir, "nfacctd.conf")
	if err := os.WriteFile(primitives, []byte(c.Primitives), 0o644); err != nil {
		return nil, err
	}
	var err error
	s.UDPPeer, err = StartUDP(dir, "nfacctd", func(port int) ([]string, error) {
		text := fmt.Sprintf(nfacctdFile, port, s.file, primitives, strings.Join(c.Aggregate, ","), c.More)
		return []string{"-f", config}, os.WriteFile(config, []byte(text), 0o644)
	})
	if err != nil {
		return nil, err
	}
	// The port is bound before the plugin is ready. A record that comes in
	// between lies where it is until the next one comes.
	err = Await("nfacctd's plugin is ready", func() (bool, error) {
		return strings.Contains(s.Log(), "Purging cache - END"), s.Alive()
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Stop ends it.
func (s *NfacctdPeer) Stop() error { return s.End(syscall.SIGINT) }

// WaitFlows waits until each has counted so many flows. The plugin writes what it
// has once a second.
func (s *NfacctdPeer) WaitFlows(count func() (int, error), flows int) error {
	if err := s.Drain(); err != nil {
		return err
	}
	return AwaitAll("nfacctd prints", func() (bool, error) {
		if err := s.Alive(); err != nil {
			return false, err
		}
		n, err := count()
		return n >= flows, err
	})
}

// Lines calls emit with the whole lines of the file.
func (s *NfacctdPeer) Lines(emit func(line []byte) error) error {
	f, err := os.Open(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was printed yet
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil // the end, or a line in the making
		}
		if err := emit(line); err != nil {
			return fmt.Errorf("line %q: %w", line, err)
		}
	}
}

// Problems returns losses and complaints.
func (s *NfacctdPeer) Problems() []string {
	problems := s.Losses()
	for line := range strings.Lines(s.Log()) {
		if !strings.HasPrefix(line, "INFO ") && strings.TrimSpace(line) != "" {
			problems = append(problems, strings.TrimSpace(line))
		}
	}
	return problems
}
