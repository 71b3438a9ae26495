package exporter

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestExportTimes: messages that leave one right after the other over UDP have a time in
// common, but not many, and none that a pause, a rate or a slow collector made untrue.
func TestExportTimes(t *testing.T) {
	const asked, full = 1_700_000_000, 23 // records that fill a message
	for _, tc := range []struct {
		name  string
		cfg   Config
		waits bool
		same  int
	}{
		{name: "unpaced", same: sameTime},
		{name: "paced", cfg: Config{Rate: 1_000_000_000}, same: 1},
		{name: "a transport that waits", waits: true, same: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, f := fakeSession(t, tc.cfg)
			f.waits, f.repeat = tc.waits, false
			clock := time.Unix(asked, 0)
			s.now = func() time.Time {
				clock = clock.Add(time.Second)
				return clock
			}
			times := func() (seconds []uint32) {
				for _, m := range f.messages {
					seconds = append(seconds, binary.BigEndian.Uint32(m[4:]))
				}
				f.messages = nil
				return slices.Compact(seconds)
			}
			export(t, s, 1, 3*sameTime*full, v4)
			sent := len(f.messages)
			if got, least := len(times()), sent/tc.same; got < least || got > least+1 {
				t.Errorf("%d messages have %d times, want one for %d", sent, got, tc.same)
			}
			before := uint32(clock.Unix())
			if err := s.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
			export(t, s, 1, full+1, v4)
			if got := times(); len(got) == 0 || got[0] <= before {
				t.Errorf("after a pause messages have the times %d, want later ones than %d", got, before)
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
	arrived := func() (sizes []int) { // over loopback, all that was sent
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
	if first := arrived(); len(first) != 1 {
		t.Fatalf("datagrams of %d octets, want the first one", first)
	}
	export(t, s, 1, 100, v4)
	if early := arrived(); len(early) > 0 {
		t.Errorf("datagrams of %d octets have left already, want them to be gathered", early)
	}
	if err := s.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := arrived()
	if len(sent) != 4 || slices.Min(sent) < s.cfg.MaxMessageBytes-60 {
		t.Errorf("after a pause there are datagrams of %d octets, want four full ones", sent)
	}
	flush(t, s)
	if rest := arrived(); len(rest) != 1 || rest[0] >= slices.Min(sent) {
		t.Errorf("after a flush there are datagrams of %d octets, want one that is not full", rest)
	}
}
