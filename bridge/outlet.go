package bridge

import (
	"context"

	"flow2ipfix/convert"
	"flow2ipfix/templates"
)

// outlet converts flows for one collector, and counts them.
type outlet struct {
	name   string
	policy convert.Policy

	exported uint64 // tuples
	skipped  [convert.SkipCount]uint64

	records [convert.MaxRecords]templates.Record // of one flow, here so that none is allocated
	half    int                                  // records that have left of the flow at which export ended with an error
}

// sink is what takes records to a collector.
type sink interface {
	Export(ctx context.Context, domain uint32, r *templates.Record) error
}

// export converts a batch and hands its records to out. After an error, what is
// neither in exported nor in skipped was not sent.
func (o *outlet) export(ctx context.Context, out sink, bt *batch) error {
	records := &o.records
	oldest := o.policy.Filter.Oldest()
	next := 0
	for i := range bt.Records {
		r := &bt.Records[i]
		groups := bt.Groups(r)
		for k := range groups {
			origin := &bt.origins[next]
			next++
			shift := int64(0)
			if len(bt.shifts) > 0 {
				shift = bt.shifts[i]
			}
			flows := bt.Flows(&groups[k])
			if !o.policy.Filter.Group(r, &groups[k]) {
				o.skipped[convert.SkippedFilter] += uint64(len(flows))
				continue
			}
			for j := range flows {
				n, skip := o.policy.Records(origin, oldest, &flows[j], records)
				if n == 0 {
					o.skipped[skip]++
					continue
				}
				for m := range n {
					records[m].Start += shift
					records[m].End += shift
					if err := out.Export(ctx, origin.Domain, &records[m]); err != nil {
						o.half = m
						return err
					}
				}
				o.exported++
			}
		}
	}
	return nil
}
