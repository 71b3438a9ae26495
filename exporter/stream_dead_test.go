package exporter

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// inDeadNetwork says to a child process that its network has no neighbor.
const inDeadNetwork = "FLOW2IPFIX_TEST_DEAD_NETWORK"

// TestStreamUDPDeadNeighbor: a collector on the same network that is switched off
// gets nothing delivered, however often it is tried. The kernel that says so needs
// a network of its own, and so a process.
func TestStreamUDPDeadNeighbor(t *testing.T) {
	if os.Getenv(inDeadNetwork) != "" {
		streamToDeadNeighbor(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, for a network of its own")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatalf("%v: it is in Debian's package iproute2, which make peers installs", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, self, "-test.run=^TestStreamUDPDeadNeighbor$", "-test.v")
	child.Env = append(os.Environ(), inDeadNetwork+"=1")
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	out, err := child.CombinedOutput()
	switch {
	case strings.Contains(string(out), "--- SKIP"), err != nil && len(out) == 0:
		t.Skipf("no network of its own is to be had here: %v\n%s", err, out)
	case err != nil, !strings.Contains(string(out), "--- PASS"):
		t.Errorf("in a network without a neighbor: %v\n%s", err, out)
	}
}

// faster is how much faster the kernel of the test gives up than others do.
const faster = 10

func streamToDeadNeighbor(t *testing.T) {
	for _, args := range []string{
		"link set lo up", "link add far0 type veth peer name far1", "link set far1 up", "link set far0 up", "address add 10.77.0.1/24 dev far0",
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", args, err, out)
		}
	}
	const settings = "/proc/sys/net/ipv4/neigh/far0/"
	number := func(name string) int {
		b, err := os.ReadFile(settings + name)
		if err != nil {
			t.Skip(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	var p pace
	p.setDefaults()
	every := number("retrans_time_ms")
	if gaveUp := time.Duration(number("mcast_solicit")*every) * time.Millisecond; p.far < gaveUp+gaveUp/4 {
		t.Errorf("what was sent counts after %v, the kernel asks for a neighbor for %v", p.far, gaveUp)
	}
	if err := os.WriteFile(settings+"retrans_time_ms", []byte(strconv.Itoa(every/faster)), 0); err != nil {
		t.Skip(err)
	}
	p.far /= faster
	p.retry /= faster
	s := openStream(t, Config{URL: "udp://10.77.0.2:4739", Rate: 20_000, pace: p})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n := 0
	for s.Stats().Failures < 4 {
		n++
		exportNumbered(t, s, n, n)
		if err := s.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		if id, err := s.Delivered(ctx); id != 0 || err != nil {
			t.Fatalf("Delivered = %d, %v, of %d that nobody got: %+v", id, err, n, s.Stats())
		}
		if err := s.wait(ctx); err != nil {
			t.Fatalf("%v: %+v", err, s.Stats())
		}
	}
	st := s.Stats()
	wantHint(t, st.LastError, "no route to the collector")
	if st.KeptRecords != n || s.failures != 4 {
		t.Errorf("%d records are kept after %d failures, want %d and 4", st.KeptRecords, s.failures, n)
	}
}

// lateLink is over UDP to somebody of whom the network says late that nobody is
// there.
type lateLink struct {
	fakeLink
	late     time.Duration
	first    time.Time
	settling settling
}

func (l *lateLink) send(b []byte, upTo uint64) error {
	if l.first.IsZero() {
		l.first = time.Now()
	}
	l.settling.push(departed{upTo: upTo, at: time.Now()})
	return l.fakeLink.send(b, upTo)
}

func (l *lateLink) poll(now time.Time) (uint64, error) {
	if !l.first.IsZero() && now.Sub(l.first) >= l.late {
		return l.settling.delivered, unix.EHOSTUNREACH
	}
	return l.settling.settle(now, l.settle), nil
}

// TestStreamLateObjections: what comes within the settle time keeps everything
// from being delivered; what comes a little later does not, the first time, but
// such a collector is tried more and more seldom.
func TestStreamLateObjections(t *testing.T) {
	for _, test := range []struct {
		late   time.Duration
		atMost uint64 // messages
	}{
		{3100 * time.Millisecond, 0},
		{6 * time.Second, 40},
	} {
		t.Run(fmt.Sprint(test.late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p pace
				p.setDefaults()
				opened := 0
				s := fakeStream(t, Config{}, func(context.Context) (link, error) {
					opened++
					return &lateLink{fakeLink: fakeLink{wait: p.far, settle: p.far, repeat: true}, late: test.late}, nil
				})
				for i := 1; i <= 1200; i++ { // two minutes
					sendSome(t, s, i, i)
					if err := s.Flush(t.Context()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(100 * time.Millisecond)
				}
				if id, err := s.Delivered(t.Context()); id > test.atMost || err != nil {
					t.Errorf("Delivered = %d, %v, want %d at most", id, err, test.atMost)
				}
				if opened > 9 {
					t.Errorf("%d connections in two minutes", opened)
				}
			})
		})
	}
}

// TestStreamKeepsWhatSettles: what is out may wait for its time and keeps nothing
// up: nor does a best-effort stream take that for a collector that is away.
func TestStreamKeepsWhatSettles(t *testing.T) {
	for name, record := range map[string]int{"IPv4": 4, "IPv6": 6} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const perSecond = 20_000
				var p pace
				p.setDefaults()
				s := fakeStream(t, Config{Rate: perSecond, BestEffort: true}, func(context.Context) (link, error) {
					return &lateLink{fakeLink: fakeLink{wait: p.far, settle: p.far, repeat: true}, late: time.Hour}, nil
				})
				r := v4
				if record == 6 {
					r = v6
				}
				begin := time.Now()
				most := 0
				for range 10 * perSecond {
					if err := s.Export(t.Context(), 1, &r); err != nil {
						t.Fatal(err)
					}
					most = max(most, s.backlog.used)
				}
				if took := time.Since(begin); took > 10500*time.Millisecond {
					t.Errorf("%d records took %v", 10*perSecond, took)
				}
				if most > DefaultMaxKeptBytes*3/4 {
					t.Errorf("up to %d bytes are kept, of %d", most, DefaultMaxKeptBytes)
				}
				if _, err := s.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				if st := s.Stats(); st.KeptRecords != 0 || st.Failures != 0 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// TestStreamSaysWhatItKept: whoever closes a stream can tell what may be lost.
func TestStreamSaysWhatItKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLink{}
		s := fakeStream(t, Config{BestEffort: true}, func(context.Context) (link, error) { return f, nil })
		sendSome(t, s, 1, 30) // messages of 23 and 7
		settleDown(t, s)
		f.done = 1
		wantDelivered(t, s, 23)
		if st := s.Stats(); st.KeptRecords != 7 || st.KeptMessages != 1 {
			t.Errorf("%d records in %d messages are kept, want 7 in 1", st.KeptRecords, st.KeptMessages)
		}
		sendSome(t, s, 31, 35)
		f.err = unix.ECONNREFUSED
		if _, err := s.Drain(t.Context()); err == nil {
			t.Error("Drain says nothing")
		}
		if st := s.Stats(); st.KeptRecords != 12 {
			t.Errorf("%d records are kept, want 12", st.KeptRecords)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.KeptRecords != 12 || st.KeptMessages == 0 {
			t.Errorf("%d records are kept in the end, want 12", st.KeptRecords)
		}
	})
}
