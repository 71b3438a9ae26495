package main

import (
	"net/netip"
	"strings"

	"flow2ipfix/config"
	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

// exporterConfig makes of a collector's configuration what its exporter needs,
// but for what the collectors share.
func exporterConfig(cfg *config.Config, c *config.Collector) (exporter.Config, error) {
	set, err := templates.New(cfg.Templates(c))
	if err != nil {
		return exporter.Config{}, err
	}
	ec := exporter.Config{
		URL: c.URL, LocalAddress: c.LocalAddress, Templates: set,
		MaxMessageBytes: c.MaxMessageBytes, MaxRecords: c.MaxMessageRecords, TemplateRefresh: c.TemplateRefresh,
		Timeout: c.Timeout, BestEffort: c.Delivery == "best_effort",
	}
	switch scheme, _, _ := strings.Cut(c.URL, ":"); scheme {
	case "udp", "dtls": // the others have back-pressure
		if ec.Rate = c.Rate.Number; c.Rate.Preset {
			ec.Rate = set.Preset.Rate
		}
	}
	if strings.HasPrefix(c.URL, "tls:") || strings.HasPrefix(c.URL, "dtls:") {
		ec.TLS = exporter.TLS(c.TLS)
	}
	return ec, nil
}

// policyOf returns what a collector is told of flows: what its own keys say, or
// else its preset, or else what is said for all.
func policyOf(cfg *config.Config, c *config.Collector, set *templates.Set) convert.Policy {
	said := func(own, all string) string {
		if own != byPreset {
			return own
		}
		return all
	}
	p := policyFor(set)
	p.ExportBegin = said(c.Begin, cfg.Convert.Begin) == "export"
	p.SkipDenied = said(c.Denied, cfg.Convert.Denied) == "skip"
	if c.DeniedCounters != byPreset || !set.Preset.DeniedCountOne {
		p.DeniedCountOne = said(c.DeniedCounters, cfg.Convert.DeniedCounters) == "one" && set.TellsDenied()
	}
	return p
}

// policyFor returns what suits templates and their preset. No packet is invented
// where nothing says that the flow was denied: it would look like one that got
// through.
func policyFor(set *templates.Set) convert.Policy {
	return convert.Policy{
		DeniedCountOne: set.Preset.DeniedCountOne && set.TellsDenied(),
		Bidirectional:  set.Biflow(), IPv4Only: set.Protocol == templates.NetFlow5,
	}
}

// namesOf returns what the configuration calls things.
func namesOf(cfg *config.Config) convert.Names {
	n := convert.Names{Interfaces: map[flowlog.MAC]string{}, Exporter: addressOf(cfg.Convert.ExporterAddress)}
	for _, i := range cfg.Interfaces {
		if mac, ok := flowlog.ParseMAC(string(i.MAC)); ok && i.Name != "" {
			n.Interfaces[mac] = i.Name
		}
	}
	for _, t := range cfg.Targets {
		target := convert.Target{Pattern: t.Resource, Name: t.Name, Exporter: addressOf(t.ExporterAddress)}
		if t.ObservationDomain > 0 {
			domain := uint32(t.ObservationDomain)
			target.Domain = &domain
		}
		n.Targets = append(n.Targets, target)
	}
	return n
}

// addressOf reads an address that is known to be one, or empty.
func addressOf(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}

// domainsOf returns which observation domains flows get.
func domainsOf(cfg *config.Config) convert.Domains {
	d := cfg.Convert.ObservationDomain
	return convert.Domains{Always: d.Fixed, Fixed: d.Number}
}
