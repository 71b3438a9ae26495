package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"flow2ipfix/flowlog"
	"flow2ipfix/internal/flowgen"
)

// input is one flow log in the forms that the parts take it.
type input struct {
	kind flowlog.Kind
	blob []byte
	// skipped is the blob with another name for the lists of tuples, which both
	// sides skip then: JSON alone.
	skipped []byte
	// bare has the tuples with next to nothing around them.
	bare  []byte
	lines []string // the tuples
	parse func(line string) (tuple, error)
	// tuples and flows are the same, read.
	tuples []tuple
	flows  []flowlog.Flow
}

// load makes an input of 60 000 tuples, always the same; v6 is vnet with nothing
// but IPv6.
func load(name string) (*input, error) {
	in := &input{kind: flowlog.VNet, parse: parseVNet}
	kind := flowgen.VNet
	if name == "nsg" {
		in.kind, in.parse, kind = flowlog.NSG, parseNSG, flowgen.NSG
	}
	const minutes = 12
	g, err := flowgen.New(flowgen.Config{Kind: kind, NICs: 1, Start: time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC), Minutes: minutes, Tuples: 5000, Seed: 1})
	if err != nil {
		return nil, err
	}
	in.blob = []byte(flowgen.Head)
	for m := range minutes {
		if m > 0 {
			in.blob = append(in.blob, ',')
		}
		in.blob = g.AppendRecord(in.blob, 0, m)
	}
	in.blob = append(in.blob, flowgen.Tail...)
	if name == "v6" {
		in.blob = AppendIPv6(nil, in.blob)
	}
	in.skipped = bytes.ReplaceAll(in.blob, []byte(`"flowTuples"`), []byte(`"otherTexts"`))

	var log blob
	if err := json.Unmarshal(in.blob, &log); err != nil {
		return nil, err
	}
	log.each(func(_ string, lines []string) { in.lines = append(in.lines, lines...) })
	around := [2]string{`{"macAddress":"000D3A000001","flowRecords":{"flows":[{"flowGroups":[{"rule":"r","flowTuples":["`, `"]}]}]}}`}
	if kind == flowgen.NSG {
		around = [2]string{`{"properties":{"Version":2,"flows":[{"rule":"r","flows":[{"mac":"000D3A000001","flowTuples":["`, `"]}]}]}}`}
	}
	var records []string
	for lines := range slices.Chunk(in.lines, 5000) {
		records = append(records, around[0]+strings.Join(lines, `","`)+around[1])
	}
	in.bare = []byte(flowgen.Head + strings.Join(records, ",") + flowgen.Tail)
	for _, line := range in.lines {
		t, err := in.parse(line)
		if err != nil {
			return nil, err
		}
		in.tuples = append(in.tuples, t)
	}
	_, err = newReader().read(in.blob, func(flows []flowlog.Flow) { in.flows = append(in.flows, flows...) })
	if err == nil && len(in.flows) != len(in.tuples) {
		err = fmt.Errorf("%d tuples and %d flows", len(in.tuples), len(in.flows))
	}
	return in, err
}

var inputs = map[string]func() (*input, error){
	"vnet": sync.OnceValues(func() (*input, error) { return load("vnet") }),
	"nsg":  sync.OnceValues(func() (*input, error) { return load("nsg") }),
	"v6":   sync.OnceValues(func() (*input, error) { return load("v6") }),
}

// reader is the product's decoder, with what it keeps from one blob to the next.
type reader struct {
	bytes   bytes.Reader
	decoder *flowlog.Decoder
	batch   flowlog.Batch
}

func newReader() *reader {
	return &reader{decoder: flowlog.NewDecoder(nil, 0, flowlog.Options{})}
}

// read reads a whole blob, and returns how many flows are in it. Each may be nil.
func (r *reader) read(blob []byte, each func([]flowlog.Flow)) (flows int, err error) {
	r.bytes.Reset(blob)
	r.decoder.Reset(&r.bytes, 0)
	for {
		r.batch.Reset()
		if err := r.decoder.Next(&r.batch); errors.Is(err, io.EOF) {
			return flows, nil
		} else if err != nil {
			return flows, err
		}
		flows += r.batch.Len()
		if each == nil {
			continue
		}
		for i := range r.batch.Records {
			for _, g := range r.batch.Groups(&r.batch.Records[i]) {
				each(r.batch.Flows(&g))
			}
		}
	}
}
