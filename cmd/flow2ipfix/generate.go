package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"flow2ipfix/internal/flowgen"
)

type generateFlags struct {
	out     string
	kind    string
	nics    int
	minutes int
	tuples  int
	seed    uint64
	start   string
	ipv6    bool
	grow    bool
	speed   float64
	summary string
}

var kinds = map[string]flowgen.Kind{"vnet": flowgen.VNet, "nsg": flowgen.NSG, "nsg-v1": flowgen.NSGv1}

func newGenerate(u *ui) *cobra.Command {
	var f generateFlags
	cmd := &cobra.Command{
		Use:     "generate --out DIR",
		Short:   "make synthetic flow logs, whole or growing",
		Long:    generateLong,
		Example: generateExamples,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return generate(cmd, u, &f) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.out, "out", "", "folder to write to, made if it does not exist")
	fl.StringVar(&f.kind, "kind", "vnet", "vnet (version 4), nsg (version 2) or nsg-v1")
	fl.IntVar(&f.nics, "nics", 4, "network interfaces")
	fl.IntVar(&f.minutes, "minutes", 60, "minutes of log time")
	fl.IntVar(&f.tuples, "tuples", 100, "tuples per interface and minute, on average")
	fl.Uint64Var(&f.seed, "seed", 1, "the same seed and flags make the same bytes, given --start")
	fl.StringVar(&f.start, "start", "", "first minute, RFC 3339; if not given, such that the last full hour is the last one, and this minute with --grow")
	fl.BoolVar(&f.ipv6, "ipv6", false, "make some of the connections IPv6")
	fl.BoolVar(&f.grow, "grow", false, "write each minute when its time has come, as Azure does")
	fl.Float64Var(&f.speed, "speed", 1, "with --grow: minutes of log time in a minute")
	fl.StringVar(&f.summary, "summary", "text", "text or json")
	return cmd
}

func generate(cmd *cobra.Command, u *ui, f *generateFlags) error {
	var errs []error
	if f.out == "" {
		errs = append(errs, errors.New("--out: want a folder to write to"))
	}
	kind, ok := kinds[f.kind]
	if !ok {
		errs = append(errs, fmt.Errorf("--kind: want vnet, nsg or nsg-v1, got %q", f.kind))
	}
	// The last full hour is the last one that is made.
	start := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour * time.Duration(max(1, (f.minutes+59)/60)))
	if f.grow {
		start = time.Now().UTC().Truncate(time.Minute)
	}
	if f.start != "" {
		t, err := time.Parse(time.RFC3339, f.start)
		if err != nil {
			errs = append(errs, fmt.Errorf("--start: want a time like 2026-11-21T02:00:00Z, got %q", f.start))
		}
		start = t.UTC().Truncate(time.Minute)
	}
	if f.speed <= 0 {
		errs = append(errs, fmt.Errorf("--speed: want more than 0, got %v", f.speed))
	}
	if !f.grow && cmd.Flags().Changed("speed") {
		errs = append(errs, errors.New("--speed: is for --grow"))
	}
	if f.summary != "text" && f.summary != "json" {
		errs = append(errs, fmt.Errorf("--summary: want text or json, got %q", f.summary))
	}
	g, err := flowgen.New(flowgen.Config{
		Kind: kind, NICs: f.nics, Start: start, Minutes: f.minutes, Tuples: f.tuples, Seed: f.seed, IPv6: f.ipv6,
	})
	if err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return &usageError{err, "see flow2ipfix generate --help"}
	}
	for nic := range f.nics {
		for minute := 0; minute < f.minutes+60; minute += 60 {
			path := g.BlobPath(nic, min(minute, f.minutes-1))
			if _, err := os.Lstat(filepath.Join(f.out, path)); err == nil {
				return withHint(fmt.Errorf("%s holds %s already", f.out, path), "nothing is overwritten: name another folder, or remove it")
			}
		}
	}
	if f.grow {
		u.notef("writing to %s, a minute of logs every %v; to be ended with Ctrl-C before its %s are over",
			f.out, (time.Duration(float64(time.Minute) / f.speed)).Round(time.Millisecond), count(uint64(f.minutes), "minute"))
		err = g.Grow(cmd.Context(), f.out, f.speed)
	} else {
		err = g.WriteDir(cmd.Context(), f.out)
	}
	if err != nil {
		return err
	}
	t := g.Totals()
	if f.summary == "json" {
		return json.NewEncoder(u.out).Encode(generatedJSON(t))
	}
	_, err = fmt.Fprintf(u.out, "wrote %s with %s (%s begin, %s continue, %s end, %s denied) to %s\n",
		count(t.Records, "record"), count(t.Tuples, "tuple"), thousands(t.Begun), thousands(t.Continuing), thousands(t.Ended), thousands(t.Denied), f.out)
	return err
}

// generatedJSON is flowgen.Totals under the names of the other summaries.
func generatedJSON(t flowgen.Totals) map[string]uint64 {
	return map[string]uint64{
		"records": t.Records, "tuples": t.Tuples, "ipv6": t.IPv6,
		"begin": t.Begun, "continue": t.Continuing, "end": t.Ended, "denied": t.Denied,
		"inbound": t.Inbound, "outbound": t.Outbound,
		"packets_sent": t.PacketsSent, "bytes_sent": t.BytesSent,
		"packets_received": t.PacketsReceived, "bytes_received": t.BytesReceived,
	}
}
