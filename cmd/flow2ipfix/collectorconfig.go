package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flow2ipfix/checkpoint"
	"flow2ipfix/collectorside"
	"flow2ipfix/config"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

const collectorConfigLong = `Collector-config prints what a collector has to be told, so that it shows all
that it is sent: its own configuration, definitions of elements that it does not
know, names of interfaces. Each file says what it is for, where it goes, and
whether it was tried.

What is sent is said by the flags, or by a collector of the configuration. Names of
interfaces come from the configuration; their indexes come from it, too, and from
the state directory, which is only read, also while the service runs.

A single file is printed as it is. Several have a line "# --- file: NAME" before
each, which is not part of them; --out writes them.`

const collectorConfigExamples = `  flow2ipfix collector-config --for goflow2 --enterprise-number 32473 >mapping.yaml
  flow2ipfix collector-config --for pmacct --config flow2ipfix.yaml --out pmacct
  sudo flow2ipfix collector-config --for akvorado --config /etc/flow2ipfix/flow2ipfix.yaml --from 192.0.2.10`

// collectorConfigFlags are the flags of collector-config.
type collectorConfigFlags struct {
	collector string // --for
	config    configFlags
	name      string // of a collector in the configuration
	stateDir  string
	listen    string
	from      []string
	dir       string
	out       string
	force     bool
	dialect   dialectFlags
	set       *pflag.FlagSet
}

func newCollectorConfig(u *ui) *cobra.Command {
	var f collectorConfigFlags
	cmd := &cobra.Command{
		Use:     "collector-config --for NAME",
		Short:   "print the collector's side: its configuration, definitions of elements, names of interfaces",
		Long:    collectorConfigLong,
		Example: collectorConfigExamples,
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return collectorConfig(u, &f) },
	}
	fl := cmd.Flags()
	f.set = fl
	fl.SortFlags = false
	fl.StringVar(&f.collector, "for", "", "collector `NAME`: "+strings.Join(collectorside.Names(), ", "))
	fl.StringVar(&f.config.file, "config", "", "what this configuration `FILE` says of a collector, of interfaces and of the state directory, instead of flags")
	fl.StringArrayVar(&f.config.set, "set", nil, "`KEY=VALUE` that goes before the configuration")
	fl.StringVar(&f.name, "collector", "", "`NAME` of the collector in the configuration, if there are several")
	fl.StringVar(&f.stateDir, "state-dir", "", "state directory (`DIR`) with the indexes of interfaces, instead of the configuration's")
	fl.StringVar(&f.listen, "listen", "", "`IP:PORT` where the collector receives (default 0.0.0.0, and the port of the collector's url or 4739)")
	fl.StringSliceVar(&f.from, "from", nil, "`IP` address that the collector receives from; default is local_address of the configuration")
	fl.StringVar(&f.dir, "dir", "", "folder (`DIR`) of the files on the collector's machine, where they name each other; default is the usual one")
	fl.StringVar(&f.out, "out", "", "write the files into this folder (`DIR`) instead of printing them")
	fl.BoolVar(&f.force, "force", false, "overwrite files in --out")
	f.dialect.add(fl)
	fl.Lookup("preset").DefValue = "" // it is what suits the collector
	fl.Lookup("preset").Usage += "; default is what suits the collector"
	return cmd
}

func collectorConfig(u *ui, f *collectorConfigFlags) error {
	const hint = "see flow2ipfix collector-config --help"
	preset, ok := collectorside.PresetFor(f.collector)
	switch {
	case f.collector == "":
		return usagef(hint, "--for: want the name of a collector: %s", orList(collectorside.Names()))
	case !ok:
		return usagef(otherNames[f.collector], "--for: want %s, got %q", orList(collectorside.Names()), f.collector)
	}
	in, err := f.input(u, preset)
	if err != nil {
		return err
	}
	files, err := collectorside.Files(f.collector, in)
	switch {
	case errors.Is(err, collectorside.ErrAddress):
		return usagef("name it with --from IP: the address that datagrams have when they reach the collector", "--for %s: %w", f.collector, err)
	case errors.Is(err, collectorside.ErrNothing):
		return usagef("--enterprise-number N sends rules, access lists and encryption, too", "--for %s: %w", f.collector, err)
	case err != nil:
		return err
	}
	if f.out != "" {
		return writeFiles(u, f.out, files, f.force)
	}
	return printFiles(u.out, files)
}

// otherNames say what to ask for in place of names that are presets, or that
// people may expect.
var otherNames = map[string]string{
	"elk":           "want logstash or filebeat",
	"ipfixcol2":     "want libfds, whose definitions ipfixcol2 reads",
	"vflow":         "there is nothing to tell vFlow: it shows elements of IANA, and drops records with others; send with preset vflow",
	"generic":       "there is nothing to tell: all collectors know what the generic preset sends",
	"nfcapd":        "want nfdump",
	"nfacctd":       "want pmacct",
	"tshark":        "want wireshark",
	"elasticsearch": "want logstash, filebeat or elastiflow",
}

// input gathers what the files are made of.
func (f *collectorConfigFlags) input(u *ui, preset string) (*collectorside.Input, error) {
	var in *collectorside.Input
	var err error
	if f.config.file != "" {
		in, err = f.byConfig(u)
	} else {
		in, err = f.byFlags(u, preset)
	}
	if err != nil {
		return nil, err
	}
	in.Dir = f.dir
	var errs []error
	if strings.ContainsFunc(f.dir, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("\"'`$\\#", r)
	}) {
		errs = append(errs, fmt.Errorf("--dir: want a path without spaces and quotes, got %q", f.dir))
	}
	if f.listen != "" {
		if in.Listen, err = netip.ParseAddrPort(f.listen); err != nil || in.Listen.Port() == 0 {
			errs = append(errs, fmt.Errorf("--listen: want IP:PORT, like 0.0.0.0:4739 or [::]:4739, got %q", f.listen))
		}
	}
	if len(f.from) > 0 {
		in.Senders = nil
	}
	for _, text := range f.from {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.IsUnspecified() {
			errs = append(errs, fmt.Errorf("--from: want an IP address, like 192.0.2.10, got %q", text))
		}
		in.Senders = append(in.Senders, a)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &usageError{err, "see flow2ipfix collector-config --help"}
	}
	return in, nil
}

// everywhere is where collectors listen if nothing else is said.
var everywhere = netip.IPv4Unspecified()

const ipfixPort = 4739

// byFlags is the input that the command line describes.
func (f *collectorConfigFlags) byFlags(u *ui, preset string) (*collectorside.Input, error) {
	if f.name != "" {
		return nil, usagef("", "--collector: is the name of a collector in a configuration; want --config FILE, too")
	}
	if !f.set.Changed("preset") {
		f.dialect.preset = preset
	}
	set, err := f.dialect.templates()
	if err != nil {
		return nil, &usageError{err, "see flow2ipfix collector-config --help"}
	}
	in := &collectorside.Input{
		Set: set, MaxMessageBytes: f.dialect.messageBytes, Scheme: "udp", Listen: netip.AddrPortFrom(everywhere, ipfixPort),
	}
	if a := addressOf(f.dialect.exporterAddress); a.IsValid() {
		in.Exporters = []netip.Addr{a}
	}
	if collectorside.NamesInterfaces(f.collector) {
		addInterfaces(u, in, f.stateDir, nil)
	}
	return in, nil
}

// byConfig is the input that a configuration describes.
func (f *collectorConfigFlags) byConfig(u *ui) (*collectorside.Input, error) {
	if err := f.onlyWithoutConfig(); err != nil {
		return nil, &usageError{err, "see flow2ipfix collector-config --help"}
	}
	cfg, err := f.config.load()
	if err != nil {
		return nil, err
	}
	c, err := f.choose(&cfg)
	if err != nil {
		return nil, err
	}
	set, err := templates.New(cfg.Templates(c))
	if err != nil {
		return nil, &configError{fmt.Errorf("collector %s: %w", c.Name, err)}
	}
	in := &collectorside.Input{Set: set, MaxMessageBytes: c.MaxMessageBytes, Listen: netip.AddrPortFrom(everywhere, ipfixPort)}
	a, err := exporter.ParseURL(c.URL)
	if err != nil {
		return nil, &configError{err}
	}
	if in.Scheme = a.Scheme; a.Scheme == "file" {
		in.Scheme = "udp" // whoever reads the file finds his way
	} else if _, port, err := net.SplitHostPort(a.Target); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil {
			in.Listen = netip.AddrPortFrom(everywhere, uint16(n))
		}
	}
	if local := addressOf(c.LocalAddress); local.IsValid() {
		in.Senders = []netip.Addr{local}
	}
	names := namesOf(&cfg)
	for _, a := range append([]netip.Addr{names.Exporter}, targetAddresses(&cfg)...) {
		if a.IsValid() && !slices.Contains(in.Exporters, a) {
			in.Exporters = append(in.Exporters, a)
		}
	}
	if collectorside.NamesInterfaces(f.collector) {
		addInterfaces(u, in, cmp.Or(f.stateDir, cfg.StateDir), cfg.Interfaces)
	}
	return in, nil
}

// onlyWithoutConfig finds flags about what the configuration says.
func (f *collectorConfigFlags) onlyWithoutConfig() error {
	dialect := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(dialectFlags).add(dialect)
	var errs []error
	f.set.Visit(func(flag *pflag.Flag) {
		if dialect.Lookup(flag.Name) != nil {
			errs = append(errs, fmt.Errorf("--%s: want it in the configuration, or no --config", flag.Name))
		}
	})
	return errors.Join(errs...)
}

// choose returns the collector that is meant.
func (f *collectorConfigFlags) choose(cfg *config.Config) (*config.Collector, error) {
	var names []string
	for i := range cfg.Collectors {
		c := &cfg.Collectors[i]
		if c.Name == f.name || f.name == "" && len(cfg.Collectors) == 1 {
			return c, nil
		}
		names = append(names, c.Name)
	}
	if f.name == "" {
		return nil, usagef("", "--collector: want one of %s: the configuration has several", strings.Join(names, ", "))
	}
	return nil, usagef("", "--collector: want %s, got %q", orList(names), f.name)
}

// targetAddresses are the exporter addresses of targets.
func targetAddresses(cfg *config.Config) []netip.Addr {
	var all []netip.Addr
	for _, t := range cfg.Targets {
		all = append(all, addressOf(t.ExporterAddress))
	}
	return all
}

// addInterfaces adds what is known of interfaces: those of the configuration, and
// those of a state directory, if one is named.
func addInterfaces(u *ui, in *collectorside.Input, dir string, configured []config.Interface) {
	known := map[flowlog.MAC]*collectorside.Interface{}
	get := func(mac flowlog.MAC) *collectorside.Interface {
		if known[mac] == nil {
			known[mac] = &collectorside.Interface{Name: mac.String(), MAC: mac.String()}
		}
		return known[mac]
	}
	if dir != "" {
		state, err := checkpoint.List(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			in.Notes = append(in.Notes, fmt.Sprintf("nothing is kept in the state directory %s yet, so indexes of interfaces are only those that the configuration fixes", dir))
		case err != nil:
			u.warn(err, "indexes of interfaces are only those that the configuration fixes; run this as a user who may read the state directory")
			in.Notes = append(in.Notes, fmt.Sprintf("the state directory could not be read (%v), so indexes of interfaces are only those that the configuration fixes", err))
		default:
			for _, i := range state.Interfaces {
				if !i.Retired {
					get(i.MAC).Index = i.Index
				}
			}
		}
	}
	for _, c := range configured {
		mac, ok := flowlog.ParseMAC(string(c.MAC))
		if !ok {
			continue
		}
		i := get(mac)
		if c.Name != "" {
			i.Name = c.Name
		}
		if c.Index > 0 {
			i.Index = uint32(c.Index)
		}
	}
	for _, i := range known {
		in.Interfaces = append(in.Interfaces, *i)
	}
	slices.SortFunc(in.Interfaces, func(a, b collectorside.Interface) int {
		return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.MAC, b.MAC))
	})
}

// printFiles prints files, each with its name before it if there are several.
func printFiles(out io.Writer, files []collectorside.File) error {
	var b strings.Builder
	for i, file := range files {
		if len(files) > 1 {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "# --- file: %s\n", file.Name)
		}
		b.WriteString(file.Text)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// writeFiles writes files into a folder, all or none.
func writeFiles(u *ui, dir string, files []collectorside.File, force bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if !force {
		var there []string
		for _, file := range files {
			if _, err := os.Lstat(filepath.Join(dir, file.Name)); err == nil {
				there = append(there, file.Name)
			}
		}
		if len(there) > 0 {
			return usagef("--force overwrites", "--out: %s has %s already", dir, strings.Join(there, ", "))
		}
	}
	for _, file := range files {
		path := filepath.Join(dir, file.Name)
		mode := os.FileMode(0o644)
		if strings.HasSuffix(file.Name, ".sh") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(file.Text), mode); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(u.out, "wrote %s\n", path); err != nil {
			return err
		}
	}
	return nil
}
