package collectorside

import (
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"flow2ipfix/templates"
)

// odd is a name that would break out of a comment or a string.
const odd = "nic: \"web\" # 'x'\n- y: \\"

func input(t testing.TB, c templates.Config) *Input {
	t.Helper()
	set, err := templates.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &Input{
		Set: set, MaxMessageBytes: 1400, Scheme: "udp", Listen: netip.MustParseAddrPort("0.0.0.0:4739"),
		Senders:   []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")},
		Exporters: []netip.Addr{netip.MustParseAddr("198.51.100.1")},
		Interfaces: []Interface{
			{0, "nic-new", "000D3A000009"},
			{1, odd, "000D3A000001"},
			{17, "000D3A000002", "000D3A000002"},
		},
	}
}

// dialects are as many different things to send as matter here.
func dialects() map[string]templates.Config {
	all := map[string]templates.Config{}
	var everything, ours []string
	for _, e := range templates.Elements() {
		switch {
		case e.Enterprise:
			ours = append(ours, e.Name)
		case e.Name != "sourceIPv6Address" && e.Name != "destinationIPv6Address" && e.Name != "exporterIPv6Address":
			everything = append(everything, e.Name)
		}
	}
	for _, p := range templates.PresetNames() {
		all[p] = templates.Config{Preset: p}
		all[p+" netflow9"] = templates.Config{Preset: p, Protocol: templates.NetFlow9}
	}
	v4 := netip.MustParseAddr("198.51.100.1")
	all["netflow5"] = templates.Config{Protocol: templates.NetFlow5}
	all["own"] = templates.Config{Enterprise: templates.Enterprise{Number: 32473}}
	all["all"] = templates.Config{Fields: everything, Biflow: true, Options: templates.OptionsKinds(), Exporter: v4, Enterprise: templates.Enterprise{Number: 4294967295, Elements: ours}}
	all["fixed"] = templates.Config{Fields: everything, Biflow: true, Exporter: v4, Enterprise: templates.Enterprise{Number: 32473, Elements: ours, StringOctets: 32}}
	all["exporter6"] = templates.Config{Exporter: netip.MustParseAddr("2001:db8::1")}
	return all
}

// syntax says of each kind of file whether it can be read.
var syntax = map[string]func(text string) error{
	".yaml": readYAML, ".yml": readYAML,
	".xml": func(text string) error {
		for d := xml.NewDecoder(strings.NewReader(text)); ; {
			if _, err := d.Token(); err != nil {
				return ended(err)
			}
		}
	},
	".csv": func(text string) error {
		r := csv.NewReader(strings.NewReader(text))
		r.Comment, r.FieldsPerRecord = '#', 3
		_, err := r.ReadAll()
		return err
	},
	".sh": func(text string) error {
		cmd := exec.Command("sh", "-n")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	},
	".lst": lines(`!.*|name=[a-z0-9_]+ field_type=(\d+:)?\d+ len=(vlen|\d+) semantics=(u_int|str|ip|mac)`),
	".txt": lines(`#.*|[A-Z0-9_]+\tNONE\t\d+\t\d+\t\d+\tdump_as_(ascii|uint)`),
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func readYAML(text string) error {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	if v == nil {
		return errors.New("says nothing")
	}
	return nil
}

func lines(pattern string) func(string) error {
	want := regexp.MustCompile("^(?:" + pattern + ")$")
	return func(text string) error {
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); !want.MatchString(line) {
				return fmt.Errorf("line %q", line)
			}
		}
		return nil
	}
}

// TestEveryFileCanBeRead makes every file of every collector for all that can be
// sent.
func TestEveryFileCanBeRead(t *testing.T) {
	for dialect, config := range dialects() {
		for _, name := range Names() {
			for _, scheme := range []string{"udp", "tcp", "tls"} {
				in := input(t, config)
				in.Scheme = scheme
				files, err := Files(name, in)
				if errors.Is(err, ErrNothing) && config.Enterprise.Number == 0 {
					continue
				}
				if err != nil {
					t.Errorf("%s, %s: %v", name, dialect, err)
				}
				for _, f := range files {
					dot := strings.LastIndexByte(f.Name, '.')
					if read := syntax[f.Name[dot:]]; read != nil {
						if err := read(f.Text); err != nil {
							t.Errorf("%s, %s, %s: %v\n%s", name, dialect, f.Name, err, f.Text)
						}
					}
					if strings.Contains(f.Text, "<no value>") || strings.Contains(f.Text, " \n") || strings.Contains(f.Text, "\n\n\n") || !strings.HasSuffix(f.Text, "\n") {
						t.Errorf("%s, %s, %s is not tidy:\n%q", name, dialect, f.Name, f.Text)
					}
				}
			}
		}
	}
}

// TestPresets: each collector's preset exists, and each preset has a collector, but
// for those that need nothing.
func TestPresets(t *testing.T) {
	used := map[string]bool{"generic": true, "vflow": true}
	for _, name := range Names() {
		preset, ok := PresetFor(name)
		if _, err := templates.PresetFor(preset); err != nil || !ok {
			t.Errorf("%s: %v", name, err)
		}
		used[preset] = true
	}
	for _, preset := range templates.PresetNames() {
		if !used[preset] {
			t.Errorf("no collector has preset %s", preset)
		}
	}
	if _, ok := PresetFor("none"); ok {
		t.Error("a collector that does not exist has a preset")
	}
	if _, err := Files("none", input(t, templates.Config{})); err == nil || !strings.Contains(err.Error(), `wireshark, got "none"`) {
		t.Errorf("got %v", err)
	}
}

func file(t *testing.T, collector, name string, in *Input) string {
	t.Helper()
	files, err := Files(collector, in)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return ""
	}
	return files[i].Text
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return v
}

// TestInterfaceTables reads the tables as their collectors do.
func TestInterfaceTables(t *testing.T) {
	in := input(t, templates.Config{Preset: "elastiflow"})
	type netifs map[string]map[uint32]map[string]any
	table := decode[netifs](t, file(t, "elastiflow", "netifs.yml", in))
	if len(table) != 2 || len(table["192.0.2.10"]) != 2 || table["2001:db8::10"][1]["ifName"] != odd || table["192.0.2.10"][17]["ifDescr"] != "000D3A000002" {
		t.Errorf("ElastiFlow reads %v", table)
	}
	// Where records name their exporter, ElastiFlow goes by that.
	in = input(t, templates.Config{Preset: "elastiflow", Exporter: netip.MustParseAddr("198.51.100.1")})
	table = decode[netifs](t, file(t, "elastiflow", "netifs.yml", in))
	if len(table) != 1 || len(table["198.51.100.1"]) != 2 {
		t.Errorf("ElastiFlow reads %v", table)
	}
	// Akvorado does not.
	type outlet struct {
		Metadata struct {
			Providers []struct {
				Type      string
				Exporters map[string]struct {
					Name      string
					Default   map[string]any
					IfIndexes map[uint32]map[string]any `yaml:"ifindexes"`
				}
			}
		}
	}
	text := file(t, "akvorado", "outlet.yaml", in)
	o := decode[outlet](t, text)
	exporters := o.Metadata.Providers[0].Exporters
	if len(exporters) != 2 || exporters["192.0.2.10"].IfIndexes[1]["name"] != odd || exporters["192.0.2.10"].Name == "" {
		t.Errorf("Akvorado reads %v", o)
	}
	for _, i := range append([]map[string]any{exporters["192.0.2.10"].Default}, exporters["2001:db8::10"].IfIndexes[17]) {
		if i["name"] == "" || i["description"] == "" || i["speed"] == 0 || len(i) != 3 {
			t.Errorf("Akvorado wants a name, a description and a speed: %v", i)
		}
	}
	if !strings.Contains(text, "# nic-new (000D3A000009) has no index yet") {
		t.Errorf("the interface without an index is missing:\n%s", text)
	}
	// A rate of sampling is in the records, in options or in the header of NetFlow
	// version 5; or else its configuration has to say it.
	for _, tc := range []struct {
		cfg     templates.Config
		missing bool
	}{
		{templates.Config{Preset: "akvorado"}, false},
		{templates.Config{Fields: []string{"octetDeltaCount", "sourceIPv4Address"}}, true},
		{templates.Config{Fields: []string{"octetDeltaCount", "sourceIPv4Address"}, Options: []templates.OptionsKind{"sampling"}}, false},
		{templates.Config{Protocol: templates.NetFlow5}, false},
	} {
		text := file(t, "akvorado", "outlet.yaml", input(t, tc.cfg))
		if strings.Contains(text, "default-sampling-rate") != tc.missing {
			t.Errorf("%+v:\n%s", tc.cfg, text)
		}
	}

	in.Senders = nil
	if _, err := Files("akvorado", in); !errors.Is(err, ErrAddress) {
		t.Errorf("without a sender: %v", err)
	}
	if _, err := Files("elastiflow", in); err != nil {
		t.Errorf("with an exporter's address alone: %v", err)
	}
	in.Exporters = nil
	if _, err := Files("elastiflow", in); !errors.Is(err, ErrAddress) {
		t.Errorf("without an address: %v", err)
	}
}

// TestElasticDefinitions reads the definitions as Filebeat does: numbers, two
// words each, types that it has.
func TestElasticDefinitions(t *testing.T) {
	in := input(t, dialects()["fixed"])
	for collector, name := range map[string]string{"logstash": "flow2ipfix.yaml", "filebeat": "flow2ipfix-fields.yml"} {
		tree := decode[map[uint32]map[uint16][]string](t, file(t, collector, name, in))
		if len(tree) != 1 || len(tree[32473]) != 9 {
			t.Errorf("%s reads %v", collector, tree)
		}
		for id, want := range map[uint16]string{1001: ":string :azureRule", 1008: ":uint8 :azureEncryption", 1009: ":uint8 :azureFlowState"} {
			if got := strings.Join(tree[32473][id], " "); got != want {
				t.Errorf("%s reads %s, want %s", collector, got, want)
			}
		}
		if text := file(t, collector, name, input(t, templates.Config{Preset: "elk"})); text != "" {
			t.Errorf("%s has definitions of nothing:\n%s", collector, text)
		}
	}
}

// TestLogstashNetflow9: what Logstash has no entry for is defined, and nothing else.
func TestLogstashNetflow9(t *testing.T) {
	in := input(t, templates.Config{Preset: "elk", Protocol: templates.NetFlow9, Exporter: netip.MustParseAddr("198.51.100.1"), Fields: []string{"preset", "observationPointId"}})
	got := decode[map[uint16][]string](t, file(t, "logstash", "flow2ipfix-netflow.yaml", in))
	if len(got) != 2 || strings.Join(got[130], " ") != ":ip4_addr :exporterIPv4Address" || strings.Join(got[138], " ") != ":uint64 :observationPointId" {
		t.Errorf("Logstash reads %v", got)
	}
	if text := file(t, "logstash", "flow2ipfix.conf", in); !strings.Contains(text, `netflow_definitions => "/etc/logstash/flow2ipfix-netflow.yaml"`) {
		t.Errorf("the definitions are not named:\n%s", text)
	}
}

// TestNotes: what does not suit a collector is said.
func TestNotes(t *testing.T) {
	in := input(t, dialects()["all"])
	in.Scheme, in.Notes = "tls", []string{"the state\nis gone"}
	for name, want := range map[string][]string{
		"nfdump":     {"receives over udp, but the url is tls://", "does not keep enterprise elements", "the state is gone"},
		"elastiflow": {"no document says that elastiflow reads reverse counters", "no document says what elastiflow does with enterprise elements"},
		"goflow2":    {"goflow2 receives over udp"},
	} {
		files, err := Files(name, in)
		if err != nil {
			t.Fatal(err)
		}
		text := regexp.MustCompile(`\n[#!] `).ReplaceAllString(files[0].Text, " ")
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not say %q:\n%s", name, w, files[0].Text)
			}
		}
	}
	set := input(t, templates.Config{Fields: []string{"sourceIPv4Address", "octetDeltaCount"}})
	if text := file(t, "solarwinds", "solarwinds.txt", set); strings.Count(text, "MISSING") != 3 {
		t.Errorf("SolarWinds misses three:\n%s", text)
	}
}
