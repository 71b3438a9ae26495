package collect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
)

// limit is how long a test may wait for what should come at once.
const limit = 20 * time.Second

// running is a collector in a goroutine, with what it says on channels.
type running struct {
	*Collector
	records chan string // as JSON, without the line's end
	errors  chan error
	stop    context.CancelFunc
	done    errgroup.Group
}

// run starts a collector on a URL.
func run(t *testing.T, url string) *running {
	t.Helper()
	r := &running{records: make(chan string, 1000), errors: make(chan error, 1000)}
	c, err := Listen(t.Context(), url, Options{OnError: func(err error) { r.errors <- err }})
	if err != nil {
		t.Fatal(err)
	}
	r.Collector = c
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	r.stop = cancel
	r.done.Go(func() error {
		return c.Run(ctx, SinkFunc(func(rec *Record) error {
			var buf bytes.Buffer
			j := NewJSON(&buf)
			if err := errors.Join(j.Write(rec), j.Flush()); err != nil {
				return err
			}
			r.records <- strings.TrimSuffix(buf.String(), "\n")
			return nil
		}))
	})
	t.Cleanup(cancel)
	return r
}

// end stops a collector and waits for it.
func (r *running) end(t *testing.T) Stats {
	t.Helper()
	r.stop()
	if err := r.done.Wait(); err != nil {
		t.Error(err)
	}
	return r.Stats()
}

func next[T any](t *testing.T, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(limit):
		t.Fatal("nothing came")
	}
	return v
}

func dial(t *testing.T, c *Collector) net.Conn {
	t.Helper()
	network, address, _ := strings.Cut(c.URL(), "://")
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func send(t *testing.T, conn net.Conn, messages ...[]byte) {
	t.Helper()
	for _, m := range messages {
		if _, err := conn.Write(m); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUDP(t *testing.T) {
	c := run(t, "udp://127.0.0.1:0")
	if !strings.HasPrefix(c.URL(), "udp://127.0.0.1:") || strings.HasSuffix(c.URL(), ":0") {
		t.Fatalf("url %s", c.URL())
	}
	a, b := dial(t, c.Collector), dial(t, c.Collector)
	flow := set(256, web.record())

	send(t, a, ipfixMessage(0, 7, set(2, core4), flow))
	want := strings.Replace(prefix, "192.0.2.1:4739", a.LocalAddr().String(), 1) + `"domain":7,"sequence":0,` + webLine
	if got := next(t, c.records); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// Another port is another exporter, without templates.
	send(t, b, ipfixMessage(0, 7, flow))
	if err := next(t, c.errors); !errors.Is(err, ErrNoTemplate) || !strings.Contains(err.Error(), b.LocalAddr().String()) {
		t.Error(err)
	}
	// Rubbish does not stop it; 20 records are missing.
	send(t, b, []byte("GET / HTTP/1.1\r\n\r\n"))
	if err := next(t, c.errors); !strings.Contains(err.Error(), "version 18245") {
		t.Error(err)
	}
	send(t, a, ipfixMessage(21, 7, flow))
	next(t, c.records)
	send(t, b, netflow5Message(9, 1))
	next(t, c.records)
	send(t, b, netflow9Message(0, 7, 2, set(0, core4), flow))
	next(t, c.records)

	got := c.end(t)
	size := uint64(2*(16+4+60) + 4 + len(core4) + 80 + 18 + 72 + 20 + 4 + len(core4) + 64)
	if diff := cmp.Diff(Stats{
		Sessions: 2, Messages: 6, Bytes: size, DataRecords: 4, Templates: 2,
		MissingTemplate: 1, SequenceGaps: 20, DecodeErrors: 1,
	}, got); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestTCP(t *testing.T) {
	c := run(t, "tcp://127.0.0.1:0")
	a, b := dial(t, c.Collector), dial(t, c.Collector)
	flow := set(256, web.record())

	// Byte by byte, two messages.
	whole := append(ipfixMessage(0, 7, set(2, core4)), ipfixMessage(0, 7, flow)...)
	for i := range whole {
		send(t, a, whole[i:i+1])
	}
	if got := next(t, c.records); !strings.Contains(got, webLine) {
		t.Error(got)
	}
	// A connection has templates and sequence numbers of its own.
	send(t, b, append(ipfixMessage(50, 7, set(2, templateRecord(256, spec{4, 1}))), ipfixMessage(50, 7, set(256, uint8(6)))...))
	if got, want := next(t, c.records), `{"protocolIdentifier":6}}`; !strings.HasSuffix(got, want) {
		t.Error(got)
	}
	// A bad set costs the set, a bad frame the connection.
	send(t, b, append(ipfixMessage(51, 7, set(9)), ipfixMessage(53, 7, set(256, uint8(17)))...))
	if err := next(t, c.errors); !strings.Contains(err.Error(), "set id 9 is reserved") {
		t.Error(err)
	}
	next(t, c.records)
	send(t, b, netflow9Message(0, 7, 0))
	if err := next(t, c.errors); !errors.Is(err, errFrame) {
		t.Error(err)
	}
	if _, err := b.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	send(t, a, ipfixMessage(1, 7, flow))
	next(t, c.records)
	// The end of a connection inside a message is an error, after one it is not.
	send(t, a, ipfixMessage(2, 7, flow)[:30])
	a.Close()
	if err := next(t, c.errors); !strings.Contains(err.Error(), "30 of the 80 bytes of the message at byte") {
		t.Error(err)
	}
	d := dial(t, c.Collector)
	send(t, d, ipfixMessage(0, 7, set(2, core4), flow))
	next(t, c.records)
	d.Close()

	got := c.end(t)
	got.Bytes = 0
	if diff := cmp.Diff(Stats{
		Sessions: 3, Messages: 8, DataRecords: 5, Templates: 3, SequenceGaps: 2, DecodeErrors: 3,
	}, got); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
}

func TestTCPConnectionLimit(t *testing.T) {
	c := run(t, "tcp://127.0.0.1:0")
	message := ipfixMessage(0, 7, set(2, core4), set(256, web.record()))
	for range maxConnections {
		send(t, dial(t, c.Collector), message)
	}
	for range maxConnections {
		next(t, c.records)
	}
	if _, err := dial(t, c.Collector).Read(make([]byte, 1)); err == nil {
		t.Error("one connection too many is open")
	}
	if got := c.end(t); got.RefusedConnections != 1 || got.Sessions != maxConnections {
		t.Errorf("stats %+v", got)
	}
}

func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "flows.ipfix")
	whole := bytes.Join([][]byte{
		ipfixMessage(0, 7, set(2, core4)), ipfixMessage(0, 7, set(256, web.record())), ipfixMessage(1, 7, set(256, web.record())),
	}, nil)
	for _, tc := range []struct {
		name    string
		content []byte
		records int
		want    string // in the error
	}{
		{"whole", whole, 2, ""},
		{"empty", nil, 0, ""},
		{"cut short", whole[:len(whole)-1], 1, "stream ends after 79 of the 80 bytes of the message at byte 164"},
		{"cut inside a header", whole[:len(whole)-77], 1, "stream ends inside a message header at byte 164"},
		{"something else", []byte("hello, world"), 0, "message at byte 0 has version 26725, want 10 (IPFIX)"},
		{"length", cat(whole, uint16(10), uint16(15)), 2, "message at byte 244 says it is 15 bytes long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := os.WriteFile(name, tc.content, 0o600); err != nil {
				t.Fatal(err)
			}
			c := run(t, "file:"+name)
			err := c.done.Wait()
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if len(c.records) != tc.records {
				t.Errorf("%d records, want %d", len(c.records), tc.records)
			}
			if tc.records > 0 {
				if got := <-c.records; !strings.HasPrefix(got, `{"exporter":"file:`+name+`"`) {
					t.Error(got)
				}
			}
			if got := c.Stats().DecodeErrors; (got == 1) != (tc.want != "") {
				t.Errorf("%d decode errors", got)
			}
		})
	}
}

func TestStandardInput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func(old *os.File) { os.Stdin = old }(os.Stdin)
	os.Stdin = r
	c := run(t, "file:-")
	if _, err := w.Write(ipfixMessage(0, 7, set(2, core4), set(256, web.record()))); err != nil {
		t.Fatal(err)
	}
	if got := next(t, c.records); !strings.HasPrefix(got, `{"exporter":"file:standard input"`) {
		t.Error(got)
	}
	// It ends although the input is silent and open.
	c.end(t)
	w.Close() // ends the goroutine that stayed in read
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	for url, want := range map[string]string{
		"":                      `listen on "": wrong URL: unknown scheme: want udp://HOST:PORT`,
		"127.0.0.1:4739":        "unknown scheme",
		"sctp://127.0.0.1:4739": "unknown scheme",
		"tls://127.0.0.1:4740":  "tls is not supported yet: want udp://HOST:PORT, tcp://HOST:PORT, file:PATH",
		"dtls://127.0.0.1:4740": "dtls is not supported yet",
		"udp:127.0.0.1:4739":    "want udp://HOST:PORT",
		"udp://127.0.0.1":       "want a host and a port, like udp://127.0.0.1:4739",
		"tcp://127.0.0.1:x":     "x",
		"file:":                 "want udp://HOST:PORT",
		"file:" + dir:           "it is a directory",
		"file:" + dir + "/none": "no such file",
	} {
		c, err := Listen(t.Context(), url, Options{})
		if err == nil {
			c.Close()
			t.Errorf("%q: no error", url)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, want %q in it", url, err, want)
		}
	}
}

func TestRunOnce(t *testing.T) {
	c := run(t, "udp://127.0.0.1:0")
	c.end(t)
	if err := c.Run(t.Context(), SinkFunc(nil)); err == nil {
		t.Error("it ran twice")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// flushes is a sink that fails as it is told.
type flushes struct {
	writeErr, flushErr error
	writes, count      int
}

func (f *flushes) Write(*Record) error { f.writes++; return f.writeErr }
func (f *flushes) Flush() error        { f.count++; return f.flushErr }

func TestSinkEnds(t *testing.T) {
	name := filepath.Join(t.TempDir(), "flows.ipfix")
	message := ipfixMessage(0, 7, set(2, core4), set(256, web.record(), web.record()))
	if err := os.WriteFile(name, bytes.Repeat(message, 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		sink flushes
		want error
	}{
		{"stop", flushes{writeErr: ErrStop}, nil},
		{"write error", flushes{writeErr: io.ErrShortWrite}, io.ErrShortWrite},
		{"flush error", flushes{writeErr: ErrStop, flushErr: io.ErrShortWrite}, io.ErrShortWrite},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Listen(t.Context(), "file:"+name, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Run(t.Context(), &tc.sink); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
			if tc.sink.writes != 1 || tc.sink.count != 1 {
				t.Errorf("%d writes, %d flushes", tc.sink.writes, tc.sink.count)
			}
			if got := c.Stats().DataRecords; got != 1 {
				t.Errorf("%d records counted", got)
			}
		})
	}
}
