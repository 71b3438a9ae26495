package exporter

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestExportTimes: messages that leave together have a time in common. It is not that of
// those before them, for which the collector may have been waited for, nor from before a
// pause, and who keeps to a rate says each message's own.
func TestExportTimes(t *testing.T) {
	const full = 25 // records, more than a message holds
	for _, tc := range []struct {
		name    string
		cfg     Config
		gathers int
		same    int
	}{
		{name: "gathered", gathers: 8, same: 8},
		{name: "gathered, paced", cfg: Config{Rate: 1_000_000_000}, gathers: 8, same: 1},
		{name: "each alone", same: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, f := fakeSession(t, tc.cfg)
			f.repeat, f.gathers = false, tc.gathers
			clock := time.Unix(1_700_000_000, 0)
			s.now = func() time.Time {
				clock = clock.Add(time.Second)
				return clock
			}
			f.sent = func() { clock = clock.Add(time.Hour) } // it took long
			times := func() (seconds []uint32) {
				for _, m := range f.messages {
					seconds = append(seconds, binary.BigEndian.Uint32(m[4:]))
				}
				return seconds
			}
			for len(f.messages) < 3*8 {
				export(t, s, 1, 1, v4)
			}
			all := times()
			for i := range all {
				if together := i%8 != 0 && i/tc.same == (i-1)/tc.same; i > 0 && (all[i] == all[i-1]) != together {
					t.Errorf("message %d has time %d, that before it %d; want them to be the same: %v", i, all[i], all[i-1], together)
				}
				if i >= 8 && i%8 == 0 && all[i]-all[i-1] < 3600 {
					t.Errorf("message %d has time %d, %d s after that before it, which took an hour to leave", i, all[i], all[i]-all[i-1])
				}
			}
			before := len(f.messages)
			export(t, s, 1, full, v4)
			if err := s.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
			clock = clock.Add(time.Hour)
			paused := len(f.messages)
			for len(f.messages) == paused {
				export(t, s, 1, 1, v4)
			}
			if all = times(); paused == before || all[paused]-all[paused-1] < 3600 {
				t.Errorf("after a pause of an hour a message has time %d, that before it %d", all[paused], all[paused-1])
			}
			for name, end := range map[string]func(context.Context) error{"flush": s.Flush, "sync": s.Sync} {
				export(t, s, 1, full, v4)
				clock = clock.Add(time.Hour)
				now := uint32(clock.Unix())
				if err := end(t.Context()); err != nil {
					t.Fatal(err)
				}
				if all = times(); all[len(all)-1] < now {
					t.Errorf("%s: the last message has time %d, want %d at least", name, all[len(all)-1], now)
				}
			}
		})
	}
}

// TestPause: what is full leaves, what is not waits for more.
func TestPause(t *testing.T) {
	c := listenUDP(t)
	s := connect(t, Config{URL: "udp://" + c.LocalAddr().String()})
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	waiting := func() (sizes []int) { // over loopback, all that was sent
		t.Helper()
		b := make([]byte, 1<<16)
		if err := raw.Read(func(fd uintptr) bool {
			for {
				n, err := unix.Read(int(fd), b)
				if err != nil {
					return true
				}
				sizes = append(sizes, n)
			}
		}); err != nil {
			t.Fatal(err)
		}
		return sizes
	}
	export(t, s, 1, 1, v4) // with the templates
	flush(t, s)
	if first := waiting(); len(first) != 1 {
		t.Fatalf("datagrams of %d octets, want the first one", first)
	}
	export(t, s, 1, 100, v4)
	if early := waiting(); len(early) > 0 {
		t.Errorf("datagrams of %d octets have left already, want them to be gathered", early)
	}
	if err := s.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := waiting()
	if len(sent) != 4 || slices.Min(sent) < s.cfg.MaxMessageBytes-60 {
		t.Errorf("after a pause there are datagrams of %d octets, want four full ones", sent)
	}
	flush(t, s)
	if rest := waiting(); len(rest) != 1 || rest[0] >= slices.Min(sent) {
		t.Errorf("after a flush there are datagrams of %d octets, want one that is not full", rest)
	}
}
