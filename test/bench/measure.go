package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Contender is a program that sends flow logs to a collector and says on its
// standard output what that was: a Summary as one JSON object.
type Contender struct {
	Name string
	// Command is the command line that sends the files to a UDP address.
	Command func(collectorAddr string, files []string) []string
}

// YardstickProgram is cmd/yardstick, built as the given file; anew is as in
// Yardstick.
func YardstickProgram(binary string, anew bool) Contender {
	name, args := "yardstick, elements reused", []string{binary}
	if anew {
		name, args = "yardstick, elements anew", []string{binary, "-anew"}
	}
	return Contender{Name: name, Command: func(collectorAddr string, files []string) []string {
		return slices.Concat(args, []string{"-collector", collectorAddr}, files)
	}}
}

// ProductProgram is flow2ipfix, built as the given file, with more flags.
func ProductProgram(binary string, flags ...string) Contender {
	return Contender{Name: "flow2ipfix", Command: func(collectorAddr string, files []string) []string {
		return slices.Concat([]string{
			binary, "replay", "--collector", "udp://" + collectorAddr, "--rate", "0", "--summary", "json",
		}, flags, files)
	}}
}

// Summary is what a contender says it did.
type Summary struct {
	Tuples  int `json:"tuples"`
	Records int `json:"exported_records"`
}

// Result is what one run of a contender did, and what it took.
type Result struct {
	Summary
	// Wall is the time from before the start of the process until its end.
	Wall time.Duration
	// Processor is the time that it spent on processors, in the kernel too.
	Processor time.Duration
	// PeakRSSBytes is the most memory the process held at a time. Linux starts
	// the count with what the measuring process held, so that one has to stay
	// small: it never reads a flow log into memory.
	PeakRSSBytes int64
}

// Run runs the contender once.
func (c Contender) Run(ctx context.Context, collectorAddr string, files []string) (Result, error) {
	result, said, err := Process(ctx, c.Command(collectorAddr, files)...)
	if err != nil {
		return Result{}, fmt.Errorf("run %s: %w", c.Name, err)
	}
	if err := json.Unmarshal(said, &result.Summary); err != nil {
		return Result{}, fmt.Errorf("decode summary of %s: %w", c.Name, err)
	}
	return result, nil
}

// Process runs a program and returns what that took, and what it said.
func Process(ctx context.Context, args ...string) (Result, []byte, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	err := cmd.Run()
	wall := time.Since(begin)
	if err != nil {
		return Result{}, nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	result := Result{Wall: wall, Processor: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		result.PeakRSSBytes = usage.Maxrss * 1024
	}
	return result, stdout.Bytes(), nil
}

// Sink opens the collector that both contenders send to: a bound loopback socket
// that nobody reads. The kernel drops what its buffer does not hold, so what is
// measured is the sender alone, and no reader takes part of the two cores.
func Sink() (addr string, closer io.Closer, err error) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("open sink: %w", err)
	}
	return conn.LocalAddr().String(), conn, nil
}

// Build builds a main package of the module in moduleDir as the file binary, the
// same way for both contenders.
func Build(ctx context.Context, moduleDir, pkg, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, pkg)
	cmd.Dir = moduleDir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, bytes.TrimSpace(out))
	}
	return nil
}

// Load is the flow log to make: an hour of one busy network interface, unless
// said otherwise.
type Load struct {
	Kind            string // vnet, nsg or v6: vnet with nothing but IPv6
	Minutes         int
	TuplesPerMinute int
}

// Name is what people call the kind.
func (l Load) Name() string {
	if name, ok := map[string]string{"vnet": "VNet", "nsg": "NSG", "v6": "VNet, IPv6"}[l.Kind]; ok {
		return name
	}
	return l.Kind
}

// Generate lets flow2ipfix make the flow logs in dir, always the same ones.
func (l Load) Generate(ctx context.Context, product, dir string) (files []string, err error) {
	kind := l.Kind
	if kind == "v6" {
		kind = "vnet"
	}
	cmd := exec.CommandContext(ctx, product, "generate", "--out", dir, "--kind", kind, "--nics", "1",
		"--minutes", strconv.Itoa(l.Minutes), "--tuples", strconv.Itoa(l.TuplesPerMinute), "--seed", "1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("generate flow logs: %w: %s", err, bytes.TrimSpace(out))
	}
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() && strings.HasSuffix(path, ".json") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find generated flow logs: %w", err)
	}
	if len(files) == 0 {
		return nil, errors.New("find generated flow logs: there are none")
	}
	slices.Sort(files)
	if l.Kind == "v6" {
		for _, file := range files {
			if err := rewriteIPv6(file); err != nil {
				return nil, fmt.Errorf("make flow logs IPv6: %w", err)
			}
		}
	}
	return files, nil
}

// Warm reads the files once, so that the first run does not wait for the disk,
// and returns their size in bytes.
func Warm(files []string) (int64, error) {
	var size int64
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return 0, fmt.Errorf("warm up: %w", err)
		}
		n, err := io.Copy(io.Discard, f)
		f.Close() //nolint:errcheck // it was only read
		if err != nil {
			return 0, fmt.Errorf("warm up: %w", err)
		}
		size += n
	}
	return size, nil
}
