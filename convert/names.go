package convert

import (
	"net/netip"
	"strings"

	"flow2ipfix/flowlog"
)

// Names is what the operator calls things. Whoever was given Names may go on
// reading them: they are not changed.
type Names struct {
	// Interfaces are names of network interfaces.
	Interfaces map[flowlog.MAC]string
	// Targets are what is said of flow logs' targets; the first that matches
	// counts.
	Targets []Target
	// Exporter is on whose behalf records are sent, where the target does not say
	// otherwise; not valid if nobody asked for it.
	Exporter netip.Addr
}

// Target is what is said of some of the resources that flow logs are set on.
type Target struct {
	// Pattern matches the whole resource id as those of Filter do.
	Pattern string
	// Name is used in place of the one from the resource id; may be empty.
	Name string
	// Exporter is used in place of Names.Exporter, if it is valid.
	Exporter netip.Addr
	// Domain is the observation domain, unless all have the same; nil is the
	// target's number.
	Domain *uint32
}

// target returns what is said of a target.
func (n *Names) target(id string) Target {
	id = strings.ToLower(id)
	for _, t := range n.Targets {
		if match(strings.ToLower(t.Pattern), id) {
			return t
		}
	}
	return Target{}
}
