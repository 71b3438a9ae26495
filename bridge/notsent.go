package bridge

import (
	"sync/atomic"

	"flow2ipfix/convert"
	"flow2ipfix/templates"
)

// NotSent counts the flow records that a best-effort collector should have had
// and was not sent. It may be read at any time; the zero value has counted
// nothing.
type NotSent struct{ records, packets, octets atomic.Uint64 }

// Total returns the sums so far.
func (n *NotSent) Total() templates.NotSent {
	return templates.NotSent{Flows: n.records.Load(), Packets: n.packets.Load(), Octets: n.octets.Load()}
}

// add counts what a batch would have become, but for its first tuples, which are
// done, and the first records of the one behind them.
func (n *NotSent) add(policy *convert.Policy, bt *batch, done, half int) {
	var sum templates.NotSent
	var records [convert.MaxRecords]templates.Record
	oldest := policy.Filter.Oldest()
	next := 0
	for i := range bt.Records {
		r := &bt.Records[i]
		groups := bt.Groups(r)
		for k := range groups {
			origin := &bt.origins[next]
			next++
			flows := bt.Flows(&groups[k])
			skip := min(done, len(flows))
			done -= skip
			if flows = flows[skip:]; len(flows) == 0 || !policy.Filter.Group(r, &groups[k]) {
				continue
			}
			for j := range flows {
				count, _ := policy.Records(origin, oldest, &flows[j], &records)
				for m := min(half, count); m < count; m++ {
					sum.Flows++
					sum.Packets += records[m].Packets + records[m].ReversePackets
					sum.Octets += records[m].Octets + records[m].ReverseOctets
				}
				half = 0
			}
		}
	}
	n.records.Add(sum.Flows)
	n.packets.Add(sum.Packets)
	n.octets.Add(sum.Octets)
}
