package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// GrowBuffer gives the collector's socket a larger buffer, as docs/OPERATIONS.md says
// to do with net.core.rmem_default for collectors that do not ask for one. It is an
// error where the system does not let one process touch another.
func (u *UDPPeer) GrowBuffer(bytes int) error {
	s, found, err := findUDP(u.port)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%s has no socket", u.name)
	}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", u.ID()))
	if err != nil {
		return err
	}
	for _, path := range files {
		if target, err := os.Readlink(path); err != nil || target != "socket:["+s.inode+"]" {
			continue
		}
		number, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			return err
		}
		return setBuffer(u.ID(), number, bytes)
	}
	return fmt.Errorf("%s does not hold its socket", u.name)
}

// setBuffer sets the receive buffer of a socket of another process.
func setBuffer(process, number, bytes int) error {
	p, err := unix.PidfdOpen(process, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(p) }()
	fd, err := unix.PidfdGetfd(p, number, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
}
