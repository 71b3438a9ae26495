package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// whole is a configuration with nothing wrong: what stands in it by name can be
// replaced.
const whole = `sources:
  - name: archive
    directory: {path: /srv/flowlogs}
collectors:
  - name: noc
    url: udp://127.0.0.1:4739
`

const azure = `sources:
  - name: prod
    azure:
      account_url: https://acc.blob.core.windows.net
      credential: managed_identity
collectors:
  - name: noc
    url: udp://127.0.0.1:4739
`

// loadText loads a file with this text. Its name is f in errors.
func loadText(t testing.TB, text string, environ ...string) (Config, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(file, environ)
	if err == nil {
		return cfg, ""
	}
	if _, ok := err.(Errors); !ok { //nolint:errorlint // Load says that it is that and nothing around it
		t.Errorf("the error is a %T", err)
	}
	return cfg, strings.ReplaceAll(err.Error(), file, "f")
}

func TestNothingWrong(t *testing.T) {
	for _, text := range []string{
		whole,
		azure,
		"\ufeff" + whole,
		"---\n" + whole + "...\n",
		strings.ReplaceAll(whole, "\n", "\r\n"),
		whole + "start:\nlog: ~\nconvert: null\ninterfaces:\n",
		whole + "interfaces: [{mac: 001122334455}, {mac: 12E456789012, index: 7}, {mac: 00-0d-3a-12-34-56, name: web}]",
		whole + "convert: {observation_domain: 17, begin: export}",
		whole + "start: 2026-11-20T01:00:00+01:00",
		whole + "telemetry: {listen: ''}",
		whole + "    protocol: netflow5\n    options: [preset]\n    rate: preset\n",
		whole + "    protocol: netflow9\n    options: [interfaces, vrfs, sampling, statistics]\n",
		whole + "    fields: [preset, octetDeltaCount]\n",
		whole + "    preset: elk\n    records: biflow\n    fields: [preset, azureRule, biflowDirection]\n    enterprise: {number: 32473}\n    options: [preset, types, flow_keys]\n",
		whole + "targets: [{resource: a, observation_domain: 7}, {resource: b, observation_domain: 7}]",
		whole + "    fields: [exporterIPv6Address]\nconvert: {exporter_address: '2001:db8::1'}\ntargets: [{resource: '*', exporter_address: '2001:db8::2'}]",
		whole + "    enterprise: {elements: [azureRule, azureAcl, azureEncryption], number: 0}\n",
		whole + "log: &l {level: warn}\nconvert: &c {begin: skip}\n",
		strings.Replace(whole, "udp://127.0.0.1:4739", "tls://collector.example:4740\n    tls: {min_version: 1.3}", 1),
		strings.Replace(whole, "udp://127.0.0.1:4739", "dtls://[2001:db8::1]:4740\n    tls: {cert_file: c, key_file: k}", 1),
		strings.Replace(whole, "udp://127.0.0.1:4739", "file:-", 1),
		strings.Replace(azure, "managed_identity", "account_key\n      account_key: U0VDUkVU", 1),
		strings.Replace(strings.Replace(azure, "managed_identity", "account_key\n      account_key: U0VDUkVU", 1), "https://acc.blob.core.windows.net", "http://127.0.0.1:10000/devstoreaccount1/", 1),
		strings.Replace(azure, "      account_url: https://acc.blob.core.windows.net\n      credential: managed_identity", "      credential: connection_string\n      connection_string: UseDevelopmentStorage=true", 1),
		strings.Replace(azure, "managed_identity", "sas\n      sas_token: '?sv=1&sig=abc'", 1),
	} {
		if _, errs := loadText(t, text); errs != "" {
			t.Errorf("%s\n%s", text, errs)
		}
	}
}

// TestErrors has every error with its whole text.
func TestErrors(t *testing.T) {
	const keys = "sources, start, hour_grace, state_dir, convert, collectors, targets, interfaces, telemetry, log or shutdown_timeout"
	with := func(more string) string { return whole + more }
	collector := func(more string) string { return whole + "    " + strings.ReplaceAll(more, "\n", "\n    ") + "\n" }
	url := func(s string) string { return strings.Replace(whole, "udp://127.0.0.1:4739", s, 1) }
	account := func(s string) string { return strings.Replace(azure, "https://acc.blob.core.windows.net", s, 1) }
	credential := func(s string) string {
		return strings.Replace(azure, "managed_identity", strings.ReplaceAll(s, "\n", "\n      "), 1)
	}
	const guid = "00000000-0000-0000-0000-000000000000"
	tests := []struct{ name, text, want string }{
		{"empty", "", "f: sources: missing; want a list with at least one entry\nf: collectors: missing; want a list with at least one entry"},
		{"empty lists", "sources: []\ncollectors: []", "f:1: sources: empty; want a list with at least one entry\nf:2: collectors: empty; want a list with at least one entry"},
		{"nulls", "sources:\ncollectors: ~", "f:1: sources: missing; want a list with at least one entry\nf:2: collectors: missing; want a list with at least one entry"},
		{"not YAML", "sources: [", "f:1: not YAML: did not find expected node content"},
		{"tabs", with("log:\n\tlevel: info\n"), "f:8: not YAML: indent with spaces, not with tabs"},
		{"no such anchor", with("log: *l"), "f: not YAML: unknown anchor 'l' referenced"},
		{"two documents", with("---\nlog: {}\n"), "f:7: want one document, but a second one begins here"},
		{"broken second document", with("---\n[\n"), "f:8: not YAML: did not find expected node content"},
		{"a list", "- a\n", "f: want a mapping of keys: " + keys + ", got a list"},
		{"a text", "flow2ipfix\n", "f: want a mapping of keys: " + keys + `, got "flow2ipfix"`},
		{"a number", "12\n", "f: want a mapping of keys: " + keys + ", got 12"},

		{"unknown key", with("state_directory: /x\ncolour: red"), "f:7: state_directory: unknown key; want " + keys + "\nf:8: colour: unknown key; want " + keys},
		{"mistyped", with("shutdown-timeout: 5s\nhourGrace: 5m\nlgo: {}"), "f:7: shutdown-timeout: unknown key; did you mean shutdown_timeout?\nf:8: hourGrace: unknown key; did you mean hour_grace?\nf:9: lgo: unknown key; did you mean log?"},
		{"mistyped, and missing", strings.Replace(azure, "account_url", "acount_url", 1), "f:4: sources[0].azure.acount_url: unknown key; did you mean account_url?"},
		{"mistyped alternative", strings.Replace(azure, "azure:", "Azure:", 1), "f:3: sources[0].Azure: unknown key; did you mean azure?"},
		{"in the wrong place", with("poll_interval: 5s"), "f:7: poll_interval: unknown key here; it belongs into sources.azure or sources.directory"},
		{"too deep", collector("start: now"), "f:7: collectors[0].start: unknown key here; it belongs into the top of the file"},
		{"dots", with("log.level: debug"), "f:7: log.level: unknown key; write level below log"},
		{"case", with("Start: now"), "f:7: Start: unknown key; did you mean start?"},
		{"merge key", with("log:\n  <<: {level: debug}\n"), "f:8: log.<<: merge keys are not supported; write the keys out"},
		{"a key that is none", with("[a]: b"), "f:7: want a key: " + keys},
		{"twice", with("start: now\nlog: {level: info, level: debug}\nstart: earliest"), "f:8: log.level: here again; it stands in line 8 already\nf:9: start: here again; it stands in line 7 already"},

		{"no unit", with("hour_grace: 5"), "f:7: hour_grace: want a duration with a unit, like 30s, of 1s or more, got 5"},
		{"no unit in quotes", with("hour_grace: '5'"), `f:7: hour_grace: want a duration with a unit, like 30s, of 1s or more, got "5"`},
		{"days", with("hour_grace: 1d"), `f:7: hour_grace: want a duration with a unit, like 30s, of 1s or more, got "1d"`},
		{"too short", strings.Replace(whole, "/srv/flowlogs", "/srv/flowlogs, poll_interval: 1ns", 1), `f:3: sources[0].directory.poll_interval: want a duration with a unit, like 30s, of 100ms or more, got "1ns"`},
		{"negative", with("shutdown_timeout: -5s"), `f:7: shutdown_timeout: want a duration with a unit, like 30s, of 1s or more, got "-5s"`},
		{"a list for a duration", with("hour_grace: [5s]"), "f:7: hour_grace: want a duration with a unit, like 30s, of 1s or more, got a list"},
		{"a mapping for a duration", with("hour_grace:\n  s: 5"), "f:7: hour_grace: want a duration with a unit, like 30s, of 1s or more, got a mapping"},
		{"a number for a text", with("state_dir: 012"), `f:7: state_dir: want text; put it into quotes, like "012", got 012`},
		{"a truth for a text", with("state_dir: true"), `f:7: state_dir: want text; put it into quotes, like "true", got true`},
		{"no state", with("state_dir: ''"), `f:7: state_dir: want a folder, like /var/lib/flow2ipfix, got ""`},
		{"octal", collector("max_message_bytes: 0700"), "f:7: collectors[0].max_message_bytes: want a number from 512 to 65535, got 0700"},
		{"nobody required", collector("delivery: best_effort"), `f:7: collectors[0].delivery: want required for at least one collector: it says when a flow log has been delivered, got "best_effort"`},
		{"a fraction", collector("max_message_records: 1.5"), "f:7: collectors[0].max_message_records: want a number from 1 to 1000, got 1.5"},
		{"a text for a number", collector("max_message_records: '5'"), `f:7: collectors[0].max_message_records: want a number from 1 to 1000, got "5"`},
		{"below", collector("max_message_records: -1"), "f:7: collectors[0].max_message_records: want a number from 1 to 1000, got -1"},
		{"above", collector("max_message_bytes: 70000"), "f:7: collectors[0].max_message_bytes: want a number from 512 to 65535, got 70000"},
		{"a text for a mapping", with("log: debug"), `f:7: log: want a mapping of keys: level or format, got "debug"`},
		{"a mapping for a list", "sources: {name: x}\n" + whole[strings.Index(whole, "collectors"):], "f:1: sources: want a list, in brackets or with a dash before each entry, got a mapping"},
		{"a text for a list", strings.Replace(whole, "    directory", "    include: nsg*\n    directory", 1), `f:3: sources[0].include: want a list, in brackets or with a dash before each entry, got "nsg*"`},
		{"texts for entries", "sources: [a, 5]\n" + whole[strings.Index(whole, "collectors"):], `f:1: sources[0]: want a mapping of keys: name, azure, directory, include or exclude, got "a"` + "\n" + "f:1: sources[1]: want a mapping of keys: name, azure, directory, include or exclude, got 5"},
		{"an empty entry", whole + "  -\n", "f:7: collectors[1]: nothing here; write a mapping of keys: name, url, preset, protocol, records, fields, options, enterprise, begin, denied, denied_counters, rate, delivery, local_address, max_message_bytes, max_message_records, template_refresh, timeout or tls or delete it"},
		{"not in the choice", with("log: {level: verbose, format: xml}\nconvert: {begin: no, denied: 1, denied_counters: two}"), `f:7: log.level: want debug, info, warn or error, got "verbose"
f:7: log.format: want auto, text or json, got "xml"
f:8: convert.begin: want skip or export, got "no"
f:8: convert.denied: want export or skip, got 1
f:8: convert.denied_counters: want zero or one, got "two"`},
		{"not in the choice of a collector", collector("preset: ntop\nprotocol: sflow\nrecords: both\ndelivery: sometimes\nbegin: yes\ndenied: no\ndenied_counters: 1\nenterprise: {form: tall}"), `f:7: collectors[0].preset: want generic, ntopng, elastiflow, nfdump, pmacct, goflow2, akvorado, elk, telegraf, vflow, solarwinds or prtg, got "ntop"
f:8: collectors[0].protocol: want ipfix, netflow9 or netflow5, got "sflow"
f:9: collectors[0].records: want preset, uniflow or biflow, got "both"
f:10: collectors[0].delivery: want required or best_effort, got "sometimes"
f:11: collectors[0].begin: want preset, skip or export, got "yes"
f:12: collectors[0].denied: want preset, export or skip, got "no"
f:13: collectors[0].denied_counters: want preset, zero or one, got 1
f:14: collectors[0].enterprise.form: want short or long, got "tall"`},
		{"rate", strings.Replace(collector("rate: 012"), "collectors:", "collectors:\n  - {name: a, url: 'udp://h:1', rate: -1}\n  - {name: b, url: 'udp://h:2', rate: 1.5}\n  - {name: c, url: 'udp://h:3', rate: fast}\n  - {name: d, url: 'udp://h:4', rate: 100000001}", 1), `f:5: collectors[0].rate: want preset or a number from 0 to 100000000, got -1
f:6: collectors[1].rate: want preset or a number from 0 to 100000000, got 1.5
f:7: collectors[2].rate: want preset or a number from 0 to 100000000, got "fast"
f:8: collectors[3].rate: want preset or a number from 0 to 100000000, got 100000001
f:11: collectors[4].rate: want preset or a number from 0 to 100000000, got 012`},
		{"bounds", collector("max_message_records: 0\ntemplate_refresh: 1ms\nenterprise: {number: 4294967296, string_octets: 513}"), `f:7: collectors[0].max_message_records: want a number from 1 to 1000, got 0
f:8: collectors[0].template_refresh: want a duration with a unit, like 30s, of 1s or more, got "1ms"
f:9: collectors[0].enterprise.number: want a number from 0 to 4294967295, got 4294967296
f:9: collectors[0].enterprise.string_octets: want a number from 0 to 512, got 513`},
		{"more than UDP carries", collector("max_message_bytes: 65508"), "f:7: collectors[0].max_message_bytes: want 65507 at most with udp://, got 65508"},
		{"more than DTLS carries", url("dtls://h:1\n    max_message_bytes: 16385"), "f:7: collectors[0].max_message_bytes: want 16384 at most with dtls://, got 16385"},

		{"fields", collector("fields:\n- octetdeltacount\n- preset\n- flowId\n- flowId\n- azureRule\n- biflowDirection\n- exporterIPv4Address\n- ''"), `f:8: collectors[0].fields[0]: element "octetdeltacount" is not known, or cannot be filled (did you mean octetDeltaCount?); flow2ipfix templates --elements lists those that can
f:11: collectors[0].fields[3]: want flowId once
f:12: collectors[0].fields[4]: azureRule needs enterprise.number
f:13: collectors[0].fields[5]: biflowDirection needs records: biflow
f:14: collectors[0].fields[6]: exporterIPv4Address needs an exporter_address of its family
f:15: collectors[0].fields[7]: want text, got ""`},
		{"fields, where another key is wrong", collector("fields: [preset, srcaddr, biflowDirection]\nrecords: both"), `f:7: collectors[0].fields[1]: element "srcaddr" is not known, or cannot be filled; flow2ipfix templates --elements lists those that can
f:8: collectors[0].records: want preset, uniflow or biflow, got "both"`},
		{"fields, twice the preset's", collector("fields: [preset, preset]"), "f:7: collectors[0].fields[1]: want preset once"},
		{"fields, twice the same", collector("fields: [preset, flowId, flowId]"), "f:7: collectors[0].fields[2]: want flowId once"},
		{"fields without what the collector wants", collector("preset: solarwinds\nfields: [sourceIPv4Address, destinationIPv4Address, protocolIdentifier, egressInterface]"), "f:8: collectors[0].fields: want octetDeltaCount: without, the collectors of preset solarwinds ignore a record"},
		{"message for vflow", collector("preset: vflow\nmax_message_bytes: 9000"), "f:8: collectors[0].max_message_bytes: want 1472 at most: more the collectors of preset vflow do not read"},
		{"records for elastiflow", collector("preset: elastiflow\nmax_message_records: 65"), "f:8: collectors[0].max_message_records: want 64 at most: more the collectors of preset elastiflow do not read"},
		{"enterprise form with netflow9", collector("protocol: netflow9\nenterprise: {form: long}"), "f:8: collectors[0].enterprise: not used by netflow9; leave it out"},
		{"one packet unmarked", collector("protocol: netflow5\ndenied_counters: one"), `f:8: collectors[0].denied_counters: want zero: nothing in the records says that a flow was denied, and an invented packet would look like one that got through, got "one"`},
		{"fields, too long", collector("fields: [preset]\nenterprise: {number: 1, string_octets: 300}\nmax_message_bytes: 512"), "f:7: collectors[0].fields: a record takes 661 octets, but a message of 512 has room for 485; want fewer or shorter fields, or a larger max_message_bytes"},
		{"options", collector("options: [vrf, vrfs, vrfs, types, preset]"), `f:7: collectors[0].options[0]: want preset, interfaces, vrfs, sampling, statistics, flow_keys or types, got "vrf"
f:7: collectors[0].options[2]: want vrfs once
f:7: collectors[0].options[3]: types describes enterprise elements; want an enterprise.number, or no types`},
		{"enterprise elements", collector("enterprise: {number: 1, elements: [azureRule, azurerule, flowId, azureRule]}"), `f:7: collectors[0].enterprise.elements[1]: want azureRule, azureAcl, azureFlowLog, azureTargetResource, azureSubscription, azureRegion, azureResourceGroup, azureEncryption or azureFlowState, got "azurerule"
f:7: collectors[0].enterprise.elements[2]: want azureRule, azureAcl, azureFlowLog, azureTargetResource, azureSubscription, azureRegion, azureResourceGroup, azureEncryption or azureFlowState, got "flowId"
f:7: collectors[0].enterprise.elements[3]: want azureRule once`},
		{"enterprise elements twice", collector("enterprise: {number: 1, elements: [azureRule, azureRule]}"), "f:7: collectors[0].enterprise.elements[1]: want azureRule once"},
		{"enterprise number of another", collector("enterprise: {number: 29305}"), "f:7: collectors[0].enterprise.number: want a number of your own: 29305 stands for reverse elements (RFC 5103)"},
		{"enterprise without a number", collector("enterprise: {elements: [azureRule, azureFlowState]}"), "f:7: collectors[0].enterprise.number: missing; want your private enterprise number, or neither elements nor form"},
		{"enterprise form without a number", collector("enterprise: {form: long}"), "f:7: collectors[0].enterprise.number: missing; want your private enterprise number, or neither elements nor form"},
		{"two observation domains for a target", with("convert: {observation_domain: 7}\ntargets: [{resource: a, observation_domain: 8}]"), "f:8: targets[0].observation_domain: convert.observation_domain is 7 for everything; want per_target there, or none here, got 8"},
		{"not for vFlow", collector("preset: vflow\nrecords: biflow\nenterprise: {number: 1}"), `f:8: collectors[0].records: want uniflow: the collectors of preset vflow drop bidirectional records
f:9: collectors[0].enterprise.number: want 0: the collectors of preset vflow drop records with enterprise elements`},
		{"not of NetFlow 9", collector("protocol: netflow9\nrecords: biflow\nenterprise: {number: 1}\noptions: [flow_keys]"), `f:8: collectors[0].records: want uniflow: netflow9 has no bidirectional records
f:9: collectors[0].enterprise.number: want 0: netflow9 has no enterprise elements
f:10: collectors[0].options[0]: netflow9 has no flow_keys; want ipfix, or no flow_keys`},
		{"not of NetFlow 5", collector("protocol: netflow5\nfields: [flowId]\noptions: [sampling]"), `f:8: collectors[0].fields: want none: netflow5 has one form of record
f:9: collectors[0].options: want none: netflow5 has no options templates`},
		{"NetFlow over TCP", url("tcp://h:1\n    protocol: netflow9"), `f:7: collectors[0].protocol: netflow9 goes over udp:// only; want ipfix, or url: udp://…, got "netflow9"`},
		{"NetFlow into a file", url("file:x\n    protocol: netflow5"), `f:7: collectors[0].protocol: netflow5 goes over udp:// only; want ipfix, or url: udp://…, got "netflow5"`},

		{"targets", with("targets:\n- {name: x}\n- {resource: 'v?', name: x}\n- {resource: '*/hub'}\n- {resource: '*/HUB', name: y}\n- {resource: ' x', observation_domain: -1}\n- {resource: '', name: z}"), `f:8: targets[0].resource: missing; want a pattern for the resource id, like */virtualNetworks/vnet-hub
f:9: targets[1].resource: want a pattern in which * alone is special, like */nsg-web* or 000D3A*, got "v?"
f:10: targets[2]: says nothing of its targets; want name, exporter_address or observation_domain
f:11: targets[3].resource: targets[2].resource has it already; want one entry for a target, got "*/HUB"
f:12: targets[4].observation_domain: want a number from 0 to 4294967295, got -1
f:12: targets[4].resource: want a pattern without spaces around it, got " x"
f:13: targets[5].resource: want a pattern for the resource id, like */virtualNetworks/vnet-hub, got ""`},
		{"exporter addresses", with("convert: {exporter_address: router}\ntargets:\n- {resource: a, exporter_address: 0.0.0.0}\n- {resource: b, exporter_address: '::ffff:192.0.2.1'}\n- {resource: c, exporter_address: 'fe80::1%eth0'}\n"), `f:7: convert.exporter_address: want an IP address, like 192.0.2.1, got "router"
f:9: targets[0].exporter_address: want an IP address, like 192.0.2.1, got "0.0.0.0"
f:10: targets[1].exporter_address: want an IP address, like 192.0.2.1, got "::ffff:192.0.2.1"
f:11: targets[2].exporter_address: want an IP address, like 192.0.2.1, got "fe80::1%eth0"`},
		{"exporter addresses of two families", with("convert: {exporter_address: 192.0.2.1}\ntargets: [{resource: a, exporter_address: '2001:db8::1'}]"), `f:8: targets[0].exporter_address: want an IPv4 address, as convert.exporter_address is: all of them are of one family, got "2001:db8::1"`},
		{"an exporter address for some", with("targets: [{resource: a, name: b}, {resource: c, exporter_address: 192.0.2.1}]"), "f: convert.exporter_address: missing; want the address of the targets that have none of their own, since targets[1].exporter_address is there"},
		{"an exporter address of the other family", collector("fields: [exporterIPv6Address]") + "convert: {exporter_address: 192.0.2.1}", "f:7: collectors[0].fields[0]: exporterIPv6Address needs an exporter_address of its family"},
		{"start", with("start: yesterday"), `f:7: start: want now, earliest, a duration like 24h or a time like 2026-11-20T00:00:00Z, got "yesterday"`},
		{"start, a date", with("start: 2026-11-20"), `f:7: start: want now, earliest, a duration like 24h or a time like 2026-11-20T00:00:00Z, got 2026-11-20`},
		{"start, later", with("start: -24h"), `f:7: start: want now, earliest, a duration like 24h or a time like 2026-11-20T00:00:00Z, got "-24h"`},
		{"domain", with("convert: {observation_domain: 4294967296}"), "f:7: convert.observation_domain: want per_target or a number up to 4294967295, got 4294967296"},
		{"domain, a word", with("convert: {observation_domain: per_nic}"), `f:7: convert.observation_domain: want per_target or a number up to 4294967295, got "per_nic"`},
		{"pprof", with("telemetry: {pprof: 1}"), `f:7: telemetry.pprof: want true or false, got 1`},
		{"pprof, a word", with("telemetry: {pprof: 'true'}"), `f:7: telemetry.pprof: want true or false, got "true"`},
		{"listen", with("telemetry: {listen: 9469}"), `f:7: telemetry.listen: want text; put it into quotes, like "9469", got 9469`},
		{"listen, no address", with("telemetry: {listen: localhost}"), `f:7: telemetry.listen: want address:port, like 127.0.0.1:9469, or nothing, got "localhost"`},
		{"listen, no port", with("telemetry: {listen: 'localhost:http'}"), `f:7: telemetry.listen: want address:port, like 127.0.0.1:9469, or nothing, got "localhost:http"`},

		{"no names", "sources: [{directory: {path: x}}]\ncollectors: [{url: 'udp://h:1'}]", "f:1: sources[0].name: missing; want a name of letters, digits, dots, dashes and underscores, like prod\nf:2: collectors[0].name: missing; want a name of letters, digits, dots, dashes and underscores, like ntopng"},
		{"an empty name", strings.Replace(whole, "archive", "''", 1), `f:2: sources[0].name: want a name of letters, digits, dots, dashes and underscores, like prod, got ""`},
		{"a wrong name", strings.Replace(whole, "archive", "my archive", 1), `f:2: sources[0].name: want up to 64 letters, digits, dots, dashes and underscores, a letter or digit first, got "my archive"`},
		{"one name for two", "sources:\n- {name: a, directory: {path: x}}\n- {name: a, directory: {path: y}}\ncollectors:\n- {name: a, url: 'udp://h:1'}\n- {name: a, url: 'udp://h:1'}\n", `f:3: sources[1].name: sources[0].name has it already; want a name of its own, got "a"
f:6: collectors[1].name: collectors[0].name has it already; want a name of its own, got "a"
f:6: collectors[1].url: collectors[0].url has it already; want a collector of its own, got "udp://h:1"`},
		{"no place", strings.Replace(whole, "    directory: {path: /srv/flowlogs}\n", "", 1), "f:2: sources[0]: want azure or directory"},
		{"a place with nothing", strings.Replace(whole, "directory: {path: /srv/flowlogs}", "directory:", 1), "f:2: sources[0]: want azure or directory"},
		{"two places", strings.Replace(azure, "    azure:", "    directory: {path: x}\n    azure:", 1), "f:3: sources[0].directory: azure is there already; want one of them"},
		{"no path", strings.Replace(whole, "{path: /srv/flowlogs}", "{}", 1), "f:3: sources[0].directory.path: missing; want a folder, like /srv/flowlogs"},
		{"globs", strings.Replace(whole, "    directory", "    include: ['', 'nsg?', '[a-z]*', ' x', 5, ~]\n    exclude: ['00:0D:*', '*/nsg-web', 000D3A*, '**']\n    directory", 1), `f:3: sources[0].include[5]: nothing here; write text or delete it
f:3: sources[0].include[0]: want text, got ""
f:3: sources[0].include[4]: want text; put it into quotes, like "5", got 5
f:3: sources[0].include[1]: want a pattern in which * alone is special, like */nsg-web* or 000D3A*, got "nsg?"
f:3: sources[0].include[2]: want a pattern in which * alone is special, like */nsg-web* or 000D3A*, got "[a-z]*"
f:3: sources[0].include[3]: want a pattern without spaces around it, got " x"
f:4: sources[0].exclude[0]: want a MAC without colons, like 000D3A123456, got "00:0D:*"`},

		{"account: none", strings.Replace(azure, "      account_url: https://acc.blob.core.windows.net\n", "", 1), "f:3: sources[0].azure.account_url: missing; want an https:// URL, like https://ACCOUNT.blob.core.windows.net"},
		{"account: a name", account("acc"), `f:4: sources[0].azure.account_url: want an https:// URL, like https://ACCOUNT.blob.core.windows.net, got "acc"`},
		{"account: ftp", account("ftp://acc"), `f:4: sources[0].azure.account_url: want an https:// URL, like https://ACCOUNT.blob.core.windows.net, got "ftp://acc"`},
		{"account: port", account("https://acc:99999"), `f:4: sources[0].azure.account_url: want an https:// URL, like https://ACCOUNT.blob.core.windows.net, got "https://acc:99999"`},
		{"account: http", account("http://acc.example"), `f:4: sources[0].azure.account_url: want https://; credential managed_identity does not work without TLS, got "http://acc.example"`},
		{"account: container", account("https://acc.blob.core.windows.net/logs"), `f:4: sources[0].azure.account_url: want https://acc.blob.core.windows.net alone; containers go into containers, got "https://acc.blob.core.windows.net/logs"`},
		{"account: deep", account("https://proxy/acc/logs"), `f:4: sources[0].azure.account_url: want at most the account behind the host; containers go into containers, got "https://proxy/acc/logs"`},
		{"account: dfs", account("https://acc.dfs.core.windows.net"), `f:4: sources[0].azure.account_url: want the blob endpoint, https://acc.blob.core.windows.net, got "https://acc.dfs.core.windows.net"`},
		{"account: SAS", account("https://acc.blob.core.windows.net?sig=SECRET"), `f:4: sources[0].azure.account_url: want an https:// URL, like https://ACCOUNT.blob.core.windows.net, and nothing behind it; a SAS token goes into sas_token`},
		{"account: user", account("https://u:SECRET@acc"), `f:4: sources[0].azure.account_url: want an https:// URL, like https://ACCOUNT.blob.core.windows.net, and nothing behind it; a SAS token goes into sas_token`},
		{"account: SAS over http", strings.Replace(credential("sas\nsas_token: sv=1&sig=SECRET"), "https://acc", "http://acc", 1), `f:4: sources[0].azure.account_url: want https://, so that nobody on the way can read the SAS token, got "http://acc.blob.core.windows.net"`},
		{"account: another cloud", account("https://acc.blob.core.usgovcloudapi.net"), `f:3: sources[0].azure.cloud: want usgov, to which acc.blob.core.usgovcloudapi.net belongs, got "public"`},
		{"account: not of that cloud", strings.Replace(credential("default\ncloud: china"), "acc.blob", "acc.z1.blob", 1), `f:6: sources[0].azure.cloud: want public, to which acc.z1.blob.core.windows.net belongs, got "china"`},
		{"account name", credential("sas\nsas_token: sv=1&sig=SECRET\naccount_name: acc"), "f:7: sources[0].azure.account_name: not used by credential sas; leave it out, or write credential: account_key"},
		{"containers", credential("default\ncontainers: [Logs, logs, logs, a--b]"), `f:6: sources[0].azure.containers[0]: want the name of a container: 3 to 63 lower case letters, digits and single dashes, got "Logs"
f:6: sources[0].azure.containers[2]: sources[0].azure.containers[1] has it already; want each container once, got "logs"
f:6: sources[0].azure.containers[3]: want the name of a container: 3 to 63 lower case letters, digits and single dashes, got "a--b"`},
		{"no containers", credential("default\ncontainers: []"), "f:6: sources[0].azure.containers: empty; want a list like [insights-logs-flowlogflowevent, insights-logs-networksecuritygroupflowevent]"},
		{"readers", credential("default\nreaders: 0\ncloud: mars"), "f:6: sources[0].azure.readers: want a number from 1 to 256, got 0\n" + `f:7: sources[0].azure.cloud: want public, usgov or china, got "mars"`},
		{"audience", credential("default\naudience: storage"), `f:6: sources[0].azure.audience: want an https:// URL, like https://storage.azure.com, got "storage"`},
		{"audience for none", credential("account_key\naccount_key: U0VDUkVU\naudience: https://storage.azure.com"), "f:7: sources[0].azure.audience: not used by credential account_key; leave it out"},
		{"client", credential("managed_identity\nclient_id: nsg-reader"), `f:6: sources[0].azure.client_id: want a client ID like ` + guid + `, got "nsg-reader"`},
		{"tenant", credential("workload_identity\ntenant_id: 'a tenant'"), `f:6: sources[0].azure.tenant_id: want a tenant ID like ` + guid + `, or a domain of the tenant, got "a tenant"`},
		{"no credential", strings.Replace(azure, "      credential: managed_identity\n", "", 1), "f:3: sources[0].azure.credential: missing; want managed_identity, workload_identity, client_secret, client_certificate, sas, account_key, connection_string or default"},
		{"unknown credential", credential("password"), `f:5: sources[0].azure.credential: want managed_identity, workload_identity, client_secret, client_certificate, sas, account_key, connection_string or default, got "password"`},
		{"client_secret", credential("client_secret"), "f:3: sources[0].azure.tenant_id: missing; credential client_secret needs it\nf:3: sources[0].azure.client_id: missing; credential client_secret needs it\nf:3: sources[0].azure.client_secret: missing; write client_secret: VALUE, client_secret_file: PATH or client_secret_env: VARIABLE, or let systemd hand it over with LoadCredential=client_secret:PATH"},
		{"client_certificate", credential("client_certificate\nclient_id: " + guid + "\ntenant_id: contoso.onmicrosoft.com"), "f:3: sources[0].azure.certificate_file: missing; credential client_certificate needs it"},
		{"sas", credential("sas"), "f:3: sources[0].azure.sas_token: missing; write sas_token: VALUE, sas_token_file: PATH or sas_token_env: VARIABLE, or let systemd hand it over with LoadCredential=sas_token:PATH"},
		{"account_key", credential("account_key"), "f:3: sources[0].azure.account_key: missing; write account_key: VALUE, account_key_file: PATH or account_key_env: VARIABLE, or let systemd hand it over with LoadCredential=account_key:PATH"},
		{"connection_string", credential("connection_string"), "f:3: sources[0].azure.connection_string: missing; write connection_string: VALUE, connection_string_file: PATH or connection_string_env: VARIABLE, or let systemd hand it over with LoadCredential=connection_string:PATH\nf:4: sources[0].azure.account_url: not used by credential connection_string, which says it itself; leave it out"},
		{"not its secrets", credential("managed_identity\nsas_token: SECRET\naccount_key_file: x\ncertificate_file: y\ntenant_id: x.example"), `f:6: sources[0].azure.sas_token: not used by credential managed_identity; leave it out, or write credential: sas
f:7: sources[0].azure.account_key_file: not used by credential managed_identity; leave it out, or write credential: account_key
f:8: sources[0].azure.certificate_file: not used by credential managed_identity; leave it out, or write credential: client_certificate
f:9: sources[0].azure.tenant_id: not used by credential managed_identity; leave it out, or write credential: client_certificate, client_secret, default or workload_identity`},
		{"a number for a secret", credential("account_key\naccount_key: 12345"), "f:6: sources[0].azure.account_key: want text; put the value into quotes"},
		{"a list for a secret", credential("account_key\naccount_key: [SECRET]"), "f:6: sources[0].azure.account_key: want text, got a list"},
		{"a dumped secret", credential("account_key\naccount_key: '***'"), "f:6: sources[0].azure.account_key: want a secret, got the *** that stands for one that was left out"},
		{"not a key", credential("account_key\naccount_key: SECRET!"), "f:6: sources[0].azure.account_key: not an account key; want base64, as the portal shows it under access keys"},
		{"not a token", credential("sas\nsas_token: https://acc/?sig=SECRET"), "f:6: sources[0].azure.sas_token: not a SAS token; want what stands behind the ? of a SAS URL, like sv=…&sig=…"},
		{"not a connection string", strings.Replace(credential("connection_string\nconnection_string: SECRET"), "      account_url: https://acc.blob.core.windows.net\n", "", 1), "f:5: sources[0].azure.connection_string: not a connection string; want one like DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…"},
		{"two ways", credential("sas\nsas_token: a&sig=SECRET\nsas_token_env: X"), "f:7: sources[0].azure.sas_token_env: given twice, as sas_token and sas_token_env; keep one"},
		{"three ways", credential("sas\nsas_token_file: x\nsas_token: a&sig=SECRET\nsas_token_env: X"), "f:6: sources[0].azure.sas_token_file: given twice, as sas_token and sas_token_file and sas_token_env; keep one"},
		{"no variable", credential("sas\nsas_token_env: SAS_TOKEN"), `f:6: sources[0].azure.sas_token_env: the variable is not set; want the name of one that holds the secret, got "SAS_TOKEN"`},
		{"a secret for a variable", credential("sas\nsas_token_env: sv=1&sig=SECRET"), `f:6: sources[0].azure.sas_token_env: want the name of an environment variable, like SAS_TOKEN`},
		{"no file", credential("sas\nsas_token_file: /nowhere/sas"), `f:6: sources[0].azure.sas_token_file: no such file or directory; want a file that the daemon may read, got "/nowhere/sas"`},
		{"a folder for a file", credential("sas\nsas_token_file: /"), `f:6: sources[0].azure.sas_token_file: is a directory; want a file that the daemon may read, got "/"`},
		{"an empty file", credential("sas\nsas_token_file: /dev/null"), `f:6: sources[0].azure.sas_token_file: the file is empty; want one with the secret, got "/dev/null"`},
		{"an endless file", credential("sas\nsas_token_file: /dev/zero"), `f:6: sources[0].azure.sas_token_file: want a file of one line with nothing but the secret, got "/dev/zero"`},
		{"a list for a file", credential("sas\nsas_token_file: [x]"), `f:6: sources[0].azure.sas_token_file: want text, got a list`},

		{"url: none", strings.Replace(whole, "    url: udp://127.0.0.1:4739\n", "", 1), "f:5: collectors[0].url: missing; want udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH"},
		{"url: no scheme", url("127.0.0.1:4739"), `f:6: collectors[0].url: want udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH, got "127.0.0.1:4739"`},
		{"url: sctp", url("sctp://h:1"), `f:6: collectors[0].url: want udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH, got "sctp://h:1"`},
		{"url: no port", url("udp://h"), `f:6: collectors[0].url: want a port, like udp://h:4739, got "udp://h"`},
		{"url: no TLS port", url("tls://h"), `f:6: collectors[0].url: want a port, like tls://h:4740, got "tls://h"`},
		{"url: empty port", url("'udp://h:'"), `f:6: collectors[0].url: want a port, like udp://h:4739, got "udp://h:"`},
		{"url: no host", url("udp://:4739"), `f:6: collectors[0].url: want a host, like udp://127.0.0.1:4739, got "udp://:4739"`},
		{"url: port 0", url("udp://h:0"), `f:6: collectors[0].url: want a port from 1 to 65535, got "udp://h:0"`},
		{"url: port 70000", url("tcp://h:70000"), `f:6: collectors[0].url: want a port from 1 to 65535, got "tcp://h:70000"`},
		{"url: a path", url("udp://h:1/x"), `f:6: collectors[0].url: want nothing but host and port behind udp://, got "udp://h:1/x"`},
		{"url: no file", url("'file:'"), `f:6: collectors[0].url: want a path, like file:/var/lib/flow2ipfix/flows.ipfix, got "file:"`},
		{"tls for udp", collector("tls: {ca_file: ca.pem}"), `f:7: collectors[0].tls.ca_file: not used by udp://127.0.0.1:4739; want url: tls://… or dtls://…, or no ca_file, got "ca.pem"`},
		{"tls: no key", url("tls://h:1\n    tls: {cert_file: c}"), "f:7: collectors[0].tls.key_file: missing; want the key of cert_file"},
		{"tls: no certificate", url("tls://h:1\n    tls: {key_file: k}"), "f:7: collectors[0].tls.cert_file: missing; want the certificate of key_file"},
		{"tls: version", url("tls://h:1\n    tls: {min_version: 1.1}"), "f:7: collectors[0].tls.min_version: want 1.2 or 1.3, got 1.1"},
		{"dtls: version", url("dtls://h:1\n    tls: {min_version: 1.3}"), `f:7: collectors[0].tls.min_version: want 1.2, which is all that dtls:// has, got "1.3"`},
		{"local address", collector("local_address: eth0"), `f:7: collectors[0].local_address: want an IP address of this machine, like 192.0.2.1, got "eth0"`},
		{"local address of a file", url("file:x\n    local_address: 192.0.2.1"), `f:7: collectors[0].local_address: not used by file:x; leave it out, got "192.0.2.1"`},

		{"interfaces", with("interfaces:\n- {mac: 000D3A12345}\n- {mac: web}\n- {name: x}\n- {mac: ''}\n- {mac: 000D3A123456, index: -1}\n"), `f:8: interfaces[0].mac: want 12 hexadecimal digits, like 000D3A123456, got "000D3A12345"
f:9: interfaces[1].mac: want 12 hexadecimal digits, like 000D3A123456, got "web"
f:10: interfaces[2].mac: missing; want 12 hexadecimal digits, like 000D3A123456
f:11: interfaces[3].mac: want 12 hexadecimal digits, like 000D3A123456, got ""
f:12: interfaces[4].index: want a number from 0 to 2147483647, got -1`},
		{"interfaces twice", with("interfaces:\n- {mac: 000D3A123456, index: 7}\n- {mac: '00:0d:3a:12:34:56'}\n- {mac: 000D3A123457, index: 7}\n"), `f:9: interfaces[1].mac: interfaces[0].mac has it already; want one entry for an interface, got "000D3A123456"
f:10: interfaces[2].index: interfaces[0].index has it already; want an index for each interface, got 7`},
		{"a long value", with("start: '" + strings.Repeat("é", 100) + "'"), `f:7: start: want now, earliest, a duration like 24h or a time like 2026-11-20T00:00:00Z, got "` + strings.Repeat("é", 80) + `…"`},
		{"through an alias", with("log: &l {level: loud}\nconvert: *l\n"), "f:7: convert.level: unknown key here; it belongs into log\n" + `f:7: log.level: want debug, info, warn or error, got "loud"`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, got := loadText(t, tc.text)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.text, diff)
			}
			if strings.Contains(got, "SECRET") {
				t.Error("a secret is shown")
			}
		})
	}
}

func TestFileErrors(t *testing.T) {
	for file, want := range map[string]string{
		"/nowhere/f": "/nowhere/f: no such file or directory",
		"/":          "/: is a directory",
		"/dev/zero":  "/dev/zero: want a file of at most 1048576 bytes",
	} {
		if _, err := Load(file, nil); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
