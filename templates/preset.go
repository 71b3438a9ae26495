package templates

import (
	"fmt"
	"strings"
	"sync"
)

// Set is what a collector is sent: a template for each address family.
type Set struct {
	Name       string
	IPv4, IPv6 *Template
}

// For returns the template for a flow record.
func (s *Set) For(r *Record) *Template {
	if r.Source.Is4() {
		return s.IPv4
	}
	return s.IPv6
}

// Templates returns all templates of the set.
func (s *Set) Templates() []*Template { return []*Template{s.IPv4, s.IPv6} }

// Template IDs. A definition keeps its ID for ever and in every observation
// domain: collectors that key templates by exporter address alone would mix up
// two definitions of one ID.
const (
	coreIPv4ID = 256
	coreIPv6ID = 257
)

// coreElements is the core template behind the addresses: what every collector
// wants and none chokes on. IANA elements only, since some collectors refuse a
// template with an enterprise element that they do not know.
var coreElements = []element{
	{name: "sourceTransportPort", source: sourcePort},
	{name: "destinationTransportPort", source: destinationPort},
	{name: "protocolIdentifier", source: protocol},
	{name: "octetDeltaCount", source: octets},
	{name: "packetDeltaCount", source: packets},
	{name: "flowStartMilliseconds", source: start},
	{name: "flowEndMilliseconds", source: end},
	{name: "ingressInterface", source: ingress},
	{name: "egressInterface", source: egress},
	{name: "flowDirection", source: direction},
	{name: "samplingInterval", source: sampling},
	// Registered as unsigned32, but NetFlow v9 made it one octet and so do all
	// routers: collectors that get four read nonsense.
	{name: "forwardingStatus", source: forwarding, length: 1},
	{name: "firewallEvent", source: firewall},
}

var core = sync.OnceValues(func() (*Set, error) {
	v4, err := build(coreIPv4ID, "core-ipv4", append([]element{
		{name: "sourceIPv4Address", source: sourceIPv4},
		{name: "destinationIPv4Address", source: destinationIPv4},
	}, coreElements...)...)
	if err != nil {
		return nil, err
	}
	v6, err := build(coreIPv6ID, "core-ipv6", append([]element{
		{name: "sourceIPv6Address", source: sourceIPv6},
		{name: "destinationIPv6Address", source: destinationIPv6},
	}, coreElements...)...)
	if err != nil {
		return nil, err
	}
	return &Set{Name: "generic", IPv4: v4, IPv6: v6}, nil
})

// Presets returns the names that Preset knows.
func Presets() []string { return []string{"generic"} }

// Preset returns the templates for a kind of collector.
func Preset(name string) (*Set, error) {
	if name != "generic" {
		return nil, fmt.Errorf("preset %q is not known; known: %s", name, strings.Join(Presets(), ", "))
	}
	return core()
}
