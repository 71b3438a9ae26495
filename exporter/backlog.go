package exporter

// backlog keeps finished messages until they are delivered, in their order, in
// at most so many bytes, and what was marked to be complete with which of them.
// Messages are numbered from 0.
type backlog struct {
	limit      int
	used       int // bytes, with what keeping them costs
	records    int // of flows, in the messages that are kept
	chunkBytes int

	kept   queue[kept]
	first  uint64 // the number of the oldest that is kept
	chunks queue[chunk]
	free   [][]byte
	open   bool // the last chunk has room that was given out

	marks  queue[mark]
	marked uint64 // the largest id of which all is delivered
}

// kept is a message without templates. Its sequence number and export time are
// those of its last sending.
type kept struct {
	data    []byte
	domain  *domain
	epoch   int64 // as message.Maker.Seal wants it
	records int32 // of flows
	options int32 // options data records
}

// chunk is memory for messages, one behind the other.
type chunk struct {
	buf  []byte
	live int // messages in it, with one that is being made
}

// mark says that id is complete when all messages before number are delivered.
type mark struct{ number, id uint64 }

const (
	minChunk   = 64 << 10
	maxFree    = 4 << 20 // bytes of chunks that are kept for later
	costOfKept = 64      // of a message, beside its octets
)

func newBacklog(limit, maxMessage int) backlog {
	return backlog{limit: limit, chunkBytes: max(minChunk, 4*maxMessage)}
}

// end returns the number of the next message.
func (b *backlog) end() uint64 { return b.first + uint64(b.kept.len()) }

func (b *backlog) message(number uint64) *kept { return b.kept.at(int(number - b.first)) }

// room reports whether a message of n bytes may be begun.
func (b *backlog) room(n int) bool { return b.roomFor(n, 1) }

// roomFor reports whether so many messages of n bytes in all may be.
func (b *backlog) roomFor(n, messages int) bool { return b.used+n+messages*costOfKept <= b.limit }

// begin returns memory for a message of up to n bytes, with that capacity, to be
// handed to finish.
func (b *backlog) begin(n int) []byte {
	last := b.chunks.len() - 1
	if last < 0 || cap(b.chunks.at(last).buf)-len(b.chunks.at(last).buf) < n {
		var buf []byte
		if k := len(b.free) - 1; k >= 0 {
			buf, b.free = b.free[k], b.free[:k]
		} else {
			buf = make([]byte, 0, b.chunkBytes)
		}
		b.chunks.push(chunk{buf: buf})
		last++
	}
	c := b.chunks.at(last)
	c.live++
	b.open = true
	at := len(c.buf)
	return c.buf[at : at : at+n]
}

// finish keeps the message that was begun; its data is in the memory of begin.
func (b *backlog) finish(k kept) {
	c := b.chunks.at(b.chunks.len() - 1)
	c.buf = c.buf[:len(c.buf)+len(k.data)]
	b.open = false
	b.kept.push(k)
	b.used += len(k.data) + costOfKept
	b.records += int(k.records)
}

// drop forgets the messages before number, which are delivered.
func (b *backlog) drop(number uint64) {
	for b.first < number {
		b.used -= len(b.kept.at(0).data) + costOfKept
		b.records -= int(b.kept.at(0).records)
		b.kept.pop()
		b.first++
		c := b.chunks.at(0)
		if c.live--; c.live > 0 {
			continue
		}
		c.buf = c.buf[:0]
		if b.chunks.len() == 1 {
			continue // used again from its beginning
		}
		if len(b.free)*b.chunkBytes < maxFree {
			b.free = append(b.free, c.buf)
		}
		b.chunks.pop()
	}
	for b.marks.len() > 0 && b.marks.at(0).number <= b.first {
		b.marked = b.marks.at(0).id
		b.marks.pop()
	}
}

// mark says that id is complete with what there is so far, and the message that
// is being made.
func (b *backlog) mark(id uint64) {
	number := b.end()
	if b.open {
		number++
	}
	switch last := b.marks.len() - 1; {
	case number <= b.first:
		b.marked = id
	case last >= 0 && b.marks.at(last).number == number:
		b.marks.at(last).id = id
	default:
		b.marks.push(mark{number, id})
	}
}
