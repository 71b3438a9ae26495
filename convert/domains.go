package convert

import (
	"hash/fnv"
	"strings"

	"flow2ipfix/flowlog"
)

// Domains gives every flow log's target an observation domain.
type Domains struct {
	// Fixed is the one domain for everything, if Always is set.
	Fixed  uint32
	Always bool

	target string // the last one asked for, and its domain
	domain uint32
}

// Of returns the observation domain of a record: the fixed one, or the 32-bit
// FNV-1a hash of the target's resource id in lower case (ARM ids do not care
// about case, and Azure writes both). It is never 0, which means "none" (RFC
// 7011 §3.1).
func (d *Domains) Of(r *flowlog.Record) uint32 {
	if d.Always {
		return d.Fixed
	}
	target := r.Target
	if target == "" {
		target = r.FlowLog
	}
	if target == d.target && d.domain != 0 {
		return d.domain
	}
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(target)))
	d.target, d.domain = target, max(h.Sum32(), 1)
	return d.domain
}
