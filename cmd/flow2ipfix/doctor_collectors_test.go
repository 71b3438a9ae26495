package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/dtls/v3"
	"golang.org/x/sys/unix"
)

// listen serves TCP connections until the test ends, and returns where.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return accept(t, l, serve)
}

func accept(t *testing.T, l net.Listener, serve func(net.Conn)) string {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

func drain(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func greet(c net.Conn) {
	_, _ = io.WriteString(c, "hello, who is there?\n")
	drain(c)
}

// signer signs certificates.
type signer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // its certificate
}

func newSigner(t *testing.T, name string) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &signer{key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	s.certificate = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, s.certificate, s.certificate, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if s.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, s.file, "CERTIFICATE", der)
	return s
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sign makes a certificate of 127.0.0.1 and a name that is valid for so long.
func (s *signer) sign(t *testing.T, name string, valid time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(valid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, s.certificate, key.Public(), s.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// write writes a certificate and its key to files.
func write(t *testing.T, pair tls.Certificate) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, cert, "CERTIFICATE", pair.Certificate[0])
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, key, "PRIVATE KEY", der)
	return cert, key
}

// closedPort returns a loopback address where nothing listens, nor will while the test
// runs: who only frees a port may find somebody else at it.
func closedPort(t *testing.T, network string) string {
	t.Helper()
	if network == "udp" {
		// It belongs to a socket that talks to somebody else alone.
		c, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c.LocalAddr().String()
	}
	// It belongs to a socket that does not listen.
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", bound.(*unix.SockaddrInet4).Port)
}

// freePort returns an address where the program can listen.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

const year = 365 * 24 * time.Hour

func TestDoctorCollectors(t *testing.T) {
	ca, stranger := newSigner(t, "our authority"), newSigner(t, "a stranger")
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	serveTLS := func(pair tls.Certificate, clients tls.ClientAuthType) string {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: clients})
		if err != nil {
			t.Fatal(err)
		}
		return accept(t, l, drain)
	}
	serveDTLS := func(pair tls.Certificate) string {
		l, err := dtls.ListenWithOptions("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, dtls.WithCertificates(pair))
		if err != nil {
			t.Fatal(err)
		}
		return accept(t, l, drain)
	}
	good, expired, soon := ca.sign(t, "flows.example", year), ca.sign(t, "flows.example", -time.Hour), ca.sign(t, "flows.example", 72*time.Hour)
	clientCert, clientKey := write(t, ca.sign(t, "exporter.example", year))
	expiredCert, expiredKey := write(t, expired)
	trust := ", tls: { ca_file: " + ca.file
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()

	for _, tc := range []struct {
		name, url, more string
		want            []string
		says            []string
	}{
		{"udp", "udp://" + udp.LocalAddr().String(), "", []string{"udp: ok"}, []string{"nothing refused the templates", "from 127.0.0.1"}},
		{"udp refused", "udp://" + closedPort(t, "udp"), "", []string{"udp: failed"}, []string{"refused", "nothing listens at that UDP port"}},
		{"name", "udp://localhost:" + port(udp.LocalAddr()), "", []string{"name: ok", "udp: ok"}, []string{"localhost is "}},
		{"no name", "udp://collector.invalid:4739", "", []string{"name: failed", "udp: skipped"}, []string{"collector.invalid", "name server"}},
		{"local address", "udp://192.0.2.1:4739", ", local_address: 192.0.2.77", []string{"udp: failed"}, []string{"must be an IP address of this machine"}},
		{"tcp", "tcp://" + listen(t, drain), "", []string{"tcp: ok"}, []string{"connected, from 127.0.0.1"}},
		{"tcp refused", "tcp://" + closedPort(t, "tcp"), "", []string{"tcp: failed"}, []string{"start the collector"}},
		{"tcp closes", "tcp://" + listen(t, func(net.Conn) {}), "", []string{"tcp: failed"}, []string{"closed the connection: see its log"}},
		{
			"tls", "tls://" + serveTLS(good, tls.NoClientCert), trust + " }",
			[]string{"tls: ok", "certificate: ok"},
			[]string{"TLS 1.3 connected", "for flows.example, 127.0.0.1, by our authority, until " + time.Now().Add(year).UTC().Format("2006-01-02T")},
		},
		{"tls to tcp", "tls://" + listen(t, greet), trust + " }", []string{"tls: failed"}, []string{"does not speak TLS"}},
		{"tls silent", "tls://" + listen(t, drain), trust + " }, timeout: 300ms", []string{"tls: failed"}, []string{"no answer"}},
		{"tls stranger", "tls://" + serveTLS(stranger.sign(t, "flows.example", year), tls.NoClientCert), trust + " }", []string{"tls: failed", "certificate: ok"}, []string{"the CA file must hold", "by a stranger"}},
		{"tls other name", "tls://" + serveTLS(good, tls.NoClientCert), trust + ", server_name: other.example }", []string{"tls: failed", "certificate: ok"}, []string{"the server name must be one"}},
		{"tls expired", "tls://" + serveTLS(expired, tls.NoClientCert), trust + " }", []string{"tls: failed", "certificate: failed"}, []string{"not valid today", "it has expired"}},
		{"tls expires soon", "tls://" + serveTLS(soon, tls.NoClientCert), trust + " }", []string{"tls: ok", "certificate: warning"}, []string{"expires soon", "renew"}},
		{
			"tls mutual", "tls://" + serveTLS(good, tls.RequireAndVerifyClientCert), trust + ", cert_file: " + clientCert + ", key_file: " + clientKey + " }",
			[]string{"tls: ok", "certificate: ok", "client cert: ok"},
			[]string{"for exporter.example"},
		},
		{"tls wants ours", "tls://" + serveTLS(good, tls.RequireAndVerifyClientCert), trust + " }", []string{"tls: failed", "certificate: ok"}, []string{"set certificate and key file"}},
		{
			"tls ours expired", "tls://" + serveTLS(good, tls.RequireAndVerifyClientCert), trust + ", cert_file: " + expiredCert + ", key_file: " + expiredKey + " }",
			[]string{"tls: failed", "certificate: ok", "client cert: failed"},
			[]string{"does not accept our client certificate", "it has expired"},
		},
		{"dtls", "dtls://" + serveDTLS(good), trust + " }", []string{"dtls: ok", "certificate: ok"}, []string{"DTLS 1.2 connected", "by our authority"}},
		{"dtls refused", "dtls://" + closedPort(t, "udp"), trust + " }", []string{"dtls: failed"}, []string{"refused"}},
		{"dtls stranger", "dtls://" + serveDTLS(stranger.sign(t, "flows.example", year)), trust + " }", []string{"dtls: failed", "certificate: ok"}, []string{"the CA file must hold"}},
		{"dtls expired", "dtls://" + serveDTLS(expired), trust + " }", []string{"dtls: failed", "certificate: failed"}, []string{"not valid today"}},
		{"dtls silent", "dtls://" + udp.LocalAddr().String(), trust + " }, timeout: 300ms", []string{"dtls: failed"}, []string{"no answer"}},
		{"folder", "file:" + t.TempDir(), "", []string{"file: failed"}, []string{"is a folder"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, checks, all := doctor(t, someSource(t)+"collectors: [{ name: c, url: '"+tc.url+"'"+tc.more+" }]\n"+withState(t))
			if diff := cmp.Diff(tc.want, of(checks, "collector c")); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, all)
			}
			wantCode := exitOK
			for _, c := range tc.want {
				if strings.HasSuffix(c, ": failed") {
					wantCode = exitFailure
				}
			}
			if code != wantCode {
				t.Errorf("ends with %d, want %d", code, wantCode)
			}
			expect(t, all, tc.says...)
		})
	}
}

func port(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// TestDoctorProbe: what a UDP collector gets are templates and nothing else.
func TestDoctorProbe(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	if code, _, all := doctor(t, someSource(t)+"collectors: [{ name: c, url: 'udp://"+udp.LocalAddr().String()+"' }]\n"+withState(t)); code != exitOK {
		t.Fatal(all)
	}
	if err := udp.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	n, _, err := udp.ReadFrom(b)
	if err != nil {
		t.Fatal(err)
	}
	b = b[:n]
	// RFC 7011 §3: version 10, its length, sequence number and domain 0, and one
	// set, of templates (2), up to its end.
	if b[1] != 10 || int(b[2])<<8|int(b[3]) != n || cmp.Diff(b[8:16], make([]byte, 8)) != "" || b[17] != 2 || int(b[18])<<8|int(b[19]) != n-16 {
		t.Errorf("got % x", b)
	}
	if n, _, err := udp.ReadFrom(b); err == nil {
		t.Errorf("got %d bytes more", n)
	}
}
