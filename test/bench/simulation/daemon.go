package simulation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// daemon is flow2ipfix run, as a process of its own. It has the environment of
// the simulation, so GOGC, GOMEMLIMIT and GODEBUG can be tried.
type daemon struct {
	cmd   *exec.Cmd
	log   string        // file with what it said
	ended chan struct{} // closed when it has ended
	err   error         // why

	mu   sync.Mutex
	peak int64
}

const configuration = `sources:
  - name: simulated
    azure:
      account_url: %s
      credential: account_key
      account_key: U0VDUkVU
      containers: [%s]
      poll_interval: %s
      readers: %d
start: earliest
state_dir: %s
collectors:
  - name: counter
    url: %s
    rate: 0
telemetry: {listen: ""}
log: {level: info, format: text}
`

// startDaemon writes its configuration, state and log into dir.
func startDaemon(ctx context.Context, o Options, dir, accountURL, collectorURL string) (*daemon, error) {
	file := filepath.Join(dir, "flow2ipfix.yaml")
	text := fmt.Sprintf(configuration, accountURL, container, o.PollInterval, o.Readers, filepath.Join(dir, "state"), collectorURL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("configure daemon: %w", err)
	}
	d := &daemon{log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	log, err := os.Create(d.log)
	if err != nil {
		return nil, fmt.Errorf("start daemon: %w", err)
	}
	defer log.Close()
	d.cmd = exec.CommandContext(ctx, o.Product, "run", "--config", file)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start daemon: %w", err)
	}
	go d.watch()
	go func() {
		defer close(d.ended)
		d.err = d.cmd.Wait()
	}()
	return d, nil
}

// watch keeps the peak of the memory until the daemon ends. What Wait says of it
// begins with what this process held.
func (d *daemon) watch() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if bytes, ok := d.memory("VmHWM"); ok {
			d.mu.Lock()
			d.peak = max(d.peak, bytes)
			d.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-d.ended:
			return
		}
	}
}

// memory reads a line of proc(5)'s status, in bytes.
func (d *daemon) memory(name string) (int64, bool) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		return 0, false
	}
	_, rest, ok := bytes.Cut(status, []byte(name+":"))
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 2 {
		return 0, false // it has ended
	}
	kib, err := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10, err == nil
}

func (d *daemon) peakBytes() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.peak
}

// processorTime is what it took until now.
func (d *daemon) processorTime() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	_, rest, ok := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if err != nil || !ok || len(fields) < 13 {
		return 0
	}
	var ticks int64 // of a hundredth of a second, on all machines that Go runs on
	for _, field := range fields[11:13] {
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// stop tells it to end and waits until it has.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop daemon: %w", err)
	}
	<-d.ended
	if d.err != nil {
		return fmt.Errorf("daemon ended: %w", d.err)
	}
	return nil
}

// complaints are the lines of its log that are warnings or worse.
func (d *daemon) complaints() []string {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "level=info") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
