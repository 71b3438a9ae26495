package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/internal/secret"
)

func TestDefault(t *testing.T) {
	want := Config{
		HourGrace:       15 * time.Minute,
		StateDir:        "/var/lib/flow2ipfix",
		Convert:         Convert{Begin: "skip", Denied: "export", DeniedCounters: "zero"},
		Telemetry:       Telemetry{Listen: "127.0.0.1:9469"},
		Log:             Log{Level: "info", Format: "auto"},
		ShutdownTimeout: 20 * time.Second,
	}
	if diff := cmp.Diff(want, Default()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// defaultsWith is Default with a source and a collector that have nothing but
// what must be given.
func defaultsWith(s Source, c Collector) Config {
	cfg := Default()
	if s.Azure != nil {
		s.Azure.Containers = []string{"insights-logs-flowlogflowevent", "insights-logs-networksecuritygroupflowevent"}
		s.Azure.PollInterval = 30 * time.Second
		s.Azure.Readers = 8
		s.Azure.Cloud = "public"
	}
	if s.Directory != nil {
		s.Directory.PollInterval = 10 * time.Second
	}
	c = collectorWithDefaults(c)
	cfg.Sources, cfg.Collectors = []Source{s}, []Collector{c}
	return cfg
}

// collectorWithDefaults is a collector that has nothing but a name and a URL.
func collectorWithDefaults(c Collector) Collector {
	c.Preset, c.Protocol, c.Records, c.Options = "generic", "ipfix", "preset", []string{"preset"}
	c.Enterprise = Enterprise{Elements: []string{"azureRule", "azureAcl", "azureEncryption"}, Form: "short"}
	c.Begin, c.Denied, c.DeniedCounters, c.Rate = "preset", "preset", "preset", Rate{Preset: true}
	c.Delivery, c.MaxMessageBytes, c.MaxMessageRecords = "required", 1400, 64
	c.TemplateRefresh, c.Timeout = time.Minute, 15*time.Second
	c.TLS.MinVersion = "1.2"
	return c
}

func TestDefaultsInLists(t *testing.T) {
	for text, want := range map[string]Config{
		whole: defaultsWith(Source{Name: "archive", Directory: &Directory{Path: "/srv/flowlogs"}}, Collector{Name: "noc", URL: "udp://127.0.0.1:4739"}),
		azure: defaultsWith(Source{Name: "prod", Azure: &Azure{AccountURL: "https://acc.blob.core.windows.net", Credential: "managed_identity"}}, Collector{Name: "noc", URL: "udp://127.0.0.1:4739"}),
	} {
		cfg, errs := loadText(t, text)
		if diff := cmp.Diff(want, cfg); errs != "" || diff != "" {
			t.Errorf("%s (-want +got):\n%s", errs, diff)
		}
	}
}

const everything = `
sources:
  - name: a
    azure:
      account_url: https://acc.blob.core.usgovcloudapi.net:443/
      credential: client_secret
      tenant_id: contoso.onmicrosoft.com
      client_id: 01234567-89ab-cdef-0123-456789abcdef
      client_secret: "*: #{"
      containers: [one, two]
      poll_interval: 1m30s
      readers: 9
      cloud: usgov
      audience: https://storage.azure.com
    include: ["*nsg*", 000D3A*]
    exclude: ["*"]
  - name: "12"
    directory: {path: "yes", poll_interval: 250ms}
start: 2026-11-20T01:00:00.5+01:00
hour_grace: 1h
state_dir: "null"
convert: {begin: export, denied: skip, denied_counters: one, exporter_address: 192.0.2.1, observation_domain: per_target}
collectors:
  - name: c
    url: tls://[2001:db8::1]:4740
    preset: elk
    records: biflow
    fields: [preset, biflowDirection, azureFlowState]
    options: [types, interfaces]
    enterprise: {number: 4294967295, elements: [azureRule], form: long, string_octets: 64}
    begin: skip
    denied: export
    denied_counters: zero
    rate: 0
    delivery: best_effort
    local_address: 2001:db8::2
    max_message_bytes: 9000
    max_message_records: 1000
    template_refresh: 30s
    timeout: 1h0m5s
    tls: {ca_file: ca, cert_file: cert, key_file: key, server_name: name, min_version: "1.3"}
  - {name: d, url: "file:/srv/d.ipfix", options: []}
  - {name: e, url: "udp://h:2055", protocol: netflow5, rate: 100000000}
targets:
  - {resource: "*/virtualNetworks/hub", name: "hub: the 1st", exporter_address: 198.51.100.7, observation_domain: 4294967295}
  - {resource: "*", observation_domain: 9}
interfaces:
  - {mac: 00-0d-3a-12-34-56, name: web-01, index: 17}
  - {mac: 001122334455}
telemetry: {listen: ""}
log: {level: warn, format: json}
shutdown_timeout: 1m
`

func TestLoad(t *testing.T) {
	cfg, errs := loadText(t, everything)
	if errs != "" {
		t.Fatal(errs)
	}
	want := Config{
		Sources: []Source{
			{
				Name: "a",
				Azure: &Azure{
					AccountURL: "https://acc.blob.core.usgovcloudapi.net:443", Credential: "client_secret",
					TenantID: "contoso.onmicrosoft.com", ClientID: "01234567-89ab-cdef-0123-456789abcdef", ClientSecret: secret.New("*: #{"),
					Containers: []string{"one", "two"}, PollInterval: 90 * time.Second, Readers: 9,
					Cloud: "usgov", Audience: "https://storage.azure.com",
				},
				Include: []string{"*nsg*", "000D3A*"},
				Exclude: []string{"*"},
			},
			{Name: "12", Directory: &Directory{Path: "yes", PollInterval: 250 * time.Millisecond}},
		},
		Start:     Start{At: time.Date(2026, 11, 20, 0, 0, 0, 5e8, time.UTC)},
		HourGrace: time.Hour,
		StateDir:  "null",
		Convert:   Convert{"export", "skip", "one", "192.0.2.1", ObservationDomain{}},
		Collectors: []Collector{
			{
				Name: "c", URL: "tls://[2001:db8::1]:4740", Preset: "elk", Protocol: "ipfix", Records: "biflow",
				Fields: []string{"preset", "biflowDirection", "azureFlowState"}, Options: []string{"types", "interfaces"},
				Enterprise: Enterprise{4294967295, []string{"azureRule"}, "long", 64},
				Begin:      "skip", Denied: "export", DeniedCounters: "zero",
				Delivery: "best_effort", LocalAddress: "2001:db8::2",
				MaxMessageBytes: 9000, MaxMessageRecords: 1000, TemplateRefresh: 30 * time.Second, Timeout: time.Hour + 5*time.Second,
				TLS: TLS{"ca", "cert", "key", "name", "1.3"},
			},
			collectorWithDefaults(Collector{Name: "d", URL: "file:/srv/d.ipfix"}),
			collectorWithDefaults(Collector{Name: "e", URL: "udp://h:2055"}),
		},
		Targets:         []Target{{"*/virtualNetworks/hub", "hub: the 1st", "198.51.100.7", 4294967295}, {"*", "", "", 9}},
		Interfaces:      []Interface{{"000D3A123456", "web-01", 17}, {"001122334455", "", 0}},
		Log:             Log{"warn", "json"},
		ShutdownTimeout: time.Minute,
	}
	want.Collectors[1].Options = nil
	want.Collectors[2].Protocol, want.Collectors[2].Rate = "netflow5", Rate{Number: 100_000_000}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDumpIsLoaded: what Dump writes means the same, but for the secrets.
func TestDumpIsLoaded(t *testing.T) {
	for _, text := range []string{whole, azure, everything} {
		cfg, errs := loadText(t, text)
		if errs != "" {
			t.Fatal(errs)
		}
		var dump bytes.Buffer
		if err := Dump(&dump, cfg); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(dump.String(), "*: #{") {
			t.Error("a secret is dumped")
		}
		again, errs := loadText(t, strings.Replace(dump.String(), "client_secret: '***'", `client_secret: "*: #{"`, 1))
		if diff := cmp.Diff(cfg, again); errs != "" || diff != "" {
			t.Errorf("%s%s\n(-loaded +dumped):\n%s", dump.String(), errs, diff)
		}
	}
}

func TestDump(t *testing.T) {
	cfg, _ := loadText(t, strings.Replace(azure, "managed_identity", "account_key\n      account_key: U0VDUkVU", 1))
	var got bytes.Buffer
	if err := Dump(&got, cfg); err != nil {
		t.Fatal(err)
	}
	const want = `sources:
  - name: prod
    azure:
      account_url: https://acc.blob.core.windows.net
      credential: account_key
      containers:
        - insights-logs-flowlogflowevent
        - insights-logs-networksecuritygroupflowevent
      poll_interval: 30s
      readers: 8
      cloud: public
      account_key: '***'
    include: []
    exclude: []
start: now
hour_grace: 15m
state_dir: /var/lib/flow2ipfix
convert:
  begin: skip
  denied: export
  denied_counters: zero
  exporter_address: ""
  observation_domain: per_target
collectors:
  - name: noc
    url: udp://127.0.0.1:4739
    preset: generic
    protocol: ipfix
    records: preset
    fields: []
    options:
      - preset
    enterprise:
      number: 0
      elements:
        - azureRule
        - azureAcl
        - azureEncryption
      form: short
      string_octets: 0
    begin: preset
    denied: preset
    denied_counters: preset
    rate: preset
    delivery: required
    local_address: ""
    max_message_bytes: 1400
    max_message_records: 64
    template_refresh: 1m
    timeout: 15s
    tls:
      ca_file: ""
      cert_file: ""
      key_file: ""
      server_name: ""
      min_version: "1.2"
targets: []
interfaces: []
telemetry:
  listen: 127.0.0.1:9469
  allow_remote: false
  pprof: false
log:
  level: info
  format: auto
shutdown_timeout: 20s
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStartTime(t *testing.T) {
	now := time.Date(2026, 11, 21, 6, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"now":                       now,
		"earliest":                  {},
		"24h":                       now.Add(-24 * time.Hour),
		"2026-11-20T01:00:00+01:00": time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
	} {
		var s Start
		if err := s.UnmarshalText([]byte(text)); err != nil || !s.Time(now).Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, s.Time(now), err, want)
		}
	}
}

func TestSecrets(t *testing.T) {
	dir, creds := t.TempDir(), t.TempDir()
	file := func(dir, name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	inFile := file(dir, "sas", "?sv=1&sig=file\r\n")
	inCreds := file(creds, "token", "sv=1&sig=relative\n")
	byName := file(creds, "sas_token", "sv=1&sig=systemd")
	for _, tc := range []struct {
		name, keys string
		environ    []string
		want       string
		wantDump   string
	}{
		{"value", "sas_token: sv=1&sig=value", nil, "sv=1&sig=value", "sas_token: '***'"},
		{"file", "sas_token_file: " + inFile, nil, "?sv=1&sig=file", "sas_token_file: " + inFile},
		{"variable", "sas_token_env: TOKEN", []string{"TOKEN=sv=1&sig=variable"}, "sv=1&sig=variable", "sas_token_env: TOKEN"},
		{"our variable", "sas_token_env: FLOW2IPFIX_TOKEN", []string{"FLOW2IPFIX_TOKEN=sv=1&sig=ours"}, "sv=1&sig=ours", "sas_token_env: FLOW2IPFIX_TOKEN"},
		{"systemd, named", "sas_token_file: token", []string{"CREDENTIALS_DIRECTORY=" + creds}, "sv=1&sig=relative", "sas_token_file: " + inCreds},
		{"systemd, by its own name", "", []string{"CREDENTIALS_DIRECTORY=" + creds}, "sv=1&sig=systemd", "sas_token_file: " + byName},
		{"value before systemd", "sas_token: sv=1&sig=value", []string{"CREDENTIALS_DIRECTORY=" + creds}, "sv=1&sig=value", "sas_token: '***'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, errs := loadText(t, strings.Replace(azure, "managed_identity", "sas\n      "+tc.keys, 1), tc.environ...)
			if errs != "" {
				t.Fatal(errs)
			}
			if got := cfg.Sources[0].Azure.SASToken.Reveal(); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			var dump bytes.Buffer
			if err := Dump(&dump, cfg); err != nil {
				t.Fatal(err)
			}
			if strings.Count(dump.String(), "\n      sas_token") != 1 || !strings.Contains(dump.String(), "      "+tc.wantDump+"\n") {
				t.Errorf("want %s in\n%s", tc.wantDump, dump.String())
			}
		})
	}
}

// TestSecretIsReadOnlyIfUsed: systemd may hand over more than one source needs.
func TestSecretIsReadOnlyIfUsed(t *testing.T) {
	creds := t.TempDir()
	if err := os.WriteFile(filepath.Join(creds, "account_key"), []byte("not base64"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs := loadText(t, azure, "CREDENTIALS_DIRECTORY="+creds); errs != "" {
		t.Error(errs)
	}
}

// TestRelativeFiles are looked for among systemd's credentials first.
func TestRelativeFiles(t *testing.T) {
	creds := t.TempDir()
	for _, name := range []string{"ca.pem", "client.pem"} {
		if err := os.WriteFile(filepath.Join(creds, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Replace(azure, "managed_identity", "client_certificate\n      tenant_id: contoso.example\n      client_id: 01234567-89ab-cdef-0123-456789abcdef\n      certificate_file: client.pem", 1)
	text = strings.Replace(text, "udp://127.0.0.1:4739", "tls://h:4740\n    tls: {ca_file: ca.pem, cert_file: other.pem, key_file: /k.pem}", 1)
	cfg, errs := loadText(t, text, "CREDENTIALS_DIRECTORY="+creds)
	if errs != "" {
		t.Fatal(errs)
	}
	if got, want := cfg.Sources[0].Azure.CertificateFile, filepath.Join(creds, "client.pem"); got != want {
		t.Errorf("certificate_file is %s, want %s", got, want)
	}
	want := TLS{filepath.Join(creds, "ca.pem"), "other.pem", "/k.pem", "", "1.2"}
	if got := cfg.Collectors[0].TLS; got != want {
		t.Errorf("tls is %+v, want %+v", got, want)
	}
}
