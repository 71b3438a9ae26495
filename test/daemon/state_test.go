package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flow2ipfix/test/peers"
)

// onSmallDisk has the daemon see a file system of its own at its state directory:
// of some KiB, and read-only if asked for. It is in a namespace of the daemon's, so
// that nothing is left of it.
func (s *Service) onSmallDisk(state string, kib int, options string) {
	s.wrap = func(program string, args []string) (string, []string) {
		script := fmt.Sprintf("mount -t tmpfs -o size=%dk%s none %q && exec \"$@\"", kib, options, state)
		return "unshare", append([]string{"--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", program}, args...)
	}
}

// TestReadOnlyState starts the daemon with a state directory that it cannot write
// to: it says so and does not begin.
func TestReadOnlyState(t *testing.T) {
	s := newScene(t)
	s.write(s.make(s.both(2, 10, 5)...))
	tcp := startGoIPFIX(t)
	state := t.TempDir()
	d := newService(t, config(state, s.azurite.address, required("go-ipfix", tcp)))
	d.onSmallDisk(state, 1024, ",ro")
	d.start()
	code, words := d.waitEnd()
	if code != 1 || !strings.Contains(words, state) || !strings.Contains(words, "hint: ") {
		t.Errorf("the daemon ended with %d, want 1 and an error that names %s, with a hint: %s", code, state, words)
	}
	v := judge(t, tcp, nil)
	v.finish(0) // nothing was sent
}

// TestFullState has the state directory's disk fill up while the daemon runs, and
// room be made again. What is new comes meanwhile, and afterwards the daemon
// remembers all of it.
func TestFullState(t *testing.T) {
	s := newScene(t)
	parts := cut(s.make(s.both(6, 60, 5)...), 3)
	tcp := startGoIPFIX(t)
	state := t.TempDir()
	d := newService(t, config(state, s.azurite.address, required("go-ipfix", tcp)))
	d.onSmallDisk(state, 4096, "")
	s.write(parts[0])
	d.start()
	v := judge(t, tcp, s.written)
	v.loose = true
	v.wait(d)

	disk := filepath.Join("/proc", fmt.Sprint(d.process.ID()), "root", state)
	filler := filepath.Join(disk, "filler")
	fill(t, filler)
	s.write(parts[1])
	v.expect(s.written)
	v.wait(d)
	d.says("that the state cannot be kept", func(log string) bool { return strings.Contains(log, "no space left on device") })
	s.do(os.Remove(filler))
	s.write(parts[2])
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0)
}

// fill writes a file until there is no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheckpoints looks at what the daemon remembers with the command for that,
// and has it forget all: then all comes again.
func TestCheckpoints(t *testing.T) {
	s := newScene(t)
	s.write(s.make(s.both(4, 20, 5)...))
	tcp := startGoIPFIX(t)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp)))
	v := judge(t, tcp, s.written)
	v.forgets = true
	v.wait(d)
	d.end()
	logs, err := d.flowLogs()
	s.do(err)
	offsets := map[string]int{}
	for _, l := range logs {
		for _, b := range l.Blobs {
			offsets[b.Name] = b.Offset
		}
	}
	for name, b := range s.store.blobs {
		if want := len(head) + b.size; offsets[name] != want {
			t.Errorf("%s is said to be delivered up to %d, want %d", name, offsets[name], want)
		}
	}
	if r := peers.Run("checkpoints", "reset", "--config", d.file, "--all"); r.Code != 0 {
		t.Fatalf("checkpoints reset ended with %d: %s", r.Code, r.Stderr)
	}
	d.start()
	v.waitDuplicates(d, v.expected)
	d.end()
	v.finish(time.Minute, d.Kills[0])
}
