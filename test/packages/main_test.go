package packages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// What is built before the tests: the same version in two places, and a later one
// with another configuration.
const (
	oldVersion = "1.0.0"
	newVersion = "1.1.0"
	epoch      = "1790000000"
	newKey     = "\n# New in this version.\nlog:\n  level: info\n"
)

var (
	first, second, later release
	scratch              string // of all tests
	checkout             string // the repository
)

// release is a folder that packaging/build.sh has filled.
type release struct{ folder, version string }

func (r release) file(pattern string) string {
	found, _ := filepath.Glob(filepath.Join(r.folder, pattern))
	if len(found) != 1 {
		panic(fmt.Sprintf("%s in %s: want one file, got %q", pattern, r.folder, found))
	}
	return found[0]
}

func (r release) deb() string { return r.file("*.deb") }
func (r release) rpm() string { return r.file("*.rpm") }

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	if scratch, err = os.MkdirTemp("", "flow2ipfix-packages-"); err != nil {
		return 1, err
	}
	defer func() { _ = privileged("rm", "-rf", scratch).Run() }()
	if checkout, err = filepath.Abs("../.."); err != nil {
		return 1, err
	}
	one, two, three := filepath.Join(scratch, "one"), filepath.Join(scratch, "somewhere", "else", "two"), filepath.Join(scratch, "three")
	if err := copyTree(checkout, one); err != nil {
		return 1, err
	}
	for _, to := range []string{two, three} {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return 1, err
		}
		if out, err := exec.Command("cp", "-r", one, to).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("copy tree: %w: %s", err, out)
		}
	}
	f, err := os.OpenFile(filepath.Join(three, "packaging", "flow2ipfix.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return 1, err
	}
	_, err = f.WriteString(newKey)
	if err := f.Close(); err != nil {
		return 1, err
	}
	if err != nil {
		return 1, err
	}
	first = release{filepath.Join(scratch, "dist-one"), oldVersion}
	second = release{filepath.Join(scratch, "dist-two"), oldVersion}
	later = release{filepath.Join(scratch, "dist-three"), newVersion}
	elsewhere := []string{"TZ=Pacific/Auckland", "LC_ALL=C.UTF-8", "USER=somebody", "TMPDIR=" + filepath.Dir(two)}
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() {
		// One after the other, so that the clock is another one, too.
		if errs[0] = build(one, first, nil); errs[0] == nil {
			errs[0] = build(two, second, elsewhere)
		}
	})
	wg.Go(func() { errs[1] = build(three, later, nil) })
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// copyTree copies what git has or would have.
func copyTree(from, to string) error {
	script := `git ls-files -z --cached --others --exclude-standard | (while IFS= read -r -d '' f; do [ ! -f "$f" ] || printf '%s\0' "$f"; done) | tar --null -T - -c | tar -x -C "$0"`
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("bash", "-o", "pipefail", "-c", script, to)
	cmd.Dir = from
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copy tree: %w: %s", err, out)
	}
	return nil
}

func build(tree string, r release, env []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", `umask 077; exec packaging/build.sh "$0" "$1"`, r.folder, runtime.GOARCH)
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), append(env, "PACKAGE_VERSION="+r.version, "SOURCE_DATE_EPOCH="+epoch)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", r.version, tree, err, out)
	}
	return nil
}

// privileged is a command that root runs.
func privileged(args ...string) *exec.Cmd {
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

// said runs a command and returns all that it says. It fails the test if the
// command does.
func said(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out.String())
	}
	return out.String()
}

// machine is a folder that holds a whole Debian, which is entered by chroot.
// systemd is there, but does not run.
type machine struct {
	t    *testing.T
	root string
}

// newMachine unpacks a fresh one.
func newMachine(t *testing.T) *machine {
	t.Helper()
	root, err := os.MkdirTemp(scratch, "machine-") // removed with it
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(checkout, ".tools", "debian-12.tar")
	if _, err := os.Stat(base); err != nil {
		t.Fatalf("%v; make package-test makes it", err)
	}
	said(t, privileged("tar", "-C", root, "-xf", base))
	said(t, privileged("chmod", "755", root))
	return &machine{t, root}
}

// put copies a file to the machine's /.
func (m *machine) put(file string) string {
	m.t.Helper()
	said(m.t, privileged("cp", file, m.root))
	return "/" + filepath.Base(file)
}

// try runs a script on the machine. It returns what it said, and its exit code.
func (m *machine) try(script string) (string, int) {
	m.t.Helper()
	cmd := privileged("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "HOME=/root",
		"chroot", m.root, "sh", "-euc", script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if cmd.ProcessState == nil {
		m.t.Fatalf("enter %s: %v", m.root, err)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// run runs a script that must not fail.
func (m *machine) run(script string) string {
	m.t.Helper()
	out, code := m.try(script)
	if code != 0 {
		m.t.Fatalf("%s\nended with %d: %s", script, code, out)
	}
	return out
}

// want runs a script that must say this and nothing else.
func (m *machine) want(script, want string) {
	m.t.Helper()
	if got := strings.TrimSpace(m.run(script)); got != want {
		m.t.Errorf("%s\nsays %q, want %q", script, got, want)
	}
}

// wantNone runs a script that finds files; there must be none.
func (m *machine) wantNone(script string) {
	m.t.Helper()
	m.want(script, "")
}

// startSystemd makes the machine look as if systemd ran, and keeps what it is
// told. What takes no running systemd is done.
func (m *machine) startSystemd() {
	m.t.Helper()
	m.run(`mkdir -p /run/systemd/system
mv /usr/bin/systemctl /usr/bin/systemctl.real
cat >/usr/bin/systemctl <<'END'
#!/bin/sh
echo "$*" >>/systemctl.log
case " $* " in
*" preset "* | *" enable "* | *" disable "* | *" is-enabled "* | *" mask "* | *" unmask "*)
    for arg; do
        shift
        [ "$arg" = --now ] || set -- "$@" "$arg"
    done
    SYSTEMD_OFFLINE=1 exec /usr/bin/systemctl.real "$@"
    ;;
esac
END
chmod 755 /usr/bin/systemctl
: >/systemctl.log`)
}

// told returns what systemd was told since this was last asked.
func (m *machine) told() string {
	m.t.Helper()
	return m.run("cat /systemctl.log; : >/systemctl.log")
}

// stopSystemd ends what startSystemd began.
func (m *machine) stopSystemd() {
	m.t.Helper()
	m.run("rmdir /run/systemd/system; mv /usr/bin/systemctl.real /usr/bin/systemctl")
}

// fillIn writes into the packaged configuration what it asks for.
const fillIn = `sed -i 's|^\( *account_url:\)$|\1 https://nocflowlogs.blob.core.windows.net|; s|^\( *url:\)$|\1 udp://127.0.0.1:4739|' /etc/flow2ipfix/flow2ipfix.yaml`

// asService begins a command that the service's user runs.
const asService = "setpriv --reuid=flow2ipfix --regid=flow2ipfix --clear-groups "

// checkInstalled says whether what both packages bring is there and works. The
// configuration is filled in afterwards.
func (m *machine) checkInstalled(version string) {
	m.t.Helper()
	m.want("getent passwd flow2ipfix | cut -d: -f6,7", "/var/lib/flow2ipfix:/usr/sbin/nologin")
	m.want("stat -c '%a %U:%G' /etc/flow2ipfix /etc/flow2ipfix/flow2ipfix.yaml /usr/bin/flow2ipfix | paste -sd ' '",
		"750 root:flow2ipfix 640 root:flow2ipfix 755 root:root")
	if out := m.run("flow2ipfix version"); !strings.HasPrefix(out, "flow2ipfix "+version+" ") {
		m.t.Errorf("flow2ipfix version says %q, want %s", out, version)
	}
	for _, file := range []string{
		"/usr/lib/systemd/system/flow2ipfix.service", "/usr/lib/sysusers.d/flow2ipfix.conf",
		"/usr/share/man/man8/flow2ipfix.8.gz", "/usr/share/man/man5/flow2ipfix.yaml.5.gz",
		"/usr/share/bash-completion/completions/flow2ipfix", "/usr/share/fish/vendor_completions.d/flow2ipfix.fish",
		"/usr/share/doc/flow2ipfix/examples/flow2ipfix.yaml", "/usr/share/doc/flow2ipfix/third-party-notices.gz",
	} {
		m.run("test -s " + file)
	}

	// The configuration says what it lacks, and nothing else.
	out, code := m.try("flow2ipfix config check 2>&1")
	if code != 78 || strings.Count(out, "error:") != 2 || !strings.Contains(out, "account_url: missing; want an https://") ||
		!strings.Contains(out, "collectors[0].url: missing; want udp://") {
		m.t.Errorf("config check with what the package brings ends with %d: %s", code, out)
	}
	m.run(fillIn)
	m.run(asService + "flow2ipfix config check")
	if out, code := m.try("setpriv --reuid=nobody --regid=nogroup --clear-groups cat /etc/flow2ipfix/flow2ipfix.yaml"); code == 0 {
		m.t.Errorf("anybody can read the configuration: %s", out)
	}
}
