package peers

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Patience is how long a collector may take for anything: to come up, to work
// off what it was sent, to go. Nothing takes nearly as long on an idle machine.
const Patience = 30 * time.Second

// errLate is what takes too long.
var errLate = errors.New("too late")

// Await polls until done reports true, and fails when it takes longer than
// Patience.
func Await(what string, done func() (bool, error)) error { return Within(Patience, what, done) }

// Within polls until done reports true, and fails when it takes too long.
func Within(limit time.Duration, what string, done func() (bool, error)) error {
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("%s: not after %v: %w", what, limit, errLate)
		}
	}
}

// AwaitAll waits for all records to come, but not for ever: that too few came is
// for the comparison to say.
func AwaitAll(what string, done func() (bool, error)) error {
	if err := Await(what, done); !errors.Is(err, errLate) {
		return err
	}
	return nil
}

// LookPath finds a program in PATH, in the folders of Debian that only root has
// there, or among the tools that make installs.
func LookPath(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "../../.tools"} {
		if path, err := filepath.Abs(filepath.Join(dir, program)); err == nil {
			if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%w; make peers and make tools install what is needed", err)
}

// Output runs a program to its end and returns what it wrote to standard output.
func Output(program string, args ...string) ([]byte, error) {
	cmd, err := Command(program, args...)
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}

// Command is a program that prints times in UTC and dies with the test.
func Command(program string, args ...string) (*exec.Cmd, error) {
	path, err := LookPath(program)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

// Process is a collector that runs in a session of its own, with all that it
// starts.
type Process struct {
	name    string
	cmd     *exec.Cmd
	LogFile string // file with what it writes to standard error
	OutFile string // and to standard output
	exited  chan struct{}
	failed  error // how it exited
}

// Start starts a program whose output goes to files in dir.
func Start(dir, program string, args ...string) (*Process, error) {
	cmd, err := Command(program, args...)
	if err != nil {
		return nil, err
	}
	return StartCommand(dir, cmd)
}

// StartCommand starts what Command returned.
func StartCommand(dir string, cmd *exec.Cmd) (*Process, error) {
	name := filepath.Base(cmd.Path)
	p := &Process{
		name: name, cmd: cmd, exited: make(chan struct{}),
		OutFile: filepath.Join(dir, name+".out"), LogFile: filepath.Join(dir, name+".err"),
	}
	stdout, err := os.Create(p.OutFile)
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	stderr, err := os.Create(p.LogFile)
	if err != nil {
		return nil, err
	}
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr.Setsid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.failed = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// prefer lets the collector run before whatever else the machine has to do, if
// that is allowed: some have no way to ask for a larger socket buffer, and the
// default one holds a tenth of a second.
func (p *Process) prefer() {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	for _, path := range threads {
		if id, err := strconv.Atoi(filepath.Base(path)); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, -15) // only root may; later threads inherit it
		}
	}
	// It runs in a session of its own. Where the kernel shares out the machine among
	// sessions, that alone counts beyond it.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", p.cmd.Process.Pid), []byte("-15"), 0)
}

// Log returns what the program wrote to standard error and standard output.
func (p *Process) Log() string {
	var all []byte
	for _, path := range []string{p.LogFile, p.OutFile} {
		b, err := os.ReadFile(path)
		if err != nil {
			b = []byte(err.Error())
		}
		all = append(all, b...)
	}
	return string(all)
}

// ID returns the process id.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process, if it still runs.
func (p *Process) Signal(signal syscall.Signal) error { return p.cmd.Process.Signal(signal) }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Code returns with what the process exited, -1 if a signal ended it. It is
// called after Exited is closed.
func (p *Process) Code() int { return p.cmd.ProcessState.ExitCode() }

// errExited says that a program ended that should not have.
var errExited = errors.New("exited")

// Alive returns an error if the program has ended by itself.
func (p *Process) Alive() error {
	select {
	case <-p.exited:
		return fmt.Errorf("%s: %w: %w: %s", p.name, errExited, p.failed, p.Log())
	default:
		return nil
	}
}

// End asks the program to end, and waits until all its processes are gone. If
// that takes too long it kills them and says so. It may be called again.
func (p *Process) End(signal syscall.Signal) error {
	select {
	case <-p.exited:
	default:
		// An error says that it is gone already.
		_ = p.cmd.Process.Signal(signal)
	}
	group := p.cmd.Process.Pid
	err := Await(p.name+" ends", func() (bool, error) {
		select {
		case <-p.exited:
			return !groupLives(group), nil
		default:
			return false, nil
		}
	})
	if err != nil {
		_ = syscall.Kill(-group, syscall.SIGKILL)
		<-p.exited
		return fmt.Errorf("%w, killed it: %s", err, p.Log())
	}
	return nil
}

// groupLives reports whether a process group has a process that still runs.
func groupLives(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		// The name, in parentheses, may hold anything. State, parent and group
		// follow it.
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) > 2 && fields[0] != "Z" && fields[2] == strconv.Itoa(group) {
			return true
		}
	}
	return false
}

// Ports for collectors lie below those that the kernel gives to whoever asks for
// any: one of those might be taken between the asking and the binding.
const (
	firstPort = 20000
	lastPort  = 32767
)

var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(lastPort - firstPort + 1)) } // other test programs run, too

// holds says whether a socket is the program's: somebody else may have bound the
// port a moment before it.
func (p *Process) holds(inode string) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.ID()))
	return slices.ContainsFunc(files, func(path string) bool {
		target, err := os.Readlink(path)
		return err == nil && target == "socket:["+inode+"]"
	})
}

// FreePort returns a port of the loopback address that nobody has bound.
func FreePort() (int, error) {
	var errs []error
	for range 100 {
		port := firstPort + int(nextPort.Add(1)%(lastPort-firstPort+1))
		c, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, c.Close()
		}
		errs = append(errs, err)
	}
	return 0, errors.Join(errs...)
}

// udpSocket is what the kernel says of a socket in /proc/net/udp.
type udpSocket struct {
	queued uint64 // bytes that wait to be read
	drops  uint64 // datagrams that found no room
	inode  string
}

// findUDP looks for the socket that is bound to a port of the loopback address.
func findUDP(port int) (udpSocket, bool, error) {
	b, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return udpSocket{}, false, err
	}
	local := fmt.Sprintf("0100007F:%04X", port)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 13 || f[1] != local {
			continue
		}
		_, queued, _ := strings.Cut(f[4], ":")
		s := udpSocket{inode: f[9]}
		if s.queued, err = strconv.ParseUint(queued, 16, 64); err != nil {
			return s, false, err
		}
		s.drops, err = strconv.ParseUint(f[12], 10, 64)
		return s, err == nil, err
	}
	return udpSocket{}, false, nil
}

// UDPPeer is a collector process that has bound a UDP port.
type UDPPeer struct {
	*Process
	port int
	lost uint64
}

// StartUDP starts a collector on a free port. args makes its command line. If
// somebody else takes the port in between, it tries again.
func StartUDP(dir, program string, args func(port int) ([]string, error)) (*UDPPeer, error) {
	for attempt := 1; ; attempt++ {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		list, err := args(port)
		if err != nil {
			return nil, err
		}
		u, err := StartUDPOn(dir, port, program, list...)
		if err == nil || attempt == 5 || !errors.Is(err, errExited) {
			return u, err
		}
	}
}

// StartUDPOn starts a collector that binds a port, as its arguments say.
func StartUDPOn(dir string, port int, program string, args ...string) (*UDPPeer, error) {
	p, err := Start(dir, program, args...)
	if err != nil {
		return nil, err
	}
	err = Await(program+" binds its port", func() (bool, error) {
		if err := p.Alive(); err != nil {
			return false, err
		}
		s, found, err := findUDP(port)
		return found && p.holds(s.inode), err
	})
	if err != nil {
		return nil, errors.Join(err, p.End(syscall.SIGKILL))
	}
	p.prefer()
	return &UDPPeer{Process: p, port: port}, nil
}

// URL is what the program should send to.
func (u *UDPPeer) URL() string { return fmt.Sprintf("udp://127.0.0.1:%d", u.port) }

// Drain waits until the collector has read all that came in, and notes what the
// kernel dropped. On the loopback all has come in when the sender is done.
func (u *UDPPeer) Drain() error {
	return Await(u.name+" reads what it was sent", func() (bool, error) {
		if err := u.Alive(); err != nil {
			return false, err
		}
		s, found, err := findUDP(u.port)
		if err == nil && !found {
			err = fmt.Errorf("%s has no socket any more", u.name)
		}
		u.lost = s.drops
		return found && s.queued == 0, err
	})
}

// Losses says what got lost.
func (u *UDPPeer) Losses() []string {
	if u.lost == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the kernel dropped %d datagrams at the socket of %s: it did not read fast enough for how fast they were sent", u.lost, u.name)}
}
