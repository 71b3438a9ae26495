package convert

import (
	"testing"

	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

// BenchmarkRecords converts a flow with traffic both ways: two records.
func BenchmarkRecords(b *testing.B) {
	f := flow(nil)
	var p Policy
	o := Origin{Domain: 1, Interface: 7}
	var out [MaxRecords]templates.Record
	b.ReportAllocs()
	for b.Loop() {
		p.Records(&o, 0, &f, &out)
	}
}

// BenchmarkStarts looks up flows that live in a table of the given number.
func BenchmarkStarts(b *testing.B) {
	for name, n := range map[string]int{"1000": 1000, "300000": 300_000} {
		b.Run(name, func(b *testing.B) {
			flows := manyFlows(n, flowlog.Continue, 100)
			s := NewStarts(DefaultMaxFlows)
			s.Mark(0, flowlog.MAC{1}, flows)
			b.ReportAllocs()
			for b.Loop() {
				s.Mark(0, flowlog.MAC{1}, flows)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/flow")
		})
	}
}

// BenchmarkOrigins fills the origins of the groups of two flow logs in turn.
func BenchmarkOrigins(b *testing.B) {
	o := NewOrigins(Names{}, Domains{})
	records := [2]flowlog.Record{
		{Target: network + "/virtualNetworks/hub", FlowLog: vnetLog},
		{Target: network + "/virtualNetworks/spoke", FlowLog: vnetLog},
	}
	g := flowlog.Group{Kind: flowlog.VNet, MAC: nic, Rule: "r", ACL: network + "/networkSecurityGroups/web-nsg"}
	for name, groups := range map[string]int{"a record each": 1, "a record of 8": 8} {
		b.Run(name, func(b *testing.B) {
			var origin Origin
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				o.Fill(&origin, &records[i/groups&1], &g, 7)
			}
		})
	}
}
