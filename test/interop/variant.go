// Package interop holds the interop matrix: every way to send flow records,
// against every collector that can be had. It says for each of them what it shows
// of what it was sent, has the real program send, and fails if a collector
// behaves differently, for better or worse. docs/COLLECTORS.md has the result.
//
// What does not live here: the collectors (package show, below this one).
package interop

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/interop/show"
	"flow2ipfix/test/peers"
)

// The private enterprise number for documentation (RFC 5612).
const enterprise = 32473

// The protocols.
const (
	ipfix    = "ipfix"
	netflow9 = "netflow9"
	netflow5 = "netflow5"
)

var presets = []string{
	"generic", "ntopng", "elastiflow", "nfdump", "pmacct", "goflow2", "akvorado", "elk", "telegraf", "vflow", "solarwinds", "prtg",
}

// deniedOne are the presets that give denied flows a packet.
var deniedOne = []string{"ntopng"}

// variant is a way to send the fixture.
type variant struct {
	name     string // "" is the preset's, without more
	preset   string
	protocol string
	flags    []string // of replay and templates, beside preset and protocol
	replay   []string // of replay only
	oracle   expect.Oracle

	enterprise   bool
	long         bool   // resource ids
	stringOctets int    // of fixed length
	exporter     string // address
	options      []string
	// interfaceName is a configured name of the interface namedMAC.
	interfaceName string

	sent map[string]bool // the elements of its flow records, when they are known
}

// namedMAC is an interface of the fixture.
const namedMAC = "000D3A10A001"

// title is what the table calls it.
func (v *variant) title() string {
	if v.name == "" {
		return "preset " + v.preset
	}
	return v.name
}

// everything are elements that no preset has.
const everything = "preset,sourceMacAddress,destinationMacAddress,ingressVRFID,egressVRFID,flowEndReason,flowId,observationPointId,ipVersion,samplingAlgorithm,flowDurationMilliseconds," +
	"interfaceName,interfaceDescription,VRFname"

// variants returns all of them.
func variants() []*variant {
	var all []*variant
	for _, protocol := range []string{ipfix, netflow9, netflow5} {
		for _, preset := range presets {
			v := &variant{preset: preset, protocol: protocol}
			// Version 5 cannot say that a flow was denied, so that no packet is invented.
			v.oracle.DeniedOne = slices.Contains(deniedOne, preset) && protocol != netflow5
			all = append(all, v)
		}
	}
	for _, protocol := range []string{ipfix, netflow9, netflow5} {
		all = append(all, &variant{
			name: "begin exported", protocol: protocol, replay: []string{"--begin", "export"}, oracle: expect.Oracle{ExportBegin: true},
		})
	}
	for _, protocol := range []string{ipfix, netflow9} {
		all = append(all, &variant{
			name: "denied with one packet", protocol: protocol, replay: []string{"--denied-counters", "one"}, oracle: expect.Oracle{DeniedOne: true},
		}, &variant{
			name: "more elements, IPv4 exporter", protocol: protocol, exporter: "192.0.2.77", flags: []string{"--fields", everything},
		}, &variant{
			name: "more elements, IPv6 exporter", protocol: protocol, exporter: "2001:db8::77", flags: []string{"--fields", everything},
		})
		all = append(all, &variant{
			name: "preset nfdump, options interfaces,vrfs", preset: "nfdump", protocol: protocol, options: []string{"interfaces", "vrfs"},
			flags: []string{"--options", "interfaces,vrfs"},
		})
		for _, options := range []string{"interfaces", "vrfs", "sampling", "statistics", "interfaces,vrfs,sampling,statistics"} {
			all = append(all, &variant{
				name: "options " + options, protocol: protocol, options: strings.Split(options, ","),
				flags: []string{"--options", options, "--fields", "preset,ingressVRFID,egressVRFID"},
			})
		}
	}
	const long = "nic-of-the-web-server-of-the-shop-number-01" // longer than options data records have room for
	return append(all,
		&variant{
			name: "options interfaces, a configured name", protocol: ipfix, options: []string{"interfaces"}, interfaceName: long,
			flags: []string{"--options", "interfaces"}, replay: []string{"--interface", namedMAC + "=" + long},
		},
		&variant{name: "options flow_keys", protocol: ipfix, options: []string{"flow_keys"}, flags: []string{"--options", "flow_keys"}},
		&variant{name: "options types", protocol: ipfix, options: []string{"types"}, enterprise: true, flags: []string{"--options", "types"}},
		&variant{name: "bidirectional", protocol: ipfix, flags: []string{"--records", "biflow"}, oracle: expect.Oracle{Biflow: true}},
		&variant{
			name: "bidirectional, biflowDirection", protocol: ipfix, oracle: expect.Oracle{Biflow: true},
			flags: []string{"--records", "biflow", "--fields", "preset,biflowDirection"},
		},
		&variant{
			name: "bidirectional, begin exported", protocol: ipfix, flags: []string{"--records", "biflow"},
			replay: []string{"--begin", "export"}, oracle: expect.Oracle{Biflow: true, ExportBegin: true},
		},
		&variant{name: "enterprise elements", protocol: ipfix, enterprise: true},
		&variant{name: "all enterprise elements, short", protocol: ipfix, enterprise: true, flags: allOwn},
		&variant{name: "all enterprise elements, long", protocol: ipfix, enterprise: true, long: true, flags: slices.Concat(allOwn, []string{"--enterprise-form", "long"})},
		&variant{
			name: "enterprise strings of 32 octets", protocol: ipfix, enterprise: true, stringOctets: 32,
			flags: []string{"--enterprise-string-octets", "32"},
		},
		&variant{
			name: "bidirectional, enterprise elements", protocol: ipfix, enterprise: true, oracle: expect.Oracle{Biflow: true},
			flags: []string{"--records", "biflow"},
		},
	)
}

var allOwn = []string{
	"--enterprise-elements", "azureRule,azureAcl,azureFlowLog,azureTargetResource,azureSubscription,azureRegion,azureResourceGroup,azureEncryption,azureFlowState",
}

// args are the flags that commands for templates take too.
func (v *variant) args() []string {
	args := []string{"--protocol", v.protocol}
	if v.preset != "" {
		args = append(args, "--preset", v.preset)
	}
	if v.enterprise {
		args = append(args, "--enterprise-number", fmt.Sprint(enterprise))
	}
	if v.exporter != "" {
		args = append(args, "--exporter-address", v.exporter)
	}
	return slices.Concat(args, v.flags)
}

// shape is what the program says that its records look like.
type shape struct {
	// one and both are the elements of records with and without a way back.
	one, both []string
	templates []template
}

type template struct {
	id     string
	name   string
	fields []string
}

// shape asks the program, except for NetFlow version 5, which has no templates.
func (v *variant) shape() (*shape, error) {
	if v.protocol == netflow5 {
		return &shape{one: []string{
			"sourceIPv4Address", "destinationIPv4Address", "sourceTransportPort", "destinationTransportPort", "protocolIdentifier",
			"octetDeltaCount", "packetDeltaCount", "flowStartMilliseconds", "flowEndMilliseconds", "ingressInterface", "egressInterface",
			"samplingInterval",
		}}, nil
	}
	r := peers.Run(append([]string{"templates", "--format", "json"}, v.args()...)...)
	if r.Code != 0 {
		return nil, fmt.Errorf("templates ended with %d: %s", r.Code, r.Stderr)
	}
	var said struct {
		Templates []struct {
			ID     int    `json:"id"`
			Name   string `json:"name"`
			Fields []struct {
				Name string `json:"name"`
			} `json:"fields"`
		} `json:"templates"`
	}
	if err := json.Unmarshal(r.Stdout, &said); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	s := &shape{}
	for _, t := range said.Templates {
		var names []string
		for _, f := range t.Fields {
			names = append(names, show.Plain(f.Name))
		}
		s.templates = append(s.templates, template{fmt.Sprint(t.ID), t.Name, names})
		switch {
		case !strings.HasSuffix(t.Name, "ipv4"):
		case strings.HasSuffix(t.Name, "biflow-ipv4"):
			s.both = names
		default:
			s.one = names
		}
	}
	if s.one == nil {
		return nil, fmt.Errorf("templates: no template for IPv4 in %s", r.Stdout)
	}
	return s, nil
}

// all are the elements of either kind of record.
func (s *shape) all() []string {
	if s.both != nil {
		return s.both
	}
	return s.one
}

// of are the elements of a record.
func (s *shape) of(r *expect.Record) []string {
	if s.both != nil && r.ReversePackets|r.ReverseBytes != 0 {
		return s.both
	}
	return s.one
}
