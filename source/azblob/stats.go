package azblob

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Operations by which requests are counted.
const (
	OpDiscover = "discover" // lists folders
	OpList     = "list"     // lists blobs
	OpRead     = "read"     // reads a blob
	OpClock    = "clock"    // asks for nothing but the time
	OpToken    = "token"    // asks Entra, or the machine, for a token
)

// Stats is what a Backend has done so far.
type Stats struct {
	// Requests is sorted. Each try counts.
	Requests []RequestCount
	// ReadBytes is how much of blobs was read.
	ReadBytes uint64
	// ClockSkew is how far the server's clock was ahead of ours at the latest
	// answer, to about a second; ClockSeen is when that was, zero if never.
	ClockSkew time.Duration
	ClockSeen time.Time
	// Missing is the containers that were not there at the latest FlowLogs: Azure
	// makes a container with the first traffic that it logs.
	Missing []string
}

// RequestCount is how many requests of one kind ended in one way.
type RequestCount struct {
	Operation string
	// Status is the HTTP status, or "error" if there was no answer.
	Status string
	Count  uint64
}

type requestKind struct{ operation, status string }

type counters struct {
	mu        sync.Mutex
	requests  map[requestKind]uint64
	readBytes uint64
	skew      time.Duration
	seen      time.Time
	missing   []string
}

// Stats may be called at any time.
func (b *Backend) Stats() Stats {
	c := &b.counters
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{ReadBytes: c.readBytes, ClockSkew: c.skew, ClockSeen: c.seen, Missing: slices.Clone(c.missing)}
	for _, k := range slices.SortedFunc(maps.Keys(c.requests), func(a, b requestKind) int {
		return cmp.Or(cmp.Compare(a.operation, b.operation), cmp.Compare(a.status, b.status))
	}) {
		s.Requests = append(s.Requests, RequestCount{k.operation, k.status, c.requests[k]})
	}
	return s
}

func (c *counters) count(operation string, resp *http.Response, err error) {
	k := requestKind{operation, "error"}
	if err == nil {
		k.status = strconv.Itoa(resp.StatusCode)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests == nil {
		c.requests = make(map[requestKind]uint64)
	}
	c.requests[k]++
}

// clock compares clocks by an answer of Azure's, not of a proxy's.
func (c *counters) clock(resp *http.Response) {
	server, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || resp.Header.Get("X-Ms-Request-Id") == "" {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew, c.seen = server.Add(time.Second/2).Sub(now), now // Date is cut to the second
}

func (c *counters) read(n int) {
	c.mu.Lock()
	c.readBytes += uint64(n)
	c.mu.Unlock()
}

func (c *counters) setMissing(containers []string) {
	c.mu.Lock()
	c.missing = containers
	c.mu.Unlock()
}

func operation(req *http.Request) string {
	query := req.URL.Query()
	switch {
	case req.Method == http.MethodHead:
		return OpClock
	case query.Get("comp") != "list":
		return OpRead
	case query.Get("delimiter") != "":
		return OpDiscover
	}
	return OpList
}
