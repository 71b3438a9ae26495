package convert

import (
	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

// Origin is what the flows of a group have in common.
type Origin struct {
	Domain    uint32 // observation domain of the flow log's target
	Interface uint32 // index of the network interface
	Context   templates.Context
}

// Origins works out the origins of groups: numbers and names, from resource ids
// and from what the operator calls things. It remembers what it found. It is not
// safe for concurrent use.
type Origins struct {
	names   Names
	domains Domains

	logs   map[logID]*log
	digits map[flowlog.MAC]string // of interfaces that have no name

	// What was asked for last is asked for again: a batch is of one blob.
	lastID   logID
	last     *log
	lastMAC  flowlog.MAC
	lastName string // of the interface; empty if it is to be looked up
}

// logID tells flow logs apart, by what their records say.
type logID struct{ target, flowLog string }

// log is what the groups of a flow log have in common.
type log struct {
	domain  uint32
	context templates.Context // without what depends on the group
	nic     string            // the interface that is the target, if it is one
}

// What is remembered is bounded: 16 MiB of flow logs, if every interface has one
// of its own, and 8 MiB of interfaces.
const (
	maxLogs     = 1 << 14
	maxDigits   = 1 << 17
	maxIDOctets = 2048 // of all ids of a flow log; Azure's are much shorter
)

// NewOrigins returns Origins that know nothing yet.
func NewOrigins(names Names, domains Domains) *Origins {
	return &Origins{names: names, domains: domains, logs: map[logID]*log{}, digits: map[flowlog.MAC]string{}}
}

// Fill makes dst the origin of a group of a record, whose interface has this
// index. It allocates only for flow logs and interfaces that it does not
// remember.
func (o *Origins) Fill(dst *Origin, r *flowlog.Record, g *flowlog.Group, index uint32) {
	l := o.log(r)
	dst.Domain, dst.Interface = l.domain, index
	c := &dst.Context
	*c = l.context
	c.MAC, c.Rule = g.MAC, g.Rule
	if o.lastName == "" || g.MAC != o.lastMAC {
		o.lastMAC, o.lastName = g.MAC, o.interfaceName(l, g.MAC)
	}
	c.InterfaceName = o.lastName
	if g.Kind == flowlog.NSG {
		c.ACL = c.Target // rules of a security group are its own
	} else {
		c.ACL = identified(g.ACL)
	}
}

// log returns what is known of the flow log that a record belongs to.
func (o *Origins) log(r *flowlog.Record) *log {
	id := logID{r.Target, r.FlowLog}
	if id == o.lastID && o.last != nil {
		return o.last
	}
	l := o.logs[id]
	if l == nil {
		l = o.look(id)
		if len(o.logs) >= maxLogs {
			clear(o.logs)
		}
		if len(id.target)+len(id.flowLog) <= maxIDOctets {
			o.logs[id] = l
		}
	}
	o.last, o.lastID, o.lastName = l, id, ""
	return l
}

// look finds out what resource ids say of a flow log. A target that is not named
// is told by its flow log.
func (o *Origins) look(id logID) *log {
	whose := id.target
	if whose == "" {
		whose = id.flowLog
	}
	target, flowLog := parseResource(whose), parseResource(id.flowLog)
	said := o.names.target(whose)

	l := &log{nic: target.networkInterface()}
	c := &l.context
	c.VRF, c.VRFName = number(whose), target.name()
	if said.Name != "" {
		c.VRFName = said.Name
	}
	c.Exporter = o.names.Exporter
	if said.Exporter.IsValid() {
		c.Exporter = said.Exporter
	}
	c.InterfaceDescription = description(c.VRFName, target.group)
	c.FlowLog = identified(id.flowLog)
	if id.target != "" {
		c.Target = templates.ResourceID{Long: id.target, Short: target.name()}
	}
	c.Subscription, c.ResourceGroup = target.subscription, target.group
	c.Region = flowLog.region()

	switch {
	case o.domains.Always:
		l.domain = o.domains.Fixed
	case said.Domain != nil:
		l.domain = *said.Domain
	default:
		l.domain = c.VRF
	}
	return l
}

// maxDescription is how many octets of a description collectors are sent in
// options records.
const maxDescription = 64

// description describes an interface by where it is: "network/subnet (group)",
// without the group where it would be cut off.
func description(name, group string) string {
	if group == "" || len(name)+len(group)+len(" ()") > maxDescription {
		return name
	}
	return name + " (" + group + ")"
}

// interfaceName returns the name of an interface: the configured one, or that of
// the flow log's target if it is an interface, or its MAC address.
func (o *Origins) interfaceName(l *log, mac flowlog.MAC) string {
	if name := o.names.Interfaces[mac]; name != "" {
		return name
	}
	if l.nic != "" {
		return l.nic
	}
	text, ok := o.digits[mac]
	if !ok {
		text = mac.String()
		if len(o.digits) >= maxDigits {
			clear(o.digits)
		}
		o.digits[mac] = text
	}
	return text
}
