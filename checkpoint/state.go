package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"flow2ipfix/source"
)

// Commit keeps cursors: all of them, or none if there is an error. The last
// one counts if a blob is named more than once.
func (s *Store) Commit(entries []source.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	return s.update("commit", func(w *writer) error {
		// Entries come in no order, but few flow logs are among them.
		numbers := make(map[string]uint32)
		for _, e := range entries {
			name, rest, ok := splitBlob(e.Blob)
			if !ok {
				return fmt.Errorf("blob %q: the name does not say its hour", e.Blob)
			}
			if err := checkSource(e.Source); err != nil {
				return err
			}
			full := string(flowLogKey(e.Source, name))
			number, known := numbers[full]
			if !known {
				l, err := w.flowLog([]byte(full))
				if err != nil {
					return err
				}
				number = l.number
				numbers[full] = number
			}
			if err := w.put(bucketCursors, cursorKey(number, rest), encodeCursor(e.Cursor)); err != nil {
				return fmt.Errorf("blob %s: %w", e.Blob, err)
			}
		}
		return nil
	})
}

func cursorKey(number uint32, rest []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, number), rest...)
}

// flowLog returns what is kept of a flow log, which gets a number if it has none.
func (w *writer) flowLog(key []byte) (flowLog, error) {
	b, err := get(w.tx, bucketFlowLogs, key)
	if err != nil {
		return flowLog{}, err
	}
	if b != nil {
		return decodeFlowLog(b)
	}
	l := flowLog{number: w.total.nextFlowLog}
	w.total.nextFlowLog++
	return l, w.put(bucketFlowLogs, key, l.encode())
}

// Begin implements source.State.
func (s *Store) Begin(name string, at time.Time) (time.Time, error) {
	if err := checkSource(name); err != nil {
		return time.Time{}, err
	}
	var began time.Time
	known := false
	err := s.view("read", func(tx *bbolt.Tx) error {
		b, err := get(tx, bucketSources, []byte(name))
		if b == nil || err != nil {
			return err
		}
		known = true
		began, err = decodeTime(b)
		return err
	})
	if known || err != nil {
		return began, err
	}
	return at, s.update("begin source "+name, func(w *writer) error {
		return w.put(bucketSources, []byte(name), appendTime(nil, at))
	})
}

// LowWater implements source.State.
func (s *Store) LowWater(name, flowLog string) (time.Time, error) {
	var at time.Time
	err := s.view("read", func(tx *bbolt.Tx) error {
		b, err := get(tx, bucketFlowLogs, flowLogKey(name, flowLog))
		if b == nil || err != nil {
			return err
		}
		l, err := decodeFlowLog(b)
		at = l.lowWater
		return err
	})
	return at, err
}

// Cursors implements source.State.
func (s *Store) Cursors(name, flowLog string) (map[string]source.Cursor, error) {
	cursors := make(map[string]source.Cursor)
	err := s.view("read", func(tx *bbolt.Tx) error {
		b, err := get(tx, bucketFlowLogs, flowLogKey(name, flowLog))
		if b == nil || err != nil {
			return err
		}
		l, err := decodeFlowLog(b)
		if err != nil {
			return err
		}
		return eachCursor(tx, l.number, func(key, value []byte) error {
			payload, _, err := unseal(bucketCursors, key, value)
			if err != nil {
				return err
			}
			blob, err := joinBlob(flowLog, key[4:])
			if err != nil {
				return err
			}
			cursors[blob], err = decodeCursor(payload)
			return err
		})
	})
	return cursors, err
}

// eachCursor goes through the cursors of a flow log, hour by hour.
func eachCursor(tx *bbolt.Tx, number uint32, fn func(key, value []byte) error) error {
	prefix := binary.BigEndian.AppendUint32(nil, number)
	c := tx.Bucket(bucketCursors).Cursor()
	for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// Finish implements source.State. A low-water mark does not go back: what is
// finished stays finished.
func (s *Store) Finish(name, flowLog string, hour time.Time) error {
	if err := checkSource(name); err != nil {
		return err
	}
	hour = hour.Truncate(time.Hour)
	return s.update("finish", func(w *writer) error {
		key := flowLogKey(name, flowLog)
		l, err := w.flowLog(key)
		if err != nil {
			return err
		}
		if hour.After(l.lowWater) {
			l.lowWater = hour
			if err := w.put(bucketFlowLogs, key, l.encode()); err != nil {
				return err
			}
		}
		return w.deleteCursors(l.number, cursorKey(l.number, appendHour(nil, l.lowWater)))
	})
}

// deleteCursors forgets the cursors of a flow log up to a key, or all.
func (w *writer) deleteCursors(number uint32, before []byte) error {
	var keys [][]byte // a bucket must not change while one goes through it
	err := eachCursor(w.tx, number, func(key, _ []byte) error {
		if before == nil || bytes.Compare(key, before) < 0 {
			keys = append(keys, bytes.Clone(key))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := w.delete(bucketCursors, key); err != nil {
			return err
		}
	}
	return nil
}

// Forget implements source.State.
func (s *Store) Forget(name, blob string) error {
	flowLog, rest, ok := splitBlob(blob)
	if !ok {
		return nil // there is no cursor of it
	}
	var key []byte
	err := s.view("read", func(tx *bbolt.Tx) error {
		b, err := get(tx, bucketFlowLogs, flowLogKey(name, flowLog))
		if b == nil || err != nil {
			return err
		}
		l, err := decodeFlowLog(b)
		if err == nil && tx.Bucket(bucketCursors).Get(cursorKey(l.number, rest)) != nil {
			key = cursorKey(l.number, rest)
		}
		return err
	})
	if key == nil || err != nil {
		return err
	}
	return s.update("forget", func(w *writer) error { return w.delete(bucketCursors, key) })
}

// ResetAll stands for all sources where Reset wants the name of one.
const ResetAll = ""

// Reset forgets what has been delivered: of all sources, of one, or of one flow
// log of a source. A source that is reset as a whole also forgets when it
// began; a flow log is read again from there. Interface indexes stay: they are
// how a collector knows its interfaces.
func (s *Store) Reset(name, flowLog string) error {
	return s.update("reset", func(w *writer) error {
		var from []byte
		switch {
		case name == ResetAll:
		case flowLog == "":
			from = []byte(name + "\x00")
		default:
			from = flowLogKey(name, flowLog)
		}
		logs := make(map[string]uint32)
		c := w.tx.Bucket(bucketFlowLogs).Cursor()
		for k, v := c.Seek(from); k != nil && bytes.HasPrefix(k, from); k, v = c.Next() {
			if flowLog != "" && len(k) != len(from) {
				continue
			}
			payload, _, err := unseal(bucketFlowLogs, k, v)
			if err != nil {
				return err
			}
			l, err := decodeFlowLog(payload)
			if err != nil {
				return err
			}
			logs[string(k)] = l.number
		}
		for key, number := range logs {
			if err := w.deleteCursors(number, nil); err != nil {
				return err
			}
			if err := w.delete(bucketFlowLogs, []byte(key)); err != nil {
				return err
			}
		}
		if flowLog != "" {
			return nil
		}
		names := [][]byte{[]byte(name)}
		if name == ResetAll {
			names = nil
			if err := w.tx.Bucket(bucketSources).ForEach(func(k, _ []byte) error {
				names = append(names, bytes.Clone(k))
				return nil
			}); err != nil {
				return err
			}
		}
		for _, n := range names {
			if err := w.delete(bucketSources, n); err != nil {
				return err
			}
		}
		return nil
	})
}
