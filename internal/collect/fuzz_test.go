package collect

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/netsampler/goflow2/v2/decoders/netflow"
)

// FuzzMessage gives a message to the decoder as a datagram, twice, so that
// templates of the first time meet data of the second, and as a stream.
// Whatever it holds, the work stays in proportion to it, the printers print,
// and what is accepted without a complaint is what goflow2 makes of it.
func FuzzMessage(f *testing.F) {
	options := optionsRecord(300, 1, spec{10, 4}, spec{82, 65535}, spec{1, 4, 32473})
	for _, seed := range [][]byte{
		ipfixMessage(0, 7, set(2, core4, core6), set(256, web.record(), web.record(), "\x00\x00\x00")),
		ipfixMessage(5, 7, set(3, options, "\x00\x00"), set(300, uint32(3), uint8(2), "lo", uint32(9))),
		ipfixMessage(5, 7, set(3, optionsRecord(300, 1, spec{10, 4}, spec{1, 4, 32473})), set(300, uint64(3), uint64(4))),
		ipfixMessage(0, 7, set(2, templateRecord(256, spec{82, 65535}, spec{1, 2, 29305})),
			set(256, uint8(255), uint16(300), make([]byte, 302), uint8(0), uint16(1))),
		ipfixMessage(0, 7, set(2, templateRecord(256, spec{4, 0}), templateRecord(257)), set(256, uint64(0)), set(257, uint64(0))),
		ipfixMessage(0, 7, set(2, uint16(2), uint16(0)), set(3, uint16(300), uint16(0)), set(256, web.record())),
		ipfixMessage(0, 7, set(2, templateRecord(256, spec{56, 6}, spec{150, 4}, spec{154, 8}, spec{320, 8}, spec{276, 1}, spec{434, 2})),
			set(256, make([]byte, 58))),
		netflow9Message(5, 7, 3, set(0, core4), set(256, web.record()),
			set(1, uint16(257), uint16(4), uint16(8), fieldSpecs([]spec{{1, 0}, {34, 4}, {82, 4}})), set(257, make([]byte, 16))),
		netflow5Message(9, 2),
		ipfixMessage(5, 7, set(3, typesRecord), set(2, templateRecord(256, spec{1, 65535, 32473}, spec{1001, 2, ownNumber}, spec{1, 8, 29305})),
			set(256, uint8(2), "ok", uint16(300), uint64(5)), set(400, typeOf(32473, 1, 13, "answer"), typeOf(ownNumber, 1001, 2, "a\x1b")),
			set(256, uint8(255), uint16(2), "ok", uint16(300), uint64(5))),
		netflow9Message(5, 7, 2, set(0, templateRecord(256, spec{22, 4}, spec{21, 4}, spec{160, 8})), set(256, make([]byte, 16))),
		append(ipfixMessage(0, 7, set(2, core4)), ipfixMessage(0, 7, set(256, web.record()))...),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > MaxMessageBytes {
			return
		}
		var out bytes.Buffer
		table, printer := NewTable(&out, TableOptions{}), NewJSON(&out)
		var fields, values int // of all records, and of those since the last message
		var first [][]byte     // the values of the first time
		write := func(r *Record) error {
			for i := range r.Fields {
				fields++
				values += len(r.Fields[i].Value)
			}
			out.Reset()
			if err := printer.Write(r); err != nil {
				return err
			}
			if err := printer.Flush(); err != nil {
				return err
			}
			if !json.Valid(out.Bytes()) {
				t.Fatalf("not JSON: %s", out.Bytes())
			}
			viewOf(r)
			return table.Write(r)
		}
		d := newDecoder(write, Options{OnError: func(error) {}, EnterpriseNumber: ownNumber})
		check := func(p *packet) {
			fields, values = 0, 0
			if err := d.packet(p); err != nil {
				t.Fatal(err)
			}
			if values > len(p.data) || fields > (1+maxEmptyFields)*len(p.data) {
				t.Fatalf("%d fields with %d bytes out of a message of %d bytes", fields, values, len(p.data))
			}
			if fields, types := held(d, p.session); d.fields != fields || d.types != types {
				t.Fatalf("%d template fields and %d types counted, %d and %d held", d.fields, d.types, fields, types)
			}
		}
		d.write = func(r *Record) error {
			for i := range r.Fields {
				first = append(first, bytes.Clone(r.Fields[i].Value))
			}
			return write(r)
		}
		check(&packet{data: data})
		compare(t, d, data, first)
		d.write = write
		check(&packet{data: data})

		s := newSession(netip.AddrPort{}, "stream")
		err := readFrames(bytes.NewReader(data), func(m []byte) error {
			check(&packet{session: s, data: m})
			return nil
		})
		d.forget(s)
		check(&packet{session: s, end: true, err: err})
	})
}

// held counts the template fields and the types of elements of all datagram
// sessions and of stream, if there is one.
func held(d *decoder, stream *session) (fields, types int) {
	sessions := slices.Collect(maps.Values(d.exporters))
	if stream != nil {
		sessions = append(sessions, stream)
	}
	for _, s := range sessions {
		types += len(s.types)
		for _, t := range s.templates {
			fields += len(t.fields)
		}
	}
	return fields, types
}

// compare decodes an IPFIX message by goflow2 alone, where that is safe: where
// the decoder had nothing to say against it and its templates have no fields
// of variable length.
func compare(t *testing.T, d *decoder, data []byte, got [][]byte) {
	t.Helper()
	if len(data) < 2 || data[1] != versionIPFIX || d.stats.DecodeErrors+d.stats.MissingTemplate > 0 {
		return
	}
	for _, s := range d.exporters {
		for _, tmpl := range s.templates {
			if !tmpl.fixed {
				return
			}
		}
	}
	var p netflow.IPFIXPacket
	err := netflow.DecodeMessageVersion(bytes.NewBuffer(data), netflow.CreateTemplateSystem(), nil, &p)
	if err != nil {
		t.Fatalf("goflow2: %v", err)
	}
	var want [][]byte
	for _, s := range p.FlowSets {
		switch s := s.(type) {
		case netflow.DataFlowSet:
			for _, r := range s.Records {
				want = appendValues(want, r.Values)
			}
		case netflow.OptionsDataFlowSet:
			for _, r := range s.Records {
				want = appendValues(appendValues(want, r.ScopesValues), r.OptionsValues)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("values (-goflow2 +got):\n%s", diff)
	}
}

func appendValues(dst [][]byte, fields []netflow.DataField) [][]byte {
	for _, f := range fields {
		v, _ := f.Value.([]byte)
		dst = append(dst, bytes.Clone(v))
	}
	return dst
}

// BenchmarkMessage decodes and prints messages of 23 records, as flow2ipfix
// sends them.
func BenchmarkMessage(b *testing.B) {
	message := ipfixMessage(0, 7, set(256, bytes.Repeat(web.record(), 23)))
	for name, sink := range map[string]Sink{
		"decode": SinkFunc(func(*Record) error { return nil }),
		"table":  NewTable(discard{}, TableOptions{}),
		"json":   NewJSON(discard{}),
	} {
		b.Run(name, func(b *testing.B) {
			d := newDecoder(sink.Write, Options{})
			s := newSession(netip.AddrPort{}, "bench")
			if err := d.message(s, ipfixMessage(0, 7, set(2, core4))); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.message(s, message); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(d.stats.DataRecords)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
