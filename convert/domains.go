package convert

import (
	"hash/fnv"
	"strings"
)

// Domains says which observation domain flows get: one for all, or one for each
// flow log's target. See Origins.
type Domains struct {
	// Fixed is the one domain for everything, if Always is set.
	Fixed  uint32
	Always bool
}

// number returns the number of a resource: the 32-bit FNV-1a hash of its id in
// lower case (ARM ids do not care about case, and Azure writes both). It is
// never 0, which means "none" (RFC 7011 §3.1).
func number(id string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(strings.ToLower(id)))
	return max(h.Sum32(), 1)
}
