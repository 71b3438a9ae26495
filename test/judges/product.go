package judges

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// summary is what replay --summary json prints. Pointers are members that have
// to be there.
type summary struct {
	Blobs           *uint64           `json:"blobs"`
	Records         *uint64           `json:"records"`
	Tuples          *uint64           `json:"tuples"`
	Rejected        *uint64           `json:"rejected"`
	Skipped         *uint64           `json:"skipped"`
	ExportedRecords *uint64           `json:"exported_records"`
	Messages        *uint64           `json:"messages"`
	Bytes           *uint64           `json:"bytes"`
	Seconds         *float64          `json:"seconds"`
	FailedBlobs     uint64            `json:"failed_blobs"`
	Exported        uint64            `json:"exported"`
	RejectedTuples  uint64            `json:"rejected_tuples"`
	Reasons         map[string]uint64 `json:"rejected_by_reason"`
}

// readSummary reads the summary of a run, and checks what holds of each.
func readSummary(e peers.Ended) (*summary, error) {
	var s summary
	if err := json.Unmarshal(e.Stdout, &s); err != nil {
		return nil, fmt.Errorf("read summary %q: %w", e.Stdout, err)
	}
	for _, member := range []*uint64{s.Blobs, s.Records, s.Tuples, s.Rejected, s.Skipped, s.ExportedRecords, s.Messages, s.Bytes} {
		if member == nil {
			return nil, fmt.Errorf("a member is missing in %s", e.Stdout)
		}
	}
	if s.Seconds == nil || *s.Seconds <= 0 {
		return nil, fmt.Errorf("no seconds in %s", e.Stdout)
	}
	if *s.Tuples != s.Exported+*s.Skipped+s.RejectedTuples {
		return nil, fmt.Errorf("%d tuples are not %d exported, %d skipped and %d rejected", *s.Tuples, s.Exported, *s.Skipped, s.RejectedTuples)
	}
	return &s, nil
}

// generate lets the program make flow logs in dir, always the same ones, and
// returns their paths in reading order.
func generate(dir string, flags ...string) ([]string, error) {
	args := append([]string{"generate", "--out", dir, "--start", "2026-11-20T10:00:00Z", "--seed", "7"}, flags...)
	if r := peers.Run(args...); r.Code != 0 {
		return nil, fmt.Errorf("generate ended with %d: %s", r.Code, r.Stderr)
	}
	var paths []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".json") {
			paths = append(paths, path)
		}
		return err
	})
	return expect.ReadingOrder(paths), err
}

// The environment variable that makes the test program a gauge, and what it
// does as one. Linux begins to count the peak memory of a process with that of
// the process that starts it, so the test, which holds much, must not start the
// program itself: it starts a small process that does.
const gaugeVariable = "FLOW2IPFIX_JUDGES_GAUGE"

// gauge runs a command line, passes its output and exit code on, and writes the
// peak of its resident memory, in KiB, to the file that the variable names.
func gauge(args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 1
	}
	if err := os.WriteFile(os.Getenv(gaugeVariable), []byte(strconv.FormatInt(usage.Maxrss, 10)), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// runGauged runs the program and returns the peak of its resident memory too, in
// bytes.
func runGauged(dir string, stdin io.Reader, args ...string) (peers.Ended, int64, error) {
	self, err := os.Executable()
	if err != nil {
		return peers.Ended{}, 0, err
	}
	file := filepath.Join(dir, "peak")
	cmd := exec.Command(self, append([]string{peers.Product}, args...)...)
	cmd.Env = append(os.Environ(), gaugeVariable+"="+file)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		return peers.Ended{}, 0, err
	}
	e := peers.Ended{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.Bytes(), Stderr: stderr.String()}
	b, err := os.ReadFile(file)
	if err != nil {
		return e, 0, fmt.Errorf("%w: %s", err, e.Stderr)
	}
	kib, err := strconv.ParseInt(string(b), 10, 64)
	return e, kib * 1024, err
}
