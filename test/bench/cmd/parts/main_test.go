package main

import "testing"

const said = `goos: linux
BenchmarkParts/part=decode/log=vnet/by=ours-2 	      14	   7161548 ns/op	       100 ns/unit	     1000 units	  783988 B/op	       6 allocs/op
BenchmarkParts/part=decode/log=vnet/by=theirs-2 	      2	   71615480 ns/op	       900.0 ns/unit	     1000 units	  783988 B/op	       4000 allocs/op
PASS
BenchmarkParts/part=decode/log=vnet/by=ours-2 	      14	   7161548 ns/op	       200 ns/unit	     1000 units	  783988 B/op	       6 allocs/op
BenchmarkParts/part=decode/log=vnet/by=theirs-2 	      2	   71615480 ns/op	       900.0 ns/unit	     1000 units	  783988 B/op	       4000 allocs/op
PASS
`

func TestCompare(t *testing.T) {
	samples, err := parse(said)
	if err != nil {
		t.Fatal(err)
	}
	ratios := compare(samples)
	if len(ratios) != 1 {
		t.Fatalf("got %d ratios, want 1", len(ratios))
	}
	if r := ratios[0]; r.Ours != 150 || r.Theirs != 900 || r.Faster() != 6 || r.Allocs != 0.006 || r.theirAllocs != 4 || r.Part != "JSON and tuples, VNet" {
		t.Errorf("got %+v", r)
	}
	for _, text := range []string{"PASS\n", "BenchmarkX 1 2 ns/op\n", "BenchmarkX 1 x ns/op\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("no error of %q", text)
		}
	}
}
