// Command start measures how long flow2ipfix takes to start: to say its version,
// and as a daemon until it tells the service manager that it is ready.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"flow2ipfix/test/bench"
)

func main() {
	var program bench.Program
	program.Flags()
	runs := flag.Int("runs", 15, "how often it is started each way")
	flag.Parse()
	bench.Main("start", flag.NArg() == 0 && *runs >= 1, func(ctx context.Context, out io.Writer) error { return run(ctx, &program, *runs, out) })
}

const configuration = `sources:
  - name: folder
    directory: {path: %s}
state_dir: %s
collectors:
  - name: sink
    url: udp://%s
telemetry: {listen: ""}
`

func run(ctx context.Context, program *bench.Program, runs int, out io.Writer) (err error) {
	dir, remove, err := program.Prepare(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	addr, sink, err := bench.Sink()
	if err != nil {
		return err
	}
	defer sink.Close()
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		return err
	}

	var walls, processors, ready []float64
	var peaks []int64
	for i := range runs {
		r, _, err := bench.Process(ctx, program.Binary, "version")
		if err != nil {
			return fmt.Errorf("run flow2ipfix: %w", err)
		}
		walls, processors, peaks = append(walls, r.Wall.Seconds()), append(processors, r.Processor.Seconds()), append(peaks, r.PeakRSSBytes)
		config := filepath.Join(dir, "flow2ipfix.yaml")
		// A state of its own, so that each start is a first one.
		text := fmt.Sprintf(configuration, logs, filepath.Join(dir, fmt.Sprint("state", i)), addr)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return err
		}
		took, err := untilReady(ctx, dir, program.Binary, config)
		if err != nil {
			return fmt.Errorf("run the daemon: %w", err)
		}
		ready = append(ready, took.Seconds())
	}
	fmt.Fprintf(out, "\nstart: medians of %d\n\n", runs)
	table := bench.NewTable(1, "command", "time", "processor time", "peak memory")
	table.Row("flow2ipfix version, to its end", fmt.Sprintf("%.1f ms", 1e3*bench.Median(walls)), fmt.Sprintf("%.1f ms", 1e3*bench.Median(processors)), bench.MiB(bench.Median(peaks)))
	table.Row("flow2ipfix run, until it is ready", fmt.Sprintf("%.1f ms", 1e3*bench.Median(ready)), "", "")
	table.Write(out)
	return nil
}

// untilReady starts the daemon, waits until it says that it is ready, as
// sd_notify(3) has it, and ends it.
func untilReady(ctx context.Context, dir, binary, config string) (time.Duration, error) {
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return 0, err
	}
	defer os.Remove(path) //nolint:errcheck // its folder is removed at the end
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, binary, "run", "--config", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var took time.Duration
	message := make([]byte, 4096)
	for took == 0 {
		n, err := conn.Read(message)
		if err != nil {
			_ = cmd.Process.Kill() // what went wrong is known
			return 0, errors.Join(err, cmd.Wait(), errors.New(said.String()))
		}
		if strings.Contains("\n"+string(message[:n])+"\n", "\nREADY=1\n") {
			took = time.Since(begin)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	return took, cmd.Wait()
}
