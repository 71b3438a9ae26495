package exporter

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveTLS returns what makes a collector speak TLS.
func serveTLS(conf *tls.Config) func(net.Conn) net.Conn {
	return func(c net.Conn) net.Conn { return tls.Server(c, conf) }
}

// mutual is a collector's configuration that asks for certificates of an
// authority.
func mutual(own tls.Certificate, clients *authority) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.pool()}
}

func TestStreamTLSKilled(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			dir, ca := t.TempDir(), newAuthority(t)
			conf := mutual(ca.sign("127.0.0.1", time.Hour), ca)
			conf.MaxVersion = version
			c := startCollector(t, serveTLS(conf))
			cfg := Config{URL: "tls://" + c.address, MaxKeptBytes: 1 << 19, pace: quick}
			cfg.TLS.CAFile = writeAuthority(t, filepath.Join(dir, "ca.pem"), ca)
			writePair(t, dir, ca.sign("flow2ipfix", time.Hour), &cfg.TLS)
			s := openStream(t, cfg)
			const each, rounds = 20_000, 3
			for i := range rounds {
				exportNumbered(t, s, i*each+1, (i+1)*each)
				awaitState(t, s, "connected", isConnected)
				if i == rounds-1 {
					break
				}
				c.ledger.await(t, i*each+each/2)
				c.kill(-i) // once each way
				c.start()
			}
			drain(t, s, rounds*each)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			c.ledger.await(t, rounds*each)
			c.kill(0)
			c.ledger.check(t, rounds*each, (rounds-1)*keptRecords(1<<19))
		})
	}
}

// TestStreamTLSTrust: each way in which two sides may not trust each other is
// told apart, and said with what to do.
func TestStreamTLSTrust(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	own := ca.sign("127.0.0.1", time.Hour)
	for _, tc := range []struct {
		name   string
		server *tls.Config
		client func(t *testing.T, dir string, c *TLS)
		hint   string // "": it connects
	}{
		{"as it should be", &tls.Config{Certificates: []tls.Certificate{own}}, nil, ""},
		{"another name, given", &tls.Config{Certificates: []tls.Certificate{ca.sign("collector.example", time.Hour)}}, func(_ *testing.T, _ string, c *TLS) {
			c.ServerName = "collector.example"
		}, ""},
		{"unknown authority", &tls.Config{Certificates: []tls.Certificate{other.sign("127.0.0.1", time.Hour)}}, nil, "the CA file must hold"},
		{"wrong name", &tls.Config{Certificates: []tls.Certificate{ca.sign("collector.example", time.Hour)}}, nil, "the server name must be one that the collector's certificate is for: collector.example"},
		{"expired", &tls.Config{Certificates: []tls.Certificate{ca.sign("127.0.0.1", 3*time.Hour)}}, nil, "renew it"},
		{"too old for us", &tls.Config{Certificates: []tls.Certificate{own}, MaxVersion: tls.VersionTLS12}, func(_ *testing.T, _ string, c *TLS) {
			c.MinVersion = "1.3"
		}, "share no TLS version"},
		{"too old by default", &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, nil, "share no TLS version"},
		{"no certificate of ours", mutual(own, ca), nil, "wants a client certificate"},
		{"no certificate of ours, TLS 1.2", func() *tls.Config {
			c := mutual(own, ca)
			c.MaxVersion = tls.VersionTLS12
			return c
		}(), nil, "may want a client certificate"},
		{"a foreign certificate of ours", mutual(own, ca), func(t *testing.T, dir string, c *TLS) {
			writePair(t, dir, other.sign("flow2ipfix", time.Hour), c)
		}, "does not accept our client certificate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := startCollector(t, serveTLS(tc.server))
			cfg := Config{URL: "tls://" + c.address, pace: quick}
			cfg.TLS.CAFile = writeAuthority(t, filepath.Join(t.TempDir(), "ca.pem"), ca)
			if tc.client != nil {
				tc.client(t, t.TempDir(), &cfg.TLS)
			}
			s := openStream(t, cfg)
			exportNumbered(t, s, 1, 10)
			if tc.hint == "" {
				drain(t, s, 10)
				c.ledger.await(t, 10)
				return
			}
			awaitState(t, s, "failed", func(st StreamStats) bool { return st.Failures > 0 })
			wantHint(t, s.Stats().LastError, tc.hint)
			if id, _ := s.Delivered(t.Context()); id != 0 {
				t.Errorf("%d is delivered", id)
			}
		})
	}
}

func TestStreamTLSWithoutTLS(t *testing.T) {
	url, accepted := stuckServer(t)
	s := openStream(t, Config{URL: "tls" + url[len("tcp"):], pace: quick})
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := <-accepted
	if _, err := io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	awaitState(t, s, "failed", func(st StreamStats) bool { return st.Failures > 0 })
	wantHint(t, s.Stats().LastError, "does not speak TLS at that port")
	_ = conn.Close()
}

// TestStreamTLSFilesExchanged: the files are read again for each connection.
func TestStreamTLSFilesExchanged(t *testing.T) {
	dir, before, after := t.TempDir(), newAuthority(t), newAuthority(t)
	c := startCollector(t, serveTLS(mutual(before.sign("127.0.0.1", time.Hour), before)))
	cfg := Config{URL: "tls://" + c.address, pace: quick}
	path := filepath.Join(dir, "ca.pem")
	cfg.TLS.CAFile = writeAuthority(t, path, before)
	writePair(t, dir, before.sign("flow2ipfix", time.Hour), &cfg.TLS)
	s := openStream(t, cfg)
	exportNumbered(t, s, 1, 10)
	drain(t, s, 10)

	c.kill(-1)
	c.secure = serveTLS(mutual(after.sign("127.0.0.1", time.Hour), after))
	c.start()
	awaitState(t, s, "distrust", func(st StreamStats) bool { return strings.Contains(hintOf(st.LastError), "CA file must hold") })
	writeAuthority(t, path, after)
	awaitState(t, s, "no trust in us", func(st StreamStats) bool {
		return strings.Contains(hintOf(st.LastError), "does not accept our client certificate")
	})
	writePEM(t, cfg.TLS.CertFile, "CERTIFICATE", []byte("half a file"))
	awaitState(t, s, "a broken file", func(st StreamStats) bool { return strings.Contains(hintOf(st.LastError), "must be a PEM file") })
	writePair(t, dir, after.sign("flow2ipfix", time.Hour), &cfg.TLS)
	exportNumbered(t, s, 11, 20)
	drain(t, s, 20)
	c.ledger.await(t, 20)
	c.kill(0)
	c.ledger.check(t, 20, 10)
}

func TestSessionTLS(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", mutual(ca.sign("127.0.0.1", time.Hour), ca))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	received := make(chan []byte, 1)
	go func() {
		defer close(received)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		b, _ := io.ReadAll(c)
		received <- b
	}()
	cfg := Config{URL: "tls://" + l.Addr().String(), LocalAddress: "127.0.0.2"}
	cfg.TLS.CAFile = writeAuthority(t, filepath.Join(dir, "ca.pem"), ca)
	writePair(t, dir, ca.sign("flow2ipfix", time.Hour), &cfg.TLS)
	s := connect(t, cfg)
	sameRecords(t, s)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.Join(wanted(t), nil), <-received) {
		t.Error("the stream is not the messages one behind the other")
	}
}
