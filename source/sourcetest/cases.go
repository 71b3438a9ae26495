package sourcetest

import (
	"io"
	"slices"
	"testing"
	"time"

	"flow2ipfix/source"
)

func testEmpty(_ *testing.T, s suite) {
	s.equal("flow logs", 0, len(s.flowLogs()))
	s.none(s.vnet())
	s.fails(Name(s.vnet(), two, macA), 0, source.ErrNotFound)
	s.fails(Name(s.nsg(), two, macA), 100, source.ErrNotFound)
}

func testFlowLogs(_ *testing.T, s suite) {
	want := []string{
		s.vnet(),
		s.nsg(),
		s.nsg() + "-2",
		s.nsg() + "/SUBNETS/BELOW", // beside the y=… of the one above
		s.containers[0] + "/short",
	}
	for _, flowLog := range want {
		s.put(Name(flowLog, two, macA), Head, Foot)
		s.put(Name(flowLog, two.AddDate(-1, 0, 0), macB), Head, Foot)
	}
	// What else people keep there.
	s.put(s.containers[0]+"/data/registry.dat", "x")
	s.put(s.containers[1]+"/readme.txt", "x")
	s.put(s.nsg()+"/notes.txt", "x")
	slices.Sort(want)
	s.equal("flow logs", want, s.flowLogs())
}

func testHours(_ *testing.T, s suite) {
	all := []time.Time{
		time.Date(2025, 12, 31, 23, 0, 0, 0, time.UTC),
		time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 9, 30, 23, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 1, 10, 0, 0, 0, time.UTC),
		time.Date(2026, 10, 2, 9, 0, 0, 0, time.UTC),
		two,
		two.Add(time.Hour),
	}
	for _, hour := range slices.Backward(all) {
		s.put(Name(s.vnet(), hour, macA), Head, Foot)
		s.put(Name(s.vnet(), hour, macB), Head, Foot)
	}
	s.put(Name(s.vnet()+"-2", two.Add(9*time.Hour), macA), Head, Foot)
	s.put(s.vnet()+"/y=2026/m=11/d=21/notes.txt", "x")
	s.put(s.vnet()+"/y=2026/m=13/d=01/h=00/m=00/macAddress="+macA+"/PT1H.json", Head, Foot) // not a time
	for i, from := range all {
		s.equal("hours from one", all[i:], s.hours(s.vnet(), from))
		s.equal("hours from behind one", all[i+1:], s.hours(s.vnet(), from.Add(time.Hour)))
	}
	s.equal("all hours", all, s.hours(s.vnet(), time.Time{}))
	s.equal("hours of another flow log", []time.Time{two.Add(9 * time.Hour)}, s.hours(s.vnet()+"-2", time.Time{}))
	s.none(s.vnet() + "-3")
	s.equal("hours after the last", 0, len(s.hours(s.vnet(), two.AddDate(1, 0, 0))))
}

func testList(_ *testing.T, s suite) {
	a, b, old := Name(s.vnet(), two, macA), Name(s.vnet(), two, "00224871c205"), Name(s.vnet(), two, "")
	for _, name := range []string{
		a, b, old,
		Name(s.vnet(), two.Add(time.Hour), macA),
		Name(s.vnet(), two.Add(24*time.Hour), macA),
		Name(s.vnet()+"-2", two, macA),
		Name(s.nsg(), two, macA),
	} {
		s.put(name, Head, record(0, 50), Foot)
	}
	for _, other := range []string{".lock", ".tmp"} {
		s.put(a+other, "x")
	}
	s.put(s.vnet()+"/y=2026/m=11/d=21/h=02/registry.dat", "x")
	var got []string
	for name, info := range s.list(s.vnet(), two) {
		got = append(got, name)
		s.equal("size of "+name, int64(len(Head+record(0, 50)+Foot)), info.Size)
	}
	slices.Sort(got)
	want := []string{a, b, old}
	slices.Sort(want)
	s.equal("names", want, got)
	s.equal("blobs of the second container", 1, len(s.list(s.nsg(), two)))
	s.equal("blobs of an hour without", 0, len(s.list(s.vnet(), two.Add(-time.Hour))))
	first, second := s.list(s.vnet(), two), s.list(s.vnet(), two)
	s.equal("the same list again", first, second)
}

func testOpen(_ *testing.T, s suite) {
	name := Name(s.nsg(), two, macA)
	blocks := []string{Head, record(0, 2000), "," + record(1, 300_000), "," + record(2, 20), Foot}
	s.put(name, blocks...)
	content := ""
	for _, block := range blocks {
		content += block
	}
	s.whole(name, content)
	s.fails(Name(s.nsg(), two, macB), 0, source.ErrNotFound)
	s.fails(Name(s.nsg()+"-2", two, macA), 12, source.ErrNotFound)
}

func testSmall(_ *testing.T, s suite) {
	for mac, blocks := range map[string][]string{
		"000000000000": nil,
		"000000000012": {Head},
		"000000000014": {Head, Foot},
	} {
		name := Name(s.vnet(), two, mac)
		s.put(name, blocks...)
		content := ""
		for _, block := range blocks {
			content += block
		}
		s.whole(name, content)
	}
	s.equal("blobs", 3, len(s.list(s.vnet(), two)))
}

func testGrowth(t *testing.T, s suite) {
	name := Name(s.vnet(), two, macA)
	s.put(name, Head, Foot)
	content := Head
	etags := map[string]bool{s.listed(name).ETag: true}
	for i := range 10 {
		block := record(i, 700)
		if i > 0 {
			block = "," + block
		}
		s.append(name, block)
		content += block
		s.whole(name, content+Foot)
		etag := s.listed(name).ETag
		if etags[etag] {
			t.Errorf("ETag %s is there again after block %d", etag, i)
		}
		etags[etag] = true
	}
}

func testRewrite(t *testing.T, s suite) {
	name := Name(s.vnet(), two, macA)
	for i, blocks := range [][]string{
		{Head, record(0, 100), Foot},
		{Head, record(1, 100), Foot}, // of the same size
		{Head, record(2, 10), Foot},
		{Head, record(2, 10), Foot}, // the same again
	} {
		before := ""
		if i > 0 {
			before = s.listed(name).ETag
		}
		s.put(name, blocks...)
		s.whole(name, blocks[0]+blocks[1]+blocks[2])
		if s.listed(name).ETag == before {
			t.Errorf("ETag %s is still there after write %d", before, i)
		}
	}
}

func testDelete(t *testing.T, s suite) {
	a, b := Name(s.vnet(), two, macA), Name(s.vnet(), two, macB)
	s.put(a, Head, record(0, 10), Foot)
	s.put(b, Head, record(0, 10), Foot)
	if err := s.writer.Delete(ctx(), a); err != nil {
		t.Fatal(err)
	}
	s.fails(a, 0, source.ErrNotFound)
	s.fails(a, 1000, source.ErrNotFound)
	s.equal("blobs", 1, len(s.list(s.vnet(), two)))
	s.whole(b, Head+record(0, 10)+Foot)
	s.put(a, Head, record(1, 10), Foot)
	s.whole(a, Head+record(1, 10)+Foot)
}

// testOldVersion: what was opened is read as it was then, or not to its end. Only
// of the foot of a blob that grows this is not asked, since a file may grow where
// it lies.
func testOldVersion(t *testing.T, s suite) {
	name := Name(s.vnet(), two, macA)
	first := Head + record(0, 500_000) + Foot
	for what, change := range map[string]func(){
		"grows":   func() { s.append(name, ","+record(1, 100)) },
		"anew":    func() { s.put(name, Head, record(7, 500_100), Foot) },
		"shorter": func() { s.put(name, Head, record(7, 10), Foot) },
		"deleted": func() {
			if err := s.writer.Delete(ctx(), name); err != nil {
				t.Fatal(err)
			}
		},
	} {
		s.put(name, Head, record(0, 500_000), Foot)
		r, info, err := s.backend.Open(ctx(), name, 5)
		if err != nil {
			t.Fatal(err)
		}
		s.equal("size", int64(len(first)), info.Size)
		change()
		got, err := io.ReadAll(r)
		_ = r.Close()
		if what == "grows" && err == nil && len(got) == len(first)-5 {
			got = append(got[:len(got)-len(Foot)], Foot...)
		}
		if err == nil && string(got) != first[5:] || len(got) > len(first)-5 || string(got) != first[5:5+len(got)] {
			t.Errorf("%s: read %d bytes (%v), which are not the %d that were there", what, len(got), err, len(first)-5)
		}
	}
}
