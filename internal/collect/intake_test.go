package collect

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"runtime"
	"testing"

	"golang.org/x/sync/errgroup"
)

// While the sink is busy, datagrams wait in the intake and not in the kernel.
func TestSlowSink(t *testing.T) {
	c, err := Listen(t.Context(), "udp://127.0.0.1:0", Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	in := newIntake()
	var g errgroup.Group
	g.Go(func() error { return c.source.read(ctx, in) })
	conn := dial(t, c)
	const datagrams, burst = 2000, 50 // a burst fits into any kernel's buffer, all of them do not
	message := ipfixMessage(0, 7, set(2, core4), set(256, bytes.Repeat(web.record(), 20)))
	for i := range datagrams {
		send(t, conn, message)
		for (i+1)%burst == 0 && len(in.queue) <= i && ctx.Err() == nil {
			runtime.Gosched()
		}
	}
	// The reading ends; what waits is still decoded, and flushed once.
	cancel()
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	close(in.queue)
	var sink flushes
	if err := c.consume(in, &sink); err != nil {
		t.Error(err)
	}
	if sink.writes != 20*datagrams || sink.count > 2 {
		t.Errorf("%d records, %d flushes", sink.writes, sink.count)
	}
}

// A full intake makes the reader wait, and lets it go when the collector ends.
func TestIntakeIsBounded(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	in := newIntake()
	big := make([]byte, MaxMessageBytes)
	for range maxQueuedBytes / len(big) {
		if err := in.message(ctx, nil, netip.AddrPort{}, big); err != nil {
			t.Fatal(err)
		}
	}
	if in.budget.TryAcquire(int64(len(big))) {
		t.Fatal("there is room for one more")
	}
	var g errgroup.Group
	g.Go(func() error { return in.message(ctx, nil, netip.AddrPort{}, big) })
	in.release(<-in.queue)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	g.Go(func() error { return in.message(ctx, nil, netip.AddrPort{}, big) })
	cancel()
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
