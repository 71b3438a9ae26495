package templates

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProblems: each says which key of the configuration it is about, and which
// word of a list.
func TestProblems(t *testing.T) {
	_, err := New(Config{
		Protocol: NetFlow9, Biflow: true, Fields: []string{"preset", "flowid", "preset"}, Options: []OptionsKind{"vrf"},
		Enterprise: Enterprise{Number: 1, Elements: []string{"azureRule", "azureRules", "azureRule"}},
	})
	type problem struct{ key, name string }
	want := []problem{
		{"records", ""},
		{"enterprise.number", ""},
		{"enterprise.elements", "azureRules"},
		{"fields", "preset"},
		{"fields", "flowid"},
		{"enterprise.elements", "azureRule"},
		{"options", "vrf"},
	}
	var got []problem
	for _, p := range Problems(err) {
		got = append(got, problem{p.Key, p.Name})
		if p.Text == "" {
			t.Errorf("%s says nothing", p.Key)
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(problem{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := New(Config{Preset: "x"}); len(Problems(err)) != 1 || Problems(err)[0].Key != "preset" {
		t.Errorf("a wrong preset is %v", err)
	}
	if other := Problems(errors.New("x")); len(other) != 1 || other[0].Text != "x" {
		t.Errorf("another error is %v", other)
	}
}

// TestPresetOptions: what a preset has is left out where the protocol, or the
// enterprise number, does not allow it, and is there once.
func TestPresetOptions(t *testing.T) {
	before := presets
	defer func() { presets = before }()
	presets = []Preset{{Name: "all", Elements: core, Options: OptionsKinds()}}
	names := func(cfg Config) (all []string) {
		for _, o := range mustNew(t, cfg).Options {
			all = append(all, o.Name)
		}
		return all
	}
	for _, tc := range []struct {
		cfg  Config
		want []string
	}{
		{Config{}, []string{"interfaces", "vrfs", "sampling", "exported", "not-sent", "flow-keys"}},
		{Config{Enterprise: Enterprise{Number: 1}}, []string{"interfaces", "vrfs", "sampling", "exported", "not-sent", "flow-keys", "types"}},
		{Config{Options: []OptionsKind{OptionsPreset, OptionsSampling}}, []string{"interfaces", "vrfs", "exported", "not-sent", "flow-keys", "sampling"}},
		{Config{Options: []OptionsKind{}}, nil},
		{Config{Protocol: NetFlow9}, []string{"interfaces", "vrfs", "sampling", "exported"}},
		{Config{Protocol: NetFlow5, Options: []OptionsKind{OptionsPreset}}, nil},
	} {
		if diff := cmp.Diff(tc.want, names(tc.cfg)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tc.cfg, diff)
		}
	}
}
