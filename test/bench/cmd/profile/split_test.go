package main

import "testing"

const traces = `File: profile
Type: cpu
-----------+-------------------------------------------------------
  30000000ns   flow2ipfix/flowlog.digits (inline)
             flow2ipfix/flowlog.fastTuple
             flow2ipfix/flowlog.(*Decoder).tuples
             flow2ipfix/bridge.(*Bridge).read
-----------+-------------------------------------------------------
  40000000ns   internal/runtime/syscall/linux.Syscall6
             syscall.sendmsgN
             flow2ipfix/exporter.(*udp).write
             flow2ipfix/bridge.(*lane).run
-----------+-------------------------------------------------------
  10000000ns   runtime.memmove
             flow2ipfix/internal/ipaddr.From4
             flow2ipfix/convert.(*Policy).Records
-----------+-------------------------------------------------------
  15000000ns   flow2ipfix/convert/starts.(*set).find
             flow2ipfix/convert/starts.(*Table).Mark
             flow2ipfix/bridge.(*numbering).complete
-----------+-------------------------------------------------------
  20000000ns   runtime.futex
             runtime.schedule
-----------+-------------------------------------------------------
`

func TestSplit(t *testing.T) {
	shares, err := split(traces, 230)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"tuples": 60, "kernel: sending": 80, "start times": 30, "conversion": 20, "memory and scheduler": 40}
	for i, share := range shares {
		if share.Name != parts[i] || share.Ns != want[share.Name] {
			t.Errorf("%s takes %v ns, want %v", share.Name, share.Ns, want[share.Name])
		}
	}
	if _, err := split("File: profile\n", 200); err == nil {
		t.Error("an empty profile is no error")
	}
}
