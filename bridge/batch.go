package bridge

import (
	"sync/atomic"

	"flow2ipfix/convert"
	"flow2ipfix/flowlog"
)

// batchFlows is when a batch is full: small enough to stay in the processor's
// cache between reader and lane, large enough that handing it over costs nothing.
const batchFlows = 2048

// batchRecords bounds a batch of records that hold next to no flows.
const batchRecords = 512

// giantFlows is how many flows make a batch so large (6 MiB) that a reader of a service
// decodes no second one before it has left.
const giantFlows = 64 << 10

// A reader of a replay waits for its lanes when batchCount batches of it are with them,
// or more flows than three of its largest batches have: than someFlows at least, and
// manyFlows at most. That bounds what is in memory. With fewer, reader and lanes would
// wait for each other more often, which takes more time than it seems, since who waited
// has to be woken; with more, more memory is touched for the first time.
const (
	batchCount = 16
	someFlows  = 32 << 10
	manyFlows  = 96 << 10 // 9 MiB
)

// batch is what goes from the reader to the lanes: some records of one blob.
// Lanes only read it.
type batch struct {
	flowlog.Batch
	origins []convert.Origin // of each record's groups, in order
	shifts  []int64          // how far each record's times are moved, in ms; empty: not at all

	mac    flowlog.MAC  // of records that have none: from the blob's name
	strand uint32       // of the blob: what is of others may be older or younger
	lanes  atomic.Int32 // that are not done with it yet

	home   chan<- *batch // see goHome; a service has one for all
	weight int           // its flows, of those that a reader has away

	// Of a service only:
	id       uint64        // ascends in the order in which lanes get batches
	progress progress      // how far this batch brings its blob
	gone     chan struct{} // closed when the batch, a giant one, is free again; or nil
}

// goHome makes a batch wait to be filled again. It is empty then: what it held has
// just been in a cache, and whoever decodes next takes it.
func (bt *batch) goHome() {
	bt.Reset()
	bt.home <- bt
}
