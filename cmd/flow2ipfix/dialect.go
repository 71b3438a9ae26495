package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"flow2ipfix/exporter"
	"flow2ipfix/templates"
)

// dialectFlags say what a collector is sent: the flags of all commands that make
// templates.
type dialectFlags struct {
	preset          string
	protocol        string
	records         string
	fields          []string
	options         []string
	enterprise      templates.Enterprise
	enterpriseForm  string
	exporterAddress string
	messageBytes    int

	set *pflag.FlagSet
}

// byPreset is the word that leaves a choice to the preset.
const byPreset = "preset"

// dialectGroup is the heading of these flags in the help.
const dialectGroup = "What collectors are sent"

func (f *dialectFlags) add(fl *pflag.FlagSet) {
	f.set = fl
	grouped(fl, dialectGroup, func() {
		fl.StringVar(&f.preset, "preset", "generic", "what suits a kind of collector: "+strings.Join(templates.PresetNames(), ", "))
		fl.StringVar(&f.protocol, "protocol", "ipfix", "ipfix, netflow9 or netflow5")
		fl.StringVar(&f.records, "records", byPreset, "uniflow is a record for each way of a flow, biflow one for both (RFC 5103); preset is what suits the collector")
		fl.StringSliceVar(&f.fields, "fields", nil, "information elements in order, by `NAME`, with commas between; preset stands for those of the preset; see templates --elements")
		fl.StringSliceVar(&f.options, "options", []string{byPreset}, "options templates of these `KINDS`: interfaces, vrfs, sampling, statistics, flow_keys, types, or none; preset stands for those of the preset")
		fl.Uint32Var(&f.enterprise.Number, "enterprise-number", 0, "private enterprise `NUMBER` of the elements that IANA does not have (rule, encryption and so on); 0 sends none")
		fl.StringSliceVar(&f.enterprise.Elements, "enterprise-elements", templates.DefaultEnterpriseElements(), "which of them, by `NAME`, unless --fields names some")
		fl.StringVar(&f.enterpriseForm, "enterprise-form", "short", "resource ids: short is their last names, long the whole")
		fl.IntVar(&f.enterprise.StringOctets, "enterprise-string-octets", 0, "length of strings; 0 is as long as they are")
		fl.StringVar(&f.exporterAddress, "exporter-address", "", "IP `ADDRESS` that collectors shall take for the exporter's")
		fl.IntVar(&f.messageBytes, "max-message-bytes", exporter.DefaultMaxMessageBytes, "largest message; an IP packet is 28 or 48 bytes larger")
	})
}

// The bounds of max_message_bytes, as the configuration has them.
const (
	leastMessageBytes = 512
	mostMessageBytes  = 65535
)

// config returns what the flags ask for, or all that is wrong with them as far as
// templates.New does not find it.
func (f *dialectFlags) config() (templates.Config, error) {
	for _, list := range [][]string{f.fields, f.options, f.enterprise.Elements} {
		for i := range list {
			list[i] = strings.TrimSpace(list[i]) // behind a comma
		}
	}
	c := templates.Config{Preset: f.preset, Fields: f.fields, Options: []templates.OptionsKind{}, Enterprise: f.enterprise, MaxMessageBytes: f.messageBytes}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	choice := func(flag, got string, want ...string) string {
		if !slices.Contains(want, got) {
			fail("--%s: want %s, got %q", flag, orList(want), got)
		}
		return got
	}
	c.Biflow = choice("records", f.records, byPreset, "uniflow", "biflow") == "biflow"
	c.Enterprise.Long = choice("enterprise-form", f.enterpriseForm, "short", "long") == "long"
	for _, flag := range []string{"enterprise-elements", "enterprise-form"} {
		if c.Enterprise.Number == 0 && f.set.Changed(flag) {
			fail("--%s: needs --enterprise-number, under which the elements stand", flag)
		}
	}
	var err error
	if c.Protocol, err = templates.ParseProtocol(f.protocol); err != nil {
		errs = append(errs, fmt.Errorf("--%w", err))
	}
	if f.exporterAddress != "" {
		c.Exporter, err = netip.ParseAddr(f.exporterAddress)
		switch a := c.Exporter; {
		case err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified():
			fail("--exporter-address: want an IP address, like 192.0.2.1, got %q", f.exporterAddress)
		case c.Protocol == templates.NetFlow5:
			fail("--exporter-address: want none: netflow5 has no place for it")
		}
	}
	if f.messageBytes < leastMessageBytes || f.messageBytes > mostMessageBytes {
		fail("--max-message-bytes: want a number from %d to %d, got %d", leastMessageBytes, mostMessageBytes, f.messageBytes)
	}
	for _, name := range f.options {
		switch {
		case name != "none":
			c.Options = append(c.Options, templates.OptionsKind(name))
		case len(f.options) > 1:
			fail("--options: none stands alone; want it by itself, or the others without it")
		}
	}
	return c, errors.Join(errs...)
}

// templates returns the templates that the flags ask for, or all that is wrong
// with them, each with the flag.
func (f *dialectFlags) templates() (*templates.Set, error) {
	c, wrong := f.config()
	set, err := templates.New(c)
	problems := templates.Problems(err)
	if wrong != nil { // much of the rest would only follow from it
		problems = slices.DeleteFunc(problems, func(p *templates.Problem) bool { return p.Key != "preset" })
	}
	if err := errors.Join(wrong, flagErrors(problems)); err != nil {
		return nil, err
	}
	return set, nil
}

// checkURL finds that a protocol does not go the way to a collector.
func (f *dialectFlags) checkURL(url string, a exporter.Address) error {
	p, err := templates.ParseProtocol(f.protocol)
	if err != nil || p == templates.IPFIX || a.Scheme == "udp" || a.Scheme == "" {
		return nil
	}
	return fmt.Errorf("--collector %s: %s goes over udp:// only; want --protocol ipfix, or udp://HOST:PORT", url, f.protocol)
}

// flagErrors words what is wrong with configuration keys as flags.
func flagErrors(problems []*templates.Problem) error {
	asFlags := strings.NewReplacer(
		"an enterprise.number", "--enterprise-number", "enterprise.number", "--enterprise-number", "records: biflow", "--records biflow",
		"an exporter_address", "an --exporter-address", "max_message_bytes", "--max-message-bytes", "in fields", "in --fields",
	)
	var errs []error
	said := map[string]bool{}
	for _, p := range problems {
		text := fmt.Sprintf("--%s: %s", strings.NewReplacer(".", "-", "_", "-").Replace(p.Key), asFlags.Replace(p.Text))
		if p.Name == "" && said[p.Key] {
			continue // the same of the other address family
		}
		said[p.Key] = said[p.Key] || p.Name == ""
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}

// rateFlag is records a second, or what suits the collector.
type rateFlag struct {
	fixed  bool
	number int
}

// Set implements pflag.Value.
func (r *rateFlag) Set(s string) error {
	if *r = (rateFlag{}); s == byPreset {
		return nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return errors.New("want preset or a number of records/s")
	}
	*r = rateFlag{true, n}
	return nil
}

func (r *rateFlag) String() string {
	if !r.fixed {
		return byPreset
	}
	return strconv.Itoa(r.number)
}

// Type implements pflag.Value.
func (r *rateFlag) Type() string { return "number" }

// of returns the rate with a preset.
func (r *rateFlag) of(p templates.Preset) int {
	if !r.fixed {
		return p.Rate
	}
	return r.number
}
