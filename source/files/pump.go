package files

import (
	"context"
	"io"
)

// pump reads what may keep its reader waiting for ever, such as a pipe, so that
// the wait ends with a context. Its goroutine then stays in the read until that
// returns: no more can be done about a read of standard input.
type pump struct {
	ctx    context.Context
	r      io.ReadCloser
	filled chan chunk
	empty  chan []byte

	whole, rest []byte
	err         error
}

type chunk struct {
	b   []byte
	err error
}

const pumpBytes = 128 << 10

func newPump(ctx context.Context, r io.ReadCloser) *pump {
	p := &pump{ctx: ctx, r: r, filled: make(chan chunk), empty: make(chan []byte, 2)}
	p.empty <- make([]byte, pumpBytes)
	p.empty <- make([]byte, pumpBytes)
	go p.run()
	return p
}

func (p *pump) run() {
	for {
		var b []byte
		select {
		case b = <-p.empty:
		case <-p.ctx.Done():
			return
		}
		n, err := p.r.Read(b[:pumpBytes])
		select {
		case p.filled <- chunk{b[:n], err}:
		case <-p.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

func (p *pump) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		if p.whole != nil {
			p.empty <- p.whole
			p.whole = nil
		}
		select {
		case c := <-p.filled:
			p.whole, p.rest, p.err = c.b, c.b, c.err
		case <-p.ctx.Done():
			return 0, context.Cause(p.ctx)
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pump) Close() error { return p.r.Close() }
