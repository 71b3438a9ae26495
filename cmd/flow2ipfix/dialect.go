package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"

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

func (f *dialectFlags) add(fl *pflag.FlagSet) {
	f.set = fl
	fl.StringVar(&f.preset, "preset", "generic", "what suits a kind of collector: "+strings.Join(templates.PresetNames(), ", "))
	fl.StringVar(&f.protocol, "protocol", "ipfix", "ipfix, netflow9 or netflow5")
	fl.StringVar(&f.records, "records", "uniflow", "uniflow is a record for each way of a flow, biflow one for both (RFC 5103)")
	fl.StringSliceVar(&f.fields, "fields", nil, "information elements in order, by name; preset stands for those of the preset")
	fl.StringSliceVar(&f.options, "options", []string{"preset"}, "options templates: interfaces, vrfs, sampling, statistics, flow_keys, types, or none; preset stands for those of the preset")
	fl.Uint32Var(&f.enterprise.Number, "enterprise-number", 0, "private enterprise number of the elements that IANA does not have (rule, encryption and so on); 0 sends none")
	fl.StringSliceVar(&f.enterprise.Elements, "enterprise-elements", templates.DefaultEnterpriseElements(), "which of them, unless --fields names some")
	fl.StringVar(&f.enterpriseForm, "enterprise-form", "short", "resource ids: short is their last names, long the whole")
	fl.IntVar(&f.enterprise.StringOctets, "enterprise-string-octets", 0, "length of strings; 0 is as long as they are")
	fl.StringVar(&f.exporterAddress, "exporter-address", "", "IP address that collectors shall take for the exporter's")
	fl.IntVar(&f.messageBytes, "max-message-bytes", 1400, "largest message; an IP packet is 28 or 48 bytes larger")
}

// config returns what the flags ask for, or all that is wrong with them.
func (f *dialectFlags) config() (templates.Config, error) {
	c := templates.Config{Preset: f.preset, Fields: f.fields, Enterprise: f.enterprise, MaxMessageBytes: f.messageBytes}
	var errs []error
	choice := func(flag, got string, want ...string) string {
		if !slices.Contains(want, got) {
			errs = append(errs, fmt.Errorf("--%s: want %s, got %q", flag, orList(want), got))
		}
		return got
	}
	c.Biflow = choice("records", f.records, "uniflow", "biflow") == "biflow"
	c.Enterprise.Long = choice("enterprise-form", f.enterpriseForm, "short", "long") == "long"
	if c.Enterprise.Number == 0 {
		c.Enterprise.Elements = nil
	}
	var err error
	if c.Protocol, err = templates.ParseProtocol(f.protocol); err != nil {
		errs = append(errs, fmt.Errorf("--%w", err))
	}
	if f.exporterAddress != "" {
		if c.Exporter, err = netip.ParseAddr(f.exporterAddress); err != nil {
			errs = append(errs, fmt.Errorf("--exporter-address: want an IP address, got %q", f.exporterAddress))
		}
	}
	preset, err := templates.PresetFor(f.preset)
	if err == nil {
		c.Options = optionsOf(preset, f.options)
	}
	return c, errors.Join(errs...)
}

// optionsOf reads a list of options templates, in which "preset" stands for those
// of the preset, and "none" for nothing.
func optionsOf(preset templates.Preset, names []string) []templates.OptionsKind {
	kinds := []templates.OptionsKind{}
	for _, name := range names {
		switch name {
		case "preset":
			kinds = append(kinds, preset.Options...)
		case "none":
		default:
			kinds = append(kinds, templates.OptionsKind(name))
		}
	}
	return kinds
}

// templates returns the templates that the flags ask for, or all that is wrong
// with them, each with the flag.
func (f *dialectFlags) templates() (*templates.Set, error) {
	c, err := f.config()
	if err != nil {
		return nil, err
	}
	set, err := templates.New(c)
	return set, flagErrors(err)
}

// flagErrors words configuration keys as flags.
func flagErrors(err error) error {
	if err == nil {
		return nil
	}
	var errs []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		key, rest, _ := strings.Cut(line, ":")
		errs = append(errs, fmt.Errorf("--%s:%s", strings.NewReplacer(".", "-", "_", "-").Replace(key), rest))
	}
	return errors.Join(errs...)
}
