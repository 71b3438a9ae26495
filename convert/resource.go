package convert

import (
	"strings"

	"flow2ipfix/templates"
)

// resource is what an Azure resource id says. Ids are a slash before each of
// pairs of a type and a name; types do not care about case.
type resource struct {
	subscription, group string // in lower case; as written
	outer, inner        pair   // the last two pairs; empty if there are none
	last                string // the last name, or all of an id that is no path
}

type pair struct{ kind, name string }

func (p *pair) is(kind string) bool { return strings.EqualFold(p.kind, kind) }

// parseResource never fails: what is not there is empty.
func parseResource(id string) resource {
	r := resource{last: lastName(id)}
	rest := strings.Trim(id, "/")
	for rest != "" {
		var p pair
		p.kind, rest, _ = strings.Cut(rest, "/")
		p.name, rest, _ = strings.Cut(rest, "/")
		switch {
		case p.is("subscriptions"):
			r.subscription = strings.ToLower(p.name)
		case p.is("resourceGroups"):
			r.group = p.name
		}
		r.outer, r.inner = r.inner, p
	}
	return r
}

// name is what people call the resource: its own name, and that of a subnet
// behind its network's.
func (r *resource) name() string {
	if r.outer.is("virtualNetworks") && r.inner.is("subnets") {
		return r.outer.name + "/" + r.inner.name
	}
	return r.last
}

// networkInterface returns the name of a network interface, and nothing for
// other resources.
func (r *resource) networkInterface() string {
	if r.inner.is("networkInterfaces") {
		return r.inner.name
	}
	return ""
}

// watcherPrefix is how Azure begins the names of the Network Watchers that it
// makes; the region follows.
const watcherPrefix = "networkwatcher_"

// region returns where a flow log is, in lower case as Azure names regions, if
// its Network Watcher says so.
func (r *resource) region() string {
	if !r.outer.is("networkWatchers") || !r.inner.is("flowLogs") {
		return ""
	}
	region, ok := strings.CutPrefix(strings.ToLower(r.outer.name), watcherPrefix)
	if !ok {
		return ""
	}
	return region
}

// lastName returns what stands behind the last slash. It does not allocate.
func lastName(id string) string {
	id = strings.TrimRight(id, "/")
	return id[strings.LastIndexByte(id, '/')+1:]
}

// identified is a resource id in both forms. It does not allocate.
func identified(id string) templates.ResourceID {
	return templates.ResourceID{Long: id, Short: lastName(id)}
}
