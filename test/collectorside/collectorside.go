// Package collectorside starts real collectors with what flow2ipfix
// collector-config prints for them, sends them what replay sends with the same
// flags, and looks for what they would not show without: the rule, encryption,
// reverse counters.
//
// The printed files are used as they are, but for places and for how long the
// collector waits before it prints.
package collectorside

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"flow2ipfix/test/peers"
)

// subject is a collector, and how its files are put to use.
type subject struct {
	// start starts it with the files in dir; it listens on the port.
	start func(dir string, port int) (*peers.UDPPeer, error)
	// shown returns what it has shown so far.
	shown func(dir string, p *peers.Process) (string, error)
}

// subjects are the collectors that are installed, by the names that
// collector-config has for them.
var subjects = map[string]subject{
	"goflow2": {start: startGoflow2, shown: output},
	"pmacct":  {start: startNfacctd, shown: output},
	"telegraf": {
		start: startTelegraf,
		shown: func(dir string, _ *peers.Process) (string, error) { return read(filepath.Join(dir, "metrics.json")) },
	},
}

func output(_ string, p *peers.Process) (string, error) { return read(p.OutFile) }

func read(file string) (string, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	return string(b), err
}

// edit changes a printed file where it is said to, and nowhere else.
func edit(file string, changes ...string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(b)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			return fmt.Errorf("%s has no %q", file, changes[i])
		}
		text = strings.ReplaceAll(text, changes[i], changes[i+1])
	}
	return os.WriteFile(file, []byte(text), 0o755)
}

var goflow2Command = regexp.MustCompile(`(?m)^#   (goflow2 .*)$`)

// startGoflow2 runs the command that the mapping file names.
func startGoflow2(dir string, port int) (*peers.UDPPeer, error) {
	text, err := read(filepath.Join(dir, "mapping.yaml"))
	if err != nil {
		return nil, err
	}
	found := goflow2Command.FindStringSubmatch(text)
	if found == nil {
		return nil, fmt.Errorf("no command in %q", text)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // its pages of metrics
	if err != nil {
		return nil, err
	}
	if err := l.Close(); err != nil {
		return nil, err
	}
	program, err := peers.LookPath("goflow2")
	if err != nil {
		return nil, err
	}
	command := program + strings.TrimPrefix(strings.Replace(found[1], "127.0.0.1:8080", l.Addr().String(), 1), "goflow2")
	return peers.StartUDPOn(dir, port, "sh", "-c", "exec "+command)
}

func startNfacctd(dir string, port int) (*peers.UDPPeer, error) {
	config := filepath.Join(dir, "nfacctd.conf")
	if err := edit(config, "print_refresh_time: 60", "print_refresh_time: 1"); err != nil {
		return nil, err
	}
	p, err := peers.StartUDPOn(dir, port, "nfacctd", "-f", config)
	if err != nil {
		return nil, err
	}
	// The port is bound before the plugin is ready.
	return p, peers.Await("nfacctd's plugin is ready", func() (bool, error) {
		return strings.Contains(p.Log(), "Purging cache - END"), p.Alive()
	})
}

// telegrafMore is what a configuration has beside the input.
const telegrafMore = `
[agent]
  flush_interval = "100ms"
  skip_processors_after_aggregators = true
[[outputs.file]]
  files = [%q]
  data_format = "json"
`

func startTelegraf(dir string, port int) (*peers.UDPPeer, error) {
	more := fmt.Sprintf(telegrafMore, filepath.Join(dir, "metrics.json"))
	if err := os.WriteFile(filepath.Join(dir, "more.conf"), []byte(more), 0o644); err != nil {
		return nil, err
	}
	return peers.StartUDPOn(dir, port, "telegraf", "--config", filepath.Join(dir, "flow2ipfix.conf"), "--config", filepath.Join(dir, "more.conf"))
}

// configure writes the files of a collector that listens on a port.
func configure(dir, name string, port int, flags ...string) error {
	args := append([]string{
		"collector-config", "--for", name, "--out", dir, "--dir", dir, "--listen", "127.0.0.1:" + strconv.Itoa(port),
	}, flags...)
	if e := peers.Run(args...); e.Code != 0 {
		return fmt.Errorf("collector-config ends with %d: %s", e.Code, e.Stderr)
	}
	return nil
}
