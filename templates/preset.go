package templates

import (
	"fmt"
	"slices"
	"strings"
)

// Preset is what suits a kind of collector, where nothing else was asked for.
type Preset struct {
	Name string
	For  string // which collectors, and what is done for them, in words

	// Elements are the elements of a flow record, in order. That of a configured
	// exporter address comes behind them.
	Elements []string
	// Options are the options templates that are sent.
	Options []OptionsKind
	// Rate is how many records a second the collector may be expected to take over
	// UDP.
	Rate int
	// DeniedCountOne gives denied flows one packet: the collector discards records
	// without.
	DeniedCountOne bool

	// MaxMessageBytes and MaxRecords are how large messages the collector reads; 0 is
	// any.
	MaxMessageBytes, MaxRecords int

	// requires are elements without which the collector ignores a record: one of
	// each list.
	requires [][]string
	// knowsIANAOnly is of collectors that drop a record with an element that they
	// do not know.
	knowsIANAOnly bool
	// readsLikeNfdump is of collectors that read options records as nfdump does.
	readsLikeNfdump bool
}

// core is what every collector wants and none chokes on.
var core = []string{
	"sourceIPv4Address",
	"destinationIPv4Address",
	"sourceTransportPort",
	"destinationTransportPort",
	"protocolIdentifier",
	"octetDeltaCount",
	"packetDeltaCount",
	"flowStartMilliseconds",
	"flowEndMilliseconds",
	"ingressInterface",
	"egressInterface",
	"flowDirection",
	"samplingInterval",
	"forwardingStatus",
	"firewallEvent",
}

func coreAnd(more ...string) []string { return slices.Concat(core, more) }

var macs = []string{"sourceMacAddress", "destinationMacAddress"}

// interfaces are the elements of which some collectors want one.
var interfaces = []string{"ingressInterface", "egressInterface"}

var vrfs = []string{"ingressVRFID", "egressVRFID"}

const defaultRate = 20_000

var presets = []Preset{
	{
		Name: "generic", For: "any collector: elements of IANA that all know",
		Elements: core,
	},
	{
		Name: "ntopng", For: "ntopng behind nProbe: denied flows have one packet, since nProbe discards those without",
		Elements: core, DeniedCountOne: true,
	},
	{
		Name: "elastiflow", For: "ElastiFlow: MAC addresses; a rate for one licence unit",
		Elements: coreAnd(macs...), Rate: 4000, MaxRecords: 64,
	},
	{
		Name: "nfdump", For: "nfdump's nfcapd: MAC addresses, VRF ids",
		Elements: coreAnd(slices.Concat(macs, vrfs)...), readsLikeNfdump: true,
	},
	{
		Name: "pmacct", For: "pmacct's nfacctd: MAC addresses",
		Elements: coreAnd(macs...),
	},
	{
		Name: "goflow2", For: "goflow2, and what is built on it: MAC addresses",
		Elements: coreAnd(macs...), MaxMessageBytes: 9000,
	},
	{
		Name: "akvorado", For: "Akvorado: MAC addresses, VRF ids; the sampling interval that it wants is in all presets",
		Elements: coreAnd(slices.Concat(macs, vrfs)...), requires: [][]string{interfaces, {"samplingInterval"}},
	},
	{
		Name: "elk", For: "Logstash and Filebeat: MAC addresses, one id for both ways of a flow, why a flow was reported",
		Elements: coreAnd(slices.Concat(macs, []string{"flowId", "flowEndReason"})...), Rate: 10_000, MaxMessageBytes: 10 << 10,
	},
	{
		Name: "telegraf", For: "Telegraf: MAC addresses, names of interface and target, why a flow was reported",
		Elements: coreAnd(slices.Concat(macs, []string{"flowEndReason", "interfaceName", "VRFname"})...),
	},
	{
		Name: "vflow", For: "vFlow: elements of IANA alone, since it drops records with others",
		Elements: core, knowsIANAOnly: true, MaxMessageBytes: 1472,
	},
	{
		Name: "solarwinds", For: "SolarWinds NTA: what it asks for in each template",
		Elements: core, requires: [][]string{
			{"protocolIdentifier"},
			{"sourceIPv4Address", "sourceIPv6Address"},
			{"destinationIPv4Address", "destinationIPv6Address"},
			interfaces,
			{"octetDeltaCount"},
		},
	},
	{
		Name: "prtg", For: "PRTG: a rate for its probe",
		Elements: core, Rate: 5000,
	},
}

// Presets returns all presets, the one for any collector first.
func Presets() []Preset { return slices.Clone(presets) }

// PresetNames returns the names of all presets.
func PresetNames() []string {
	names := make([]string, len(presets))
	for i := range presets {
		names[i] = presets[i].Name
	}
	return names
}

// PresetFor returns the preset of a name; the empty name is the generic one.
func PresetFor(name string) (Preset, error) {
	if name == "" {
		name = presets[0].Name
	}
	i := slices.IndexFunc(presets, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, &Problem{"preset", "", fmt.Sprintf("want %s, got %q", strings.Join(PresetNames(), ", "), name)}
	}
	p := presets[i]
	if p.Rate == 0 {
		p.Rate = defaultRate
	}
	return p, nil
}
