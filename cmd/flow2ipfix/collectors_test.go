package main

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"flow2ipfix/bridge"
	"flow2ipfix/config"
	"flow2ipfix/convert"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

func loadConfig(t *testing.T, text string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("sources: [{name: a, directory: {path: /logs}}]\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestPolicyOf: a collector's own keys go before its preset, and that before what
// is said for all.
func TestPolicyOf(t *testing.T) {
	for _, tc := range []struct {
		convert, collector string
		want               convert.Policy
	}{
		{"", "", convert.Policy{}},
		{"begin: export, denied: skip, denied_counters: one", "", convert.Policy{ExportBegin: true, SkipDenied: true, DeniedCountOne: true}},
		{"begin: export, denied: skip, denied_counters: one", "begin: skip, denied: export, denied_counters: zero", convert.Policy{}},
		{"", "begin: export, denied: skip, denied_counters: one", convert.Policy{ExportBegin: true, SkipDenied: true, DeniedCountOne: true}},
		{"denied_counters: zero", "preset: ntopng", convert.Policy{DeniedCountOne: true}},
		{"denied_counters: one", "preset: ntopng, denied_counters: zero", convert.Policy{}},
		{"", "records: biflow", convert.Policy{Bidirectional: true}},
		{"", "protocol: netflow5", convert.Policy{IPv4Only: true}},
		{"", "protocol: netflow9", convert.Policy{}},
	} {
		cfg := loadConfig(t, "convert: {"+tc.convert+"}\ncollectors: [{name: c, url: 'udp://h:1', "+tc.collector+"}]\n")
		c := &cfg.Collectors[0]
		set, err := templates.New(cfg.Templates(c))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, policyOf(&cfg, c, set), cmpopts.IgnoreUnexported(convert.Filter{})); diff != "" {
			t.Errorf("convert {%s}, collector {%s} (-want +got):\n%s", tc.convert, tc.collector, diff)
		}
	}
}

func TestExporterConfig(t *testing.T) {
	for _, tc := range []struct {
		collector string
		want      exporter.Config
	}{
		{"url: 'udp://h:1'", exporter.Config{URL: "udp://h:1", Rate: 20_000, MaxMessageBytes: 1400, MaxRecords: 64, TemplateRefresh: time.Minute, Timeout: 15 * time.Second}},
		{
			"url: 'udp://h:1', preset: elastiflow, max_message_bytes: 9000, max_message_records: 30, template_refresh: 10s, timeout: 1s, delivery: best_effort",
			exporter.Config{URL: "udp://h:1", Rate: 4000, MaxMessageBytes: 9000, MaxRecords: 30, TemplateRefresh: 10 * time.Second, Timeout: time.Second, BestEffort: true},
		},
		{"url: 'udp://h:1', preset: elastiflow, rate: 0", exporter.Config{URL: "udp://h:1", MaxMessageBytes: 1400, MaxRecords: 64, TemplateRefresh: time.Minute, Timeout: 15 * time.Second}},
		{"url: 'tcp://h:1', rate: 100", exporter.Config{URL: "tcp://h:1", MaxMessageBytes: 1400, MaxRecords: 64, TemplateRefresh: time.Minute, Timeout: 15 * time.Second}},
	} {
		cfg := loadConfig(t, "collectors: [{name: c, "+tc.collector+"}, {name: d, url: 'udp://h:2'}]\n")
		got, err := exporterConfig(&cfg, &cfg.Collectors[0])
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreUnexported(exporter.Config{}), cmpopts.IgnoreFields(exporter.Config{}, "Templates")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.collector, diff)
		}
	}
}

// TestExporterAddresses: the address of any target is in the template of all.
func TestExporterAddresses(t *testing.T) {
	cfg := loadConfig(t, `
convert: {exporter_address: "2001:db8::1"}
targets: [{resource: "*/hub", exporter_address: "2001:db8::2"}]
collectors: [{name: c, url: "udp://h:1", enterprise: {number: 32473}, options: [types]}]
`)
	ec, err := exporterConfig(&cfg, &cfg.Collectors[0])
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range ec.Templates.IPv4.Fields()[15:] {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"exporterIPv6Address", "azureRule", "azureAcl", "azureEncryption"}, names); diff != "" {
		t.Errorf("behind the generic elements (-want +got):\n%s", diff)
	}
	if len(ec.Templates.Options) != 1 || ec.Templates.Options[0].Kind != templates.OptionsTypes {
		t.Errorf("options are %v", ec.Templates.Options)
	}
}

func TestNamesOf(t *testing.T) {
	cfg := loadConfig(t, `
convert: {exporter_address: 192.0.2.1}
collectors: [{name: c, url: "udp://h:1"}]
targets:
  - {resource: "*/hub", name: hub, exporter_address: 192.0.2.2, observation_domain: 7}
  - {resource: "*", name: rest}
interfaces: [{mac: 00-22-48-71-c2-05, name: web-01, index: 17}, {mac: 00224871C206, index: 18}]
`)
	seven := uint32(7)
	want := convert.Names{
		Interfaces: map[flowlog.MAC]string{{0x00, 0x22, 0x48, 0x71, 0xc2, 0x05}: "web-01"},
		Targets: []convert.Target{
			{Pattern: "*/hub", Name: "hub", Exporter: netip.MustParseAddr("192.0.2.2"), Domain: &seven},
			{Pattern: "*", Name: "rest"},
		},
		Exporter: netip.MustParseAddr("192.0.2.1"),
	}
	if diff := cmp.Diff(want, namesOf(&cfg), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRateFlag(t *testing.T) {
	preset := templates.Preset{Rate: 4000}
	for text, want := range map[string]int{"preset": 4000, "0": 0, "17": 17, "-1": -1} {
		var r rateFlag
		if err := r.Set(text); err != nil || r.of(preset) != want || r.String() != text {
			t.Errorf("%s: %d, %s, %v; want %d", text, r.of(preset), r.String(), err, want)
		}
	}
	if err := new(rateFlag).Set("1k"); err == nil {
		t.Error("1k is a rate")
	}
}

// TestSummaryOfOptions: what there is besides flow records is said if there is any.
func TestSummaryOfOptions(t *testing.T) {
	s := &bridge.Summary{Lanes: []bridge.LaneSummary{
		{Name: "udp://a:1", Sent: exporter.Stats{Records: 2, Options: 1234, Messages: 1, Bytes: 99, Clamped: 1}},
		{Name: "udp://b:1", Sent: exporter.Stats{Records: 2, Messages: 1, Bytes: 99}},
	}}
	var out bytes.Buffer
	if err := printSummary(&out, "text", s, time.Second); err != nil {
		t.Fatal(err)
	}
	const want = `exported  0 tuples as 2 flow records and 1,234 options records in 1 message, 99 B, to udp://a:1
clamped   1 value that the protocol cannot carry, to udp://a:1
exported  0 tuples as 2 flow records in 1 message, 99 B, to udp://b:1
`
	if _, got, _ := strings.Cut(out.String(), "\n"); !strings.HasPrefix(got, want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	j := newSummaryJSON(s, time.Second)
	if j.OptionsRecords != 1234 || j.Clamped != 1 || j.Collectors[0].Clamped != 1 || j.Collectors[1].OptionsRecords != 0 {
		t.Errorf("as JSON: %+v", j)
	}
}

// TestInventedPacketsAreMarked: a denied flow gets no packet where nothing in its
// record says that it was denied.
func TestInventedPacketsAreMarked(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  templates.Config
		want bool
	}{
		{"ipfix", templates.Config{Preset: "ntopng"}, true},
		{"netflow9", templates.Config{Preset: "ntopng", Protocol: templates.NetFlow9}, true},
		{"netflow5", templates.Config{Preset: "ntopng", Protocol: templates.NetFlow5}, false},
		{"fields without", templates.Config{Preset: "ntopng", Fields: []string{"sourceIPv4Address", "octetDeltaCount"}}, false},
	} {
		set, err := templates.New(tc.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := policyFor(set).DeniedCountOne; got != tc.want {
			t.Errorf("%s: a packet is invented: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestReplayPacesDatagrams: the rate holds over udp and dtls alone.
func TestReplayPacesDatagrams(t *testing.T) {
	for url, want := range map[string]int{
		"udp://127.0.0.1:4739": 20_000, "dtls://127.0.0.1:4740": 20_000, "tcp://127.0.0.1:4739": 0, "tls://127.0.0.1:4740": 0,
	} {
		f := replayFlags{collectors: []string{url}, begin: "skip", denied: "export", deniedCounters: byPreset, domain: "per_target", summary: "text"}
		f.dialect.add(pflag.NewFlagSet("", pflag.ContinueOnError))
		cfg, err := f.config()
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Lanes[0].Exporter.Rate; got != want {
			t.Errorf("%s: %d records/s, want %d", url, got, want)
		}
	}
}
