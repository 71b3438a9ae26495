package exporter

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestProbe: a probe says how far it came, and leaves nothing behind; that it
// leaves no goroutine is TestMain's to see.
func TestProbe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for _, url := range []string{"tcp://" + l.Addr().String(), "udp://" + u.LocalAddr().String()} {
		r, err := Probe(t.Context(), Config{URL: url, Templates: generic(t)})
		if err != nil || r.Remote == "" || r.Local == "" || r.Certificate != nil {
			t.Errorf("%s: got %+v, %v", url, r, err)
		}
	}
	for _, url := range []string{"tcp://127.0.0.1:1", "udp://127.0.0.1:1", "tls://127.0.0.1:1", "dtls://127.0.0.1:1"} {
		r, err := Probe(t.Context(), Config{URL: url, Templates: generic(t)})
		var worded *Error
		if !errors.Is(err, ErrRefused) || !errors.As(err, &worded) || worded.Hint == "" {
			t.Errorf("%s: got %+v, %v", url, r, err)
		}
	}
	// A handshake that nobody answers ends with the context.
	for _, url := range []string{"tls://" + l.Addr().String(), "dtls://" + u.LocalAddr().String()} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if r, err := Probe(ctx, Config{URL: url, Templates: generic(t)}); err == nil || ctx.Err() == nil {
			t.Errorf("%s: got %+v, %v", url, r, err)
		}
		cancel()
	}
}

func TestProbeFile(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	ipfix := []byte{0, 10, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10} // a message, and what a crash left
	for name, content := range map[string][]byte{"flows": ipfix, "empty": nil, "notes": []byte("buy some milk, and bread")} {
		if err := os.WriteFile(in(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, ok := range map[string]bool{
		in("flows"): true, in("empty"): true, in("new"): true, "/dev/null": true, "-": true,
		in("notes"): false, in("none/new"): false, dir: false, in("flows/new"): false,
	} {
		_, err := Probe(t.Context(), Config{URL: "file:" + path, Templates: generic(t)})
		if (err == nil) != ok {
			t.Errorf("%s: got %v", path, err)
		}
	}
	if now, err := os.ReadFile(in("flows")); err != nil || string(now) != string(ipfix) {
		t.Errorf("the file was changed: % x, %v", now, err)
	}
	if _, err := os.Stat(in("new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was made: %v", err)
	}
}
