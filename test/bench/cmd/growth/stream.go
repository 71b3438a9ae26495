package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"flow2ipfix/internal/flowgen"
)

// stream is a flow log that is made minute by minute: the record of each interface, no
// minute like another. A process of its own makes it, so that this one stays small: Linux
// counts what it holds to the peak memory of what it starts.
type stream struct {
	NICs, Minutes, PerMinute int

	made struct {
		Tuples int
		Bytes  int64
	}
}

// save makes the stream as a file. It is not made while it is read: a replay is faster
// than that, and would pay for waiting.
func (s *stream) save(ctx context.Context, name string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	maker := exec.CommandContext(ctx, self, "-stream-nics", strconv.Itoa(s.NICs),
		"-stream-minutes", strconv.Itoa(s.Minutes), "-stream-tuples", strconv.Itoa(s.PerMinute))
	var made bytes.Buffer
	maker.Stdout, maker.Stderr = f, &made
	if err := maker.Run(); err != nil {
		return fmt.Errorf("make a stream: %w: %s", err, bytes.TrimSpace(made.Bytes()))
	}
	if err := f.Sync(); err != nil { // now, and not while the replay runs
		return err
	}
	return json.Unmarshal(made.Bytes(), &s.made)
}

// write makes the stream, and says on standard error what it was.
func write(ctx context.Context, o options, out io.Writer) error {
	s := o.stream
	g, err := flowgen.New(flowgen.Config{Kind: flowgen.VNet, NICs: s.NICs, Start: hour, Minutes: s.Minutes, Tuples: s.PerMinute, Seed: 1})
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, 1<<20)
	put := func(text []byte) error {
		s.made.Bytes += int64(len(text))
		_, err := w.Write(text)
		return err
	}
	if err := put([]byte(flowgen.Head)); err != nil {
		return err
	}
	var record []byte
	for i := range s.NICs * s.Minutes {
		record = record[:0]
		if i > 0 {
			record = append(record, ',')
		}
		record = g.AppendRecord(record, i%s.NICs, i/s.NICs)
		if err := errors.Join(put(record), ctx.Err()); err != nil {
			return err
		}
	}
	if err := errors.Join(put([]byte(flowgen.Tail)), w.Flush()); err != nil {
		return err
	}
	s.made.Tuples = int(g.Totals().Tuples)
	return json.NewEncoder(os.Stderr).Encode(s.made)
}
