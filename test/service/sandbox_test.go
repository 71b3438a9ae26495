package service

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flow2ipfix/test/peers"
	"flow2ipfix/test/sandbox"
)

// TestSandbox: the sandbox holds; what the program does in it means something.
func TestSandbox(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.rules.Args = []string{"probe"}
	cmd, err := d.rules.Command(d.dir)
	d.do(err)
	out, err := cmd.CombinedOutput()
	d.do(err)
	want := `socket unix: done
socket inet: done
socket inet6: done
socket netlink: EAFNOSUPPORT
mmap write and exec: EPERM
mmap write: done
mprotect exec: EPERM
unshare: EPERM
mount: EPERM
chroot: EPERM
ptrace: EPERM
keyctl: EPERM
setuid: EPERM
write /etc: EACCES
`
	if string(out) != want {
		t.Errorf("of what it tries, came\n%swant\n%s", out, want)
	}
}

// certificates makes a certificate for this machine, and its key.
func certificates(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "collector"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// acceptTLS is a collector that takes everything.
func acceptTLS(t *testing.T, cert, key string) (address string) {
	t.Helper()
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// account is a storage account without flow logs, which notes who asks.
func account(t *testing.T) (url string, asked func() int) {
	t.Helper()
	requests := make(chan string, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case requests <- r.URL.String():
		default:
		}
		w.Header().Set("X-Ms-Error-Code", "ContainerNotFound")
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() int { return len(requests) }
}

// TestUnderTheUnit: the daemon does all that it can do, and each system call that
// the unit's filter does not list would kill it: two sources, each kind of
// collector, secrets from systemd, the listener, a reload and the end. Where the
// machine lets a test have mounts of its own, nothing but the state can be written.
func TestUnderTheUnit(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.rules.Kill = true
	if err := sandbox.CanMount(); err == nil {
		d.rules.Writable = []string{d.state()}
	} else {
		t.Logf("without ProtectSystem=strict: %v", err)
	}
	cert, key := certificates(t)
	credentials := filepath.Join(d.dir, "credentials")
	d.do(os.Mkdir(credentials, 0o755))
	const secret = "bm90IHRvIGJlIHNob3du"
	d.write("credentials/account_key", secret+"\n")
	d.write("credentials/noc.pem", cert)
	d.rules.Env = append(d.rules.Env, "CREDENTIALS_DIRECTORY="+credentials)

	address := map[string]string{"tls": acceptTLS(t, cert, key)}
	for _, scheme := range []string{"udp", "tcp"} {
		address[scheme] = freeAddress(t)
		listen(t, scheme+"://"+address[scheme])
	}
	accountURL, asked := account(t)
	listener := freeAddress(t)
	d.configure(`
sources:
  - { name: dir, directory: { path: $LOGS, poll_interval: 1s } }
  - { name: prod, azure: { account_url: "` + accountURL + `", credential: account_key, account_name: noc, poll_interval: 1s } }
start: earliest
state_dir: $STATE
collectors:
  - { name: udp, url: "udp://` + address["udp"] + `" }
  - { name: tcp, url: "tcp://` + address["tcp"] + `" }
  - { name: tls, url: "tls://` + address["tls"] + `", tls: { ca_file: noc.pem } }
  - { name: dtls, url: "dtls://` + address["udp"] + `", tls: { ca_file: noc.pem }, delivery: best_effort } # nobody there speaks that
  - { name: file, url: "file:$STATE/flows.ipfix" }
  - { name: localhost, url: "udp://localhost:` + strings.Split(address["udp"], ":")[1] + `", delivery: best_effort }
telemetry: { listen: "` + listener + `" }
log: { level: debug }
`)
	d.generate(20)
	d.start()
	d.next("READY=1")
	d.next("STATUS=away: dtls")
	d.next("WATCHDOG=1")
	for _, name := range []string{"udp", "tcp", "tls", "file", "localhost"} {
		d.says("collector=" + name + " records_sent_again=")
	}
	if err := peers.Await("the account is asked", func() (bool, error) { return asked() > 0, d.process.Alive() }); err != nil {
		t.Fatal(err)
	}
	d.do(peers.Await("all is delivered", func() (bool, error) {
		list := exec.Command(peers.Product, "checkpoints", "list", "--config", d.config, "--format", "json")
		list.Env = append(os.Environ(), "CREDENTIALS_DIRECTORY="+credentials)
		out, err := list.Output()
		return strings.Contains(string(out), `"offset"`), errors.Join(err, d.process.Alive())
	}))
	d.do(d.process.Signal(syscall.SIGHUP))
	d.next("RELOADING=1")
	d.next("READY=1")
	d.next("STATUS=away: dtls")
	d.do(d.process.Signal(syscall.SIGTERM))
	d.next("STOPPING=1")
	d.ends(0)
	if strings.Contains(d.process.Log(), secret) {
		t.Error("the log shows a secret")
	}
	entries, err := os.ReadDir(d.state())
	d.do(err)
	for _, e := range entries { // UMask=
		if info, err := e.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v; want it to be for the daemon alone", e.Name(), info.Mode(), err)
		}
	}
	if len(entries) < 2 { // the state, and the collector that is a file
		t.Errorf("the state directory has %v", entries)
	}
}

// TestSecretIsMissing: a start without its secret ends with 78 and says how to give
// it; nobody is told that the daemon is ready.
func TestSecretIsMissing(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.configure(`
sources: [{ name: prod, azure: { account_url: "https://noc.blob.core.windows.net", credential: account_key } }]
state_dir: $STATE
collectors: [{ name: noc, url: "udp://127.0.0.1:4739" }]
telemetry: { listen: "` + "127.0.0.1:x" + `" }
`)
	d.start()
	d.ends(78)
	log := d.process.Log()
	for _, want := range []string{"account_key_file:", "account_key_env:", "LoadCredential=account_key:", "telemetry.listen"} {
		if !strings.Contains(log, want) {
			t.Errorf("nothing is said of %s: %s", want, log)
		}
	}
	for _, m := range d.manager.all() {
		if has(m, []string{"READY"}) {
			t.Errorf("said %v", m.Fields)
		}
	}
}

// TestJournal: what goes to the journal has its levels, and no time.
func TestJournal(t *testing.T) {
	t.Parallel()
	d := newDaemon(t)
	d.configure(`
sources: [{ name: dir, directory: { path: $LOGS/nowhere } }]
state_dir: $STATE
collectors: [{ name: noc, url: "tcp://` + freeAddress(t) + `" }]
telemetry: { listen: "" }
`)
	d.rules.Args = []string{peers.Product, "run", "--config", d.config}
	journal, err := os.Create(filepath.Join(d.dir, "journal"))
	d.do(err)
	defer journal.Close()
	info, err := journal.Stat()
	d.do(err)
	st, _ := info.Sys().(*syscall.Stat_t)
	d.rules.Env = append(d.rules.Env, fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino))
	cmd, err := d.rules.Command(d.dir)
	d.do(err)
	cmd.Stderr = journal
	d.do(cmd.Start())
	log := func() string {
		b, _ := os.ReadFile(journal.Name())
		return string(b)
	}
	err = peers.Await("the collector is away", func() (bool, error) { return strings.Contains(log(), "collector away"), nil })
	d.do(cmd.Process.Signal(syscall.SIGTERM))
	if waitErr := cmd.Wait(); err != nil || waitErr != nil {
		t.Fatal(err, waitErr, log())
	}
	levels := map[byte]bool{}
	for line := range strings.Lines(log()) {
		if len(line) < 4 || line[0] != '<' || line[2] != '>' || strings.Contains(line, "time=") || strings.Contains(line, "level=") || strings.Contains(line, "msg=") {
			t.Errorf("not a line for the journal: %s", line)
			continue
		}
		levels[line[1]] = true
		if line[1] < '6' && !strings.Contains(line, " hint=") {
			t.Errorf("it does not say what to do: %s", line)
		}
	}
	if !levels['6'] || !levels['4'] {
		t.Errorf("levels %v in\n%s", levels, log())
	}
}
