package daemon

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inFlight is how long before the daemon was killed, or a connection cut, a
// record may have come that comes again. The README says it.
const inFlight = 5 * time.Second

// TestKill kills the daemon at 20 random moments while blobs grow, and starts it
// again at once. Nothing is lost, and what comes again was in flight.
func TestKill(t *testing.T) {
	const kills = 20
	s := newScene(t)
	lines := s.make(s.both(12, 60, 12)...)
	udp, tcp := startNfcapd(t), startGoIPFIX(t)
	written := s.play(lines, 600*time.Millisecond)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("nfcapd", udp), required("go-ipfix", tcp)))
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for range kills {
		after := time.Duration(random.Int64N(int64(3 * time.Second)))
		select {
		case <-time.After(after):
		case <-d.process.Exited():
			t.Fatalf("the daemon ended by itself: %s", d.process.Log())
		}
		d.kill()
		d.start()
	}
	written()
	for _, r := range []Receiver{udp, tcp} {
		v := judge(t, r, s.written)
		v.loose, v.forgets = true, true
		v.wait(d)
		if r == tcp {
			d.end()
		}
		v.finish(inFlight, d.Kills...)
	}
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

// TestTerm tells the daemon to end, again and again while blobs grow. It delivers
// what it has read and remembers that: nothing is lost, and nothing comes again.
func TestTerm(t *testing.T) {
	s := newScene(t)
	lines := s.make(s.both(8, 60, 12)...)
	udp, tcp := startNfcapd(t), startGoIPFIX(t)
	written := s.play(lines, 250*time.Millisecond)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("nfcapd", udp), required("go-ipfix", tcp)))
	verdicts := []*Verdict{judge(t, udp, lines), judge(t, tcp, lines)}
	for i := range 5 {
		for _, v := range verdicts {
			v.loose, v.forgets = true, true
			v.waitFor(d, stall, v.expected*(9-i)/10) // it is at work
		}
		d.end()
		d.start()
	}
	written()
	for _, v := range verdicts {
		v.wait(d)
	}
	d.end()
	for _, v := range verdicts {
		v.finish(0)
	}
}

// TestSecondSignal tells the daemon to end while its collector is away, so that it
// waits; told again it ends at once. Nothing is lost: the next one sends it.
func TestSecondSignal(t *testing.T) {
	s := newScene(t)
	lines := s.make(s.both(3, 30, 5)...)
	tcp := startGoIPFIX(t)
	tcp.end()
	s.write(lines)
	c := config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp))
	c.ShutdownTimeout = "10m"
	d := startService(t, c)
	d.says("that the collector is away", func(log string) bool { return strings.Contains(log, "collector away") })
	if err := d.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.says("that it is stopping", func(log string) bool { return strings.Contains(log, "msg=stopping") })
	if err := d.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.process.Exited():
	case <-time.After(stall):
		t.Fatal("the second signal does not end it")
	}
	tcp.start()
	d.start()
	v := judge(t, tcp, lines)
	v.loose = true
	v.wait(d)
	d.end()
	v.finish(0)
}

// TestReload has a second collector come with SIGHUP, then a configuration that
// is wrong: the daemon keeps the one it has, and says why.
func TestReload(t *testing.T) {
	s := newScene(t)
	parts := cut(s.make(s.both(6, 30, 8)...), 3)
	first, second := startGoIPFIX(t), startNfcapd(t)
	c := config(t.TempDir(), s.azurite.address, required("first", first))
	s.write(parts[0])
	d := startService(t, c)
	v := judge(t, first, s.written)
	v.loose, v.forgets = true, true
	v.wait(d)

	c.Collectors = append(c.Collectors, required("second", second))
	d.reload(c)
	d.says("that it began anew", func(log string) bool { return strings.Count(log, "started") >= 2 })
	late := parts[1]
	s.write(late)
	w := judge(t, second, nil)
	w.loose, w.forgets = true, true
	v.expect(s.written)
	v.wait(d)

	wrong := c
	wrong.HourGrace = "soon"
	d.reload(wrong)
	d.says("what is wrong", func(log string) bool { return strings.Contains(log, "hour_grace") && strings.Contains(log, "soon") })
	s.write(parts[2])
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0)

	// The second one may have missed what was read while it was not known yet.
	w.expect(s.written)
	w.look()
	w.expectLast(parts[2])
	second.finish(false)
}

// TestSecondInstance starts a daemon beside another one with the same state.
func TestSecondInstance(t *testing.T) {
	s := newScene(t)
	parts := cut(s.make(s.both(2, 20, 5)...), 2)
	tcp := startGoIPFIX(t)
	c := config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp))
	s.write(parts[0])
	d := startService(t, c)
	v := judge(t, tcp, s.written)
	v.wait(d)
	second := startService(t, c)
	code, words := second.waitEnd()
	if code != 1 || !strings.Contains(words, c.StateDir) || !strings.Contains(words, "hint: ") {
		t.Errorf("the second daemon ended with %d, want 1 and an error that names %s, with a hint: %s", code, c.StateDir, words)
	}
	s.write(parts[1])
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0)
}

// TestDamagedState damages the checkpoint file while the daemon is away. It sets
// the file aside, says so, and goes on from `start`.
func TestDamagedState(t *testing.T) {
	s := newScene(t)
	parts := cut(s.make(s.both(4, 60, 5)...), 2)
	tcp := startGoIPFIX(t)
	state := t.TempDir()
	s.write(parts[0])
	d := startService(t, config(state, s.azurite.address, required("go-ipfix", tcp)))
	v := judge(t, tcp, s.written)
	v.loose, v.forgets = true, true
	v.wait(d)
	d.end()
	files, err := filepath.Glob(filepath.Join(state, "*.db"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the state directory has the databases %v, %v", files, err)
	}
	b, err := os.ReadFile(files[0])
	s.do(err)
	for i := range b {
		b[i] ^= byte(i) | 1
	}
	s.do(os.WriteFile(files[0], b, 0o600))
	v.renumbered()
	d.start()
	s.write(parts[1])
	v.expect(s.written)
	v.wait(d)
	// start is earliest, so what was there before comes once more.
	v.waitDuplicates(d, len(mustExpect(t, parts[0])))
	if log := d.process.Log(); !strings.Contains(log, files[0]) || !strings.Contains(log, "damaged") {
		t.Errorf("the daemon does not say that %s is damaged: %s", files[0], log)
	}
	if entries, err := os.ReadDir(state); err != nil || len(entries) < 2 {
		t.Errorf("the damaged file was not set aside: %v, %v", entries, err)
	}
	d.end()
	v.finish(stall, d.Kills[0])
	if want := len(mustExpect(t, parts[0])); len(v.duplicates) != want {
		t.Errorf("%d records came again, want the %d from before", len(v.duplicates), want)
	}
}
