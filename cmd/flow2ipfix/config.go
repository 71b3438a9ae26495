package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"flow2ipfix/config"
)

const defaultConfig = "/etc/flow2ipfix/flow2ipfix.yaml"

// configFlags are those that say which configuration holds.
type configFlags struct {
	file string
	set  []string
}

// addConfigFlags gives a command these flags.
func addConfigFlags(cmd *cobra.Command) *configFlags {
	var f configFlags
	cmd.Flags().StringVar(&f.file, "config", defaultConfig, "configuration `FILE`; FLOW2IPFIX_… in the environment goes before it")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "`KEY=VALUE` that goes before both, like log.level=debug; keys of lists are not possible; repeat for several")
	return &f
}

// load reads the configuration. What is set is laid over the environment, under
// the name that the key has there.
func (f *configFlags) load() (config.Config, error) {
	environ := os.Environ()
	for _, s := range f.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return config.Config{}, usagef("", "--set: want KEY=VALUE, like log.level=debug, got %q", s)
		}
		environ = append(environ, "FLOW2IPFIX_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+value)
	}
	return config.Load(f.file, environ)
}

func newConfig(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "check and explain the configuration",
		Long:  configLong,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("see flow2ipfix config --help", "unknown command %q", "config "+args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigCheck(u), newConfigDump(u), newConfigSchema(u), newConfigReference(u))
	return cmd
}

func newConfigCheck(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "say all that is wrong with the configuration, or what it does",
		Args:  noArgs,
	}
	flags := addConfigFlags(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := flags.load()
		if err != nil {
			return err
		}
		return printConfig(u.out, flags.file, &cfg)
	}
	return cmd
}

func newConfigDump(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "print the configuration as it holds: defaults and environment included, *** for secrets",
		Args:  noArgs,
	}
	flags := addConfigFlags(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := flags.load()
		if err != nil {
			return err
		}
		return config.Dump(u.out, cfg)
	}
	return cmd
}

func newConfigSchema(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print a JSON Schema of the configuration, for editors",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return config.Schema(u.out) },
	}
}

// printConfig says in a few lines what a configuration does.
func printConfig(out io.Writer, file string, cfg *config.Config) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s is right\n", file)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i := range cfg.Sources {
		s := &cfg.Sources[i]
		filtered := ""
		if n := uint64(len(s.Include) + len(s.Exclude)); n > 0 {
			filtered = ", filtered by " + count(n, "pattern")
		}
		if a := s.Azure; a != nil {
			place := a.AccountURL
			if place == "" {
				place = "the account of the connection string"
			}
			fmt.Fprintf(w, "reads\t%s\t%s\tby %s, %s, every %v%s\n", s.Name, place, a.Credential, count(uint64(len(a.Containers)), "container"), a.PollInterval, filtered)
		} else {
			fmt.Fprintf(w, "reads\t%s\t%s\tevery %v%s\n", s.Name, s.Directory.Path, s.Directory.PollInterval, filtered)
		}
	}
	for i := range cfg.Collectors {
		c := &cfg.Collectors[i]
		fmt.Fprintf(w, "sends\t%s\t%s\t%s, preset %s%s, delivery %s\n", c.Name, c.URL, c.Protocol, c.Preset, besidesPreset(c), c.Delivery)
	}
	for _, of := range []struct {
		n    int
		noun string
	}{{len(cfg.Interfaces), "interface"}, {len(cfg.Targets), "target"}} {
		if of.n > 0 {
			fmt.Fprintf(w, "names\t%s\n", count(uint64(of.n), of.noun))
		}
	}
	fmt.Fprintf(w, "starts\t%v\n", cfg.Start)
	fmt.Fprintf(w, "keeps\t%s\n", cfg.StateDir)
	_ = w.Flush() // into b
	_, err := b.WriteTo(out)
	return err
}

// besidesPreset says what a collector is sent that is not its preset's.
func besidesPreset(c *config.Collector) string {
	var b strings.Builder
	if c.Records != byPreset {
		b.WriteString(", " + c.Records)
	}
	if len(c.Fields) > 0 {
		b.WriteString(", fields of its own")
	}
	switch {
	case len(c.Options) == 0:
		b.WriteString(", no options")
	case !slices.Equal(c.Options, []string{byPreset}):
		b.WriteString(", options " + strings.Join(c.Options, " "))
	}
	if n := c.Enterprise.Number; n > 0 {
		fmt.Fprintf(&b, ", elements of enterprise %d", n)
	}
	if !c.Rate.Preset {
		fmt.Fprintf(&b, ", rate %d", c.Rate.Number)
	}
	return b.String()
}
