package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"
)

// Options are what is simulated.
type Options struct {
	Size
	Product      string        // a built flow2ipfix
	Minutes      int           // how often all blobs grow, the first time before the daemon starts
	PollInterval time.Duration // the daemon's
	Readers      int           // the daemon's
	Latency      time.Duration // of each of the account's answers
	Collector    string        // tcp or udp
	Timeout      time.Duration // of all
	MaxMemory    int64         // bytes the daemon may hold at its peak
}

// A minute's worth must be delivered before the next one comes.
const maxTime = time.Minute

// step is what was measured of one minute's worth, or of polls with nothing new.
type step struct {
	name               string
	requests           Requests
	records, want      int
	waited, took       time.Duration // until the first blob was read, and from then to the last record
	processor          time.Duration
	resident, peak     int64
	total              time.Duration
	firstRead, growing time.Time
}

// Run simulates, prints a table, and returns an error if anything was lost, came
// twice, or took more than it may.
//
// Time is simulated: all blobs grow at once, and again as soon as the last record
// of all of them has come in. That is harder than what Azure does, whose blobs
// grow one after another through the minute.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("not done after %v", o.Timeout))
	defer cancel()
	dir, err := os.MkdirTemp("", "flow2ipfix-simulation-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	g, err := newGrowth(o.Size, time.Now())
	if err != nil {
		return err
	}
	if o.Minutes < 1 || o.Minutes > 60 {
		return fmt.Errorf("minutes: want 1 to 60, got %d", o.Minutes)
	}
	a, err := startAccount(g, o.Latency, o.PollInterval)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	c, err := startCollector(o.Collector)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()

	a.minutes.Store(1)
	d, err := startDaemon(ctx, o, dir, a.url, c.url)
	if err != nil {
		return err
	}
	steps, err := measure(ctx, o, a, c, d)
	if err != nil {
		cancel()
		<-d.ended
	} else {
		err = d.stop()
	}
	last, collectErr := c.status()
	report(out, o, steps, last, d)
	return errors.Join(err, collectErr, judge(o, steps, last, d))
}

// measure lets the blobs grow, and then rest.
func measure(ctx context.Context, o Options, a *account, c *collector, d *daemon) ([]step, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-d.ended:
			cancel(errors.New("the daemon ended by itself"))
		case <-ctx.Done():
		}
	}()
	var steps []step
	before, used, want := 0, time.Duration(0), 0
	finish := func(s *step, came collected) {
		s.requests, s.firstRead = a.take()
		s.records = came.records + came.lost - before
		before += s.records
		s.processor, used = d.processorTime()-used, d.processorTime()
		s.resident, _ = d.memory("VmRSS")
		s.peak = d.peakBytes()
		s.total = time.Since(s.growing)
		if !s.firstRead.IsZero() && came.last.After(s.firstRead) {
			s.waited, s.took = s.firstRead.Sub(s.growing), came.last.Sub(s.firstRead)
			s.total = came.last.Sub(s.growing)
		}
		steps = append(steps, *s)
	}
	for minute := range o.Minutes {
		s := step{name: fmt.Sprintf("minute %d", minute+1), growing: time.Now()}
		a.minutes.Store(int64(minute + 1))
		_, s.want = a.growth.flowsIn(minute)
		want += s.want
		came, err := c.await(ctx, want)
		finish(&s, came)
		if err != nil {
			return steps, fmt.Errorf("minute %d: %w", minute+1, err)
		}
	}
	// Each flow log is asked for at least twice, with an interval up to 10 %
	// longer.
	s := step{name: "nothing new", growing: time.Now()}
	rest := time.NewTimer(o.PollInterval * 23 / 10)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
		return steps, context.Cause(ctx)
	}
	came, err := c.status()
	finish(&s, came)
	return steps, err
}

func report(out io.Writer, o Options, steps []step, last collected, d *daemon) {
	g, _ := newGrowth(o.Size, time.Now())
	tuples, records := g.flowsIn(0)
	bytes := g.sizeAt(0, 1)
	fmt.Fprintf(out, "\nsimulation: %d flow logs of %d network interfaces; each minute %d blobs grow by a record of %d tuples (%.1f kB), together %.0f MB and %d flow records\n"+
		"all at once, and again when all has arrived; poll interval %v, %d readers, account answers after %v, collector over %s\n\n",
		o.FlowLogs, o.NICs, o.Blobs(), tuples/o.Blobs(), float64(bytes)/1e3, float64(bytes)*float64(o.Blobs())/1e6, records, o.PollInterval, o.Readers, o.Latency, o.Collector)
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tpolled after\tread and sent in\ttogether\tCPU\tpolls\tlists\treads\tfolders\tothers\tlisted\tread\trecords\tof\tRSS\tpeak RSS\t")
	for _, s := range steps {
		waited, took := "-", "-"
		if s.took > 0 {
			waited, took = fmt.Sprintf("%.2f s", s.waited.Seconds()), fmt.Sprintf("%.2f s", s.took.Seconds())
		}
		r := s.requests
		fmt.Fprintf(table, "%s\t%s\t%s\t%.2f s\t%.2f s\t%d\t%d\t%d\t%d\t%d\t%.1f MB\t%.1f MB\t%d\t%d\t%.1f MiB\t%.1f MiB\t\n", s.name, waited, took, s.total.Seconds(), s.processor.Seconds(),
			r.Polls, r.Lists, r.Reads, r.Folders, r.Others, float64(r.ListBytes)/1e6, float64(r.ReadBytes)/1e6, s.records, s.want, mib(s.resident), mib(s.peak))
	}
	_ = table.Flush() // out says no errors
	if n := len(steps); n > 0 && steps[n-1].want == 0 {
		idle := steps[n-1]
		fmt.Fprintf(out, "\nsimulation: with nothing new at %d network interfaces, polls every %v take %.1f %% of a core\n",
			o.Blobs(), o.PollInterval, 100*idle.processor.Seconds()/idle.total.Seconds())
	}
	verdict := "under"
	if d.peakBytes() > o.MaxMemory {
		verdict = "OVER"
	}
	fmt.Fprintf(out, "\nsimulation: %d records in %d messages, %d of them lost by the socket; peak RSS %.1f MiB, %s %.0f MiB\n",
		last.records+last.lost, last.messages, last.lost, mib(d.peakBytes()), verdict, mib(o.MaxMemory))
	if said := d.complaints(); len(said) > 0 {
		fmt.Fprintf(out, "the daemon said %d times more than that all is well, last:\n%s\n", len(said), tail(said))
	}
}

// judge says what was not as it should be.
func judge(o Options, steps []step, last collected, d *daemon) error {
	var errs []error
	want := 0
	for _, s := range steps {
		want += s.want
		r := s.requests
		switch {
		case s.want > 0 && s.total > maxTime:
			errs = append(errs, fmt.Errorf("%s: took %v, want at most %v", s.name, s.total.Round(time.Millisecond), maxTime))
		case s.want == 0 && r.Reads > 0:
			errs = append(errs, fmt.Errorf("%s: %d blobs were read", s.name, r.Reads))
		case s.want == 0 && r.Polls < 2*o.FlowLogs:
			errs = append(errs, fmt.Errorf("%s: flow logs were asked for %d times, want %d or more", s.name, r.Polls, 2*o.FlowLogs))
		}
		// One list call for each page of each open hour. While much is read, a poll
		// may begin right behind the one before, so that they are not told apart.
		if pages := (o.NICs + pageOf - 1) / pageOf; s.want == 0 && r.Lists > r.Polls*pages {
			errs = append(errs, fmt.Errorf("%s: %d list calls in %d polls, want %d a poll", s.name, r.Lists, r.Polls, pages))
		}
		if r.Others > 0 {
			errs = append(errs, fmt.Errorf("%s: %d requests were refused", s.name, r.Others))
		}
	}
	if got := last.records + last.lost; got != want {
		errs = append(errs, fmt.Errorf("%d records were exported, want %d", got, want))
	}
	if peak := d.peakBytes(); peak > o.MaxMemory {
		errs = append(errs, fmt.Errorf("peak memory was %.1f MiB, want at most %.0f MiB", mib(peak), mib(o.MaxMemory)))
	}
	return errors.Join(errs...)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// tail returns the last lines.
func tail(lines []string) string {
	text := ""
	for _, line := range lines[max(0, len(lines)-5):] {
		text += "  " + line + "\n"
	}
	return text
}
