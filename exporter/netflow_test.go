package exporter

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/exporter/message"
	"flow2ipfix/templates"
)

// large is a flow that NetFlow version 5 must split into 41 records.
func large() templates.Record {
	r := v4
	r.Packets, r.Octets = 1_000_000_007, 40*math.MaxUint32+17
	return r
}

// sums returns the packets and octets of messages of NetFlow version 5.
func sums(messages [][]byte) (packets, octets uint64) {
	for _, m := range messages {
		for r := m[24:]; len(r) > 0; r = r[48:] {
			packets += uint64(binary.BigEndian.Uint32(r[16:]))
			octets += uint64(binary.BigEndian.Uint32(r[20:]))
		}
	}
	return packets, octets
}

func TestSessionNetFlow5(t *testing.T) {
	set := newSet(t, templates.Config{Protocol: templates.NetFlow5})
	s, f, c := sessionOf(t, Config{Templates: set, MaxMessageBytes: 1500})
	export(t, s, 0x0102, 35, v4)
	export(t, s, 0xABCD0102, 1, v4) // the same engine
	export(t, s, 0x0203, 1, v4)
	flush(t, s)
	export(t, s, 0x0203, 1, large())
	flush(t, s)
	export(t, s, 0x0203, 1, v4)
	flush(t, s)
	want := []string{
		"engine 258 seq 0: 30 flows",
		"engine 258 seq 30: 6 flows",
		"engine 515 seq 0: 1 flows",
		"engine 515 seq 1: 30 flows",
		"engine 515 seq 31: 11 flows",
		"engine 515 seq 42: 1 flows",
	}
	if diff := cmp.Diff(want, c.readAll(f.messages)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if p, o := sums(f.messages[3:5]); p != large().Packets || o != large().Octets {
		t.Errorf("the parts have %d packets and %d octets, want %d and %d", p, o, large().Packets, large().Octets)
	}
	// The flow's times are of 1970.
	if got, want := s.Stats(), (Stats{Records: 79, Messages: 6, Bytes: 6*24 + 79*48, Clamped: 2 * 39}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	if err := s.Export(t.Context(), 1, &v6); !errors.Is(err, message.ErrIPv6) {
		t.Errorf("Export = %v, want %v", err, message.ErrIPv6)
	}
}

// TestStreamNetFlow5: sequence numbers begin anew with each connection, parts of a
// flow are taken together or not at all, and a flow of IPv6 costs nothing else.
func TestStreamNetFlow5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := newSet(t, templates.Config{Protocol: templates.NetFlow5})
		var links []*fakeLink
		var there atomic.Bool
		s := streamOf(t, Config{Templates: set, MaxMessageBytes: 1500, MaxKeptBytes: 6000}, func(context.Context) (link, error) {
			if !there.Load() {
				return nil, errors.New("not there")
			}
			links = append(links, &fakeLink{repeat: true, wait: 100 * time.Millisecond})
			return links[len(links)-1], nil
		})
		export := func(r templates.Record) error {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return s.Export(ctx, 7, &r)
		}
		if err := export(v6); !errors.Is(err, message.ErrIPv6) {
			t.Errorf("Export = %v, want %v", err, message.ErrIPv6)
		}
		kept := 0
		for {
			err := export(large())
			if errors.Is(err, context.DeadlineExceeded) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			kept++
			s.Mark(uint64(kept))
		}
		if kept != 2 {
			t.Errorf("%d flows of 41 parts are kept, want two", kept)
		}
		there.Store(true)
		time.Sleep(time.Minute)
		settleDown(t, s)
		time.Sleep(time.Second)
		settleDown(t, s)
		c := newReader(t, set)
		want := []string{
			"engine 7 seq 0: 0 flows", // to see whether somebody listens
			"engine 7 seq 0: 30 flows", "engine 7 seq 30: 11 flows",
			"engine 7 seq 41: 30 flows", "engine 7 seq 71: 11 flows",
		}
		if diff := cmp.Diff(want, c.readAll(links[0].messages)); diff != "" {
			t.Errorf("first session (-want +got):\n%s", diff)
		}
		if p, o := sums(links[0].messages); p != 2*large().Packets || o != 2*large().Octets {
			t.Errorf("%d packets and %d octets, want %d and %d", p, o, 2*large().Packets, 2*large().Octets)
		}
		links[0].done = 3 // one and a part
		wantDelivered(t, s, 1)
		links[0].err = errors.New("gone")
		wantDelivered(t, s, 1)
		time.Sleep(10 * time.Second)
		settleDown(t, s)
		time.Sleep(time.Second)
		sendSome(t, s, 3, 3)
		settleDown(t, s)
		c.session()
		if diff := cmp.Diff([]string{"engine 7 seq 0: 0 flows", "engine 7 seq 0: 11 flows", "engine 7 seq 11: 1 flows"}, c.readAll(links[1].messages)); diff != "" {
			t.Errorf("second session (-want +got):\n%s", diff)
		}
		links[1].done = s.backlog.end()
		wantDelivered(t, s, 3)
		if st := s.Stats(); st.Records != 83 || st.ResentRecords != 11 || st.Templates != 0 || st.KeptRecords != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestStreamNetFlow5BestEffort: a flow that is split does not wait for a collector
// that takes nothing.
func TestStreamNetFlow5BestEffort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeLink{}
		s := streamOf(t, Config{Templates: newSet(t, templates.Config{Protocol: templates.NetFlow5}), BestEffort: true, MaxKeptBytes: 6000}, func(context.Context) (link, error) { return f, nil })
		sendSome(t, s, 1, 1)
		settleDown(t, s)
		f.busy = true
		r := large()
		begin := time.Now()
		for err := error(nil); !errors.Is(err, ErrAway); err = s.Export(t.Context(), 1, &r) {
			if took := time.Since(begin); err != nil || took > time.Minute {
				t.Fatalf("Export = %v after %v, want %v", err, took, ErrAway)
			}
		}
	})
}

// TestSequenceOfMessages: NetFlow version 9 counts messages, those of templates
// included, in each domain and connection.
func TestSequenceOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := newSet(t, templates.Config{Protocol: templates.NetFlow9})
		s, f, c := sessionOf(t, Config{Templates: set})
		export(t, s, 7, 60, v4)
		export(t, s, 8, 1, v6)
		export(t, s, 7, 1, v4)
		if err := s.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		export(t, s, 8, 1, v6)
		flush(t, s)
		want := []string{
			"domain 7 seq 0: 2 templates, 23 flows",
			"domain 7 seq 1: 26 flows",
			"domain 7 seq 2: 11 flows",
			"domain 8 seq 0: 2 templates, 1 flows",
			"domain 7 seq 3: 1 flows",
			"domain 8 seq 1: 2 templates, 1 flows",
		}
		if diff := cmp.Diff(want, c.readAll(f.messages)); diff != "" {
			t.Errorf("session (-want +got):\n%s", diff)
		}
		var links []*fakeLink
		stream := streamOf(t, Config{Templates: set}, func(context.Context) (link, error) {
			links = append(links, &fakeLink{repeat: true, wait: 100 * time.Millisecond})
			return links[len(links)-1], nil
		})
		sendSome(t, stream, 1, 30)
		settleDown(t, stream)
		c.session()
		want = []string{"domain 7 seq 0: 2 templates", "domain 7 seq 1: 26 flows", "domain 7 seq 2: 4 flows"}
		if diff := cmp.Diff(want, c.readAll(links[0].messages)); diff != "" {
			t.Errorf("first link (-want +got):\n%s", diff)
		}
		links[0].done = 1
		wantDelivered(t, stream, 26)
		links[0].err = errors.New("gone")
		wantDelivered(t, stream, 26)
		time.Sleep(time.Second)
		settleDown(t, stream)
		time.Sleep(time.Minute) // templates are due once more
		settleDown(t, stream)
		c.session()
		want = []string{"domain 7 seq 0: 2 templates", "domain 7 seq 1: 2 templates", "domain 7 seq 2: 4 flows"}
		if diff := cmp.Diff(want, c.readAll(links[1].messages)); diff != "" {
			t.Errorf("second link (-want +got):\n%s", diff)
		}
	})
}

// TestKeptTimesStayRight: what waited for weeks has the flows' own times when it
// leaves at last.
func TestKeptTimesStayRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fakeLink
		var there atomic.Bool
		s := streamOf(t, Config{Templates: newSet(t, templates.Config{Protocol: templates.NetFlow5})}, func(context.Context) (link, error) {
			if !there.Load() {
				return nil, errors.New("not there")
			}
			f = &fakeLink{all: true}
			return f, nil
		})
		var want []int64
		for range 5 {
			r := v4
			r.End = time.Now().UnixMilli() - 1234
			r.Start = r.End - 60_000
			want = append(want, r.Start, r.End)
			if err := s.Export(t.Context(), 7, &r); err != nil {
				t.Fatal(err)
			}
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * 24 * time.Hour)
		}
		there.Store(true)
		if _, err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, m := range f.messages {
			boot := int64(binary.BigEndian.Uint32(m[8:]))*1000 - int64(binary.BigEndian.Uint32(m[4:]))
			for r := m[24:]; len(r) > 0; r = r[48:] {
				got = append(got, boot+int64(binary.BigEndian.Uint32(r[24:])), boot+int64(binary.BigEndian.Uint32(r[28:])))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("times (-want +got):\n%s", diff)
		}
		if st := s.Stats(); st.Clamped != 0 || st.Records != 5 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestNetFlowOverUDP: real datagrams of either version, also those of a Probe.
func TestNetFlowOverUDP(t *testing.T) {
	for _, protocol := range []templates.Protocol{templates.NetFlow9, templates.NetFlow5} {
		set := newSet(t, templates.Config{Protocol: protocol})
		conn := listenUDP(t)
		receive := func() []byte {
			b := make([]byte, 2000)
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := conn.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			return b[:n]
		}
		cfg := Config{URL: "udp://" + conn.LocalAddr().String(), Templates: set, pace: quick}
		if _, err := Probe(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		want := map[templates.Protocol]string{templates.NetFlow9: "domain 0 seq 0: 2 templates", templates.NetFlow5: "engine 0 seq 0: 0 flows"}[protocol]
		if got := newReader(t, set).read(receive()); got != want {
			t.Errorf("%s: the probe says %q, want %q", protocol, got, want)
		}
		s, err := NewStream(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		const total = 1000
		exportTo := func(n int) {
			r := v4
			r.Octets = uint64(n)
			if err := s.Export(t.Context(), uint32(n/100%2), &r); err != nil {
				t.Fatal(err)
			}
		}
		for n := range total {
			exportTo(n + 1)
		}
		s.Mark(1)
		drain(t, s, 1)
		c := newReader(t, set)
		for c.records < total {
			c.read(receive())
		}
		if len(c.flows) != total {
			t.Errorf("%s: %d flows arrived, want %d", protocol, len(c.flows), total)
		}
	}
}

func TestNetFlowConfigErrors(t *testing.T) {
	v9, v5 := newSet(t, templates.Config{Protocol: templates.NetFlow9}), newSet(t, templates.Config{Protocol: templates.NetFlow5})
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{URL: "tcp://h:1", Templates: v9}, "protocol: want ipfix with tcp, got netflow9, whose messages go by udp:// or dtls:// only: they do not say how long they are"},
		{Config{URL: "tls://h:1", Templates: v5}, "protocol: want ipfix with tls, got netflow5, whose messages go by udp:// or dtls:// only: they do not say how long they are"},
		{Config{URL: "file:x", Templates: v9}, "protocol: want ipfix with file, got netflow9, whose messages go by udp:// or dtls:// only: they do not say how long they are"},
		{Config{URL: "udp://h:1", Templates: v5, MaxMessageBytes: 71}, "max message bytes: want 72 to 65535, got 71"},
		{Config{URL: "udp://h:1", Templates: v9, MaxMessageBytes: 99}, "max message bytes: want 100 to 65535, got 99"},
		{Config{URL: "udp://h:1", Templates: v5, MaxMessageBytes: 72, MaxKeptBytes: 8703}, "max kept bytes: want at least four messages, 8704, got 8703"},
	} {
		if _, err := NewStream(tc.cfg); err == nil || err.Error() != tc.want {
			t.Errorf("NewStream = %v\nwant %s", err, tc.want)
		}
	}
	if s, err := NewStream(Config{URL: "dtls://h:1", Templates: v9}); err != nil {
		t.Errorf("NewStream = %v", err)
	} else if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestNetFlowDoesNotAllocate: neither version takes memory for a record.
func TestNetFlowDoesNotAllocate(t *testing.T) {
	for _, protocol := range []templates.Protocol{templates.NetFlow9, templates.NetFlow5} {
		set := newSet(t, templates.Config{Protocol: protocol})
		conn := listenUDP(t)
		s, err := New(t.Context(), Config{URL: "udp://" + conn.LocalAddr().String(), Templates: set})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		export(t, s, 1, 2000, v4)
		if n := testing.AllocsPerRun(20, func() { export(t, s, 1, 1000, v4) }); n != 0 {
			t.Errorf("%s: 1000 records take %v allocations, want none", protocol, n)
		}
		stream, err := NewStream(Config{URL: "udp://" + conn.LocalAddr().String(), Templates: set, pace: quick})
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		for i := range 300 {
			streamThousand(t, stream, uint64(i+1))
		}
		id := uint64(300)
		if n := testing.AllocsPerRun(20, func() { id++; streamThousand(t, stream, id) }); n != 0 {
			t.Errorf("%s: 1000 records of a stream take %v allocations, want none", protocol, n)
		}
	}
}

func streamThousand(t *testing.T, s *Stream, id uint64) {
	t.Helper()
	for range 1000 {
		if err := s.Export(t.Context(), 1, &v4); err != nil {
			t.Fatal(err)
		}
	}
	s.Mark(id)
	if _, err := s.Delivered(t.Context()); err != nil {
		t.Fatal(err)
	}
}
