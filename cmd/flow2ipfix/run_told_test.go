package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seenIn returns what distinct values the records of a file have, those of options
// apart.
func seenIn(t *testing.T, path string) (flows, options map[string]bool) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(t.Context(), []string{"collect", "--listen", "file:" + path, "--format", "json"}, nil, &out, &errs); code != exitOK {
		t.Fatal(errs.String())
	}
	flows, options = map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(out.String()) {
		var r struct {
			Domain  uint32         `json:"domain"`
			Options bool           `json:"options"`
			Fields  map[string]any `json:"fields"`
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		to := flows
		if r.Options {
			to = options
		}
		to[fmt.Sprint("domain=", r.Domain)] = true
		for name, value := range r.Fields {
			to[fmt.Sprint(name, "=", value)] = true
		}
	}
	return flows, options
}

// TestRunTells: each collector is told in its own way, with the names that the
// configuration has.
func TestRunTells(t *testing.T) {
	d := &daemon{dir: t.TempDir(), ended: make(chan int, 1)}
	d.config = filepath.Join(d.dir, "flow2ipfix.yaml")
	want := d.grow(t, 5)
	text := fmt.Sprintf(`
sources: [{ name: dir, directory: { path: %q, poll_interval: 100ms } }]
start: earliest
state_dir: %q
convert: { exporter_address: 192.0.2.1 }
collectors:
  - { name: one, url: "file:%s", options: [interfaces, vrfs, statistics], fields: [preset, VRFname] }
  - { name: two, url: "file:%s", records: biflow, enterprise: { number: 32473 }, begin: export, options: [types] }
targets: [{ resource: "*", name: the hub, exporter_address: 192.0.2.7, observation_domain: 7 }]
shutdown_timeout: 2s
`, d.logs(), filepath.Join(d.dir, "state"), d.output("one"), d.output("two"))
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Log(d.log.String())
		}
	}()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { d.ended <- run(ctx, []string{"run", "--config", d.config}, nil, &d.log, &d.log) }()
	waitFor(t, "the last record", func() bool { return recordsIn(t, d.output("one")) >= want && recordsIn(t, d.output("two")) > 0 })
	stop()
	if code := <-d.ended; code != exitOK {
		t.Fatalf("ended with %d: %s", code, d.log.String())
	}

	flows, options := seenIn(t, d.output("one"))
	for _, want := range []string{"domain=7", "VRFname=the hub", "exporterIPv4Address=192.0.2.7"} {
		if !flows[want] {
			t.Errorf("one's flows lack %s; they have %v", want, flows)
		}
	}
	for _, want := range []string{"domain=7", "VRFname=the hub", "ingressInterface=1", "notSentFlowTotalCount=0"} {
		if !options[want] {
			t.Errorf("one's options lack %s; they have %v", want, options)
		}
	}
	flows, options = seenIn(t, d.output("two"))
	if !flows["azureEncryption=1"] && !flows["azureEncryption=2"] || !flows["firewallEvent=1"] {
		t.Errorf("two's flows lack the encryption, or those that began: %v", flows)
	}
	if !options["informationElementName=azureRule"] || options["VRFname=the hub"] {
		t.Errorf("two's options are %v", options)
	}
	both := false
	for value := range flows {
		both = both || strings.HasPrefix(value, "reversePacketDeltaCount=")
	}
	if !both {
		t.Errorf("nothing came back in two's flows: %v", flows)
	}
}
