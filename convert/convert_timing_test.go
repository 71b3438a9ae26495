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
