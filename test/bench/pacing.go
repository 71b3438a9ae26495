package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pacingWindow is the time in which a collector should not get more than twice its
// share.
const pacingWindow = 10 * time.Millisecond

// Pacing is when records came in at a collector, by the kernel's clock.
type Pacing struct {
	Rate      int // records a second that were asked for
	Records   int
	Datagrams int
	Calls     int // as far as it can be seen: datagrams of one call have one time
	Lost      int // datagrams that the kernel dropped; their records count with the next
	Took      time.Duration
	Windows   []int // records of each window
	Worst     int   // records of the fullest window, wherever it begins
}

// pacedArrival is a datagram.
type pacedArrival struct {
	at       time.Duration
	records  int
	sequence uint32
}

// MeasurePacing has flow2ipfix send the files at a rate.
func MeasurePacing(ctx context.Context, product string, rate int, files []string) (Pacing, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return Pacing{}, fmt.Errorf("open collector: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := stampArrivals(conn); err != nil {
		return Pacing{}, fmt.Errorf("open collector: %w", err)
	}
	type result struct {
		arrivals []pacedArrival
		lost     int
		err      error
	}
	received := make(chan result, 1)
	go func() {
		var r result
		r.arrivals, r.lost, r.err = receiveStamped(conn)
		received <- r
	}()
	c := Contender{Name: "flow2ipfix", Command: func(addr string, files []string) []string {
		return append([]string{product, "replay", "--collector", "udp://" + addr, "--rate", strconv.Itoa(rate), "--summary", "json"}, files...)
	}}
	sent, err := c.Run(ctx, conn.LocalAddr().String(), files)
	// What was sent over the loopback interface is there, but may not be read yet.
	err = errors.Join(err, conn.SetReadDeadline(time.Now().Add(time.Second)))
	r := <-received
	if err = errors.Join(err, r.err); err != nil {
		return Pacing{}, err
	}
	if len(r.arrivals) == 0 {
		return Pacing{}, errors.New("nothing came in")
	}
	return newPacing(rate, sent.Records, r.arrivals, r.lost), nil
}

// stampArrivals asks for the time at which the kernel got each datagram, and for
// how many it dropped before.
func stampArrivals(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var errs [3]error
	err = raw.Control(func(fd uintptr) {
		errs[0] = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		errs[1] = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
		errs[2] = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	})
	return errors.Join(append(errs[:], err)...)
}

// receiveStamped reads until the deadline.
func receiveStamped(conn *net.UDPConn) (all []pacedArrival, lost int, err error) {
	const header = 16 // of a message, RFC 7011 §3.1
	b, control := make([]byte, 1<<16), make([]byte, 256)
	for {
		n, m, _, _, err := conn.ReadMsgUDP(b, control)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return all, lost, nil
		case err != nil:
			return all, lost, fmt.Errorf("receive: %w", err)
		case n < header:
			return all, lost, fmt.Errorf("receive: a message of %d octets", n)
		}
		a := pacedArrival{sequence: binary.BigEndian.Uint32(b[8:])}
		messages, err := unix.ParseSocketControlMessage(control[:m])
		if err != nil {
			return all, lost, fmt.Errorf("receive: %w", err)
		}
		for _, c := range messages {
			switch {
			case c.Header.Level != unix.SOL_SOCKET:
			case c.Header.Type == unix.SCM_TIMESTAMPNS:
				var at unix.Timespec
				if _, err := binary.Decode(c.Data, binary.NativeEndian, &at); err != nil {
					return all, lost, fmt.Errorf("receive: %w", err)
				}
				a.at = time.Duration(at.Nano())
			case c.Header.Type == unix.SO_RXQ_OVFL:
				lost = int(binary.NativeEndian.Uint32(c.Data))
			}
		}
		all = append(all, a)
	}
}

// newPacing counts the records of each datagram, of one observation domain, by
// where the next begins.
func newPacing(rate, records int, all []pacedArrival, lost int) Pacing {
	p := Pacing{Rate: rate, Datagrams: len(all), Lost: lost}
	first := all[0].at
	p.Took = all[len(all)-1].at - first
	p.Windows = make([]int, p.Took/pacingWindow+1)
	oldest, carried := 0, 0
	for i := range all {
		a := &all[i]
		next := uint32(records)
		if i < len(all)-1 {
			next = all[i+1].sequence
		}
		a.records = int(next - a.sequence)
		p.Records += a.records
		p.Windows[(a.at-first)/pacingWindow] += a.records
		if i == 0 || a.at != all[i-1].at {
			p.Calls++
		}
		carried += a.records
		for a.at-all[oldest].at >= pacingWindow {
			carried -= all[oldest].records
			oldest++
		}
		p.Worst = max(p.Worst, carried)
	}
	return p
}

// Share is how many records a window has at the rate that was asked for.
func (p Pacing) Share() float64 { return float64(p.Rate) * pacingWindow.Seconds() }

// Print writes a histogram of the windows, by how many times their share they have.
func (p Pacing) Print(out io.Writer) {
	const bars, most = 10, 10 // a quarter of the share each; the last has all above
	var counts [bars + 1]int
	for _, n := range p.Windows {
		counts[min(bars, int(4*float64(n)/p.Share()))]++
	}
	fmt.Fprintf(out, "%d records/s: %d records in %d datagrams, at %d times, in %.2f s: %.0f records/s; %d datagrams lost\n",
		p.Rate, p.Records, p.Datagrams, p.Calls, p.Took.Seconds(), float64(p.Records)/p.Took.Seconds(), p.Lost)
	for i, n := range counts {
		name := fmt.Sprintf("%.2f to %.2f", float64(i)/4, float64(i+1)/4)
		if i == bars {
			name = fmt.Sprintf("%.2f and more", float64(i)/4)
		}
		part := float64(n) / float64(len(p.Windows))
		fmt.Fprintf(out, "  %-14s %8d windows %5.1f %%  %s\n", name, n, 100*part, strings.Repeat("#", int(4*most*part+0.5)))
	}
	fmt.Fprintf(out, "  the fullest %v have %d records, %.2f times their share of %.0f\n", pacingWindow, p.Worst, float64(p.Worst)/p.Share(), p.Share())
}
