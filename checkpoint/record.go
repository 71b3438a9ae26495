package checkpoint

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

// The buckets, and what stands in them. Numbers in keys are big-endian, so that
// they sort.
//
//	meta        "format", "opened", "sum"
//	sources     name                              when it began
//	flowlogs    source, 0, flow log               number, low-water mark
//	cursors     number of the flow log, hour, MAC  cursor
//	interfaces  index                             MAC, whether it has it now
var (
	bucketMeta       = []byte("meta")
	bucketSources    = []byte("sources")
	bucketFlowLogs   = []byte("flowlogs")
	bucketCursors    = []byte("cursors")
	bucketInterfaces = []byte("interfaces")

	buckets = [][]byte{bucketMeta, bucketSources, bucketFlowLogs, bucketCursors, bucketInterfaces}

	keyFormat = []byte("format")
	keyOpened = []byte("opened")
	keySum    = []byte("sum")
)

var errRecord = fmt.Errorf("%w: a record's checksum is wrong", ErrDamaged)

const sealBytes = 8

// seal returns a value with its checksum behind it: FNV-1a, 64 bits, over
// bucket, key and value. It finds changes, not those who make them.
func seal(bucket, key, payload []byte) []byte {
	v := make([]byte, 0, len(payload)+sealBytes)
	v = append(v, payload...)
	return binary.BigEndian.AppendUint64(v, checksum(bucket, key, payload))
}

func checksum(bucket, key, payload []byte) uint64 {
	h := uint64(14695981039346656037)
	add := func(data []byte) {
		for _, c := range data {
			h = (h ^ uint64(c)) * 1099511628211
		}
	}
	var length [4]byte // where the key ends is part of it
	binary.BigEndian.PutUint32(length[:], uint32(len(key)))
	add(bucket)
	add(length[:])
	add(key)
	add(payload)
	return h
}

func unseal(bucket, key, value []byte) (payload []byte, sum uint64, err error) {
	n := len(value) - sealBytes
	if n < 0 {
		return nil, 0, errRecord
	}
	sum = binary.BigEndian.Uint64(value[n:])
	if sum != checksum(bucket, key, value[:n]) {
		return nil, 0, errRecord
	}
	return value[:n], sum, nil
}

// total is what the record "sum" says of all others: how many there are, all
// their checksums in one, and the number that the next flow log gets.
type total struct {
	records, xor uint64
	nextFlowLog  uint32
}

func (t *total) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, t.records)
	b = binary.BigEndian.AppendUint64(b, t.xor)
	return binary.BigEndian.AppendUint32(b, t.nextFlowLog)
}

func decodeTotal(b []byte) (t total, err error) {
	if len(b) != 20 {
		return t, errRecord
	}
	return total{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:])}, nil
}

// writer writes records within a transaction, and keeps the total.
type writer struct {
	tx    *bbolt.Tx
	total total
}

func newWriter(tx *bbolt.Tx) (*writer, error) {
	w := &writer{tx: tx}
	b := tx.Bucket(bucketMeta).Get(keySum)
	if b == nil { // the file is being made
		return w, nil
	}
	payload, _, err := unseal(bucketMeta, keySum, b)
	if err != nil {
		return nil, err
	}
	w.total, err = decodeTotal(payload)
	return w, err
}

func (w *writer) end() error {
	return w.tx.Bucket(bucketMeta).Put(keySum, seal(bucketMeta, keySum, w.total.encode()))
}

func get(tx *bbolt.Tx, bucket, key []byte) ([]byte, error) {
	v := tx.Bucket(bucket).Get(key)
	if v == nil {
		return nil, nil
	}
	payload, _, err := unseal(bucket, key, v)
	return payload, err
}

func (w *writer) put(bucket, key, payload []byte) error {
	if err := w.uncount(bucket, key); err != nil {
		return err
	}
	v := seal(bucket, key, payload)
	w.total.records++
	w.total.xor ^= binary.BigEndian.Uint64(v[len(payload):])
	return w.tx.Bucket(bucket).Put(key, v)
}

func (w *writer) delete(bucket, key []byte) error {
	if err := w.uncount(bucket, key); err != nil {
		return err
	}
	return w.tx.Bucket(bucket).Delete(key)
}

// uncount takes a record that is about to go out of the total.
func (w *writer) uncount(bucket, key []byte) error {
	old := w.tx.Bucket(bucket).Get(key)
	if old == nil {
		return nil
	}
	_, sum, err := unseal(bucket, key, old)
	w.total.records--
	w.total.xor ^= sum
	return err
}

// appendTime writes a time to the nanosecond; the zero time comes back as such.
func appendTime(b []byte, t time.Time) []byte {
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// fields reads what the append functions wrote. Once something is missing all
// further fields are zero, and ok is false.
type fields struct {
	rest []byte
	ok   bool
}

func (f *fields) advance(n int) {
	if n <= 0 {
		f.rest, f.ok = nil, false
		return
	}
	f.rest = f.rest[n:]
}

func (f *fields) int() int64 {
	v, n := binary.Varint(f.rest)
	f.advance(n)
	return v
}

func (f *fields) time() time.Time {
	sec := f.int()
	nsec, n := binary.Uvarint(f.rest)
	f.advance(n)
	if !f.ok {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

func (f *fields) bytes() []byte {
	length, n := binary.Uvarint(f.rest)
	f.advance(n)
	if length == 0 {
		return nil
	}
	if length > uint64(len(f.rest)) {
		f.ok = false
		return nil
	}
	b := append([]byte(nil), f.rest[:length]...)
	f.rest = f.rest[length:]
	return b
}

func (f *fields) end() error {
	if !f.ok || len(f.rest) > 0 {
		return errRecord
	}
	return nil
}

func decodeTime(b []byte) (time.Time, error) {
	f := fields{b, true}
	t := f.time()
	return t, f.end()
}

func encodeCursor(c source.Cursor) []byte {
	b := make([]byte, 0, 32+len(c.ETag)+len(c.Tail))
	b = binary.AppendVarint(b, c.Offset)
	b = appendTime(b, c.Last)
	b = binary.AppendUvarint(b, uint64(len(c.ETag)))
	b = append(b, c.ETag...)
	b = binary.AppendUvarint(b, uint64(len(c.Tail)))
	return append(b, c.Tail...)
}

func decodeCursor(b []byte) (source.Cursor, error) {
	f := fields{b, true}
	c := source.Cursor{Offset: f.int(), Last: f.time(), ETag: string(f.bytes()), Tail: f.bytes()}
	return c, f.end()
}

// flowLog is what is kept of a flow log.
type flowLog struct {
	number   uint32
	lowWater time.Time
}

func (l flowLog) encode() []byte {
	return appendTime(binary.BigEndian.AppendUint32(nil, l.number), l.lowWater)
}

func decodeFlowLog(b []byte) (flowLog, error) {
	if len(b) < 4 {
		return flowLog{}, errRecord
	}
	lowWater, err := decodeTime(b[4:])
	return flowLog{binary.BigEndian.Uint32(b), lowWater}, err
}

func flowLogKey(source, flowLog string) []byte { return []byte(source + "\x00" + flowLog) }

const hourBytes, macBytes = 4, len(flowlog.MAC{})

// appendHour writes an hour so that hours sort, those before 1970 included.
func appendHour(b []byte, hour time.Time) []byte {
	return binary.BigEndian.AppendUint32(b, uint32(hour.Unix()/3600)+1<<31)
}

func decodeHour(b []byte) time.Time {
	return time.Unix((int64(binary.BigEndian.Uint32(b))-1<<31)*3600, 0).UTC()
}

// splitBlob takes a blob's name apart: the flow log, and what follows that one's
// number in the key of the cursor: the hour, and the MAC, if that says all, or
// else the rest of the name as it is. It reports false if a name has no hour.
func splitBlob(blob string) (flowLog string, key []byte, ok bool) {
	path, ok := source.ParsePath(blob)
	if !ok {
		return "", nil, false
	}
	key = appendHour(nil, path.Hour)
	rest := blob[len(path.Target):]
	if mac, ok := flowlog.ParseMAC(path.MAC); ok && rest == usualRest(path.Hour, mac) {
		return path.Target, append(key, mac[:]...), true
	}
	return path.Target, append(key, rest...), true
}

func usualRest(hour time.Time, mac flowlog.MAC) string {
	return hour.Format("/y=2006/m=01/d=02/h=15/m=00/macAddress=") + mac.String() + "/PT1H.json"
}

// joinBlob is splitBlob's opposite.
func joinBlob(flowLog string, key []byte) (string, error) {
	switch n := len(key) - hourBytes; {
	case n < macBytes:
		return "", errRecord
	case n == macBytes:
		return flowLog + usualRest(decodeHour(key), flowlog.MAC(key[hourBytes:])), nil
	default:
		return flowLog + string(key[hourBytes:]), nil
	}
}

func checkSource(name string) error {
	if name == "" || strings.Contains(name, "\x00") {
		return fmt.Errorf("%q cannot be the name of a source", name)
	}
	return nil
}
