package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"flow2ipfix/config"
	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/templates"
)

// This file works out whom send-test sends to, and in which form: what flags or a
// configuration say.

// testCollector is one that the set is sent to.
type testCollector struct {
	name     string // in the configuration; else the URL
	exporter exporter.Config
	scheme   string
	host     string
	dialect  *testDialect
}

// testDialect is what one or more collectors are sent.
type testDialect struct {
	set    *templates.Set
	policy convert.Policy
	// rate of records, and the largest message, as the collectors have them.
	exporter exporter.Config
}

// testRun is one call of send-test.
type testRun struct {
	ui         *ui
	flags      *sendTestFlags
	flows      []testFlow
	names      convert.Names
	domains    convert.Domains
	dialects   []*testDialect
	collectors []testCollector
}

// prepare checks the flags, and the configuration if one is named.
func (f *sendTestFlags) prepare(u *ui) (*testRun, error) {
	r := &testRun{ui: u, flags: f, flows: testFlows()}
	var errs []error
	if f.summary != "text" && f.summary != "json" {
		errs = append(errs, fmt.Errorf("--summary: want text or json, got %q", f.summary))
	}
	if f.repeat < 1 {
		errs = append(errs, fmt.Errorf("--repeat: want 1 or more, got %d", f.repeat))
	}
	if f.every < time.Second {
		errs = append(errs, fmt.Errorf("--every: want 1s or more, got %v", f.every))
	}
	if f.interfaceID == 0 {
		errs = append(errs, errors.New("--interface: want 1 or more, got 0"))
	}
	if f.localAddress != "" {
		if _, err := netip.ParseAddr(f.localAddress); err != nil {
			errs = append(errs, fmt.Errorf("--local-address: want an IP address of this machine, got %q", f.localAddress))
		}
	}
	if len(f.flows) > 0 {
		for _, name := range f.flows {
			if !slices.Contains(testFlowNames(), name) {
				errs = append(errs, fmt.Errorf("--flows: want some of %s, got %q", strings.Join(testFlowNames(), ", "), name))
			}
		}
		r.flows = slices.DeleteFunc(r.flows, func(t testFlow) bool { return !slices.Contains(f.flows, t.name) })
	}
	fromFlags := f.config.file == ""
	if fromFlags {
		errs = append(errs, r.byFlags())
	} else {
		errs = append(errs, f.onlyWithoutConfig())
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &usageError{err, "see flow2ipfix send-test --help"}
	}
	if !fromFlags {
		if err := r.byConfig(); err != nil {
			return nil, err
		}
	}
	// The tuples that only say when the flows began have another rule.
	for _, d := range r.dialects {
		d.policy.Filter = convert.Filter{Rules: []string{testName + "-*"}}
	}
	return r, nil
}

// onlyWithoutConfig finds flags about what the configuration says.
func (f *sendTestFlags) onlyWithoutConfig() error {
	var errs []error
	dialect := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(dialectFlags).add(dialect)
	f.dialect.set.Visit(func(flag *pflag.Flag) {
		if flag.Name == "local-address" || dialect.Lookup(flag.Name) != nil {
			errs = append(errs, fmt.Errorf("--%s: want it in the configuration, or no --config", flag.Name))
		}
	})
	return errors.Join(errs...)
}

// byFlags makes the collectors of a command line without --config.
func (r *testRun) byFlags() error {
	f := r.flags
	var errs []error
	set, err := f.dialect.templates()
	if err != nil {
		errs = append(errs, err)
	}
	d := &testDialect{set: set}
	r.dialects = []*testDialect{d}
	if set != nil {
		d.policy = policyFor(set)
		d.policy.ExportBegin = true
		d.exporter = exporter.Config{Templates: set, MaxMessageBytes: f.dialect.messageBytes, LocalAddress: f.localAddress, Rate: set.Preset.Rate}
	}
	r.names.Exporter = addressOf(f.dialect.exporterAddress)
	if len(f.collectors) == 0 {
		errs = append(errs, errors.New("--collector: want at least one, like --collector udp://127.0.0.1:4739, or --config FILE"))
	}
	for i, url := range f.collectors {
		if slices.Contains(f.collectors[:i], url) {
			errs = append(errs, fmt.Errorf("--collector %s: named twice", url))
		}
		ec := d.exporter
		ec.URL = url
		a, _ := exporter.ParseURL(url) // newTestCollector says what is wrong with it
		if err := f.dialect.checkURL(url, a); err != nil {
			errs = append(errs, err)
			continue
		}
		c, err := newTestCollector(url, ec, d)
		if err != nil {
			errs = append(errs, fmt.Errorf("--%w", err))
		}
		r.collectors = append(r.collectors, c)
	}
	if f.repeat > 1 && slices.ContainsFunc(r.collectors, func(c testCollector) bool { return c.scheme == "file" }) {
		errs = append(errs, errors.New("--repeat: want 1 with a file, which is written anew each time"))
	}
	return errors.Join(errs...)
}

// byConfig makes the collectors that a configuration has.
func (r *testRun) byConfig() error {
	cfg, err := r.flags.config.load()
	if err != nil {
		return err
	}
	r.names, r.domains = namesOf(&cfg), domainsOf(&cfg)
	names := r.flags.collectors
	for _, name := range names {
		if !slices.ContainsFunc(cfg.Collectors, func(c config.Collector) bool { return c.Name == name }) {
			return usagef("with --config, --collector is the name of a collector in it", "--collector: %s names no collector %q", r.flags.config.file, name)
		}
	}
	for i := range cfg.Collectors {
		c := &cfg.Collectors[i]
		if len(names) > 0 && !slices.Contains(names, c.Name) {
			continue
		}
		if strings.HasPrefix(c.URL, "file:") {
			if len(names) > 0 {
				return usagef("to see what would be written, name another file with --collector file:PATH and no --config", "--collector: %s is a file, and holds real flows", c.Name)
			}
			continue
		}
		ec, err := exporterConfig(&cfg, c)
		if err != nil {
			return &configError{fmt.Errorf("collector %s: %w", c.Name, err)}
		}
		d := &testDialect{set: ec.Templates, policy: policyOf(&cfg, c, ec.Templates), exporter: ec}
		tc, err := newTestCollector(c.Name, ec, d)
		if err != nil {
			return &configError{fmt.Errorf("collector %s: %w", c.Name, err)}
		}
		r.dialects = append(r.dialects, d)
		r.collectors = append(r.collectors, tc)
	}
	if len(r.collectors) == 0 {
		return usagef("name one with --collector URL and no --config", "--config: %s has no collector but files", r.flags.config.file)
	}
	return nil
}

func newTestCollector(name string, ec exporter.Config, d *testDialect) (testCollector, error) {
	a, err := exporter.ParseURL(ec.URL)
	if err != nil {
		return testCollector{}, err
	}
	if a.Scheme != "udp" && a.Scheme != "dtls" {
		ec.Rate = 0 // what loses nothing needs no pacing
	}
	host, _, _ := net.SplitHostPort(a.Target)
	c := testCollector{name: name, exporter: ec, scheme: a.Scheme, host: host, dialect: d}
	if d.set == nil {
		return c, nil // what is wrong was said
	}
	// What is wrong with the rest; a Stream connects to nobody yet.
	stream, err := exporter.NewStream(ec)
	if err != nil {
		return c, fmt.Errorf("collector %s: %w", name, err)
	}
	return c, stream.Close()
}
