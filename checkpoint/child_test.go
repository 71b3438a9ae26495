package checkpoint

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flow2ipfix/source"
)

// The test binary is also a child of its own, which does what cannot be done
// here: be killed, be another process, be without rights or room.
const (
	childTask = "CHECKPOINT_CHILD"
	childDir  = "CHECKPOINT_DIR"
)

const nobody = 65534

func command(t *testing.T, task, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childTask+"="+task, childDir+"="+dir)
	return cmd
}

// runChild runs a task to its end, which reports what is wrong by failing.
func runChild(t *testing.T, task, dir string, change func(*syscall.SysProcAttr)) {
	t.Helper()
	cmd := command(t, task, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if change != nil {
		change(cmd.SysProcAttr)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", task, err, out)
	}
}

func child(task, dir string) {
	var err error
	switch task {
	case "commit":
		err = commitForever(dir)
	case "hold":
		err = hold(dir)
	case "full":
		err = fullDisk(dir)
	case "limit":
		err = sizeLimit(dir)
	case "norights":
		err = withoutRights(dir)
	default:
		err = fmt.Errorf("unknown task %q", task)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const burst = 50

// burstEntries are what one commit of commitForever says: all of one number.
func burstEntries(n int) []source.Entry {
	var entries []source.Entry
	for nic := range burst {
		entries = append(entries, entry("prod", blob(vnet, hour, nic), cursor(n)))
	}
	return append(entries, entry("prod", blob(vnet, hour.Add(time.Duration(n)*time.Hour), burst), cursor(n)))
}

// commitForever commits numbers that ascend and says each when it is done.
func commitForever(dir string) error {
	s, report, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	if report.SetAside != "" || report.Header != nil {
		return fmt.Errorf("reported: %+v", report)
	}
	n := 0
	cursors, err := s.Cursors("prod", vnet)
	if err != nil {
		return err
	}
	if c, ok := cursors[blob(vnet, hour, 0)]; ok {
		n = int(c.Offset)
	}
	for {
		n++
		index, err := s.Interfaces().Index(mac(n))
		if err != nil {
			return err
		}
		fmt.Printf("index %d %d\n", n, index)
		if err := s.Commit(burstEntries(n)); err != nil {
			return err
		}
		fmt.Println("done", n)
		if n%5 == 0 {
			if err := s.Finish("prod", vnet+"-2", hour.Add(time.Duration(n)*time.Hour)); err != nil {
				return err
			}
		}
	}
}

// TestKill kills a process in the middle of commits, again and again. What it
// said that it had done is there, and what it was doing is there whole or not at
// all.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(3, 4))
	runs := 20
	if testing.Short() {
		runs = 5
	}
	said := 0
	indexes := make(map[int]uint64)
	for run := range runs {
		cmd := command(t, "commit", dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		kill := time.AfterFunc(time.Duration(20+rng.IntN(150))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			words := strings.Fields(lines.Text())
			n, err := strconv.Atoi(words[1])
			must(t, err)
			if words[0] == "done" {
				said = n
				continue
			}
			index, err := strconv.ParseUint(words[2], 10, 32)
			must(t, err)
			if before, ok := indexes[n]; ok && before != index {
				t.Errorf("interface %d had index %d and has now %d", n, before, index)
			}
			indexes[n] = index
		}
		_ = cmd.Wait()
		kill.Stop()
		if stderr.Len() > 0 {
			t.Fatalf("run %d: %s", run, stderr.String())
		}

		s := open(t, dir)
		cursors := get1[map[string]source.Cursor](t)(s.Cursors("prod", vnet))
		n := 0
		if len(cursors) > 0 {
			n = int(cursors[blob(vnet, hour, 0)].Offset)
		}
		if n < said {
			t.Errorf("run %d: commit %d is done, but %d is what is there", run, said, n)
		}
		for nic := range min(n, 1) * burst {
			equal(t, "cursor", cursors[blob(vnet, hour, nic)], cursor(n))
		}
		if len(cursors) != n+min(n, 1)*burst {
			t.Errorf("run %d: %d cursors after %d commits", run, len(cursors), n)
		}
		for nic, index := range indexes {
			if got := get1[uint32](t)(s.Interfaces().Index(mac(nic))); uint64(got) != index {
				t.Errorf("run %d: interface %d had index %d and has now %d", run, nic, index, got)
			}
		}
		must(t, s.Close())
		if t.Failed() {
			return
		}
	}
	t.Logf("%d commits, %d interfaces", said, len(indexes))
	if said == 0 {
		t.Error("nothing was ever committed")
	}
}

// hold opens a directory, says so, and keeps it until its input ends.
func hold(dir string) error {
	s, _, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return s.Close()
}

func startHolder(t *testing.T, dir string) (*exec.Cmd, io.Closer) {
	t.Helper()
	cmd := command(t, "hold", dir)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return cmd, in
}

// TestSecondInstance: a second one is refused at once and told which process
// the first is, until that ends, however it ends.
func TestSecondInstance(t *testing.T) {
	dir := t.TempDir()
	refused := func(by string) {
		t.Helper()
		began := time.Now()
		_, _, err := Open(dir, Options{})
		var stateErr *Error
		if !errors.Is(err, ErrInUse) || !errors.As(err, &stateErr) || stateErr.Hint == "" {
			t.Fatalf("a second instance gets %v", err)
		}
		equal(t, "error", err.Error(), "state directory "+dir+": in use by "+by)
		if waited := time.Since(began); waited > 2*time.Second {
			t.Errorf("it waits for %v", waited)
		}
	}
	cmd, in := startHolder(t, dir)
	refused(fmt.Sprintf("process %d", cmd.Process.Pid))
	if _, err := List(dir); err != nil {
		t.Errorf("a directory in use cannot be listed: %v", err)
	}
	must(t, in.Close())
	must(t, cmd.Wait())
	must(t, open(t, dir).Close())

	cmd, _ = startHolder(t, dir)
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	s := open(t, dir)
	refused(fmt.Sprintf("process %d", os.Getpid())) // also within one process
	// The number in the file may be that of a process which is gone, or nothing.
	for _, text := range []string{"999999999", "", "x", "-1"} {
		must(t, os.WriteFile(filepath.Join(dir, lockName), []byte(text), 0o600))
		refused("another process")
	}
	must(t, s.Close())

	// Somebody else's program may have only the file itself.
	f, err := os.OpenFile(filepath.Join(dir, fileName), os.O_RDWR, 0)
	must(t, err)
	must(t, flock(f))
	refused("another process")
	must(t, f.Close())
	must(t, open(t, dir).Close())
}
