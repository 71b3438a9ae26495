package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/config"
)

var update = flag.Bool("update", false, "write documents anew")

// TestConfigurationDocument holds docs/CONFIGURATION.md to the program.
func TestConfigurationDocument(t *testing.T) {
	const file = "../../docs/CONFIGURATION.md"
	var got, stderr bytes.Buffer
	if code := run(t.Context(), []string{"config", "reference"}, nil, &got, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("docs/CONFIGURATION.md is not what the program says; write it anew with\n"+
			"  go run ./cmd/flow2ipfix config reference >docs/CONFIGURATION.md\n(-document +program):\n%s", diff)
	}
	for _, k := range config.Keys() {
		if strings.Contains(got.String(), "| `"+k.Path[strings.LastIndexByte(k.Path, '.')+1:]+"` |") && strings.Contains(got.String(), k.Doc) {
			continue
		}
		t.Errorf("%s is not in it", k.Path)
	}
}

// TestReferenceExamples: each section has an example, and each is sound.
func TestReferenceExamples(t *testing.T) {
	sections := referenceSections(config.Keys())
	for _, at := range sections {
		t.Run(at, func(t *testing.T) {
			example, ok := referenceExamples[at]
			if !ok {
				t.Fatal("there is no example")
			}
			for key, minimal := range map[string]string{
				"sources:":    "sources: [{name: a, directory: {path: /srv/flowlogs}}]\n",
				"collectors:": "collectors: [{name: b, url: \"udp://127.0.0.1:4739\"}]\n",
			} {
				if !strings.Contains(example, key) {
					example = minimal + example
				}
			}
			file := filepath.Join(t.TempDir(), "flow2ipfix.yaml")
			if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(file, []string{"PARTNER_SECRET=hunter2"}); err != nil {
				t.Error(err)
			}
		})
	}
	if len(referenceExamples) != len(sections) {
		t.Errorf("%d examples for %d sections", len(referenceExamples), len(sections))
	}
}

// TestReferenceErrors: what the document says of a wrong file is what is said.
func TestReferenceErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	for text, want := range map[string]string{
		wrongExample: wrongSaid,
		"sources:\n  - name: prod\n    azure: {account_url: https://a.blob.core.windows.net, credential: sas}\n" +
			"collectors: [{name: b, url: \"udp://127.0.0.1:4739\"}]\n": missingSaid + "flow2ipfix: hint: " + configHint + "\n",
	} {
		if err := os.WriteFile("flow2ipfix.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, stderr bytes.Buffer
		if code := run(t.Context(), []string{"config", "check", "--config", "flow2ipfix.yaml"}, nil, &out, &stderr); code != exitConfig {
			t.Fatalf("exit code %d: %s", code, stderr.String())
		}
		if diff := cmp.Diff(want, stderr.String()); diff != "" {
			t.Errorf("(-document +program):\n%s", diff)
		}
	}
}
