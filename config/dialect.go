package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"flow2ipfix/templates"
)

// Templates returns what a collector is sent. It asks for nothing that
// templates.New refuses, if the configuration has nothing wrong.
func (cfg *Config) Templates(c *Collector) templates.Config {
	protocol, _ := templates.ParseProtocol(c.Protocol) // an enum
	t := templates.Config{
		Preset: c.Preset, Protocol: protocol, Fields: c.Fields, Biflow: c.Records == "biflow",
		Options: make([]templates.OptionsKind, len(c.Options)),
		Enterprise: templates.Enterprise{
			Number: uint32(c.Enterprise.Number), Elements: c.Enterprise.Elements,
			Long: c.Enterprise.Form == "long", StringOctets: c.Enterprise.StringOctets,
		},
		MaxMessageBytes: c.MaxMessageBytes, MaxRecords: c.MaxMessageRecords,
	}
	for i, name := range c.Options {
		t.Options[i] = templates.OptionsKind(name)
	}
	for _, text := range cfg.exporterAddresses() {
		if a, err := netip.ParseAddr(text); err == nil && !t.Exporter.IsValid() {
			t.Exporter = a
		}
	}
	return t
}

// exporterAddresses returns all that are there, as texts.
func (cfg *Config) exporterAddresses() []string {
	all := []string{cfg.Convert.ExporterAddress}
	for i := range cfg.Targets {
		all = append(all, cfg.Targets[i].ExporterAddress)
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// checkDialect finds what a collector cannot be sent.
func (r *report) checkDialect(at string, c *Collector, cfg *Config, scheme string) {
	// What depends on a key that is wrong itself is not looked at.
	unsure := false
	for _, key := range []string{"preset", "protocol", "records", "max_message_bytes", "enterprise", "enterprise.number", "enterprise.form", "enterprise.elements", "enterprise.string_octets"} {
		unsure = unsure || r.Said(at+"."+key)
	}
	if e := &c.Enterprise; e.Number == 0 && !unsure {
		named := len(e.Elements) > 0 && !slices.Equal(e.Elements, templates.DefaultEnterpriseElements())
		switch {
		case !named && e.Form != "long":
		case c.Protocol == "ipfix":
			r.Fail(at+".enterprise.number", nil, "missing; want your private enterprise number, or neither elements nor form")
		default:
			r.Fail(at+".enterprise", nil, "not used by %s; leave it out", c.Protocol)
		}
	}
	set, err := templates.New(cfg.Templates(c))
	if err == nil && !unsure && c.DeniedCounters == "one" && !set.TellsDenied() {
		r.Fail(at+".denied_counters", c.DeniedCounters, "want zero: nothing in the records says that a flow was denied, and an invented packet would look like one that got through")
	}
	for _, p := range templates.Problems(err) {
		known := slices.ContainsFunc(templates.Elements(), func(e templates.Element) bool { return e.Name == p.Name })
		if unsure && (known || p.Key != "fields" || p.Name == "") {
			continue
		}
		list := map[string][]string{"fields": c.Fields, "options": c.Options, "enterprise.elements": c.Enterprise.Elements}[p.Key]
		path := at + "." + p.Key
		for i, name := range slices.Backward(list) {
			if name == p.Name {
				path = fmt.Sprintf("%s[%d]", path, i)
				break
			}
		}
		if !r.Said(path) {
			r.Fail(path, nil, "%s", p.Text)
		}
	}
	if c.Protocol != "ipfix" && c.Protocol != "" && scheme != "" && scheme != "udp" {
		r.Fail(at+".protocol", c.Protocol, "%s goes over udp:// only; want ipfix, or url: udp://…", c.Protocol)
	}
	if most := mostMessageBytes[scheme]; most > 0 && c.MaxMessageBytes > most {
		r.Fail(at+".max_message_bytes", c.MaxMessageBytes, "want %d at most with %s://", most, scheme)
	}
}

// mostMessageBytes is the largest message that a scheme can carry: of UDP what fits
// behind an IPv4 header, of DTLS what fits into a record (RFC 6347 §4.1).
var mostMessageBytes = map[string]int{"udp": 65507, "dtls": 1 << 14}

// checkTargets finds what is wrong with targets, and with exporter addresses: one
// template has room for those of one family, and all of its records carry one.
func (r *report) checkTargets(cfg *Config) {
	const all = "convert.exporter_address"
	first, family := "", ""
	address := func(path, text string) {
		if text == "" {
			return
		}
		a, err := netip.ParseAddr(text)
		f := "an IPv4"
		if a.Is6() {
			f = "an IPv6"
		}
		switch {
		case err != nil || a.Zone() != "" || a.Is4In6() || a.IsUnspecified():
			r.Fail(path, text, "want an IP address, like 192.0.2.1")
		case first == "":
			first, family = path, f
		case f != family:
			r.Fail(path, text, "want %s address, as %s is: all of them are of one family", family, first)
		}
	}
	address(all, cfg.Convert.ExporterAddress)
	seen := unique{}
	for i := range cfg.Targets {
		t, at := &cfg.Targets[i], fmt.Sprintf("targets[%d]", i)
		r.checkGlob(at+".resource", t.Resource)
		r.onceAs(seen, at+".resource", strings.ToLower(t.Resource), t.Resource, "one entry for a target")
		address(at+".exporter_address", t.ExporterAddress)
		if d := cfg.Convert.ObservationDomain; d.Fixed && t.ObservationDomain > 0 {
			r.Fail(at+".observation_domain", t.ObservationDomain, "convert.observation_domain is %d for everything; want per_target there, or none here", d.Number)
		}
		if t.Name == "" && t.ExporterAddress == "" && t.ObservationDomain == 0 && !r.Said(at+".observation_domain") {
			r.Fail(at, nil, "says nothing of its targets; want name, exporter_address or observation_domain")
		}
	}
	if cfg.Convert.ExporterAddress == "" && first != "" {
		r.Fail(all, nil, "missing; want the address of the targets that have none of their own, since %s is there", first)
	}
}
