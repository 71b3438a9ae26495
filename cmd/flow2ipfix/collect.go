package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flow2ipfix/internal/collect"
)

func newCollect(u *ui) *cobra.Command {
	var o collectOptions
	cmd := &cobra.Command{
		Use:     "collect --listen URL",
		Short:   "receive IPFIX or NetFlow and print it",
		Long:    collectLong,
		Example: collectExamples,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.listen == "" {
				return usagef("see flow2ipfix collect --help", "--listen: want a URL, like --listen udp://127.0.0.1:4739")
			}
			if o.format != "table" && o.format != "json" {
				return usagef("see flow2ipfix collect --help", "--format: want table or json, got %q", o.format)
			}
			if o.duration < 0 {
				return usagef("see flow2ipfix collect --help", "--for: want 0 or more, got %v", o.duration)
			}
			return runCollect(cmd.Context(), u, o)
		},
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&o.listen, "listen", "", "where to listen: udp://HOST:PORT or tcp://HOST:PORT; or file:PATH (file:- for standard input) to read an IPFIX file")
	fl.StringVar(&o.format, "format", "table", "table, or json for an object a line")
	fl.Uint64Var(&o.limit, "count", 0, "stop after so many flow records; 0 goes on")
	fl.DurationVar(&o.duration, "for", 0, "stop after so long, like 30s; 0 goes on")
	fl.Uint32Var(&o.enterprise, "enterprise-number", 0, "the private enterprise number of azureRule and its like; 0 for the names that the exporter tells")
	return cmd
}

// collectOptions are the flags of collect.
type collectOptions struct {
	listen, format string
	limit          uint64
	duration       time.Duration
	enterprise     uint32
}

func runCollect(ctx context.Context, u *ui, o collectOptions) error {
	c, err := collect.Listen(ctx, o.listen, collect.Options{
		OnError:          func(err error) { u.warn(err, "") },
		EnterpriseNumber: o.enterprise,
	})
	if errors.Is(err, collect.ErrURL) {
		return &usageError{err, "see flow2ipfix collect --help"}
	}
	if err != nil {
		return err
	}
	verb := "listening on"
	if strings.HasPrefix(c.URL(), "file:") {
		verb = "reading"
	}
	u.notef("%s %s", verb, c.URL())
	var printer collect.Sink = collect.NewTable(u.out, collect.TableOptions{})
	if o.format == "json" {
		printer = collect.NewJSON(u.out)
	}
	limited := ctx
	if o.duration > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	sink := &limitedSink{Sink: printer, limit: o.limit}
	err = c.Run(limited, sink)
	s := c.Stats()
	u.notef("%s", collectedText(s))
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = nil // --for is over
	}
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return exitCode(exitInterrupted)
	case s.DataRecords < o.limit:
		return fmt.Errorf("%s came, want %s", count(s.DataRecords, "flow record"), thousands(o.limit))
	}
	return nil
}

func collectedText(s collect.Stats) string {
	text := count(s.DataRecords, "record")
	if s.OptionRecords > 0 {
		text += " and " + count(s.OptionRecords, "option record")
	}
	text += fmt.Sprintf(" in %s, %s", count(s.Messages, "message"), size(s.Bytes))
	for _, bad := range []struct {
		n    uint64
		noun string
	}{
		{s.SequenceGaps, "lost record"},
		{s.MissingMessages, "lost message"},
		{s.MissingTemplate, "set without template"},
		{s.DecodeErrors, "decoding error"},
		{s.RefusedConnections, "refused connection"},
	} {
		if bad.n > 0 {
			text += ", " + count(bad.n, bad.noun)
		}
	}
	return text
}

// limitedSink stops after limit flow records; 0 is no limit.
type limitedSink struct {
	collect.Sink
	limit, seen uint64
}

func (l *limitedSink) Write(r *collect.Record) error {
	if err := l.Sink.Write(r); err != nil {
		return err
	}
	if r.Options {
		return nil
	}
	if l.seen++; l.seen == l.limit {
		return collect.ErrStop
	}
	return nil
}
