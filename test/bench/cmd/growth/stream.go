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

	"golang.org/x/sys/unix"

	"flow2ipfix/internal/flowgen"
	"flow2ipfix/test/bench"
)

// stream is a flow log that is made while it is read: minute by minute, the record
// of each interface. A process of its own makes it, so that this one stays small:
// Linux counts what it holds to the peak memory of what it starts.
type stream struct {
	NICs, Minutes, PerMinute int

	made struct {
		Tuples int
		Bytes  int64
	}
}

// pipeBytes is how much may wait for the program: the more, the less often it waits
// for what is being made.
const pipeBytes = 1 << 20

// feed runs a program that reads the stream from standard input.
func (s *stream) feed(ctx context.Context, args []string) (result bench.Result, said []byte, err error) {
	self, err := os.Executable()
	if err != nil {
		return result, nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return result, nil, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := unix.FcntlInt(in.Fd(), unix.F_SETPIPE_SZ, pipeBytes); err != nil {
		return result, nil, errors.Join(err, in.Close())
	}
	maker := exec.CommandContext(ctx, self, "-stream-nics", strconv.Itoa(s.NICs),
		"-stream-minutes", strconv.Itoa(s.Minutes), "-stream-tuples", strconv.Itoa(s.PerMinute))
	var made bytes.Buffer
	maker.Stdout, maker.Stderr = in, &made
	err = maker.Start()
	if err := errors.Join(err, in.Close()); err != nil {
		return result, nil, err
	}
	if result, said, err = bench.Process(ctx, out, args...); err != nil {
		_ = maker.Process.Kill() // nobody reads what it makes
	}
	if err := errors.Join(err, maker.Wait()); err != nil {
		return result, nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(made.Bytes()))
	}
	return result, said, json.Unmarshal(made.Bytes(), &s.made)
}

// write makes the stream, and says on standard error what it was.
func write(ctx context.Context, o options, out io.Writer) error {
	s := o.stream
	g, err := flowgen.New(flowgen.Config{Kind: flowgen.VNet, NICs: s.NICs, Start: hour, Minutes: s.Minutes, Tuples: s.PerMinute, Seed: 1})
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out, pipeBytes)
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
