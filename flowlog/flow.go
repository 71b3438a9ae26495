// Package flowlog reads Azure's flow-log format: NSG flow logs (versions 1 and
// 2) and virtual network flow logs (version 4), as they stand in PT1H.json
// blobs. Bytes go in, Flow values come out.
//
// It knows nothing of where the bytes come from (package source) nor of what a
// flow becomes (package convert): no network, no Azure SDK, no configuration.
package flowlog

import (
	"unsafe"

	"flow2ipfix/internal/ipaddr"
	"flow2ipfix/internal/largepages"
)

// Kind tells which of Azure's two record shapes a flow stood in. The shape
// decides how a tuple is read, never its number of fields: both have tuples of
// 13 fields that mean different things.
type Kind uint8

const (
	// KindNone is a record without flows.
	KindNone Kind = iota
	// NSG is a network security group flow log: the flows stand under
	// "properties". Versions 1 and 2 share the first eight fields.
	NSG
	// VNet is a virtual network flow log: the flows stand under "flowRecords".
	VNet
)

// String returns the name that is used in summaries and metrics.
func (k Kind) String() string {
	switch k {
	case NSG:
		return "nsg"
	case VNet:
		return "vnet"
	default:
		return "none"
	}
}

// Direction is the direction of a flow as the VM's interface sees it.
type Direction uint8

const (
	// Inbound flows were opened from elsewhere towards the VM (Azure "I").
	Inbound Direction = iota
	// Outbound flows were opened by the VM (Azure "O").
	Outbound
)

// State is the reporting state of a tuple.
type State uint8

const (
	// StateNone stands in version 1, which has no states (each tuple is the
	// start of a flow), and for denied flows of virtual network flow logs.
	StateNone State = iota
	// Begin is a flow that was created; its counters say nothing (Azure "B").
	Begin
	// Continue is a flow that goes on; counters since the previous tuple
	// (Azure "C", about every 5 minutes).
	Continue
	// End is a flow that was terminated; counters since the previous tuple
	// (Azure "E").
	End
)

// Encryption is the virtual network encryption status of a flow, as
// https://learn.microsoft.com/azure/network-watcher/vnet-flow-logs-overview
// lists it. NSG flow logs have none.
type Encryption uint8

// The encryption codes. The numbers are this program's own.
const (
	EncryptionUnset          Encryption = iota // not in the tuple
	EncryptionX                                // X: encrypted
	EncryptionNX                               // NX: not encrypted
	EncryptionNoHardware                       // NX_HW_NOT_SUPPORTED
	EncryptionSoftwareNotYet                   // NX_SW_NOT_READY: dropped
	EncryptionNotAccepted                      // NX_NOT_ACCEPTED: dropped
	EncryptionNotSupported                     // NX_NOT_SUPPORTED: dropped
	EncryptionLocal                            // NX_LOCAL_DST: same host
	EncryptionFallback                         // NX_FALLBACK
	EncryptionOther                            // a code that this program does not know
)

// Counters says which of a tuple's four counters were there. Azure leaves them
// empty or out where it has no data, which is not the same as zero.
type Counters uint8

// The bits of Counters.
const (
	HasPacketsSent Counters = 1 << iota
	HasBytesSent
	HasPacketsReceived
	HasBytesReceived

	hasAll = HasPacketsSent | HasBytesSent | HasPacketsReceived | HasBytesReceived
)

// Flow is one flow tuple. It is a plain value: it holds no memory of the input.
//
// Source is the side that opened the flow and Destination the side that
// answered, whatever the direction; "sent" runs from source to destination.
type Flow struct {
	Source, Destination ipaddr.Addr

	// Time is when the tuple was made, in milliseconds since the Unix epoch.
	// NSG flow logs write whole seconds.
	Time int64
	// Start is when the counters began to count, in milliseconds since the
	// Unix epoch. The decoder leaves it 0: Azure does not write it, and
	// package convert/starts works it out.
	Start int64

	// The counters count since the flow's previous tuple (deltas), and are 0
	// where Counters says that they were not there. Bytes include headers.
	PacketsSent, BytesSent         uint64
	PacketsReceived, BytesReceived uint64

	SourcePort, DestinationPort uint16

	Protocol   uint8 // IANA protocol number
	Direction  Direction
	State      State
	Encryption Encryption
	Counters   Counters
	Denied     bool
	IPv6       bool // both addresses are of IPv6, else of IPv4
}

// Group is a stretch of a record's flows that share an access rule. A rule with many
// flows has several.
type Group struct {
	Kind Kind
	MAC  MAC // its own, or else the record's
	// Rule is the rule that decided, an opaque string such as
	// "DefaultRule_AllowInternetOutBound" or "PlatformRule".
	Rule string
	// ACL identifies what the rule belongs to (aclID); empty in NSG flow logs,
	// where Record.Target is the network security group.
	ACL string

	first, last int // of the batch's flows
}

// Record is what Azure logged for one network interface in about one minute.
type Record struct {
	// Offset and End are where the record begins and ends in the blob, in
	// bytes: the first byte is '{', the one before End is '}'.
	Offset, End int64

	Time    int64 // end of the minute, milliseconds since the Unix epoch; 0 if missing or unreadable
	Version int   // of the flow log: 1, 2 or 4; other numbers are read by shape; 0 if missing
	MAC     MAC

	// Target is the ARM id of what the flow log is set on: a virtual network,
	// subnet or interface (targetResourceID), or a network security group
	// (resourceId). Case as written by Azure.
	Target string
	// FlowLog is the ARM id of the flow log (flowLogResourceID); empty for NSG.
	FlowLog string
	// FlowLogGUID identifies the flow log; for NSG the group's systemId.
	FlowLogGUID string

	first, last int // of Batch.groups
}

// Batch holds decoded records and everything they refer to. A batch may be
// handed to another goroutine; the decoder does not touch it again until it is
// passed to Next.
type Batch struct {
	Records []Record

	groups []Group
	chunks []*chunk // all but the last one are full
	flows  int
}

// chunk is memory for flows. No flow ever moves: a record of unknown size is read
// without a copy, and no more memory is touched than is needed, each page of which
// costs as much as twenty flows when it is the first time.
type chunk [chunkFlows]Flow

const chunkFlows = 1 << 10 // 96 KiB

// chunks are those that no batch needs, for all batches: 12 MiB in large pages.
var chunks = largepages.Pool[chunk]{Keep: keepChunks}

const keepChunks = 128

func takeChunk() *chunk {
	c, fresh := chunks.Take()
	if !fresh {
		return c
	}
	// Whoever uses a flow first reads it, as Go's check for nil does, and a page that is
	// read first and written then costs the kernel's work twice.
	const page = 4096 / int(unsafe.Sizeof(Flow{})) // flows; larger pages are no harm
	for i := 0; i < len(c); i += page {
		c[i].Time = 0
	}
	return c
}

// Reset empties the batch. Its memory is for the next records, of this batch or of
// another one.
func (b *Batch) Reset() {
	b.Records = b.Records[:0]
	b.groups = b.groups[:0]
	b.truncate(0)
}

// truncate drops all flows but the first n, and the chunks that they were in.
func (b *Batch) truncate(n int) {
	b.flows = n
	needed := (n + chunkFlows - 1) / chunkFlows
	more := b.chunks[needed:]
	if len(more) == 0 {
		return
	}
	b.chunks = b.chunks[:needed]
	chunks.Put(more...)
	clear(more)
}

// room returns where the next flows of the batch are to be written, at least one.
func (b *Batch) room() []Flow {
	i := b.flows / chunkFlows
	if i == len(b.chunks) {
		b.chunks = append(b.chunks, takeChunk())
	}
	return b.chunks[i][b.flows%chunkFlows:]
}

// addGroup makes groups of the flows from first on, each of which stands in one chunk.
func (b *Batch) addGroup(kind Kind, first int) {
	for first < b.flows {
		last := min(b.flows, first-first%chunkFlows+chunkFlows)
		b.groups = append(b.groups, Group{Kind: kind, first: first, last: last})
		first = last
	}
}

// DropLast takes the last record out of the batch and returns how many flows it
// had.
func (b *Batch) DropLast() int {
	last := len(b.Records) - 1
	r := &b.Records[last]
	flows := b.flows
	if r.first < r.last {
		flows = b.groups[r.first].first
	}
	n := b.flows - flows
	b.truncate(flows)
	b.groups, b.Records = b.groups[:r.first], b.Records[:last]
	return n
}

// Len returns how many flows the batch holds.
func (b *Batch) Len() int { return b.flows }

// Groups returns the groups of a record of this batch, in the order of the blob.
// They live until the batch is reset or decoded into again.
func (b *Batch) Groups(r *Record) []Group { return b.groups[r.first:r.last] }

// Flows returns the flows of a group of this batch, in the order of the blob.
// They live until the batch is reset or decoded into again.
func (b *Batch) Flows(g *Group) []Flow {
	at := g.first % chunkFlows
	return b.chunks[g.first/chunkFlows][at : at+g.last-g.first]
}
