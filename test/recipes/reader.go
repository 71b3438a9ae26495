package recipes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"flow2ipfix/test/peers"
)

// Reader follows the document in a folder of its own, which has the repository's
// test folder and soon the files of nfcapd.
type Reader struct {
	dir       string
	variables []string // lines that export them
	running   map[string]*peers.UDPPeer
}

// NewReader returns a reader in an empty folder; root is the repository's.
func NewReader(dir, root string) (*Reader, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if err := os.Symlink(filepath.Join(root, "test"), filepath.Join(dir, "test")); err != nil {
		return nil, err
	}
	return &Reader{dir: dir, running: map[string]*peers.UDPPeer{}}, nil
}

var port = regexp.MustCompile(`^udp://127\.0\.0\.1:(\d+)$`)

// Follow does what a step says. nfcapd gets a free port instead of the
// document's, and ends when something was sent to it: where the document tells
// the reader to end it.
func (r *Reader) Follow(s Step) error {
	words := strings.Fields(s.Text)
	if len(words) == 0 {
		return nil
	}
	var err error
	switch words[0] {
	case "export":
		r.variables = append(r.variables, s.Text)
	case "mkdir":
		if len(words) != 2 {
			return fmt.Errorf("line %d: want mkdir and one name, got %q", s.Line, s.Text)
		}
		err = os.Mkdir(filepath.Join(r.dir, words[1]), 0o755)
	case "nfcapd":
		err = r.start(words[1:])
	case "flow2ipfix":
		err = r.send(words)
	default:
		err = errors.New("the test does not know how to follow it; give the command an answer, or teach the test")
	}
	if err != nil {
		return fmt.Errorf("line %d: %q: %w", s.Line, s.Text, err)
	}
	return nil
}

// start starts nfcapd with a reader's arguments.
func (r *Reader) start(args []string) error {
	at, folder := slices.Index(args, "-p")+1, slices.Index(args, "-w")+1
	if at == 0 || folder == 0 || at == len(args) || folder == len(args) {
		return errors.New("want nfcapd with -p and -w")
	}
	named := args[at]
	args = slices.Clone(args)
	args[folder] = filepath.Join(r.dir, args[folder])
	logs, err := os.MkdirTemp(r.dir, "nfcapd-")
	if err != nil {
		return err
	}
	p, err := peers.StartUDP(logs, "nfcapd", func(free int) ([]string, error) {
		args[at] = strconv.Itoa(free)
		return args, nil
	})
	if err != nil {
		return err
	}
	r.running[named] = p
	return nil
}

// send runs the program with a reader's arguments, and ends the nfcapd that it
// sent to.
func (r *Reader) send(words []string) error {
	var to *peers.UDPPeer
	words = slices.Clone(words)
	for i, word := range words {
		m := port.FindStringSubmatch(word)
		if m == nil {
			continue
		}
		if to = r.running[m[1]]; to == nil {
			return fmt.Errorf("no nfcapd was started with -p %s", m[1])
		}
		words[i] = to.URL()
		delete(r.running, m[1])
	}
	_, err := r.bash(strings.Join(words, " "))
	if to == nil {
		return err
	}
	err = errors.Join(err, to.Drain(), to.End(syscall.SIGTERM))
	for _, loss := range to.Losses() {
		err = errors.Join(err, errors.New(loss))
	}
	return err
}

// Close ends what still runs.
func (r *Reader) Close() error {
	var err error
	for _, p := range r.running {
		err = errors.Join(err, p.End(syscall.SIGTERM))
	}
	return err
}

// Ask runs a recipe and returns what it prints, tidied.
func (r *Reader) Ask(q *Recipe) (string, error) {
	out, err := r.bash(strings.Join(r.variables, "\n") + "\n" + q.Script)
	return Tidy(out), err
}

// bash runs a script as a reader would who has the program in the PATH.
func (r *Reader) bash(script string) (string, error) {
	cmd, err := peers.Command("bash", "-euo", "pipefail", "-c", script)
	if err != nil {
		return "", err
	}
	cmd.Dir = r.dir
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(peers.Product)+":"+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
