package flowlog

import (
	"errors"
	"fmt"
	"io"
)

// Options bound and observe a Decoder.
type Options struct {
	// MaxRecordBytes is the largest record that is decoded; a larger one is
	// rejected without being held. 0 means 32 MiB.
	MaxRecordBytes int
	// Growing says that the input is a stretch of a blob that Azure still
	// writes: a record that the input ends in is not rejected but left for
	// the next read (Next returns ErrUnfinished); the blob's closing brackets
	// must not be part of the input. Without it the input is taken for complete
	// and such a record is rejected as Truncated.
	Growing bool
	// OnReject is called for each rejected piece, in the order of the blob
	// within a record, once it is certain that the record will not be read
	// again. May be nil.
	OnReject func(Reject)
}

// DefaultMaxRecordBytes is the limit for Options.MaxRecordBytes of 0.
const DefaultMaxRecordBytes = 32 << 20

// ErrUnfinished is returned by Next when a growing input ended inside a record.
// Decoder.Offset is where the next read should begin.
var ErrUnfinished = errors.New("the data end inside a record")

// Decoder reads flow-log records from a stream: a whole blob, or any stretch of
// one that begins between two records (with the comma or without). It accepts
// what stands in the world beside Azure's own layout: white space, a byte order
// mark, bare records, bare arrays, nested wrappers, one record a line.
//
// JSON inside records is read strictly. What cannot be read costs no more than
// itself: see Piece.
//
// A Decoder is not safe for concurrent use. Its memory is bounded by the largest
// record, never by the blob.
type Decoder struct {
	w    window
	opts Options
	in   interner

	batch   *Batch
	rec     Record // the record being read
	pending []span // rejections in it
	stats   Stats
	lost    Stats // of the record being read, added to stats when it is whole

	// resync is set after a syntax error or a torn record, until a whole one
	// comes: what follows is looked through for the beginning of a record.
	resync bool
	offset int64
	tail   [TailBytes]byte // what stands before offset, right-aligned
	tailed int             // how much of it is known
	err    error           // that ended the input
}

// TailBytes is how much Tail returns at most.
const TailBytes = 64

// span is a rejection that waits for the end of its record.
type span struct {
	offset, length int64
	piece          Piece
	reason         Reason
}

// NewDecoder returns a decoder for r, whose first byte stands at the given
// offset of the blob.
func NewDecoder(r io.Reader, offset int64, opts Options) *Decoder {
	d := &Decoder{in: interner{}}
	d.ResetWith(r, offset, opts)
	return d
}

// ResetWith is Reset with other options.
func (d *Decoder) ResetWith(r io.Reader, offset int64, opts Options) {
	if opts.MaxRecordBytes <= 0 {
		opts.MaxRecordBytes = DefaultMaxRecordBytes
	}
	d.opts = opts
	d.w.limit = opts.MaxRecordBytes
	d.Reset(r, offset)
}

// Reset makes the decoder read from r, at the given offset of a blob. Memory is
// kept, counts begin again.
func (d *Decoder) Reset(r io.Reader, offset int64) {
	d.w.reset(r, offset)
	d.offset, d.tailed = offset, 0
	d.stats = Stats{}
	d.resync = false
	d.err = nil
}

// Offset returns the offset in the blob up to which everything is dealt with:
// decoded, or rejected. It lies at the end of a record or of a rejected piece, or
// where the list of records begins; behind the blob's closing brackets only if
// what was rejected reaches to them, so that it stays true while the blob grows.
func (d *Decoder) Offset() int64 { return d.offset }

// Tail returns up to TailBytes of what stands before Offset, as much as is known:
// nothing before the first record, less for a record that is shorter. It lives
// until the next call of Next.
func (d *Decoder) Tail() []byte { return d.tail[TailBytes-d.tailed:] }

func (d *Decoder) dealtWith(offset int64) {
	d.offset = offset
	end := offset - d.w.base
	begin := max(0, end-TailBytes)
	d.tailed = copy(d.tail[TailBytes-(end-begin):], d.w.buf[begin:end])
}

// Buffered returns how many bytes behind the last record are in memory. If it is
// next to nothing, Next may have to wait for the reader.
func (d *Decoder) Buffered() int { return d.w.end - d.w.pos }

// Stats returns what was read since the last Reset, up to Offset.
func (d *Decoder) Stats() Stats { return d.stats }

// Next decodes one record and appends it to b. It returns io.EOF at the end of
// the input, ErrUnfinished if a growing input ended inside a record, or the
// reader's own error, wrapped; in each case b is as it was and Offset is where
// to go on. It returns the same error again until the decoder is reset.
func (d *Decoder) Next(b *Batch) error {
	if d.err != nil {
		return d.err
	}
	d.batch = b
	d.err = d.next()
	if d.err != nil && !errors.Is(d.err, io.EOF) && !errors.Is(d.err, ErrUnfinished) {
		d.err = fmt.Errorf("read flow log at byte %d: %w", d.w.base+int64(d.w.end), d.err)
	}
	return d.err
}

func (d *Decoder) next() error {
	for {
		d.w.keep = d.w.pos
		c, err := d.w.next()
		if err != nil {
			return err
		}
		d.w.keep = d.w.pos
		d.w.dropping = false
		switch c {
		case ',', '[', ']', '}', 0xEF, 0xBB, 0xBF: // separators, ends and the byte order mark
			d.w.pos++
		default:
			done, err := d.item(c)
			if done || err != nil {
				return err
			}
		}
	}
}

// item reads what stands between two separators at the outer levels. It reports
// true if that was a record, which is then in the batch.
func (d *Decoder) item(c byte) (bool, error) {
	flows, groups := d.batch.flows, len(d.batch.groups)
	start := d.w.offset()
	d.rec = Record{Offset: start, first: groups}
	d.pending = d.pending[:0]
	d.lost = Stats{}

	wrapper, err := d.readItem(c)
	switch {
	case err == nil && wrapper:
		d.resync = false
		d.dealtWith(d.w.offset())
		return false, nil
	case err == nil && (d.w.dropping || d.w.offset()-start > int64(d.w.limit)): // a larger one may fit in the window
		d.dropFrom(flows, groups)
		d.rejectItem(start, TooLarge)
		d.dealtWith(d.w.offset())
		return false, nil
	case err == nil && d.rec.Offset < 0: // valid JSON, but not a record
		d.dropFrom(flows, groups)
		d.rejectItem(start, NotRecord)
		d.dealtWith(d.w.offset())
		return false, nil
	case err == nil:
		d.commit()
		return true, nil
	}

	d.dropFrom(flows, groups)
	var syntax *syntaxError
	switch {
	case errors.As(err, &syntax):
		d.w.pos = min(d.w.pos+1, d.w.end) // the faulty byte belongs to it
		d.rejectItem(start, syntax.reason)
		d.resync = true
		return false, d.findRecord()
	case !errors.Is(err, io.EOF):
		return false, err
	case d.opts.Growing:
		return false, ErrUnfinished
	default:
		// It may be a record that was torn long before, which all that follow
		// were taken for parts of.
		d.w.pos = d.w.end
		d.rejectItem(start, Truncated)
		d.resync = true
		return false, d.findRecord()
	}
}

// dropFrom takes back what an item added to the batch.
func (d *Decoder) dropFrom(flows, groups int) {
	d.batch.truncate(flows)
	d.batch.groups = d.batch.groups[:groups]
}

// commit makes the record that was read part of the batch and of the counts.
func (d *Decoder) commit() {
	d.resync = false
	r := &d.rec
	r.End = d.w.offset()
	r.last = len(d.batch.groups)
	groups := d.batch.groups[r.first:]
	kind := KindNone
	for i := range groups {
		g := &groups[i]
		kind = g.Kind
		if g.MAC == (MAC{}) {
			g.MAC = r.MAC
		} else if r.MAC == (MAC{}) {
			r.MAC = g.MAC
		}
	}
	if known := r.Version == 0 || kind == KindNone ||
		kind == VNet && r.Version == 4 || kind == NSG && (r.Version == 1 || r.Version == 2); !known {
		d.lost.UnknownVersions++
	}
	d.batch.Records = append(d.batch.Records, *r)
	d.lost.Records++
	d.stats.Add(d.lost)
	for _, s := range d.pending {
		d.report(s)
	}
	d.dealtWith(r.End)
}

// rejectItem rejects everything from start to here as one piece. While looking
// for a record after an error, what is passed belongs to the piece that was
// rejected then.
func (d *Decoder) rejectItem(start int64, reason Reason) {
	if d.resync {
		return
	}
	d.stats.Rejected[PieceRecord]++
	d.stats.RejectedReasons[reason]++
	d.report(span{start, d.w.offset() - start, PieceRecord, reason})
}

func (d *Decoder) report(s span) {
	if d.opts.OnReject == nil {
		return
	}
	quote := d.w.head // of a record that was dropped; nothing in it is reported then
	if i := s.offset - d.w.base; i >= 0 {
		quote = d.w.buf[i:d.w.end]
	}
	quote = quote[:min(int64(len(quote)), s.length, MaxQuoteBytes)]
	d.opts.OnReject(Reject{Piece: s.piece, Reason: s.reason, Offset: s.offset, Length: s.length, Quote: string(quote)})
}

// reject notes a rejected piece of the record being read, from start to here.
func (d *Decoder) reject(start int64, piece Piece, reason Reason) {
	d.lost.Rejected[piece]++
	d.lost.RejectedReasons[reason]++
	if piece == PieceTuple {
		d.lost.Tuples++
	}
	if d.opts.OnReject != nil && !d.w.dropping {
		d.pending = append(d.pending, span{start, d.w.offset() - start, piece, reason})
	}
}

// findRecord looks for the next place where a record or a wrapper begins: '{',
// and a key that only those have. It starts behind the first byte of the
// rejected piece, since a fault may only show far behind it. It returns io.EOF
// when there is none.
func (d *Decoder) findRecord() error {
	w := &d.w
	if !w.dropping {
		w.pos = w.keep + 1
	}
	for {
		i := w.pos
		for i < w.end && w.buf[i] != '{' {
			i++
		}
		w.pos, w.keep = i, i
		w.dropping = false
		if i < w.end {
			found, err := d.beginsRecord()
			switch {
			case errors.Is(err, io.EOF) && d.opts.Growing:
				d.dealtWith(w.base + int64(w.keep))
				return ErrUnfinished
			case err != nil && !errors.Is(err, io.EOF):
				return err
			}
			if found {
				w.pos = w.keep
				d.dealtWith(w.offset())
				return nil
			}
			w.pos = w.keep + 1
			continue
		}
		if err := w.fill(); err != nil {
			d.dealtWith(w.offset())
			return err
		}
	}
}

func (d *Decoder) beginsRecord() (bool, error) {
	if err := d.w.take('{'); err != nil {
		return false, err
	}
	if c, err := d.w.next(); err != nil || c != '"' {
		return false, err
	}
	key, err := d.w.str(d.w.scratch[:])
	if err != nil {
		var syntax *syntaxError
		if errors.As(err, &syntax) {
			return false, nil
		}
		return false, err
	}
	switch string(key) {
	case "records", "time", "category", "operationName", "systemId", "macAddress", "resourceId", "resourceid",
		"properties", "flowLogVersion", "flowLogGUID", "flowLogResourceID", "targetResourceID", "flowRecords":
		return true, nil
	}
	return false, nil
}
