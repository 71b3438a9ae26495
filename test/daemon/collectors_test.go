package daemon

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestCollectorKilled kills the TCP collector mid-stream, with what its kernel had
// acknowledged for it, and starts it again after a while.
func TestCollectorKilled(t *testing.T) {
	s := newScene(t)
	lines := s.make(s.both(8, 60, 20)...)
	tcp := startGoIPFIX(t)
	written := s.play(lines, 400*time.Millisecond)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp)))
	v := judge(t, tcp, lines)
	v.loose = true
	var moments []time.Time
	for i := range 3 {
		v.waitFor(d, stall, v.expected*(8-2*i)/10)
		moments = append(moments, time.Now())
		tcp.kill()
		<-time.After(1500 * time.Millisecond) // away, long enough to be refused
		tcp.start()
	}
	written()
	v.wait(d)
	d.end()
	v.finish(inFlight, moments...)
}

// TestCollectorStops has a TCP collector that keeps its connection and stops
// reading, for shorter than the daemon has patience: all buffers on the way fill,
// reading waits, and when the collector goes on all comes, once. The daemon's
// memory stays what it is.
func TestCollectorStops(t *testing.T) {
	s := newScene(t)
	lines := s.make(s.both(8, 60, 500)...)
	s.do(s.store.WriteWhole(t.Context(), lines[:len(lines)/2]))
	s.written = lines
	tcp := newGoIPFIX(t)
	tcp.buffer = 64 << 10 // so that all is full soon
	tcp.start()
	c := config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp))
	d := startService(t, c)
	v := judge(t, tcp, lines)
	v.loose = true
	v.waitFor(d, stall, v.expected*9/10)
	tcp.freeze()
	s.do(s.store.Write(t.Context(), lines[len(lines)/2:]))
	<-time.After(4 * time.Second)
	if peak, most := peakMemory(t, d), 128<<10; peak > most {
		t.Errorf("the daemon's memory has peaked at %d KiB, want at most %d", peak, most)
	}
	tcp.thaw()
	v.wait(d)
	d.end()
	v.finish(0)
}

// TestCollectorHangs is the same for longer than the daemon has patience, which is
// a minute: it connects anew, and what was on its way comes again.
func TestCollectorHangs(t *testing.T) {
	s := newScene(t)
	lines := s.make(s.both(8, 60, 500)...)
	s.do(s.store.WriteWhole(t.Context(), lines[:len(lines)/2]))
	s.written = lines
	tcp := newGoIPFIX(t)
	tcp.buffer = 64 << 10 // so that all is full soon
	tcp.start()
	d := startService(t, config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp)))
	v := judge(t, tcp, lines)
	v.loose = true
	v.waitFor(d, stall, v.expected*9/10)
	tcp.freeze()
	s.do(s.store.Write(t.Context(), lines[len(lines)/2:]))
	d.saysWithin(2*time.Minute, "that the collector takes nothing", func(log string) bool { return strings.Contains(log, "collector away") })
	thawed := time.Now()
	tcp.thaw()
	v.wait(d)
	d.end()
	for i, dup := range v.duplicates { // the first copies lay in buffers
		if dup.first.After(thawed) {
			v.duplicates[i].first = thawed
		}
	}
	v.finish(inFlight, thawed)
	const kept, record = 16 << 20, 60 // what an exporter keeps, and the least that a record has
	if len(v.duplicates) > kept/record {
		t.Errorf("%d records came again, more than the %d that may be kept", len(v.duplicates), kept/record)
	}
}

// TestCollectorAway has the UDP collector away for a minute, while blobs grow: the
// daemon notices that nobody is there, waits, and sends all when it is back.
func TestCollectorAway(t *testing.T) {
	s := newScene(t)
	parts := cut(s.make(s.both(6, 60, 10)...), 3)
	udp := startNfcapd(t)
	s.write(parts[0])
	d := startService(t, config(t.TempDir(), s.azurite.address, required("nfcapd", udp)))
	v := judge(t, udp, s.written)
	v.loose = true
	v.wait(d)
	// What a UDP collector has in its socket when it ends is lost, and nobody can
	// know: it goes while all is quiet.
	left := time.Now()
	udp.end()
	s.write(parts[1])
	<-time.After(time.Until(left.Add(time.Minute)))
	udp.start()
	back := time.Now()
	v.expect(s.written)
	v.wait(d)
	t.Logf("all had come %.1f s after the collector was back", time.Since(back).Seconds())
	s.write(parts[2])
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0, back) // nothing came while it was away, so nothing can come again
}

// TestTwoCollectors has two collectors of which one is down. If the daemon is to
// wait for it, it has all when it comes, and the other one had it long before; if
// not, it gets what comes from then on.
func TestTwoCollectors(t *testing.T) {
	for _, delivery := range []string{"required", "best_effort"} {
		t.Run(delivery, func(t *testing.T) {
			s := newScene(t)
			parts := cut(s.make(s.both(6, 60, 10)...), 2)
			up, down := startNfcapd(t), newGoIPFIX(t)
			c := config(t.TempDir(), s.azurite.address, required("up", up), required("down", down))
			c.Collectors[1].Delivery = delivery
			s.write(parts[0])
			d := startService(t, c)
			v := judge(t, up, s.written)
			v.loose = true
			v.wait(d) // although the other is down
			down.start()
			w := judge(t, down, s.written)
			w.loose = true
			if delivery == "required" {
				w.wait(d)
			} else {
				d.says("that the collector is back", func(log string) bool { return connected(log, "down") })
			}
			s.write(parts[1])
			v.expect(s.written)
			v.wait(d)
			w.expect(s.written)
			if delivery == "required" {
				w.wait(d)
			} else {
				w.expectLast(parts[1])
			}
			d.end()
			v.finish(0)
			if delivery == "required" {
				w.finish(0)
			}
		})
	}
}

// connected says whether a log says that a collector is connected.
func connected(log, name string) bool {
	for line := range strings.Lines(log) {
		if strings.Contains(line, "connected") && !strings.Contains(line, "not connected") && strings.Contains(line, name) {
			return true
		}
	}
	return false
}

// peakMemory returns the peak of a daemon's resident memory in KiB.
func peakMemory(t *testing.T, d *Service) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.process.ID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// TestBestEffort has a best-effort collector that is there all the time: it gets
// what the required one gets.
func TestBestEffort(t *testing.T) {
	s := newScene(t)
	lines := s.make(s.both(24, 20, 20)...)
	first, second := startGoIPFIX(t), startNfcapd(t)
	c := config(t.TempDir(), s.azurite.address, required("first", first), required("second", second))
	c.Collectors[1].Delivery = "best_effort"
	written := s.play(lines, 100*time.Millisecond)
	d := startService(t, c)
	verdicts := []*Verdict{judge(t, first, lines), judge(t, second, lines)}
	written()
	for _, v := range verdicts {
		v.loose = true
		v.settle(d, 5*time.Second)
	}
	d.end()
	for _, v := range verdicts {
		v.finish(0)
	}
}
