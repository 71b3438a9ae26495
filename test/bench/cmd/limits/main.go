// Command limits measures what the machine allows, whatever a program does: how
// fast memory is read and copied, and what the kernel takes for a message over UDP,
// sent alone or with others in one call.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"flow2ipfix/test/bench"
)

const (
	memoryBytes  = 256 << 20
	messageBytes = 1400
	inOneCall    = 46 // messages of 1400 bytes in the largest datagram
	rounds       = 9
)

func main() {
	results := flag.String("results", "", "`file` to add the limits to")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*results); err != nil {
		fmt.Fprintln(os.Stderr, "limits: error:", err)
		os.Exit(1)
	}
}

func run(results string) error {
	from, to := make([]byte, memoryBytes), make([]byte, memoryBytes)
	for i := range from {
		from[i] = byte(i)
	}
	copy(to, from) // its pages are there then
	sum := uint64(0)
	read := seconds(func() {
		var a, b, c, d uint64
		for words := from; len(words) >= 32; words = words[32:] {
			a += binary.LittleEndian.Uint64(words)
			b += binary.LittleEndian.Uint64(words[8:])
			c += binary.LittleEndian.Uint64(words[16:])
			d += binary.LittleEndian.Uint64(words[24:])
		}
		sum += a + b + c + d
	})
	copied := seconds(func() { copy(to, from) })

	addr, sink, err := bench.Sink()
	if err != nil {
		return err
	}
	defer sink.Close()
	dialed, err := net.Dial("udp4", addr)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer dialed.Close()
	conn := dialed.(*net.UDPConn) //nolint:forcetypeassert // it is of udp4
	control := make([]byte, unix.CmsgSpace(2))
	header := unix.Cmsghdr{Level: unix.SOL_UDP, Type: unix.UDP_SEGMENT}
	header.SetLen(unix.CmsgLen(2))
	if _, err := binary.Encode(control, binary.NativeEndian, &header); err != nil {
		return err
	}
	binary.NativeEndian.PutUint16(control[unix.CmsgLen(0):], messageBytes)
	const messages = 400 * inOneCall
	var failed error
	send := func(size int, control []byte) float64 {
		return seconds(func() {
			for range messages * messageBytes / size {
				if _, _, err := conn.WriteMsgUDP(from[:size], control, nil); err != nil {
					failed = fmt.Errorf("send: %w", err)
				}
			}
		})
	}
	alone, together := send(messageBytes, nil), send(inOneCall*messageBytes, control)
	if failed != nil {
		return failed
	}

	limits := bench.Limits{
		ReadBytesPerSecond: memoryBytes / read, CopyBytesPerSecond: memoryBytes / copied,
		DatagramNs: 1e9 * alone / messages, SegmentNs: 1e9 * together / messages,
	}
	fmt.Printf("\nlimits: one core, the fastest of %d rounds (sum %x)\n\n", rounds, sum&0xFF)
	table := bench.NewTable(1, "what the machine does", "takes")
	table.Row("read memory, 256 MiB", fmt.Sprintf("%.1f GB/s", limits.ReadBytesPerSecond/1e9))
	table.Row("copy memory, 256 MiB", fmt.Sprintf("%.1f GB/s", limits.CopyBytesPerSecond/1e9))
	table.Row("send a message of 1400 bytes over UDP, alone", bench.Digits(limits.DatagramNs)+" ns")
	table.Row("the same, 46 of them in a call (UDP_SEGMENT)", bench.Digits(limits.SegmentNs)+" ns")
	table.Write(os.Stdout)
	return bench.Update(results, func(r *bench.Results) {
		r.Limits.ReadBytesPerSecond, r.Limits.CopyBytesPerSecond = limits.ReadBytesPerSecond, limits.CopyBytesPerSecond
		r.Limits.DatagramNs, r.Limits.SegmentNs = limits.DatagramNs, limits.SegmentNs
	})
}

// seconds is how long do takes when nothing disturbs it.
func seconds(do func()) float64 {
	best := 0.0
	for range rounds {
		begin := time.Now()
		do()
		if took := time.Since(begin).Seconds(); best == 0 || took < best {
			best = took
		}
	}
	return best
}
