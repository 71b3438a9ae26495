package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/config"
	"flow2ipfix/exporter"
	"flow2ipfix/source/azblob"
	"flow2ipfix/templates"
)

func TestConfigExitCodes(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("colour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const right = "../../examples/flow2ipfix.yaml"
	for _, tc := range []struct {
		args []string
		want int
	}{
		{[]string{"check", "--config", right}, exitOK},
		{[]string{"dump", "--config", right}, exitOK},
		{[]string{"schema"}, exitOK},
		{[]string{"check", "--config", wrong}, exitConfig},
		{[]string{"dump", "--config", wrong}, exitConfig},
		{[]string{"check", "--config", wrong + "x"}, exitConfig},
		{[]string{"check", "--confg", wrong}, exitUsage},
		{[]string{"schema", wrong}, exitUsage},
		{[]string{"x"}, exitUsage},
	} {
		var out bytes.Buffer
		if got := run(t.Context(), append([]string{"config"}, tc.args...), nil, &out, &out); got != tc.want {
			t.Errorf("config %q ends with %d, want %d: %s", tc.args, got, tc.want, out.String())
		}
	}
}

// TestConfigKnowsWhatThereIs: what may stand in the configuration is what the
// packages have that do the work.
func TestConfigKnowsWhatThereIs(t *testing.T) {
	keys := map[string]config.Key{}
	for _, k := range config.Keys() {
		keys[k.Path] = k
	}
	var protocols, own []string
	for p := templates.IPFIX; p <= templates.NetFlow5; p++ {
		protocols = append(protocols, p.String())
	}
	options := []string{string(templates.OptionsPreset)}
	for _, k := range templates.OptionsKinds() {
		options = append(options, string(k))
	}
	for _, e := range templates.Elements() {
		if e.Enterprise {
			own = append(own, e.Name)
		}
	}
	for path, want := range map[string][]string{
		"collectors[].preset":              templates.PresetNames(),
		"collectors[].protocol":            protocols,
		"collectors[].options":             options,
		"collectors[].enterprise.elements": own,
		"sources[].azure.credential":       azblob.Credentials,
		"sources[].azure.cloud":            azblob.CloudNames,
	} {
		if diff := cmp.Diff(want, keys[path].Enum); diff != "" {
			t.Errorf("%s (-there is +may be):\n%s", path, diff)
		}
	}
	for path, want := range map[string]string{
		"sources[].azure.containers":       strings.Join(azblob.DefaultContainers, ","),
		"collectors[].max_message_bytes":   fmt.Sprint(exporter.DefaultMaxMessageBytes),
		"collectors[].timeout":             exporter.DefaultTimeout.String(),
		"collectors[].max_message_records": fmt.Sprint(exporter.DefaultMaxRecords),
		"collectors[].enterprise.elements": strings.Join(templates.DefaultEnterpriseElements(), ","),
	} {
		if got := keys[path].Default; got != want {
			t.Errorf("%s: the default is %s, want %s", path, got, want)
		}
	}
	if refresh, err := time.ParseDuration(keys["collectors[].template_refresh"].Default); err != nil || refresh != exporter.DefaultTemplateRefresh {
		t.Errorf("collectors[].template_refresh: the default is %v, want %v", refresh, exporter.DefaultTemplateRefresh)
	}
}
