package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flow2ipfix/bridge"
	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/source"
	"flow2ipfix/source/files"
	"flow2ipfix/templates"
)

type replayFlags struct {
	collectors     []string
	rate           rateFlag
	localAddress   string
	dialect        dialectFlags
	domain         string
	begin          string
	denied         string
	deniedCounters string
	interfaces     []string
	targets        []string
	rules          []string
	macs           []string
	prefixes       []string
	maxAge         time.Duration
	speed          float64
	shift          bool
	summary        string
	rejects        string
	strict         bool
}

func newReplay(u *ui, stdin io.Reader) *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:     "replay [flags] --collector URL PATH...",
		Short:   "send flow logs from files, folders or standard input to collectors",
		Long:    replayLong,
		Example: replayExamples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("name files, folders, or - for standard input", "nothing to replay")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return replay(cmd, u, stdin, &f, args) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVar(&f.collectors, "collector", nil, "`URL` to send to: udp://, tcp://, tls:// or dtls://HOST:PORT, or file:PATH; repeat for several")
	fl.Var(&f.rate, "rate", "records/s to each collector over udp and dtls; preset is what suits it, 0 sends as fast as it goes, which loses datagrams")
	fl.StringVar(&f.localAddress, "local-address", "", "IP `ADDRESS` to send from")
	fl.StringVar(&f.summary, "summary", "text", "text or json")
	fl.StringVar(&f.rejects, "rejects", "", "write each rejected piece to this `FILE`, a JSON object a line")
	fl.BoolVar(&f.strict, "strict", false, "end with code 3 if anything was rejected")
	fl.Float64Var(&f.speed, "speed", 0, "replay in log time, this many times faster; 0 does not wait")
	fl.BoolVar(&f.shift, "shift-to-now", false, "move times so that each record seems to be logged when it is sent")
	f.dialect.add(fl)
	grouped(fl, dialectGroup, func() {
		fl.StringVar(&f.begin, "begin", "skip", "flows that only began (state B, no counters): skip or export")
		fl.StringVar(&f.denied, "denied", "export", "denied flows: export or skip")
		fl.StringVar(&f.deniedCounters, "denied-counters", byPreset, "packets of a denied flow: zero, or one for collectors that discard records without packets; preset is what suits the collector")
		fl.StringVar(&f.domain, "observation-domain", "per_target", "per_target, or one number for everything")
		fl.StringArrayVar(&f.interfaces, "interface", nil, "name of a network interface, `MAC=NAME`; repeat for several")
	})
	grouped(fl, "Which flows", func() {
		fl.StringArrayVar(&f.targets, "target", nil, "only flow logs of resources like this `PATTERN`; '*' stands for anything; repeat for several")
		fl.StringArrayVar(&f.rules, "rule", nil, "only flows of rules like this `PATTERN`; repeat for several")
		fl.StringArrayVar(&f.macs, "mac", nil, "only flows of the interface with this `MAC`; repeat for several")
		fl.StringArrayVar(&f.prefixes, "prefix", nil, "only flows from or to this `PREFIX`, like 10.1.0.0/16; repeat for several")
		fl.DurationVar(&f.maxAge, "max-age", 0, "only flows that ended less than so long ago, like 24h; 0 is no limit")
	})
	return cmd
}

// config checks all flags and returns what they ask for, or all that is wrong
// with them.
func (f *replayFlags) config() (bridge.Config, error) {
	cfg := bridge.Config{Interfaces: &convert.MemoryInterfaces{}, Inventory: new(templates.Inventory), Speed: f.speed, ShiftToNow: f.shift}
	var errs []error
	choice := func(flag, got string, want ...string) string {
		if !slices.Contains(want, got) {
			errs = append(errs, fmt.Errorf("--%s: want %s, got %q", flag, orList(want), got))
		}
		return got
	}
	policy := convert.Policy{
		ExportBegin: choice("begin", f.begin, "skip", "export") == "export",
		SkipDenied:  choice("denied", f.denied, "export", "skip") == "skip",
	}
	packets := choice("denied-counters", f.deniedCounters, byPreset, "zero", "one")
	policy.Filter = convert.Filter{Targets: f.targets, Rules: f.rules, MaxAge: f.maxAge}
	for _, text := range f.macs {
		mac, ok := flowlog.ParseMAC(text)
		if !ok {
			errs = append(errs, fmt.Errorf("--mac: want 12 hexadecimal digits, got %q", text))
		}
		policy.Filter.MACs = append(policy.Filter.MACs, mac)
	}
	for _, text := range f.prefixes {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("--prefix: want a prefix like 10.1.0.0/16 or 2001:db8::/32, got %q", text))
		}
		policy.Filter.Prefixes = append(policy.Filter.Prefixes, prefix)
	}
	if f.maxAge < 0 {
		errs = append(errs, fmt.Errorf("--max-age: want 0 or more, got %v", f.maxAge))
	}
	choice("summary", f.summary, "text", "json")
	if f.domain != "per_target" {
		n, err := strconv.ParseUint(f.domain, 10, 32)
		if err != nil {
			errs = append(errs, fmt.Errorf("--observation-domain: want per_target or a number up to 4294967295, got %q", f.domain))
		}
		cfg.Domains = convert.Domains{Always: true, Fixed: uint32(n)}
	}
	if f.localAddress != "" {
		if _, err := netip.ParseAddr(f.localAddress); err != nil {
			errs = append(errs, fmt.Errorf("--local-address: want an IP address of this machine, got %q", f.localAddress))
		}
	}
	if f.rate.number < 0 {
		errs = append(errs, fmt.Errorf("--rate: want 0 or more records/s, got %d", f.rate.number))
	}
	if f.speed < 0 {
		errs = append(errs, fmt.Errorf("--speed: want 0 or more, got %v", f.speed))
	}
	names, err := interfaceNames(f.interfaces)
	if err != nil {
		errs = append(errs, err)
	}
	cfg.Names = convert.Names{Interfaces: names, Exporter: addressOf(f.dialect.exporterAddress)}
	set, err := f.dialect.templates()
	if err != nil {
		errs = append(errs, err)
	} else {
		suits := policyFor(set)
		policy.Bidirectional, policy.IPv4Only = suits.Bidirectional, suits.IPv4Only
		policy.DeniedCountOne = packets == "one" || packets == byPreset && suits.DeniedCountOne
		if packets == "one" && !set.TellsDenied() {
			errs = append(errs, errors.New("--denied-counters: want zero: nothing in the records says that a flow was denied, and an invented packet would look like one that got through"))
		}
	}
	if len(f.collectors) == 0 {
		errs = append(errs, errors.New("--collector: want at least one, like --collector udp://127.0.0.1:4739"))
	}
	for _, url := range f.collectors {
		address, err := exporter.ParseURL(url)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%w", err))
		}
		if err := f.dialect.checkURL(url, address); err != nil {
			errs = append(errs, err)
			continue
		}
		ec := exporter.Config{URL: url, Templates: set, LocalAddress: f.localAddress, MaxMessageBytes: f.dialect.messageBytes, Inventory: cfg.Inventory}
		if (address.Scheme == "udp" || address.Scheme == "dtls") && set != nil { // what loses nothing needs no pacing
			ec.Rate = f.rate.of(set.Preset)
		}
		if err == nil && set != nil && ec.Rate >= 0 {
			// What is wrong with the rest; a Stream connects to nobody yet.
			stream, err := exporter.NewStream(ec)
			if err != nil {
				errs = append(errs, fmt.Errorf("--collector %s: %w", url, err))
			} else if err := stream.Close(); err != nil {
				errs = append(errs, err)
			}
		}
		cfg.Lanes = append(cfg.Lanes, bridge.Lane{Name: url, Policy: policy, Exporter: ec})
	}
	if err := errors.Join(errs...); err != nil {
		return cfg, &usageError{err, "see flow2ipfix replay --help"}
	}
	return cfg, nil
}

// interfaceNames reads names of network interfaces, MAC=NAME.
func interfaceNames(flags []string) (map[flowlog.MAC]string, error) {
	names := map[flowlog.MAC]string{}
	var errs []error
	for _, text := range flags {
		digits, name, _ := strings.Cut(text, "=")
		mac, ok := flowlog.ParseMAC(digits)
		if !ok || name == "" {
			errs = append(errs, fmt.Errorf("--interface: want MAC=NAME, like 000D3A123456=web-01, got %q", text))
			continue
		}
		names[mac] = name
	}
	return names, errors.Join(errs...)
}

// checkOutputs makes sure that nothing that is written is also read, or written
// twice.
func checkOutputs(f *replayFlags, deltas []*source.Delta) error {
	outputs := map[string]string{}
	if f.rejects != "" {
		outputs["--rejects "+f.rejects] = f.rejects
	}
	seen := map[string]bool{}
	for _, url := range f.collectors {
		if seen[url] {
			return usagef("name each collector once", "--collector %s: named twice", url)
		}
		seen[url] = true
		if a, err := exporter.ParseURL(url); err == nil && a.Scheme == "file" {
			outputs["--collector "+url] = a.Target
		}
	}
	written := map[string]os.FileInfo{}
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		out, err := os.Stat(outputs[name])
		if err != nil || !out.Mode().IsRegular() {
			continue // a new file, or none that could be overwritten
		}
		for _, d := range deltas {
			if in, err := os.Stat(d.Blob); err == nil && os.SameFile(in, out) {
				return usagef("write to another file", "%s: would overwrite what is read", name)
			}
		}
		for other, info := range written {
			if os.SameFile(info, out) {
				return usagef("write to another file", "%s: is the file of %s too", name, other)
			}
		}
		written[name] = out
	}
	return nil
}

func replay(cmd *cobra.Command, u *ui, stdin io.Reader, f *replayFlags, paths []string) error {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	deltas, err := files.Find(paths, stdin)
	if err != nil {
		return withHint(err, "name files, folders with PT1H.json files below them, or - for standard input")
	}
	if err := checkOutputs(f, deltas); err != nil {
		return err
	}
	if f.speed > 0 {
		if err := checkSpeed(deltas); err != nil {
			return err
		}
	}
	var rejects *rejectsFile // opened when the collectors are there
	muted := &mutedRejects{ui: u}
	cfg.OnReject = func(blob string, r flowlog.Reject) {
		rejects.write(blob, r)
		muted.show(blob, r)
	}
	var failed error
	cfg.OnBlobError = func(blob string, err error) {
		failed = exitCode(exitFailure)
		u.warn(fmt.Errorf("read %s: %w", blob, err), "the rest of it was left out; the other files go on")
	}
	if len(cfg.Lanes) > 1 {
		cfg.OnLaneError = func(_ string, err error) { u.warn(err, "the other collectors go on") }
	}
	collectLater(heapGoal())
	b, err := bridge.New(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	if rejects, err = openRejects(f.rejects); err != nil {
		return err
	}
	start := time.Now()
	progress := u.startProgress(totalSize(deltas), &b.Progress)
	summary, err := b.Run(cmd.Context(), deltas)
	progress.stop()
	muted.end(f.rejects)
	if rejectsErr := rejects.close(); rejectsErr != nil {
		err = errors.Join(err, rejectsErr)
	}
	out := u.out
	if slices.ContainsFunc(f.collectors, func(url string) bool { return url == "file:-" }) {
		out = u.err // standard output is taken
	}
	if printErr := printSummary(out, f.summary, summary, time.Since(start)); printErr != nil {
		err = errors.Join(err, printErr)
	}
	if summary.Blobs > 0 && summary.Read.Records == 0 {
		u.warn(errors.New("no flow-log record in what was read"), "see whether these are flow logs: PT1H.json blobs of NSG or virtual network flow logs, not compressed")
	}
	switch {
	case err != nil:
		return err
	case failed != nil:
		return failed
	case f.strict && summary.Read.RejectedPieces() > 0:
		return exitCode(exitRejected)
	}
	return nil
}

// checkSpeed: blobs are read one after another, so that only those of different
// hours can be replayed in log time.
func checkSpeed(deltas []*source.Delta) error {
	for i := 1; i < len(deltas); i++ {
		if deltas[i].Path.Hour.Equal(deltas[i-1].Path.Hour) {
			return usagef("replay the blobs of one network interface at a time",
				"--speed: %s and %s are of the same hour, or do not say of which", deltas[i-1].Blob, deltas[i].Blob)
		}
	}
	return nil
}

// totalSize returns the bytes of all deltas, or -1 if one does not know.
func totalSize(deltas []*source.Delta) int64 {
	var n int64
	for _, d := range deltas {
		if d.Size < 0 {
			return -1
		}
		n += d.Size
	}
	return n
}

// rejectsFile keeps rejected pieces, a JSON object a line. A nil one keeps none.
type rejectsFile struct {
	f   *os.File
	w   *bufio.Writer
	enc *json.Encoder
	err error // the first one
}

func openRejects(path string) (*rejectsFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, withHint(fmt.Errorf("--rejects: %w", err), "name a file that can be written")
	}
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &rejectsFile{f: f, w: w, enc: enc}, nil
}

func (r *rejectsFile) write(blob string, p flowlog.Reject) {
	if r == nil || r.err != nil {
		return
	}
	r.err = r.enc.Encode(struct {
		Blob   string `json:"blob"`
		Offset int64  `json:"offset"`
		Length int64  `json:"length"`
		Piece  string `json:"piece"`
		Reason string `json:"reason"`
		Text   string `json:"text"`
		Quote  string `json:"quote"`
	}{blob, p.Offset, p.Length, p.Piece.String(), p.Reason.String(), p.Reason.Text(), p.Quote})
}

func (r *rejectsFile) close() error {
	if r == nil {
		return nil
	}
	err := errors.Join(r.err, r.w.Flush(), r.f.Close())
	if err != nil {
		err = fmt.Errorf("write rejects: %w", err)
	}
	return err
}
