package config

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// FuzzLoad: whatever stands in the file, Load ends, says what is wrong in lines
// of text, and what it accepts can be dumped and loaded again.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		whole, azure, everything, "", "a", "- a", "sources: &s [*s]", "sources: &s\n- azure: *s\n", "? {a: b}\n: c", "!!binary AA==: x",
		"sources: [{azure: {containers: &c [*c]}}]", "log: &l {level: *l}", "\x00", "%YAML 1.1\n---\n", "a: !foo b", "log: {<<: {level: debug}}",
		"sources: !!map []", "hour_grace: !!str 5", "hour_grace: !!int 5s", "start: !!timestamp now", "{}", "null", "sources: [null]", "~: 1",
	} {
		f.Add(seed, "FLOW2IPFIX_LOG_LEVEL=debug")
	}
	f.Fuzz(func(t *testing.T, text, env string) {
		cfg, errs := loadText(t, text, env)
		if errs != "" {
			if strings.Contains(errs, "decode:") {
				t.Errorf("an error of the decoder, which a user cannot read: %s", errs)
			}
			return
		}
		var dump bytes.Buffer
		if err := Dump(&dump, cfg); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(dump.String(), "***") {
			return
		}
		again, errs := loadText(t, dump.String(), env)
		if diff := cmp.Diff(cfg, again); errs != "" || diff != "" {
			t.Errorf("%s\n%s (-loaded +dumped):\n%s", dump.String(), errs, diff)
		}
	})
}

// TestAnythingAnywhere puts wrong pieces at every place of a file.
func TestAnythingAnywhere(t *testing.T) {
	pieces := []string{"", "~", "5", "-1", "1.5", "012", "true", "x", "'x'", "[]", "[[]]", "{}", "{x: y}", "[{x: y}]", "*a", "&a [*a]", "!x y", "2026-11-20", "?", "'\\0'", "\"\\0\""}
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(everything), &root); err != nil {
		t.Fatal(err)
	}
	var nodes []*yaml.Node
	var gather func(n *yaml.Node)
	gather = func(n *yaml.Node) {
		for _, c := range n.Content {
			nodes = append(nodes, c)
			gather(c)
		}
	}
	gather(&root)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range nodes {
		for _, piece := range pieces {
			var other yaml.Node
			if rng.IntN(3) > 0 || yaml.Unmarshal([]byte(piece), &other) != nil || len(other.Content) == 0 {
				continue
			}
			before := *n
			*n = *other.Content[0]
			second := nodes[rng.IntN(len(nodes))]
			beforeSecond := *second
			if rng.IntN(3) == 0 && second != n {
				*second = yaml.Node{Kind: yaml.ScalarNode, Value: "y"}
			}
			text, err := yaml.Marshal(&root)
			if err == nil { // else such a tree cannot be written
				if _, errs := loadText(t, string(text)); strings.Contains(errs, "decode:") {
					t.Errorf("%s\n%s", text, errs)
				}
			}
			*second = beforeSecond
			*n = before
		}
	}
}
