package collect

import (
	"context"
	"net/netip"
	"sync"

	"golang.org/x/sync/semaphore"
)

// What may wait between the readers and a slow sink. 8192 messages of 1400
// octets are some 180 000 records.
const (
	maxQueuedMessages = 8192
	maxQueuedBytes    = 64 << 20
)

// packet is one message on its way from a reader to the decoder, or the news
// that a session is over.
type packet struct {
	session  *session       // nil for datagrams: the decoder keeps their sessions
	exporter netip.AddrPort // of a datagram
	data     []byte         // the message, owned by the packet
	weight   int64          // what it holds of the intake's budget
	end      bool           // the session is over; data is empty
	err      error          // with end: what was wrong, if anything was
}

// intake is the bounded queue between the goroutines that read and the one
// that decodes. A full intake makes the readers wait, so that the kernel's
// buffers fill next.
type intake struct {
	queue  chan *packet
	budget *semaphore.Weighted
	free   sync.Pool
}

func newIntake() *intake {
	return &intake{
		queue:  make(chan *packet, maxQueuedMessages),
		budget: semaphore.NewWeighted(maxQueuedBytes),
		free:   sync.Pool{New: func() any { return new(packet) }},
	}
}

// message queues a copy of data. It waits while the intake is full, and fails
// only when ctx ends.
func (in *intake) message(ctx context.Context, s *session, from netip.AddrPort, data []byte) error {
	weight := int64(len(data))
	if err := in.budget.Acquire(ctx, weight); err != nil {
		return err
	}
	p := in.free.Get().(*packet)
	p.session, p.exporter, p.weight = s, from, weight
	p.data = append(p.data[:0], data...)
	return in.put(ctx, p)
}

// end queues the end of a session, with the reason if it was not a good one.
func (in *intake) end(ctx context.Context, s *session, reason error) error {
	return in.put(ctx, &packet{session: s, end: true, err: reason})
}

func (in *intake) put(ctx context.Context, p *packet) error {
	select {
	case in.queue <- p:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release gives a decoded packet's memory back.
func (in *intake) release(p *packet) {
	in.budget.Release(p.weight)
	*p = packet{data: p.data[:0]}
	in.free.Put(p)
}
