package exporter

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/templates"
)

func TestMessages(t *testing.T) {
	type batch struct {
		domain uint32
		n      int
		record templates.Record
	}
	for _, tc := range []struct {
		name    string
		cfg     Config
		batches []batch
		want    []string
	}{
		{"one record", Config{}, []batch{{7, 1, v4}}, []string{"domain 7 seq 0: templates 256 257 256x1"}},
		{"23 IPv4 records fill a message, 20 beside the templates", Config{}, []batch{{7, 45, v4}}, []string{
			"domain 7 seq 0: templates 256 257 256x20",
			"domain 7 seq 20: 256x23",
			"domain 7 seq 43: 256x2",
		}},
		{"16 IPv6 records fill a message", Config{}, []batch{{7, 32, v6}}, []string{
			"domain 7 seq 0: templates 256 257 257x14",
			"domain 7 seq 14: 257x16",
			"domain 7 seq 30: 257x2",
		}},
		{"families share a message", Config{}, []batch{{7, 2, v4}, {7, 1, v6}, {7, 3, v4}}, []string{
			"domain 7 seq 0: templates 256 257 256x2 257x1 256x3",
		}},
		{"domains do not share a message, and count apart", Config{}, []batch{{1, 2, v4}, {2, 3, v4}, {1, 1, v4}, {2, 1, v6}}, []string{
			"domain 1 seq 0: templates 256 257 256x2",
			"domain 2 seq 0: templates 256 257 256x3",
			"domain 1 seq 2: 256x1",
			"domain 2 seq 3: 257x1",
		}},
		{"64 records at most, however large the message", Config{MaxMessageBytes: 65535}, []batch{{0, 130, v4}}, []string{
			"domain 0 seq 0: templates 256 257 256x64",
			"domain 0 seq 64: 256x64",
			"domain 0 seq 128: 256x2",
		}},
		{"another limit of records", Config{MaxRecords: 2}, []batch{{0, 3, v4}}, []string{
			"domain 0 seq 0: templates 256 257 256x2",
			"domain 0 seq 2: 256x1",
		}},
		{"the smallest message", Config{MaxMessageBytes: 300}, []batch{{0, 3, v6}}, []string{
			"domain 0 seq 0: templates 256 257 257x1",
			"domain 0 seq 1: 257x2",
		}},
		{"a set of another family fits with its header", Config{MaxMessageBytes: 360}, []batch{{0, 2, v4}, {0, 1, v6}}, []string{
			"domain 0 seq 0: templates 256 257 256x2 257x1",
		}},
		{"a set of another family does not fit with its header", Config{MaxMessageBytes: 359}, []batch{{0, 2, v4}, {0, 1, v6}}, []string{
			"domain 0 seq 0: templates 256 257 256x2",
			"domain 0 seq 2: 257x1",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, f := fakeSession(t, tc.cfg)
			total := 0
			for _, b := range tc.batches {
				export(t, s, b.domain, b.n, b.record)
				total += b.n
			}
			flush(t, s)
			flush(t, s) // nothing more
			if diff := cmp.Diff(tc.want, outlines(t, f.messages)); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			bytes := 0
			for _, m := range f.messages {
				bytes += len(m)
				if limit := max(tc.cfg.MaxMessageBytes, DefaultMaxMessageBytes); len(m) > limit {
					t.Errorf("message of %d octets, limit %d", len(m), limit)
				}
			}
			want := Stats{Records: uint64(total), Messages: uint64(len(f.messages)), Bytes: uint64(bytes), Templates: uint64(2 * strings.Count(strings.Join(tc.want, ""), "templates"))}
			if diff := cmp.Diff(want, s.Stats()); diff != "" {
				t.Errorf("stats (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExportTimeIsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := fakeSession(t, Config{})
		export(t, s, 1, 1, v4)
		time.Sleep(90 * time.Second) // as a rate limit would
		flush(t, s)
		if got, want := binary.BigEndian.Uint32(f.messages[0][4:]), uint32(time.Now().Unix()); got != want {
			t.Errorf("export time %d, want %d", got, want)
		}
	})
}

func TestTemplatesAreRepeated(t *testing.T) {
	for _, repeat := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s, f := fakeSession(t, Config{TemplateRefresh: time.Minute})
			f.repeat = repeat
			send := func(domain uint32) {
				export(t, s, domain, 1, v4)
				flush(t, s)
			}
			send(1)
			time.Sleep(59 * time.Second)
			send(1)
			send(2) // its own first
			time.Sleep(time.Second)
			send(1)
			send(2)
			time.Sleep(10 * time.Minute) // quiet
			send(2)
			send(2)
			repeated := ""
			if repeat {
				repeated = " templates 256 257"
			}
			want := []string{
				"domain 1 seq 0: templates 256 257 256x1",
				"domain 1 seq 1: 256x1",
				"domain 2 seq 0: templates 256 257 256x1",
				"domain 1 seq 2:" + repeated + " 256x1",
				"domain 2 seq 1: 256x1",
				"domain 2 seq 2:" + repeated + " 256x1",
				"domain 2 seq 3: 256x1",
			}
			if diff := cmp.Diff(want, outlines(t, f.messages)); diff != "" {
				t.Errorf("repeat %v: messages (-want +got):\n%s", repeat, diff)
			}
		})
	}
}

func TestSequenceNumberWraps(t *testing.T) {
	s, f := fakeSession(t, Config{})
	export(t, s, 1, 1, v4)
	flush(t, s)
	s.domains[1].sequence = 1<<32 - 2
	export(t, s, 1, 3, v4)
	flush(t, s)
	export(t, s, 1, 1, v4)
	flush(t, s)
	want := []string{
		"domain 1 seq 0: templates 256 257 256x1",
		"domain 1 seq 4294967294: 256x3",
		"domain 1 seq 1: 256x1",
	}
	if diff := cmp.Diff(want, outlines(t, f.messages)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

// TestPacing: the rate holds over time, and no 10 ms carry more than twice their
// share.
func TestPacing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, total = 20_000, 100_000
		s, f := fakeSession(t, Config{Rate: rate})
		begin := time.Now()
		export(t, s, 1, total, v4)
		flush(t, s)
		if took, want := time.Since(begin), total*time.Second/rate; took < want*98/100 || took > want*102/100 {
			t.Errorf("%d records took %v, want %v", total, took, want)
		}
		const window = 10 * time.Millisecond
		first, carried := 0, 0
		for i, m := range f.messages {
			carried += records(t, m)
			for f.times[i].Sub(f.times[first]) >= window {
				carried -= records(t, f.messages[first])
				first++
			}
			if share := rate * int(window) / int(time.Second); carried > 2*share {
				t.Fatalf("%d records within %v before %v, want at most %d", carried, window, f.times[i].Sub(begin), 2*share)
			}
		}
	})
}

// records returns the number of data records of a message of IPv4 flows.
func records(t *testing.T, m []byte) int {
	t.Helper()
	n := len(m) - 16
	if binary.BigEndian.Uint16(m[16:]) == 2 {
		n -= int(binary.BigEndian.Uint16(m[18:]))
	}
	return (n - 4) / 60
}

func TestPacingEndsWithTheContext(t *testing.T) {
	s, _ := fakeSession(t, Config{Rate: 100})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	var err error
	for i := 0; i < 1000 && err == nil; i++ {
		err = s.Export(ctx, 1, &v4)
	}
	if !errors.Is(err, cause) {
		t.Errorf("Export = %v, want %v", err, cause)
	}
}

func TestWhatWasNotSentIsNotCounted(t *testing.T) {
	s, f := fakeSession(t, Config{})
	export(t, s, 1, 5, v4)
	flush(t, s)
	f.err = errors.New("gone")
	export(t, s, 1, 3, v4)
	if err := s.Flush(t.Context()); !errors.Is(err, f.err) {
		t.Errorf("Flush = %v, want %v", err, f.err)
	}
	if got := s.Stats(); got.Records != 5 || got.Messages != 1 {
		t.Errorf("stats %+v, want 5 records in 1 message", got)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{MaxMessageBytes: 103}, "max message bytes: want 104 to 65535, got 103"},
		{Config{MaxMessageBytes: 65536}, "max message bytes: want 104 to 65535, got 65536"},
		{Config{MaxRecords: -1}, "max records: want 1 or more, got -1"},
		{Config{Rate: -1}, "rate: want 0 (no limit) or more records/s, got -1"},
	} {
		tc.cfg.Templates, tc.cfg.URL = generic(t), "file:-"
		if _, err := New(t.Context(), tc.cfg); err == nil || err.Error() != tc.want {
			t.Errorf("New = %v, want %s", err, tc.want)
		}
	}
}

func TestExportDoesNotAllocate(t *testing.T) {
	for _, way := range []way{{"file:/dev/null", 0}, {"udp", 0}, {"udp", 1_000_000}} {
		t.Run(way.String(), func(t *testing.T) {
			s := timedSession(t, way)
			export(t, s, 1, 100, v4)
			batch := func() {
				export(t, s, 1, 500, v4)
				export(t, s, 1, 500, v6)
			}
			batch()
			if n := testing.AllocsPerRun(20, batch); n != 0 {
				t.Errorf("1000 records take %v allocations, want none", n)
			}
		})
	}
}

// way is how records are sent, and at which rate.
type way struct {
	url  string
	rate int
}

func (w way) String() string {
	if w.rate > 0 {
		return w.url + " paced"
	}
	return w.url
}

// timedSession is a session with somebody who takes everything as fast as it comes.
func timedSession(tb testing.TB, w way) *Session {
	tb.Helper()
	s, err := New(tb.Context(), Config{URL: greedy(tb, w.url), Templates: generic(tb), Rate: w.rate})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func BenchmarkExport(b *testing.B) {
	for _, way := range []way{{"file:/dev/null", 0}, {"udp", 0}, {"udp", 100_000_000}, {"tcp", 0}} {
		b.Run(way.String(), func(b *testing.B) {
			s := timedSession(b, way)
			b.SetBytes(60)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Export(b.Context(), 1, &v4); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
