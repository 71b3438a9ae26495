package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"flow2ipfix/checkpoint"
)

const checkpointsLong = `Checkpoints shows what the state directory remembers: how far each blob has been
delivered, from which hour on a flow log is not finished, and which index a
network interface has. It is named by --state-dir, or by the configuration.`

const resetLong = `Reset forgets what has been delivered, so that it is read and sent again: all
of it, a source's, or a flow log's. A source that is reset begins at "start" of
the configuration as if it were new; with "start: now" it leaves out what came
before. A flow log is read again from where its source began. Interface indexes
stay, because collectors know interfaces by them.

The service must not run meanwhile.`

const resetExamples = `  flow2ipfix checkpoints reset --source prod
  flow2ipfix checkpoints reset --state-dir /var/lib/flow2ipfix --all`

func newCheckpoints(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoints",
		Short: "show or forget what has been delivered",
		Long:  checkpointsLong,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCheckpointsList(u), newCheckpointsReset(u))
	return cmd
}

// stateDirFlags gives a command the flags that name the state directory, and
// returns how to ask for it.
func stateDirFlags(cmd *cobra.Command) func() (string, error) {
	cmd.Flags().SortFlags = false
	dir := cmd.Flags().String("state-dir", "", "state directory, instead of the one that the configuration names")
	flags := addConfigFlags(cmd)
	return func() (string, error) {
		if *dir != "" {
			return *dir, nil
		}
		cfg, err := flags.load()
		return cfg.StateDir, err
	}
}

func newCheckpointsList(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "print what the state directory remembers, also while the service runs",
		Args:  noArgs,
	}
	stateDir := stateDirFlags(cmd)
	blobs := cmd.Flags().Bool("blobs", false, "print each blob of the hours that are not finished, too")
	interfaces := cmd.Flags().Bool("interfaces", false, "print the interface indexes, too")
	format := cmd.Flags().String("format", "table", "table, or json for everything")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *format != "table" && *format != "json" {
			return usagef("see flow2ipfix checkpoints list --help", "--format: want table or json, got %q", *format)
		}
		dir, err := stateDir()
		if err != nil {
			return err
		}
		c, err := checkpoint.List(dir)
		if err != nil {
			return err
		}
		if *format == "json" {
			return checkpointsJSON(u.out, c)
		}
		return checkpointsTable(u.out, c, *blobs, *interfaces)
	}
	return cmd
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func checkpointsTable(out io.Writer, c *checkpoint.Contents, blobs, interfaces bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "SOURCE\tBEGAN\tFINISHED BEFORE\tLAST RECORD\tOPEN BLOBS\tFLOW LOG\n")
	for _, s := range c.Sources {
		if len(s.FlowLogs) == 0 {
			fmt.Fprintf(w, "%s\t%s\t-\t-\t0\t-\n", s.Name, stamp(s.Began))
		}
		for _, l := range s.FlowLogs {
			var last time.Time
			for _, b := range l.Blobs {
				if b.Cursor.Last.After(last) {
					last = b.Cursor.Last
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", s.Name, stamp(s.Began), stamp(l.LowWater), stamp(last), len(l.Blobs), l.Name)
		}
	}
	if blobs {
		fmt.Fprintf(w, "\nSOURCE\tLAST RECORD\tDELIVERED BYTES\tBLOB\n")
		for _, s := range c.Sources {
			for _, l := range s.FlowLogs {
				for _, b := range l.Blobs {
					fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", s.Name, stamp(b.Cursor.Last), b.Cursor.Offset, b.Name)
				}
			}
		}
	}
	if interfaces {
		fmt.Fprintf(w, "\nINDEX\tMAC\n")
		for _, i := range c.Interfaces {
			note := ""
			if i.Retired {
				note = "\thas another index now"
			}
			fmt.Fprintf(w, "%d\t%s%s\n", i.Index, i.MAC, note)
		}
	}
	return w.Flush()
}

func checkpointsJSON(out io.Writer, c *checkpoint.Contents) error {
	type blob struct {
		Name       string    `json:"name"`
		Offset     int64     `json:"offset"`
		ETag       string    `json:"etag,omitempty"`
		LastRecord time.Time `json:"last_record,omitzero"`
	}
	type flowLog struct {
		Name     string    `json:"name"`
		LowWater time.Time `json:"low_water,omitzero"`
		Blobs    []blob    `json:"blobs"`
	}
	type source struct {
		Name     string    `json:"name"`
		Began    time.Time `json:"began,omitzero"`
		FlowLogs []flowLog `json:"flow_logs"`
	}
	type iface struct {
		Index   uint32 `json:"index"`
		MAC     string `json:"mac"`
		Retired bool   `json:"retired,omitempty"`
	}
	doc := struct {
		Opened     time.Time `json:"opened"`
		Sources    []source  `json:"sources"`
		Interfaces []iface   `json:"interfaces"`
	}{c.Opened, []source{}, []iface{}}
	for _, s := range c.Sources {
		sj := source{s.Name, s.Began, []flowLog{}}
		for _, l := range s.FlowLogs {
			lj := flowLog{l.Name, l.LowWater, []blob{}}
			for _, b := range l.Blobs {
				lj.Blobs = append(lj.Blobs, blob{b.Name, b.Cursor.Offset, b.Cursor.ETag, b.Cursor.Last})
			}
			sj.FlowLogs = append(sj.FlowLogs, lj)
		}
		doc.Sources = append(doc.Sources, sj)
	}
	for _, i := range c.Interfaces {
		doc.Interfaces = append(doc.Interfaces, iface{i.Index, i.MAC.String(), i.Retired})
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

func newCheckpointsReset(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "reset --all | --source NAME [--flow-log NAME]",
		Short:   "forget what has been delivered",
		Long:    resetLong,
		Example: resetExamples,
		Args:    noArgs,
	}
	stateDir := stateDirFlags(cmd)
	all := cmd.Flags().Bool("all", false, "of all sources")
	source := cmd.Flags().String("source", "", "of the source with this name")
	flowLog := cmd.Flags().String("flow-log", "", "of one flow log of the source, named as list does")
	cmd.RunE = func(*cobra.Command, []string) error {
		const hint = "see flow2ipfix checkpoints reset --help"
		switch {
		case *all && (*source != "" || *flowLog != ""):
			return usagef(hint, "--all: leave out --source and --flow-log, or name one of them only")
		case !*all && *source == "":
			return usagef(hint, "want --source NAME, or --all")
		}
		dir, err := stateDir()
		if err != nil {
			return err
		}
		return resetCheckpoints(u, dir, *source, *flowLog)
	}
	return cmd
}

// resetCheckpoints resets a source, or all if the name is empty.
func resetCheckpoints(u *ui, dir, source, flowLog string) error {
	c, err := checkpoint.List(dir) // does not make a directory, nor set anything aside
	if err != nil {
		return err
	}
	if err := knownCheckpoint(c, source, flowLog); err != nil {
		return err
	}
	store, report, err := checkpoint.Open(dir, checkpoint.Options{})
	if err != nil {
		return err
	}
	if report.Header != nil {
		u.warn(report.Header, "")
	}
	if err := errors.Join(store.Reset(source, flowLog), store.Close()); err != nil {
		return err
	}
	var logs, blobs uint64
	for _, s := range c.Sources {
		for _, l := range s.FlowLogs {
			if (source == "" || s.Name == source) && (flowLog == "" || l.Name == flowLog) {
				logs++
				blobs += uint64(len(l.Blobs))
			}
		}
	}
	_, err = fmt.Fprintf(u.out, "forgot %s and %s\n", count(logs, "flow log"), count(blobs, "blob"))
	return err
}

// knownCheckpoint says what could be meant by a name that is not known.
func knownCheckpoint(c *checkpoint.Contents, source, flowLog string) error {
	if source == "" {
		return nil
	}
	var names []string
	for _, s := range c.Sources {
		names = append(names, s.Name)
		if s.Name != source {
			continue
		}
		if flowLog == "" || slices.ContainsFunc(s.FlowLogs, func(l checkpoint.FlowLog) bool { return l.Name == flowLog }) {
			return nil
		}
		return usagef("see flow2ipfix checkpoints list for its flow logs", "--flow-log %q: source %s has no such flow log", flowLog, source)
	}
	return usagef("see flow2ipfix checkpoints list", "--source %q is not known; known: %s", source, strings.Join(names, ", "))
}
