package main

// This file holds the words to people. The rules are:
//
//   - Results go to standard output, everything else to standard error.
//   - An error is one line in lower case without a period, behind "error:"; what
//     to do about it follows behind "hint:".
//   - Nothing moves on standard error unless it is a terminal.

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"flow2ipfix/bridge"
	"flow2ipfix/checkpoint"
	"flow2ipfix/config"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/telemetry"
)

const rootShort = "Azure flow logs to IPFIX"

const rootLong = `flow2ipfix reads Azure flow logs (NSG versions 1 and 2, virtual network
version 4) and sends every flow as IPFIX or NetFlow to the collectors that you
already have: ntopng, ElastiFlow, nfdump, pmacct, Akvorado, and others.

See it work, without any set-up:

  flow2ipfix demo

exit codes:
  0    all went well
  1    something failed; standard error says what
  2    the command line is wrong
  3    replay --strict: something was rejected
  78   the configuration is wrong; standard error says all that is
  130  interrupted`

const runLong = `Run follows the storage accounts and folders that the configuration names, day
and night, and delivers every flow at least once to each collector that is
required: a collector that is away is waited for, and Azure keeps the flow logs
meanwhile. What has been delivered is kept in the state directory.

SIGTERM and SIGINT deliver what was read and end; a second one ends at once.
SIGHUP loads the configuration again: one that is wrong is reported, and the old
one goes on.`

const replayLong = `Replay reads flow logs once and sends them to one or more collectors. Folders
are searched for *.json files (links below them are not followed); blobs under
Azure's own paths are read in the order of their hours. What cannot be read is
left out, counted and said; the rest goes on. All collectors must be there at the
start; when one fails later, the others go on.

A tuple becomes a record with what was sent and one with what was received, if
anything was, or, with --records biflow, one record with both. Flows that only began have no counters and are skipped.

The summary goes to standard output. As JSON its members are: blobs, records
and tuples read; tuples exported and skipped; rejected pieces; exported_records,
options_records, messages and bytes sent, and values clamped because the protocol
cannot carry them, summed over the collectors; seconds; what the interface indexes
and observation domains of this run stand for; and details of each.`

const collectLong = `Collect is a small collector for trying things out. It receives IPFIX or
NetFlow (versions 9 and 5) and prints the flow records and option records that
it decodes.`

const collectExamples = `  flow2ipfix collect --listen udp://127.0.0.1:4739
  flow2ipfix collect --listen file:flows.ipfix --format json
  flow2ipfix collect --listen tcp://127.0.0.1:4739 --for 1m`

const generateLong = `Generate writes flow logs that look like Azure's own, under Azure's own paths:
a record for each interface and minute, flows that begin, go on, end or are
denied, with counters that add up over a flow's life. With --grow blobs grow by
a record a minute, before their closing brackets, and never show a half one.`

const generateExamples = `  flow2ipfix generate --out logs --nics 10 --minutes 120
  flow2ipfix generate --out logs --kind nsg --minutes 60 --tuples 20000
  flow2ipfix generate --out logs --grow --speed 60`

const demoLong = `Demo makes a few minutes of synthetic flow logs, sends them as IPFIX over
loopback to a collector of its own, prints the flows that the collector decodes,
and compares the sums of both sides. It needs no set-up and ends by itself.`

const configLong = `Config reads the configuration without doing what it says: check says all that
is wrong with it, dump prints what holds when defaults and the environment are
filled in, schema tells an editor what may stand there, reference tells a person.

Secrets are read from where they lie, and never shown. Whether accounts and
collectors can be reached is not asked.`

const configHint = "see flow2ipfix config --help, and examples/flow2ipfix.yaml for every key"

const templatesLong = `Templates prints the templates that a collector is sent with the flags that are
given, and where each field of Azure's flow logs goes. With --elements it prints
all elements that can be sent, with --presets what is known of collectors.`

const templatesExamples = `  flow2ipfix templates --preset nfdump
  flow2ipfix templates --fields preset,flowId --records biflow
  flow2ipfix templates --elements`

const netflow5Form = "netflow5 has no templates. Its records have 48 octets: IPv4 addresses, ports and protocol, packets and bytes (32 bits; larger ones are split over several records), start and end, and both interfaces (16 bits)."

const fieldsIntro = `# Fields

Generated by ` + "`flow2ipfix templates --format markdown`" + `; a test holds it to the program.

A tuple is exported as a forward record, from source to destination with what
was sent, and a reverse record with what was received, if anything was; with
` + "`records: biflow`" + ` as one record that has both.
`

const mappingIntro = `What every preset sends stands under *always*. What stands under *on demand* is sent
if the preset has it (see below), if ` + "`fields`" + ` names it, or, of the names that begin with
azure, if there is an ` + "`enterprise.number`" + `.
`

const presetsIntro = `A preset is what suits a kind of collector, where the configuration does not say
otherwise: elements and options templates, and records a second over UDP.
`

const elementsIntro = `All that ` + "`fields`" + ` may name. Ids below own/ stand under the configured enterprise number
(` + "`enterprise.number`" + `), those below 29305/ are reverse elements (RFC 5103). Strings are as
long as they are, unless ` + "`enterprise.string_octets`" + ` says otherwise; with netflow9 they have
64 octets.
`

const optionsIntro = `What ` + "`options`" + ` may name, besides preset. With netflow9, scopes have their own types
(interface, system), and flow_keys, types and the second of statistics do not exist.
`

const replayExamples = `  flow2ipfix replay --collector udp://127.0.0.1:4739 PT1H.json
  flow2ipfix replay --collector file:flows.ipfix insights-logs-flowlogflowevent/
  curl -s "$BLOB_URL?$SAS" | flow2ipfix replay --collector tcp://collector:4739 -`

// ui speaks to people.
type ui struct {
	out, err io.Writer
	tty      bool // err is a terminal
	journal  bool // err goes to systemd's journal
}

func newUI(out, errw io.Writer) *ui {
	f, ok := errw.(*os.File)
	return &ui{out: out, err: errw, tty: ok && term.IsTerminal(int(f.Fd())), journal: ok && isJournal(f, os.Getenv(journalStream))}
}

// hinted is an error that says what to do about it.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

func withHint(err error, hint string) error { return &hinted{err, hint} }

func usagef(hint, format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...), hint}
}

// hintOf returns what to do about err, or "".
func hintOf(err error) string {
	var usage *usageError
	var h *hinted
	var collector *exporter.Error
	var state *checkpoint.Error
	var listener *telemetry.Error
	var wrong config.Errors
	switch {
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &collector):
		return collector.Hint
	case errors.As(err, &state):
		return state.Hint
	case errors.As(err, &listener):
		return listener.Hint
	case errors.As(err, &wrong):
		return configHint
	}
	return ""
}

// fail says what ended the program.
func (u *ui) fail(err error) { u.say(slog.LevelError, "error", err, hintOf(err)) }

// warn says what went wrong while the program goes on.
func (u *ui) warn(err error, hint string) { u.say(slog.LevelWarn, "warning", err, hint) }

func (u *ui) say(level slog.Level, word string, err error, hint string) {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		u.write(level, word+": "+line)
	}
	if hint != "" {
		u.write(level, "hint: "+hint)
	}
}

func (u *ui) notef(format string, args ...any) { u.write(slog.LevelInfo, fmt.Sprintf(format, args...)) }

func (u *ui) write(level slog.Level, line string) {
	switch {
	case u.journal: // which knows who speaks
		line = journalLevel(level) + line
	case u.tty:
		line = "\r\x1b[Kflow2ipfix: " + line // over the progress, which comes back below
	default:
		line = "flow2ipfix: " + line
	}
	_, _ = io.WriteString(u.err, line+"\n")
}

func (u *ui) interrupted() { u.notef("interrupted") }

// mutedRejects shows the first few rejected pieces.
type mutedRejects struct {
	ui    *ui
	count int
}

const shownRejects = 10

func (m *mutedRejects) show(blob string, r flowlog.Reject) {
	if m.count++; m.count <= shownRejects {
		m.ui.notef("warning: %s: %s", blob, r)
	}
}

func (m *mutedRejects) end(file string) {
	switch more := m.count - shownRejects; {
	case more > 0 && file != "":
		m.ui.notef("warning: %s more rejected; %s has them all", thousands(uint64(more)), file)
	case more > 0:
		m.ui.notef("warning: %s more rejected; --rejects FILE keeps them all", thousands(uint64(more)))
	}
}

// progress is a moving line on a terminal.
type progress struct{ done, ended chan struct{} }

// startProgress shows bytes, flows/s and time left until stop is called, if
// standard error is a terminal.
func (u *ui) startProgress(total int64, p *bridge.Progress) *progress {
	if !u.tty {
		return nil
	}
	bar := progressbar.NewOptions64(
		total,
		progressbar.OptionSetWriter(u.err),
		progressbar.OptionShowBytes(true),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetPredictTime(total > 0),
	)
	pr := &progress{make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(pr.ended)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		start := time.Now()
		for {
			select {
			case <-tick.C:
				rate := float64(p.Tuples.Load()) / time.Since(start).Seconds()
				bar.Describe(thousands(uint64(rate)) + " flows/s")
				bytes := int64(p.Bytes.Load())
				if total > 0 {
					bytes = min(bytes, total-1) // all is read, but not yet sent
				}
				_ = bar.Set64(bytes)
			case <-pr.done:
				_ = bar.Clear()
				return
			}
		}
	}()
	return pr
}

func (p *progress) stop() {
	if p != nil {
		close(p.done)
		<-p.ended
	}
}

// count writes "1 file", "2,048 files".
func count(n uint64, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return thousands(n) + " " + noun
}

func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes bytes in powers of 1000, as disks and links are sold.
func size(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for f >= 999.95 {
		f /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", f, " kMGTPE"[unit])
}

// orList writes "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
