package interop

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"flow2ipfix/test/interop/show"
)

// behaviours says of each collector what it shows. Whoever changes a row has seen
// the collector do it: the test fails if it does anything else.
var behaviours = map[string]*behaviour{
	"nfcapd": {
		fates: map[string]fates{
			ipfix: basic.with(exact, device).with(exact, times...).with(exact, macs...).with(exact, vrfs...).with(exact, reverse...).
				with(exact, domain, "flowDirection", "observationPointId").
				with(lost("0 whatever was sent", "0"), "forwardingStatus"),
			netflow9: basic.with(exact, device).with(exact, times...).with(exact, macs...).with(exact, vrfs...).
				with(exact, domain, "flowDirection", "forwardingStatus", "firewallEvent").
				with(exact.noted("its low 32 bits"), "flowId"),
			netflow5: basic.with(exact, device).with(exact, times...).with(exact, domain),
		},
		options: map[string]map[string]optionFate{
			ipfix: {"interfaces": ofNfdump, "vrfs": ofNfdump},
			netflow9: {
				"interfaces": nfdumpNames(func(string) bool { return true }, "the description; with preset nfdump the name before it: "+nfdumpTokens),
				"vrfs":       nfdumpNames(func(string) bool { return true }, nfdumpTokens),
			},
		},
		complaints: []complaint{{
			says: "Sequence ", note: "counts sequence failures: it does not count options data records, as RFC 7011 wants it to",
			of: func(v *variant) bool { return len(v.options) > 0 && v.protocol == ipfix },
		}},
	},
	"nfacctd": {
		fates: map[string]fates{
			ipfix: basic.with(exact, device).with(exact, times...).with(exact, macs...).with(exact, domain).
				with(mapped, vrfs...).with(mapped, reverse...).
				with(mapped, codes...).with(mapped, biflow).with(mapped.noted("not taken for the device, `peer_ip_src`"), "exporterIPv4Address").
				with(lost("empty, if the length is variable", ""), names...).
				with(mapped, ownNames...).with(mapped.noted("a text that fills its fixed length is not ended: the next primitive follows it"), ownTexts...),
			netflow9: basic.with(exact, device).with(differs("whole seconds, rounded up", upToSeconds), times...).with(exact, macs...).with(exact, domain).
				with(mapped, vrfs...).with(mapped, codes...).with(mapped.noted("not taken for the device, `peer_ip_src`"), "exporterIPv4Address").with(mapped, names...),
			netflow5: basic.with(exact, device).with(differs("whole seconds, rounded up", upToSeconds), times...).
				with(differs("the low 8 bits", lowOctet), domain),
		},
		finish: func(got, _ show.Record, v *variant) {
			for _, name := range ownTexts {
				if text := got[name]; v.stringOctets > 0 && len(text) == v.stringOctets {
					got[name] = text + "…"
				}
			}
		},
		options: map[string]map[string]optionFate{
			ipfix:    {"interfaces": withDomain(accounted), "vrfs": withDomain(accounted), "sampling": withDomain(accounted)},
			netflow9: {"interfaces": withDomain(accounted), "vrfs": withDomain(accounted), "sampling": withDomain(accounted)},
		},
		complaints: []complaint{{
			says: "nfacctd_account_options is enabled but pre_tag_map does not contain a sample_type rule",
			of:   hasOptions("interfaces", "vrfs", "sampling"),
		}},
	},
	"goflow2": {
		fates: map[string]fates{
			ipfix: basic.with(exact, device).with(exact, times...).with(exact, macs...).with(mapped, codes...).with(mapped, vrfs...).with(mapped, reverse...).
				with(exact, domain, "forwardingStatus", "observationPointId").with(mapped, biflow).
				with(mapped.noted("in hexadecimal digits"), "exporterIPv4Address").
				with(differs("in hexadecimal digits", hexOf), names...).with(differs("in hexadecimal digits", hexOf), ownTexts...).with(mapped, ownCodes...),
			netflow9: basic.with(exact, device).with(exact, times...).with(exact, macs...).with(mapped, codes...).with(mapped, vrfs...).
				with(exact, domain, "forwardingStatus", "observationPointId").
				with(mapped.noted("in hexadecimal digits"), "exporterIPv4Address").
				with(differs("in hexadecimal digits, with the padding", padded), names...),
			netflow5: basic.with(exact, device).with(exact, times...).with(exact.noted("as `sampling_rate`"), "samplingInterval"),
		},
		inFlows: func(got show.Record, v *variant) {
			if slices.Contains(v.options, "sampling") {
				got["sampling_rate"] = "1"
			}
		},
		finish: func(got, _ show.Record, v *variant) {
			for _, name := range ownTexts {
				if text, ok := got[name]; ok && v.stringOctets > 0 {
					got[name] = text + strings.Repeat("00", v.stringOctets-len(text)/2)
				}
			}
		},
	},
	"telegraf": {
		fates: map[string]fates{
			ipfix: basic.with(exact, device).with(exact, times...).with(exact, macs...).with(exact, vrfs...).with(exact, codes...).with(exact, names...).
				with(exact, biflow, "exporterIPv4Address").with(mapped, reverse...).with(mapped, ownNames...),
			netflow9: basic.with(exact, device).with(exact, macs...).with(exact, vrfs...).with(exact, codes...).with(exact, names...).
				with(exact, "exporterIPv4Address").
				with(fate{mark: markOther, note: "milliseconds since a start of the system that it does not tell: only how long the flow took", tell: tookOnly}, times...),
			netflow5: basic.with(exact, device).with(exact.noted("to be worked out from `sys_uptime`"), times...).with(exact.noted("`engine_type` and `engine_id`"), domain).
				with(exact, "samplingInterval"),
		},
		options: map[string]map[string]optionFate{
			ipfix: {
				"interfaces": metrics, "vrfs": metrics, "sampling": metrics, "statistics": metrics, "flow_keys": metrics,
				"types": otherwise(markOther, "numbers of elements for names, values in hexadecimal digits", numbered),
			},
			netflow9: {"interfaces": scoped, "vrfs": scoped, "sampling": scoped, "statistics": scoped},
		},
	},
	"tshark": {
		fates: map[string]fates{
			ipfix: basic.with(exact, times...).with(exact, macs...).with(exact, vrfs...).with(exact, codes...).with(exact, domain, biflow, "exporterIPv4Address").
				with(exact, names...).with(exact.noted("the same name twice in JSON: use `--no-duplicate-keys`"), reverse...).
				with(exact.noted("octets without a name, in their order; empty texts are left out"), ownNames...),
			netflow9: basic.with(exact, times...).with(exact, macs...).with(exact, vrfs...).with(exact, codes...).with(exact, domain, "exporterIPv4Address").
				with(exact, names...),
			netflow5: basic.with(exact, times...).with(exact, domain, "samplingInterval"),
		},
		options: map[string]map[string]optionFate{
			ipfix:    {"interfaces": wholly, "vrfs": wholly, "sampling": wholly, "statistics": wholly, "flow_keys": wholly, "types": wholly},
			netflow9: {"interfaces": wholly, "vrfs": wholly, "sampling": wholly, "statistics": wholly},
		},
		finish: leftOut,
	},
	"go-ipfix": {
		fates: map[string]fates{
			ipfix: basic.with(exact, times...).with(exact, macs...).with(exact, vrfs...).with(exact, codes...).with(exact, reverse...).
				with(exact, domain, biflow, "exporterIPv4Address").with(exact, names...).with(exact.noted("octets; the type is not known to it"), ownNames...),
		},
	},
}

// nfdumpTokens is how nfdump prints names.
const nfdumpTokens = "`-o raw`, or `%inam`, `%onam`, `%ivrfnam`, `%evrfnam`"

// ofNfdump is what nfdump shows where the preset sees to it that it can.
var ofNfdump = nfdumpNames(func(preset string) bool { return preset == "nfdump" }, "with preset nfdump: "+nfdumpTokens)

// nfdumpNames shows names beside the numbers that they are of.
func nfdumpNames(can func(preset string) bool, note string) optionFate {
	return optionFate{mark: markExact, note: note, tell: func(o option) show.Record {
		if !can(o.preset) {
			return nil
		}
		r := maps.Clone(o.record)
		delete(r, domain)
		delete(r, "interfaceName")
		return r
	}}
}

// What nfacctd has to be told.
const accounted = "with `nfacctd_account_options` and primitives, as records of their own"

// withDomain shows the observation domain, which nfacctd has of every record.
func withDomain(note string) optionFate {
	return otherwise(markMapped, note, func(r show.Record, o option) { r[domain] = o.domain })
}

// metrics are what Telegraf makes of options data records.
var metrics = optionFate{mark: markExact, note: "as metrics of their own, `netflow_options`", tell: wholly.tell}

// scoped is what Telegraf makes of them in NetFlow version 9, where it takes the
// number of a scope for that of an element.
var scoped = otherwise(markOther, "as metrics of their own, with the scope, the source id, under `in_bytes`", func(r show.Record, _ option) {
	r["octetDeltaCount"] = r[domain]
	delete(r, domain)
})

// numbered is what Telegraf makes of elements that it does not know.
func numbered(r show.Record, _ option) {
	pen, _ := strconv.Atoi(r["privateEnterpriseNumber"])
	kind, _ := strconv.Atoi(r["informationElementDataType"])
	semantics, _ := strconv.Atoi(r["informationElementSemantics"])
	for name, field := range map[string]string{
		"privateEnterpriseNumber": fmt.Sprintf("346 0x%08x", pen), "informationElementDataType": fmt.Sprintf("339 0x%02x", kind),
		"informationElementSemantics": fmt.Sprintf("344 0x%02x", semantics), "informationElementName": "341 0x" + hexOf(r["informationElementName"]),
	} {
		delete(r, name)
		id, value, _ := strings.Cut(field, " ")
		r["telegraf type_"+id] = value
	}
}

// padded is a text of 64 octets in hexadecimal digits.
func padded(want string) string { return hexOf(want) + strings.Repeat("00", nameOctets-len(want)) }

// tookOnly tells how long a flow took.
func tookOnly(got, want show.Record, _ string) {
	start, err := strconv.ParseInt(want["flowStartMilliseconds"], 10, 64)
	end, err2 := strconv.ParseInt(want["flowEndMilliseconds"], 10, 64)
	got["last_switched - first_switched"] = fmt.Sprint(end-start, err, err2)
	if err == nil && err2 == nil {
		got["last_switched - first_switched"] = strconv.FormatInt(end-start, 10)
	}
}

// leftOut tells what tshark does where an enterprise element is empty: nobody can
// say then which are those that it shows.
func leftOut(got, want show.Record, v *variant) {
	count, empty := 0, false
	for _, name := range ownNames {
		if value, ok := want[name]; ok && value != "" {
			count++
		} else if ok {
			empty = true
		}
	}
	if !empty || v.stringOctets > 0 {
		return
	}
	for _, name := range ownNames {
		delete(got, name)
	}
	got["enterprise values"] = strconv.Itoa(count)
}
