package exporter

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// keptRecords is how many records a stream keeps at most in so many bytes: what
// one death of a collector may make come again.
func keptRecords(bytes int) int { return bytes / 60 }

// TestStreamTCPKilled: a collector is killed in the midst of a stream, again and
// again, and nothing is lost.
func TestStreamTCPKilled(t *testing.T) {
	for name, linger := range map[string]int{"reset": 0, "closed": -1} {
		t.Run(name, func(t *testing.T) {
			c := startCollector(t, nil)
			s := openStream(t, Config{URL: "tcp://" + c.address, MaxKeptBytes: 1 << 20, pace: quick})
			const each, rounds = 40_000, 4
			for i := range rounds {
				exportNumbered(t, s, i*each+1, (i+1)*each)
				awaitState(t, s, "connected", isConnected)
				if i == rounds-1 {
					break
				}
				c.ledger.await(t, i*each+each/2)
				c.kill(linger)
				c.start()
			}
			drain(t, s, rounds*each)
			c.ledger.await(t, rounds*each)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			c.kill(0)
			c.ledger.check(t, rounds*each, (rounds-1)*keptRecords(1<<20))
			st := s.Stats()
			if st.Records != rounds*each || st.Reconnects == 0 || st.Connected {
				t.Errorf("stats %+v, want %d records and at least a reconnect", st, rounds*each)
			}
			if _, repeated := c.ledger.count(); uint64(repeated) > st.ResentRecords {
				t.Errorf("%d records came again, stats say %d", repeated, st.ResentRecords)
			}
		})
	}
}

// slowConn is read at a limited rate, a little at a time, so that the kernel's
// buffer before it is full.
type slowConn struct {
	net.Conn
	limiter *rate.Limiter
}

func (c slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:min(len(b), 1400)])
	if n > 0 {
		_ = c.limiter.WaitN(context.Background(), n)
	}
	return n, err
}

// TestStreamTCPSlowCollectorKilled: what lies unread in a slow collector's kernel
// dies with it, although it was acknowledged long ago.
func TestStreamTCPSlowCollectorKilled(t *testing.T) {
	c := startCollector(t, func(conn net.Conn) net.Conn {
		_ = conn.(*net.TCPConn).SetReadBuffer(1 << 20)
		return slowConn{conn, rate.NewLimiter(4<<20, 1<<14)}
	})
	p := quick
	p.settle = 10 * time.Millisecond // much less than what lies there takes to be read
	s := openStream(t, Config{URL: "tcp://" + c.address, MaxKeptBytes: 4 << 20, pace: p})
	const total, kills = 150_000, 2
	exported, killed := 0, 0
	for exported < total {
		exportNumbered(t, s, exported+1, exported+1000)
		exported += 1000
		if n, _ := c.ledger.count(); killed < kills && n > (killed+1)*total/(kills+2) {
			c.kill(0)
			killed++
			c.start()
		}
	}
	drain(t, s, total)
	c.ledger.await(t, total)
	c.kill(0)
	c.ledger.check(t, total, kills*keptRecords(4<<20))
	if killed != kills {
		t.Errorf("the collector was killed %d times, want %d", killed, kills)
	}
}

func TestStreamTCPNoticesTheEndWithoutWriting(t *testing.T) {
	for name, linger := range map[string]int{"reset": 0, "closed": -1} {
		t.Run(name, func(t *testing.T) {
			c := startCollector(t, nil)
			s := openStream(t, Config{URL: "tcp://" + c.address, pace: quick})
			awaitState(t, s, "connected", isConnected)
			<-c.accepted
			c.kill(linger)
			awaitState(t, s, "lost", func(st StreamStats) bool { return !st.Connected && st.Failures > 0 })
			if st := s.Stats(); st.LastError == nil || hintOf(st.LastError) == "" {
				t.Errorf("last error %v, hint %q", st.LastError, hintOf(st.LastError))
			}
			c.start()
			awaitState(t, s, "connected again", isConnected)
			if st := s.Stats(); st.Reconnects != 1 || st.Connections != 2 {
				t.Errorf("stats %+v, want one reconnect", st)
			}
		})
	}
}

// TestStreamTCPStopsReading: what a collector does not read stays with us, and
// Export waits; when it reads again, all arrives, and once.
func TestStreamTCPStopsReading(t *testing.T) {
	url, accepted := stuckServer(t)
	s := openStream(t, Config{URL: url, MaxKeptBytes: 1 << 20, pace: quick})
	awaitState(t, s, "connected", isConnected)
	conn := <-accepted
	exported := 0
	for {
		r := numbered(uint64(exported + 1))
		ctx, cancel := context.WithTimeout(t.Context(), 5*quick.settle)
		err := s.Export(ctx, 7, &r)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		exported++
		s.Mark(uint64(exported))
	}
	st := s.Stats()
	if !st.Connected || st.KeptBytes > 1<<20 || st.KeptBytes < 1<<19 {
		t.Errorf("stats %+v, want a connection and nearly 1 MiB kept", st)
	}
	if n := st.Unacknowledged; n <= 0 || n > int64(st.KeptBytes) || st.PacingWait != 0 {
		t.Errorf("%d bytes are not acknowledged, %d are kept, %v waited", n, st.KeptBytes, st.PacingWait)
	}
	if id, err := s.Delivered(t.Context()); err != nil || id >= uint64(exported) {
		t.Errorf("Delivered = %d, %v; nobody read that", id, err)
	}
	l := newLedger()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.session(true).stream(conn)
	}()
	drain(t, s, uint64(exported))
	if n := s.Stats().Unacknowledged; n != 0 {
		t.Errorf("%d bytes are not acknowledged when all is delivered", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	<-done
	l.check(t, exported, 0)
}

// TestStreamTCPStuckForGood: a collector that does not read is given up after a
// while, and who comes after it gets everything.
func TestStreamTCPStuckForGood(t *testing.T) {
	c := startCollector(t, nil)
	stuck, accepted := stuckServer(t)
	p := quick
	p.stall = 300 * time.Millisecond
	cfg := Config{URL: stuck, MaxKeptBytes: 1 << 20, pace: p, Templates: generic(t)}
	if err := cfg.setDefaults(); err != nil {
		t.Fatal(err)
	}
	first := true
	s := newStream(cfg, func(ctx context.Context) (link, error) {
		use := cfg
		if !first {
			use.URL = "tcp://" + c.address
		}
		first = false
		return openLink(ctx, &use)
	})
	t.Cleanup(func() { _ = s.Close() })
	awaitState(t, s, "connected", isConnected)
	conn := <-accepted
	defer func() { _ = conn.Close() }()
	const total = 200_000
	exportNumbered(t, s, 1, total)
	drain(t, s, total)
	c.ledger.await(t, total)
	wantHint(t, s.Stats().LastError, "takes no data")
	c.kill(-1)
	c.ledger.check(t, total, 0)
}

func TestStreamExportEndsWithTheContext(t *testing.T) {
	s := openStream(t, Config{URL: "tcp://" + closedPort(t, "tcp"), MaxKeptBytes: 1 << 16, pace: quick})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(cause) })
	var err error
	for err == nil {
		err = s.Export(ctx, 1, &v4)
	}
	if !errors.Is(err, cause) {
		t.Errorf("Export = %v, want %v", err, cause)
	}
	if _, err := s.Drain(ctx); !errors.Is(err, cause) {
		t.Errorf("Drain = %v, want %v", err, cause)
	}
	if st := s.Stats(); !errors.Is(st.LastError, ErrRefused) || st.KeptBytes > 1<<16 {
		t.Errorf("stats %+v, want a refusal, and 64 KiB kept at most", st)
	}
	checkRefused(t, s.Stats().LastError)
}

func TestStreamCloseNeverHangs(t *testing.T) {
	t.Run("nobody there", func(t *testing.T) {
		s := openStream(t, Config{URL: "tcp://" + closedPort(t, "tcp"), pace: quick})
		exportNumbered(t, s, 1, 10)
		checkClosed(t, s)
	})
	t.Run("nobody answers", func(t *testing.T) {
		s := openStream(t, Config{URL: "tcp://192.0.2.1:4739"}) // TEST-NET-1
		exportNumbered(t, s, 1, 10)
		checkClosed(t, s)
	})
	t.Run("nobody reads", func(t *testing.T) {
		url, _ := stuckServer(t)
		s := openStream(t, Config{URL: url, pace: quick})
		awaitState(t, s, "connected", isConnected)
		exportNumbered(t, s, 1, 200_000)
		checkClosed(t, s)
	})
	t.Run("nobody shakes hands", func(t *testing.T) {
		url, accepted := stuckServer(t)
		s := openStream(t, Config{URL: "tls" + url[len("tcp"):], pace: quick})
		exportNumbered(t, s, 1, 10)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn := <-accepted
		defer func() { _ = conn.Close() }()
		checkClosed(t, s)
	})
}

func checkClosed(t *testing.T, s *Stream) {
	t.Helper()
	begin := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("Close took %v", took)
	}
	if err := s.Export(t.Context(), 1, &v4); !errors.Is(err, ErrClosed) {
		t.Errorf("Export = %v, want %v", err, ErrClosed)
	}
	if _, err := s.Delivered(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Delivered = %v, want %v", err, ErrClosed)
	}
}
