package bench

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
)

// rewriteIPv6 puts what AppendIPv6 makes of a file in its place. It holds only a
// piece of it at a time.
func rewriteIPv6(path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close(), os.Rename(out.Name(), path)) }()
	buf, held := make([]byte, 1<<18), 0
	var made []byte
	for {
		n, err := in.Read(buf[held:])
		held += n
		end := held
		if !errors.Is(err, io.EOF) {
			if err != nil {
				return err
			}
			end = bytes.LastIndex(buf[:held], []byte(`","`)) + 2 // between two tuples
			if end < 2 {
				end = 0
				if held == len(buf) {
					return errors.New("no tuples")
				}
			}
		}
		made = AppendIPv6(made[:0], buf[:end])
		if _, err := out.Write(made); err != nil {
			return err
		}
		if err != nil {
			return nil
		}
		held = copy(buf, buf[end:held])
	}
}

// AppendIPv6 appends a flow log to dst in which all addresses of tuples are IPv6
// ones, as Azure writes them, each in place of the same IPv4 one.
func AppendIPv6(dst, log []byte) []byte {
	for {
		// A tuple is a string that begins with a time.
		i := bytes.Index(log, []byte(`"1`))
		if i < 0 {
			return append(dst, log...)
		}
		time, rest, ok := bytes.Cut(log[i+1:], []byte{','})
		if !ok || len(time) < 10 || len(time) > 13 || bytes.ContainsAny(time, `"-:`) {
			dst, log = append(dst, log[:i+2]...), log[i+2:]
			continue
		}
		dst = append(append(dst, log[:i+1]...), time...)
		for range 2 {
			var text []byte
			text, rest, _ = bytes.Cut(rest, []byte{','})
			dst = append(dst, ',')
			addr, err := netip.ParseAddr(string(text))
			if err != nil || !addr.Is4() {
				dst = append(dst, text...)
				continue
			}
			a := addr.As4()
			if a[0] == 10 {
				dst = netip.AddrFrom16([16]byte{0: 0xFD, 4: a[1], 5: a[2], 15: a[3]}).AppendTo(dst)
			} else {
				dst = netip.AddrFrom16([16]byte{0x26, 0x03, 0x10, 0x20, a[0], a[1], 0, a[2], 14: 0x10, 15: a[3]}).AppendTo(dst)
			}
		}
		dst, log = append(dst, ','), rest
	}
}
