package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/vmware/go-ipfix/pkg/entities"
	gexporter "github.com/vmware/go-ipfix/pkg/exporter"
	"k8s.io/klog/v2" //nolint:depguard // go-ipfix logs there

	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/exporter/message"
	"flow2ipfix/templates"
)

// BenchmarkParts has each part of the product beside its yardstick, on the same
// input. An operation is the whole input; ns/unit is for a tuple or, of encode and
// send, for a record.
func BenchmarkParts(b *testing.B) {
	klog.LogToStderr(false) // go-ipfix says whenever it connects
	klog.SetOutput(io.Discard)
	sink, closer, err := Sink()
	if err != nil {
		b.Fatal(err)
	}
	defer closer.Close()
	for _, part := range []struct {
		name string
		logs []string
		run  func(*testing.B, *input, string)
	}{
		{"json", []string{"vnet", "nsg", "v6"}, partJSON},
		{"tuple", []string{"vnet", "nsg", "v6"}, partTuple},
		{"decode", []string{"vnet", "nsg", "v6"}, partDecode},
		{"convert", []string{"vnet", "v6"}, partConvert},
		{"encode", []string{"vnet", "v6"}, partEncode},
		{"send", []string{"vnet", "v6"}, partSend},
		{"export", []string{"vnet", "v6"}, partExport},
	} {
		for _, log := range part.logs {
			in, err := inputs[log]()
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("part=%s/log=%s", part.name, log), func(b *testing.B) { part.run(b, in, sink) })
		}
	}
}

// measure runs a benchmark of one side, whose operation has so many units.
func measure(b *testing.B, by string, units int, operation func() error) {
	b.Run("by="+by, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := operation(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(units), "ns/unit")
		b.ReportMetric(float64(units), "units")
	})
}

// partJSON reads the JSON and skips the tuples.
func partJSON(b *testing.B, in *input, _ string) {
	r := newReader()
	measure(b, "ours", len(in.lines), func() error {
		_, err := r.read(in.skipped, nil)
		return err
	})
	measure(b, "theirs", len(in.lines), func() error {
		var log blob // whose lists of tuples have another name
		return json.Unmarshal(in.skipped, &log)
	})
}

// partTuple reads tuples; ours with their quotation marks and commas, theirs from
// strings that are there.
func partTuple(b *testing.B, in *input, _ string) {
	r := newReader()
	measure(b, "ours", len(in.lines), func() error {
		n, err := r.read(in.bare, nil)
		if n != len(in.lines) {
			return fmt.Errorf("%d of %d tuples", n, len(in.lines))
		}
		return err
	})
	measure(b, "theirs", len(in.lines), func() error {
		for _, line := range in.lines {
			if _, err := in.parse(line); err != nil {
				return err
			}
		}
		return nil
	})
}

// partDecode reads JSON and tuples. What takes less is encoding/json alone, which
// leaves the tuples as strings.
func partDecode(b *testing.B, in *input, _ string) {
	r := newReader()
	measure(b, "ours", len(in.lines), func() error {
		n, err := r.read(in.blob, nil)
		if n != len(in.lines) {
			return fmt.Errorf("%d of %d tuples", n, len(in.lines))
		}
		return err
	})
	measure(b, "strings", len(in.lines), func() error {
		var log blob
		return json.Unmarshal(in.blob, &log)
	})
	measure(b, "theirs", len(in.lines), func() error {
		var log blob
		if err := json.Unmarshal(in.blob, &log); err != nil {
			return err
		}
		var err error
		log.each(func(_ string, lines []string) {
			for _, line := range lines {
				if _, e := in.parse(line); e != nil {
					err = e
				}
			}
		})
		return err
	})
}

// ours hands the records of all flows to add.
func ours(in *input, add func(*templates.Record) error) error {
	var policy convert.Policy
	origin := convert.Origin{Domain: 1, Interface: 1}
	var out [convert.MaxRecords]templates.Record
	for i := range in.flows {
		n, _ := policy.Records(&origin, 0, &in.flows[i], &out)
		for k := range n {
			if err := add(&out[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// theirs sends all tuples.
func theirs(in *input, s *sender) error {
	for i := range in.tuples {
		if _, err := s.Send(in.tuples[i], 1); err != nil {
			return err
		}
	}
	return nil
}

// ways are the two ways to use go-ipfix's elements.
var ways = map[bool]string{false: "reused", true: "anew"}

// partConvert makes records of tuples, and does not look at them.
func partConvert(b *testing.B, in *input, _ string) {
	measure(b, "ours", len(in.flows), func() error {
		return ours(in, func(*templates.Record) error { return nil })
	})
	for _, anew := range []bool{true, false} {
		s, err := newSenderTo(func(entities.Record) error { return nil }, anew)
		if err != nil {
			b.Fatal(err)
		}
		measure(b, ways[anew], len(in.tuples), func() error { return theirs(in, s) })
	}
}

// window is how many records are encoded again and again: so few that they stay
// in the processor's cache, where the parts before leave them.
const window = 256

// prepare returns the first records of the input in both forms.
func prepare(in *input) (ourRecords []templates.Record, theirRecords []entities.Record, err error) {
	if err = ours(in, func(r *templates.Record) error {
		if len(ourRecords) < window {
			ourRecords = append(ourRecords, *r)
		}
		return nil
	}); err != nil {
		return nil, nil, err
	}
	s, err := newSenderTo(func(r entities.Record) error {
		if len(theirRecords) < window {
			theirRecords = append(theirRecords, r)
		}
		return nil
	}, true)
	if err == nil {
		err = theirs(in, s)
	}
	return ourRecords, theirRecords, err
}

// rounds is how often the window is encoded in an operation.
const rounds = 64

// partEncode puts records into messages, which go nowhere. What go-ipfix does is
// what its buffered exporter does but for the header.
func partEncode(b *testing.B, in *input, _ string) {
	ourRecords, theirRecords, err := prepare(in)
	if err != nil {
		b.Fatal(err)
	}
	set := templates.Generic()
	maker := message.New(set, maxMessageBytes, 64)
	now := time.Date(2026, 11, 20, 11, 0, 0, 0, time.UTC)
	buf := make([]byte, 0, message.MaxBytes)
	measure(b, "ours", rounds*window, func() error {
		var m message.Message
		maker.Begin(&m, buf, 1, now)
		for range rounds {
			for i := range ourRecords {
				r := &ourRecords[i]
				t := set.For(r)
				if !m.Fits(t, r) {
					maker.Seal(m.Finish(), m.Epoch, 1, now)
					maker.Begin(&m, buf, 1, now)
				}
				m.Add(t, r)
			}
		}
		return nil
	})
	measure(b, "theirs", rounds*window, func() error {
		const header = entities.MsgHeaderLength + entities.SetHeaderLen
		into := buf[:header]
		for range rounds {
			for _, r := range theirRecords {
				if len(into)+r.GetRecordLength() > maxMessageBytes {
					into = into[:header]
				}
				var err error
				if into, err = r.AppendToBuffer(into); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// session is ours, and buffered theirs, to the same socket.
func session(b *testing.B, sink string) *exporter.Session {
	s, err := exporter.New(b.Context(), exporter.Config{URL: "udp://" + sink, Templates: templates.Generic()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func buffered(b *testing.B, sink string) *gexporter.BufferedIPFIXExporter {
	process, err := gexporter.InitExportingProcess(gexporter.ExporterInput{
		CollectorAddress: sink, CollectorProtocol: "udp", ObservationDomainID: 1, MaxMsgSize: maxMessageBytes,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(process.CloseConnToCollector)
	return gexporter.NewBufferedIPFIXExporter(process)
}

// partSend encodes and sends records that are there.
func partSend(b *testing.B, in *input, sink string) {
	ourRecords, theirRecords, err := prepare(in)
	if err != nil {
		b.Fatal(err)
	}
	s := session(b, sink)
	measure(b, "ours", rounds*window, func() error {
		for range rounds {
			for i := range ourRecords {
				if err := s.Export(context.Background(), 1, &ourRecords[i]); err != nil {
					return err
				}
			}
		}
		return s.Flush(context.Background())
	})
	out := buffered(b, sink)
	if _, err := newSender(out, true); err != nil { // for the templates
		b.Fatal(err)
	}
	measure(b, "theirs", rounds*window, func() error {
		for range rounds {
			for _, r := range theirRecords {
				if err := out.AddRecord(r); err != nil {
					return err
				}
			}
		}
		return out.Flush()
	})
}

// partExport makes records of tuples, encodes and sends them.
func partExport(b *testing.B, in *input, sink string) {
	s := session(b, sink)
	export := func(r *templates.Record) error { return s.Export(context.Background(), 1, r) }
	measure(b, "ours", len(in.flows), func() error {
		if err := ours(in, export); err != nil {
			return err
		}
		return s.Flush(context.Background())
	})
	for _, anew := range []bool{true, false} {
		out := buffered(b, sink)
		sender, err := newSender(out, anew)
		if err != nil {
			b.Fatal(err)
		}
		measure(b, ways[anew], len(in.tuples), func() error {
			if err := theirs(in, sender); err != nil {
				return err
			}
			return out.Flush()
		})
	}
}
