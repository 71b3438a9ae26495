package exporter

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// arrived returns the numbers of the datagrams that came to a socket: so many, and
// what else lies there.
func arrived(t *testing.T, c *net.UDPConn, want int, sizes map[uint32]int) []uint32 {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var numbers []uint32
	b := make([]byte, 1<<16)
	for {
		var n int
		var readErr error
		if err := raw.Read(func(fd uintptr) bool {
			n, readErr = unix.Read(int(fd), b)
			return !errors.Is(readErr, unix.EAGAIN) || len(numbers) >= want
		}); err != nil {
			t.Fatalf("after %d datagrams of %d: %v", len(numbers), want, err)
		}
		switch number := binary.BigEndian.Uint32(b); {
		case errors.Is(readErr, unix.EAGAIN):
			return numbers
		case readErr != nil:
			t.Fatal(readErr)
		case n != sizes[number]:
			t.Fatalf("datagram %d has %d octets, want %d", number, n, sizes[number])
		default:
			numbers = append(numbers, number)
		}
	}
}

// TestUDPLinkCountsWhatLeft: of messages of any sizes, what counts as on its way is
// what has left, not what is gathered; each leaves once and in its order. So it is
// when the kernel ceases to segment.
func TestUDPLinkCountsWhatLeft(t *testing.T) {
	for _, tc := range []struct {
		name  string
		sizes func(*rand.Rand) int
	}{
		{"equal", func(*rand.Rand) int { return 1400 }},
		{"a few", func(r *rand.Rand) int { return 1400 - 24*r.IntN(2) }},
		{"any", func(r *rand.Rand) int { return 4 + r.IntN(1397) }},
		{"small", func(*rand.Rand) int { return 4 }}, // more than the kernel makes of one call
	} {
		t.Run(tc.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			c := listenUDP(t)
			cfg := Config{URL: "udp://" + c.LocalAddr().String(), Templates: generic(t)}
			if err := cfg.setDefaults(); err != nil {
				t.Fatal(err)
			}
			opened, err := openUDPLink(t.Context(), &cfg, c.LocalAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			l := opened.(*udpLink)
			defer l.close(false)
			sizes := make(map[uint32]int)
			var all []uint32
			const total, until = 1200, 900 // the kernel segments
			b := make([]byte, 1400)
			for n := uint32(1); n <= total; n++ {
				if n == until {
					if !l.udp.gather {
						t.Error("messages are not gathered")
					}
					l.udp.control[4] = 0xFF // a length that no control message has
				}
				sizes[n] = tc.sizes(random)
				binary.BigEndian.PutUint32(b, n)
				if err := l.send(b[:sizes[n]], uint64(n)); err != nil {
					t.Fatal(err)
				}
				if random.IntN(100) == 0 {
					if err := l.flush(); err != nil {
						t.Fatal(err)
					}
				}
				left := l.settling.delivered
				if k := l.settling.len(); k > 0 {
					left = l.settling.at(k - 1).upTo
				}
				held := len(l.udp.held) > 0
				if held != (left < uint64(n)) {
					t.Fatalf("message %d: up to %d have left; held: %v", n, left, held)
				}
				if random.IntN(20) > 0 && n != total {
					continue
				}
				all = append(all, arrived(t, c, int(left)-len(all), sizes)...)
				if len(all) != int(left) {
					t.Fatalf("%d messages have left, %d arrived", left, len(all))
				}
			}
			if err := l.flush(); err != nil {
				t.Fatal(err)
			}
			all = append(all, arrived(t, c, total-len(all), sizes)...)
			if len(all) != total || !slices.IsSorted(all) || len(slices.Compact(all)) != total {
				t.Errorf("%d messages arrived, want %d, each once and in order", len(all), total)
			}
			if l.udp.gather {
				t.Error("messages are still gathered after the kernel refused")
			}
			if id, err := l.poll(time.Now().Add(time.Hour)); id != total || err != nil {
				t.Errorf("in an hour, %d messages are delivered, %v, want %d", id, err, total)
			}
		})
	}
}

// TestHeld: what is gathered is said to be held back, but not what had to wait for those
// before it to leave, nor what leaves alone.
func TestHeld(t *testing.T) {
	c := listenUDP(t)
	cfg := Config{URL: "udp://" + c.LocalAddr().String(), Templates: generic(t)}
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	opened, err := dialUDP(t.Context(), &cfg, c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	u := opened.(*udp)
	defer func() { _ = u.close() }()
	send := func(octets int, want bool) {
		t.Helper()
		if held, err := u.send(t.Context(), make([]byte, octets)); err != nil || held != want {
			t.Errorf("%d octets are held back: %v, error %v; want %v", octets, held, err, want)
		}
	}
	for i := range 2*maxGather/1400 - 1 {
		send(1400, i != maxGather/1400)
	}
	send(1000, true)  // may be the last one
	send(1000, false) // no more behind that
	u.gather = false
	send(1000, false)
}
