package templates

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pad(s string, n int) string { return fmt.Sprintf("%x", s) + strings.Repeat("00", n-len(s)) }

func report() *Report {
	return &Report{
		Domain: 7, Messages: 3, Records: 4, Octets: 5, NotSent: NotSent{6, 7, 8},
		Interfaces: []Interface{{1, "web-01", "hub"}, {65536, strings.Repeat("n", 31) + "é", ""}},
		VRFs:       []VRF{{0xAABBCCDD, "hub"}},
	}
}

// options returns an options template of a set as octets without its ID, and its
// data records.
func options(t *testing.T, s *Set, r *Report, name string) (template string, records []string) {
	t.Helper()
	i := slices.IndexFunc(s.Options, func(o *OptionsTemplate) bool { return o.Name == name })
	if i < 0 {
		t.Fatalf("no options template %s", name)
	}
	if err := s.OptionsRecords(r, func(o *OptionsTemplate, b []byte) error {
		if o.Name == name {
			records = append(records, hex.EncodeToString(b))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(s.Options[i].AppendTemplate(nil)[2:]), records
}

func TestOptions(t *testing.T) {
	s := mustNew(t, Config{Options: OptionsKinds(), Enterprise: Enterprise{Number: 32473}})
	u64 := func(n uint64) string { return fmt.Sprintf("%016x", n) }
	for _, tc := range []struct {
		name, template string
		records        []string
	}{
		// field count, scope field count, then scope and fields
		{"interfaces", "00030001" + "000a0004" + "00520020" + "00530040", []string{
			"00000001" + pad("web-01", 32) + pad("hub", 64),
			"00010000" + pad(strings.Repeat("n", 31), 32) + pad("", 64),
		}},
		{"vrfs", "00020001" + "00ea0004" + "00ec0040", []string{"aabbccdd" + pad("hub", 64)}},
		{"sampling", "00030001" + "00950004" + "00220004" + "00230001", []string{"00000007" + "00000001" + "01"}},
		{
			"exported", "00050002" + "00950004" + "008f0004" + "00290008" + "002a0008" + "00280008",
			[]string{"00000007" + "00000001" + u64(3) + u64(4) + u64(5)},
		},
		{"not-sent", "00040001" + "00900004" + "00a60008" + "00a70008" + "00a80008", []string{"00000001" + u64(6) + u64(7) + u64(8)}},
		{"flow-keys", "00020001" + "00910002" + "00ad0008", []string{
			fmt.Sprintf("%04x", s.IPv4.ID) + u64(0b1110_0001_1111), fmt.Sprintf("%04x", s.IPv6.ID) + u64(0b1110_0001_1111),
		}},
		{"types", "00050002" + "015a0004" + "012f0002" + "01530001" + "01580001" + "0155ffff", []string{
			"00007ed9" + "03e9" + "0d" + "00" + text1("azureRule"),
			"00007ed9" + "03ea" + "0d" + "00" + text1("azureAcl"),
			"00007ed9" + "03eb" + "0d" + "00" + text1("azureFlowLog"),
			"00007ed9" + "03ec" + "0d" + "00" + text1("azureTargetResource"),
			"00007ed9" + "03ed" + "0d" + "00" + text1("azureSubscription"),
			"00007ed9" + "03ee" + "0d" + "00" + text1("azureRegion"),
			"00007ed9" + "03ef" + "0d" + "00" + text1("azureResourceGroup"),
			"00007ed9" + "03f0" + "01" + "04" + text1("azureEncryption"),
			"00007ed9" + "03f1" + "01" + "04" + text1("azureFlowState"),
		}},
	} {
		template, records := options(t, s, report(), tc.name)
		if template != tc.template {
			t.Errorf("%s: template\n got %s\nwant %s", tc.name, template, tc.template)
		}
		if diff := cmp.Diff(tc.records, records); diff != "" {
			t.Errorf("%s: records (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestNetFlow9Options(t *testing.T) {
	s := mustNew(t, Config{Protocol: NetFlow9, Options: []OptionsKind{OptionsInterfaces, OptionsVRFs, OptionsSampling, OptionsStatistics}})
	for _, tc := range []struct {
		name, template, record string
	}{
		// octets of scope, octets of fields, then scope and fields
		{"interfaces", "0004000c" + "00010004" + "000a0004" + "00520020" + "00530040", "00000007" + "00000001" + pad("web-01", 32) + pad("hub", 64)},
		{"vrfs", "00040008" + "00010004" + "00ea0004" + "00ec0040", "00000007" + "aabbccdd" + pad("hub", 64)},
		{"sampling", "00040008" + "00010004" + "00220004" + "00230001", "00000007" + "00000001" + "01"},
		{"exported", "0004000c" + "00010004" + "00290008" + "002a0008" + "00280008", "00000007" + fmt.Sprintf("%016x%016x%016x", 3, 4, 5)},
	} {
		template, records := options(t, s, report(), tc.name)
		if template != tc.template || records[0] != tc.record {
			t.Errorf("%s:\n got %s %s\nwant %s %s", tc.name, template, records[0], tc.template, tc.record)
		}
	}
}

// TestNfdumpOptions: nfdump finds what stands behind the scope, and the name in the
// description.
func TestNfdumpOptions(t *testing.T) {
	kinds := []OptionsKind{OptionsInterfaces, OptionsVRFs}
	for _, tc := range []struct {
		protocol               Protocol
		name, template, record string
	}{
		{IPFIX, "interfaces", "00030001" + "00950004" + "000a0004" + "00530040", "00000007" + "00000001" + pad("web-01 hub", 64)},
		{IPFIX, "vrfs", "00030001" + "00950004" + "00ea0004" + "00ec0040", "00000007" + "aabbccdd" + pad("hub", 64)},
		{NetFlow9, "interfaces", "00040008" + "00010004" + "000a0004" + "00530040", "00000007" + "00000001" + pad("web-01 hub", 64)},
		{NetFlow9, "vrfs", "00040008" + "00010004" + "00ea0004" + "00ec0040", "00000007" + "aabbccdd" + pad("hub", 64)},
	} {
		s := mustNew(t, Config{Preset: "nfdump", Protocol: tc.protocol, Options: kinds})
		template, records := options(t, s, report(), tc.name)
		if template != tc.template || records[0] != tc.record {
			t.Errorf("%v %s:\n got %s %s\nwant %s %s", tc.protocol, tc.name, template, records[0], tc.template, tc.record)
		}
	}
}

func TestOptionsNamesOnly(t *testing.T) {
	s := mustNew(t, Config{Options: []OptionsKind{OptionsSampling, OptionsVRFs, OptionsInterfaces}})
	r := report()
	r.NamesOnly = true
	var got []string
	if err := s.OptionsRecords(r, func(o *OptionsTemplate, _ []byte) error { got = append(got, o.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []string{"vrfs", "interfaces", "interfaces"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	enough := errors.New("enough")
	if err := s.OptionsRecords(r, func(*OptionsTemplate, []byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("error %v, want that of emit", err)
	}
}

func TestInventory(t *testing.T) {
	var none *Inventory
	if i, v := none.Names(1, 0, 0); i != nil || v != nil {
		t.Error("no inventory has names")
	}
	var inv Inventory
	hub, spoke := VRF{1, "hub"}, VRF{2, "spoke"}
	inv.Add(7, Interface{1, "a", "hub"}, hub)
	inv.Add(7, Interface{2, "b", "hub"}, hub)
	inv.Add(7, Interface{1, "a again", "hub"}, spoke)
	inv.Add(8, Interface{1, "a", "hub"}, hub)
	i, v := inv.Names(7, 0, 0)
	if diff := cmp.Diff([]Interface{{1, "a", "hub"}, {2, "b", "hub"}}, i); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]VRF{hub, spoke}, v); diff != "" {
		t.Error(diff)
	}
	if i, v = inv.Names(7, 1, 2); len(i) != 1 || i[0].Index != 2 || len(v) != 0 {
		t.Errorf("new are %v and %v", i, v)
	}
	if i, _ = inv.Names(7, 99, 99); len(i) != 0 {
		t.Errorf("new are %v", i)
	}
}
