package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"flow2ipfix/config"
)

const doctorLong = `Doctor walks the whole way of the flows once, from the storage accounts to the
collectors, and prints a line for each thing that it looks at, with what to do if
it is not as it should be. It may run beside the service, and is best run as the
service's user.

It writes nothing to accounts and folders with flow logs, and sends no flows. Over
UDP a collector gets one message with templates only; over TCP, TLS and DTLS it is
connected to, and left again. A file of a collector is not made or changed. In
the state directory a small file is written and removed.

It ends with 1 if a check failed, and with 78 if the configuration is wrong.`

func newDoctor(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor --config FILE",
		Short: "try the whole way, from accounts to collectors, and say what to do",
		Long:  doctorLong,
		Args:  noArgs,
	}
	flags := addConfigFlags(cmd)
	timeout := cmd.Flags().Duration("timeout", 30*time.Second, "how long each source and each collector may take")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object when all is done")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *timeout <= 0 {
			return usagef("see flow2ipfix doctor --help", "--timeout: want more than 0, like 30s, got %s", *timeout)
		}
		r := &diagnosis{Config: flags.file, load: flags.load, Checks: []finding{}}
		if !*asJSON {
			r.out, r.colour = u.out, colourful(u.out)
		}
		code, err := r.doctor(cmd.Context(), *timeout)
		if err == nil && *asJSON {
			enc := json.NewEncoder(u.out)
			enc.SetEscapeHTML(false)
			enc.SetIndent("", "  ")
			err = enc.Encode(r)
		}
		if err == nil && code != exitOK {
			err = code
		}
		return err
	}
	return cmd
}

// colourful says whether colours suit where the findings go.
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// status is how a check ended.
type status string

const (
	statusOK      status = "ok"
	statusWarning status = "warning" // it works, but not as it should, or not yet
	statusFailed  status = "failed"
	statusSkipped status = "skipped" // what it needs has failed
)

// finding is what one check found.
type finding struct {
	// Of is configuration, source, state directory or collector; Name is which.
	Of        string `json:"of"`
	Name      string `json:"name,omitempty"`
	Check     string `json:"check"`
	Container string `json:"container,omitempty"`
	Status    status `json:"status"`
	// Detail says what was found, Hint what to do about it.
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`

	err error // goes into Detail and Hint
}

// explain puts the error into words.
func (f *finding) explain() {
	var slow *tooSlow
	if f.err != nil {
		if f.Hint == "" {
			f.Hint = hintOf(f.err)
		}
		if f.Hint == "" && errors.As(f.err, &slow) {
			f.Hint = "see what keeps it waiting: a firewall that drops packets, a proxy, a mount that hangs; or give it a longer --timeout"
		}
		if f.Detail != "" {
			f.Detail += "; "
		}
		f.Detail += inOneLine(f.err, f.Hint)
	}
	f.Detail = strings.Join(strings.Fields(f.Detail), " ")
}

// inOneLine says an error without its hint. Of several errors, it says the first.
func inOneLine(err error, hint string) string {
	texts := strings.Split(err.Error(), "\n")
	text := strings.TrimSuffix(texts[0], "; "+hint)
	if more := uint64(len(texts) - 1); more > 0 {
		text += " (and " + count(more, "other error") + ")"
	}
	return text
}

// subject is what is examined by itself, beside others.
type subject struct {
	of, name string
	// examine reports what it finds, as it goes.
	examine func(ctx context.Context, report func(finding))
}

// label names a subject, or what a finding is of.
func label(of, name string) string { return strings.TrimSpace(of + " " + name) }

// diagnosis gathers findings, and prints them as they come if there is an out.
type diagnosis struct {
	Config string    `json:"config"`
	Checks []finding `json:"checks"`
	Counts struct {
		OK      int `json:"ok"`
		Warning int `json:"warning"`
		Failed  int `json:"failed"`
		Skipped int `json:"skipped"`
	} `json:"counts"`

	load   func() (config.Config, error)
	out    io.Writer // nil: nothing is printed
	colour bool
	width  int // of labels
}

// doctor loads the configuration and examines all that it names.
func (d *diagnosis) doctor(ctx context.Context, timeout time.Duration) (exitCode, error) {
	const of = "configuration"
	d.width = len(of)
	cfg, err := d.load()
	var wrong config.Errors
	switch {
	case errors.As(err, &wrong):
		for i, e := range wrong {
			f := finding{Of: of, Check: "file", Status: statusFailed, err: e}
			if i == len(wrong)-1 {
				f.Hint = configHint
			}
			if err := d.add(f); err != nil {
				return exitFailure, err
			}
		}
		return exitConfig, d.end("; nothing else was looked at")
	case err != nil:
		return exitFailure, err
	}
	subjects := []subject{}
	for i := range cfg.Sources {
		s := &cfg.Sources[i]
		subjects = append(subjects, subject{"source", s.Name, func(ctx context.Context, report func(finding)) { examineSource(ctx, s, report) }})
	}
	subjects = append(subjects, subject{"state directory", "", func(_ context.Context, report func(finding)) { examineState(cfg.StateDir, report) }})
	for i := range cfg.Collectors {
		c := &cfg.Collectors[i]
		subjects = append(subjects, subject{"collector", c.Name, func(ctx context.Context, report func(finding)) { examineCollector(ctx, &cfg, c, report) }})
	}
	for _, s := range subjects {
		d.width = max(d.width, len(label(s.of, s.name)))
	}
	sound := fmt.Sprintf("%s: %s, %s", d.Config, count(uint64(len(cfg.Sources)), "source"), count(uint64(len(cfg.Collectors)), "collector"))
	if err := d.add(finding{Of: of, Check: "file", Status: statusOK, Detail: sound}); err != nil {
		return exitFailure, err
	}
	if err := d.examine(ctx, timeout, subjects); err != nil {
		return exitFailure, err
	}
	if err := d.end(""); err != nil || d.Counts.Failed > 0 {
		return exitFailure, err
	}
	return exitOK, nil
}

// tooSlow is why a subject's time ended.
type tooSlow struct{ after time.Duration }

func (t *tooSlow) Error() string { return fmt.Sprintf("it took longer than %s", t.after) }

const (
	// mostFindings of a subject wait until they are printed without keeping it.
	mostFindings = 1024
	// grace is how long a subject may take to say that its time has ended.
	grace = time.Second
)

// examine examines all subjects at the same time, and adds their findings in
// order.
func (d *diagnosis) examine(ctx context.Context, timeout time.Duration, subjects []subject) error {
	found := make([]<-chan finding, len(subjects))
	for i, s := range subjects {
		found[i] = s.begin(ctx, timeout)
	}
	for _, findings := range found {
		for f := range findings {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := d.add(f); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// begin examines a subject. What hangs where no context reaches, such as in a
// mount, is left behind when its time has ended.
func (s subject) begin(ctx context.Context, timeout time.Duration) <-chan finding {
	slow := &tooSlow{timeout}
	limited, cancel := context.WithTimeoutCause(ctx, timeout, slow)
	late, cancelLate := context.WithTimeout(ctx, timeout+grace)
	said := make(chan finding)
	go func() {
		defer close(said)
		s.examine(limited, func(f finding) {
			f.Of, f.Name = s.of, s.name
			select {
			case said <- f:
			case <-late.Done():
			}
		})
	}()
	out := make(chan finding, mostFindings)
	go func() {
		defer close(out)
		defer cancelLate()
		defer cancel()
		for {
			select {
			case f, more := <-said:
				if !more {
					return
				}
				out <- f
			case <-late.Done():
				out <- finding{Of: s.of, Name: s.name, Check: "time", Status: statusFailed, err: slow}
				return
			}
		}
	}()
	return out
}

// add keeps a finding, and prints it.
func (d *diagnosis) add(f finding) error {
	f.explain()
	d.Checks = append(d.Checks, f)
	switch f.Status {
	case statusOK:
		d.Counts.OK++
	case statusWarning:
		d.Counts.Warning++
	case statusFailed:
		d.Counts.Failed++
	case statusSkipped:
		d.Counts.Skipped++
	}
	if d.out == nil {
		return nil
	}
	detail := f.Detail
	if f.Container != "" {
		detail = f.Container + ": " + detail
	}
	_, err := fmt.Fprintf(d.out, "%s  %-*s  %-*s  %s\n", d.paint(f.Status), d.width, label(f.Of, f.Name), checkWidth, f.Check, detail)
	if f.Hint != "" && err == nil {
		_, err = fmt.Fprintf(d.out, "%-*s  hint: %s\n", statusWidth, "", f.Hint)
	}
	return err
}

const (
	statusWidth = len(statusWarning)
	checkWidth  = len("newest blob")
)

var colours = map[status]int{statusOK: 32, statusWarning: 33, statusFailed: 31, statusSkipped: 2}

// paint writes a status as wide as all of them.
func (d *diagnosis) paint(s status) string {
	text := fmt.Sprintf("%-*s", statusWidth, s)
	if d.colour {
		text = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colours[s], text)
	}
	return text
}

// end prints how many checks there were and how they ended.
func (d *diagnosis) end(note string) error {
	if d.out == nil {
		return nil
	}
	var ended []string
	for _, c := range []struct {
		n int
		s status
	}{{d.Counts.OK, statusOK}, {d.Counts.Warning, statusWarning}, {d.Counts.Failed, statusFailed}, {d.Counts.Skipped, statusSkipped}} {
		if c.n > 0 {
			ended = append(ended, fmt.Sprintf("%d %s", c.n, c.s))
		}
	}
	_, err := fmt.Fprintf(d.out, "\n%s: %s%s\n", count(uint64(len(d.Checks)), "check"), strings.Join(ended, ", "), note)
	return err
}
