package flowlog

import (
	"encoding/binary"
	"io"
	"math/bits"
)

// This file reads JSON from the window, as strictly as RFC 8259 wants it.

// maxDepth is how deep values may be nested that this program does not know, in
// a record. Azure's records are 9 deep.
const maxDepth = 64

// A syntaxError is a fault of the input at the window's position.
type syntaxError struct{ reason Reason }

func (e *syntaxError) Error() string { return e.reason.Text() }

var (
	errSyntax  = &syntaxError{BadSyntax}
	errTooDeep = &syntaxError{TooDeep}
)

// next skips white space and returns the byte that follows, without taking it.
func (w *window) next() (byte, error) {
	if c := w.buf[w.pos]; c > ' ' { // Azure writes none
		return c, nil
	}
	return w.nextBehindSpace()
}

func (w *window) nextBehindSpace() (byte, error) {
	for {
		c := w.buf[w.pos]
		if c > ' ' {
			return c, nil
		}
		switch c {
		case ' ', '\n', '\r', '\t':
			w.pos++
		default:
			if w.pos < w.end {
				return c, nil // a control character; no value begins with it
			}
			if err := w.fill(); err != nil {
				return 0, err
			}
		}
	}
}

// take is next, and takes the byte if it is want.
func (w *window) take(want byte) error {
	c, err := w.next()
	if err != nil {
		return err
	}
	if c != want {
		return errSyntax
	}
	w.pos++
	return nil
}

// rawString reads a JSON string and returns what stands between its quotes,
// escapes and all. The bytes live until the next call that may fill.
func (w *window) rawString() (raw []byte, escaped bool, err error) {
	if err := w.take('"'); err != nil {
		return nil, false, err
	}
	start := w.pos
	i := start
	for {
		i += plainBytes(w.buf[i:])
		switch c := w.buf[i]; {
		case c == '"':
			raw = w.buf[start:i]
			w.pos = i + 1
			return raw, escaped, nil
		case c == '\\':
			escaped = true
			i++
			for i >= w.end { // the second half is not here yet
				if start, i, err = w.more(start, i); err != nil {
					return nil, false, err
				}
			}
			switch w.buf[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't', 'u':
				// str checks the four digits of \u.
			default:
				w.pos = i
				return nil, false, errSyntax
			}
			i++
		case c >= ' ':
			i++
		case i < w.end:
			w.pos = i // a control character
			return nil, false, errSyntax
		default:
			if start, i, err = w.more(start, i); err != nil {
				return nil, false, err
			}
		}
	}
}

// plainBytes returns how many bytes come before the first one that is '"', '\\' or a
// control character, or fewer if only seven or less are left.
func plainBytes(b []byte) int {
	n := 0
	for ; n+8 <= len(b); n += 8 {
		// Taking 1 from a byte that is 0 sets its top bit. It may set that of bytes
		// above it too, but only the lowest one counts.
		w := binary.LittleEndian.Uint64(b[n:])
		quote, backslash := w^'"'*ones, w^'\\'*ones
		if stop := ((quote-ones)&^quote | (backslash-ones)&^backslash | (w-' '*ones)&^w) & tops; stop != 0 {
			return n + bits.TrailingZeros64(stop)/8
		}
	}
	return n
}

// more fills while a token that began at start is read up to i, and returns
// where both are now.
func (w *window) more(start, i int) (int, int, error) {
	if w.dropping { // nobody wants the token: forget it as far as it was read
		start = i
	}
	w.pos = start
	err := w.fill()
	i += w.pos - start
	return w.pos, i, err
}

// str is rawString with the escapes undone, and checked.
func (w *window) str(scratch []byte) ([]byte, error) {
	raw, escaped, err := w.rawString()
	if err != nil || !escaped {
		return raw, err
	}
	out, ok := unescape(scratch[:0], raw)
	if !ok && !w.dropping {
		w.pos-- // to the closing quote
		return nil, errSyntax
	}
	return out, nil
}

// skip reads one value of any type and forgets it. It is as strict as JSON is.
func (w *window) skip(depth int) error {
	c, err := w.next()
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return errTooDeep
	}
	switch c {
	case '"':
		_, err := w.str(nil)
		return err
	case '{':
		for first := true; ; first = false {
			if _, ok, err := w.member(first); !ok {
				return err
			}
			if err := w.skip(depth + 1); err != nil {
				return err
			}
		}
	case '[':
		for first := true; ; first = false {
			if ok, err := w.element(first); !ok {
				return err
			}
			if err := w.skip(depth + 1); err != nil {
				return err
			}
		}
	case 't':
		return w.literal("true")
	case 'f':
		return w.literal("false")
	case 'n':
		return w.literal("null")
	default:
		return w.number()
	}
}

// member goes to the next member of an object, from its '{' if first, and takes
// the key and the colon; the member's value comes next. It reports false behind
// the last member. The key lives until the next call that may fill.
func (w *window) member(first bool) (key []byte, ok bool, err error) {
	if ok, err := w.into('{', '}', first); !ok {
		return nil, false, err
	}
	key, err = w.str(w.scratch[:])
	if err != nil {
		return nil, false, err
	}
	if w.buf[w.pos] == ':' {
		w.pos++
		return key, true, nil
	}
	// The colon may make the window slide, and the key with it. Known keys are
	// short; a long one is none of ours.
	if len(key) > len(w.scratch) {
		key = key[:0]
	}
	key = w.scratch[:copy(w.scratch[:], key)]
	if err := w.take(':'); err != nil {
		return nil, false, err
	}
	return key, true, nil
}

// element goes to the next element of an array, from its '[' if first. It
// reports false behind the last element.
func (w *window) element(first bool) (bool, error) { return w.into('[', ']', first) }

// into takes what stands before the next element of an array or object: its
// opening if first, else a comma. It reports false when it took the end.
func (w *window) into(open, end byte, first bool) (bool, error) {
	want := byte(',')
	if first {
		want = open
	}
	c, err := w.next()
	if err != nil {
		return false, err
	}
	switch {
	case c == want:
		w.pos++
	case c == end && !first:
		w.pos++
		return false, nil
	default:
		return false, errSyntax
	}
	if !first {
		return true, nil
	}
	if c, err = w.next(); err != nil {
		return false, err
	}
	if c == end {
		w.pos++
		return false, nil
	}
	return true, nil
}

func (w *window) literal(want string) error {
	for i := range len(want) {
		c, err := w.peek()
		if err != nil {
			return err
		}
		if c != want[i] {
			return errSyntax
		}
		w.pos++
	}
	return nil
}

// number reads a JSON number.
func (w *window) number() error {
	c, err := w.peek()
	if err != nil {
		return err
	}
	if c == '-' {
		w.pos++
		if c, err = w.peek(); err != nil {
			return err
		}
	}
	if c == '0' {
		w.pos++
	} else if err := w.digits(); err != nil {
		return err
	}
	if c, err = w.peek(); err == nil && c == '.' {
		w.pos++
		if err := w.digits(); err != nil {
			return err
		}
		c, err = w.peek()
	}
	if err == nil && c|0x20 == 'e' {
		w.pos++
		if c, err = w.peek(); err == nil && (c == '+' || c == '-') {
			w.pos++
		}
		if err := w.digits(); err != nil {
			return err
		}
	}
	if err != nil && err != io.EOF { //nolint:errorlint // fill returns the reader's io.EOF as it is
		return err
	}
	return nil // a number may end the input
}

// digits reads at least one digit.
func (w *window) digits() error {
	for n := 0; ; n++ {
		c, err := w.peek()
		if err == nil && c-'0' <= 9 {
			w.pos++
			continue
		}
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
		return errSyntax
	}
}

// peek returns the next byte, white space included, without taking it.
func (w *window) peek() (byte, error) {
	for w.pos >= w.end {
		if err := w.fill(); err != nil {
			return 0, err
		}
	}
	return w.buf[w.pos], nil
}
