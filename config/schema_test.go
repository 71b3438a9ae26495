package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const example = "../examples/flow2ipfix.yaml"

func readExample(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestExampleIsDefault: what stands in the example is what holds without it.
func TestExampleIsDefault(t *testing.T) {
	cfg, err := Load(example, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := defaultsWith(
		Source{Name: "prod", Azure: &Azure{AccountURL: "https://nocflowlogs.blob.core.windows.net", Credential: "managed_identity"}},
		Collector{Name: "noc", URL: "udp://127.0.0.1:4739"},
	)
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-default +example):\n%s", diff)
	}
}

var switchedOff = regexp.MustCompile(`(?m)^( *)#([^ \n])`)

// TestExampleHasEveryKey, and what is switched off in it has its default, too.
func TestExampleHasEveryKey(t *testing.T) {
	values := map[string]string{}
	var collect func(n *yaml.Node, path string)
	collect = func(n *yaml.Node, path string) {
		switch n.Kind {
		case yaml.DocumentNode:
			collect(n.Content[0], path)
		case yaml.SequenceNode:
			for _, c := range n.Content {
				collect(c, path+"[]")
			}
		case yaml.MappingNode:
			for i := 0; i < len(n.Content); i += 2 {
				at := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
				values[at] = n.Content[i+1].Value
				collect(n.Content[i+1], at)
			}
		}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(switchedOff.ReplaceAllString(readExample(t), "$1$2")), &doc); err != nil {
		t.Fatal(err)
	}
	collect(&doc, "")
	known := map[string]bool{}
	for _, k := range Keys() {
		known[k.Path] = true
		value, ok := values[k.Path]
		switch {
		case !ok:
			t.Errorf("%s is not in the example", k.Path)
		case k.Default != "" && k.Type != "list" && value != k.Default && k.Path != "interfaces[].index":
			t.Errorf("%s is %q in the example, its default is %q", k.Path, value, k.Default)
		}
	}
	for path := range values {
		if !known[path] {
			t.Errorf("%s is in the example, but is no key", path)
		}
	}
}

// TestKeys: each is described, and has one variable at most.
func TestKeys(t *testing.T) {
	envs := map[string]string{}
	for _, k := range Keys() {
		if !strings.HasSuffix(k.Doc, ".") || k.Doc[:1] == strings.ToLower(k.Doc[:1]) && !strings.HasPrefix(k.Doc, "text") && !strings.HasPrefix(k.Doc, "required:") {
			t.Errorf("%s: %q is not a sentence", k.Path, k.Doc)
		}
		if strings.Contains(k.Path, "[]") != (k.Env == "") && k.Type != "list" && k.Type != "mapping" {
			t.Errorf("%s has the variable %q", k.Path, k.Env)
		}
		if k.Env != "" && envs[k.Env] != "" {
			t.Errorf("%s and %s have one variable", k.Path, envs[k.Env])
		}
		envs[k.Env] = k.Path
	}
	i := slices.IndexFunc(Keys(), func(k Key) bool { return k.Path == "convert.begin" })
	want := Key{
		Path: "convert.begin", Env: "FLOW2IPFIX_CONVERT_BEGIN", Type: "text", Default: "skip", Enum: []string{"skip", "export"},
		Doc: "Flows that only began (state B): they have no counters yet.",
	}
	if diff := cmp.Diff(want, Keys()[i]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func schema(t *testing.T) map[string]any {
	t.Helper()
	var b bytes.Buffer
	if err := Schema(&b); err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", s["$schema"])
	}
	return s
}

// TestSchema: files with nothing wrong fit the schema, others do not.
func TestSchema(t *testing.T) {
	s := schema(t)
	for _, text := range []string{readExample(t), whole, azure, everything} {
		if problems := fits(s, toJSON(t, text), ""); len(problems) > 0 {
			t.Errorf("%s\n%s", text, strings.Join(problems, "\n"))
		}
	}
	for text, want := range map[string]string{
		"":                                     "/: no sources",
		whole + "colour: red":                  "/: no property colour",
		whole + "hour_grace: 5":                "/hour_grace: type",
		whole + "hour_grace: '5'":              "/hour_grace: pattern",
		whole + "start: yesterday":             "/start: anyOf",
		whole + "log: {level: loud}":           "/log/level: enum",
		whole + "    rate: -1":                 "/collectors/0/rate: anyOf",
		whole + "    rate: 1.5":                "/collectors/0/rate: anyOf",
		whole + "    rate: fast":               "/collectors/0/rate: anyOf",
		whole + "    preset: ntop":             "/collectors/0/preset: enum",
		whole + "    options: [vrf]":           "/collectors/0/options/0: enum",
		whole + "    options: vrfs":            "/collectors/0/options: type",
		whole + "    max_message_records: 0":   "/collectors/0/max_message_records: minimum",
		whole + "    max_message_records: 1.5": "/collectors/0/max_message_records: type",
		whole + "    enterprise: {number: -1}": "/collectors/0/enterprise/number: minimum",
		whole + "targets: [{name: x}]":         "/targets/0: no resource",
		whole + "    url: [x]":                 "/collectors/0/url: type",
		whole + "state_dir: ''":                "/state_dir: minLength",
		"sources: []\ncollectors: []":          "/sources: minItems",
		strings.Replace(azure, "    azure", "    directory: {path: x}\n    azure", 1):             "/sources/0: oneOf",
		strings.Replace(whole, "    directory: {path: /srv/flowlogs}\n", "", 1):                   "/sources/0: oneOf",
		whole + "interfaces: [{mac: 12, index: 1}, {mac: x}]":                                     "/interfaces/1/mac: pattern",
		whole + "convert: {observation_domain: -1}":                                               "/convert/observation_domain: anyOf",
		strings.Replace(azure, "managed_identity", "sas\n      sas_token: [x]", 1):                "/sources/0/azure/sas_token: type",
		strings.Replace(azure, "managed_identity", "managed_identity\n      readers: 1000", 1):    "/sources/0/azure/readers: maximum",
		strings.Replace(azure, "managed_identity", "managed_identity\n      containers: ['']", 1): "/sources/0/azure/containers/0: minLength",
	} {
		text = strings.Replace(text, "    url: udp://127.0.0.1:4739\n    url:", "    url:", 1)
		if problems := fits(s, toJSON(t, text), ""); !slices.Contains(problems, want) {
			t.Errorf("%s\nwant %s, got %q", text, want, problems)
		}
	}
}

func toJSON(t *testing.T, text string) any {
	t.Helper()
	v := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	// A time is a text to JSON, and numbers are float64.
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var j any
	if err := json.Unmarshal(b, &j); err != nil {
		t.Fatal(err)
	}
	return j
}

// fits says where a value does not fit a schema, as far as our schemas go: a
// keyword that it does not know is a problem as well.
func fits(s map[string]any, v any, at string) []string {
	var problems []string
	bad := func(what string) { problems = append(problems, fmt.Sprintf("%s: %s", cmpOr(at, "/"), what)) }
	object, isObject := v.(map[string]any)
	list, isList := v.([]any)
	text, isText := v.(string)
	number, isNumber := v.(float64)
	for _, word := range sortedKeys(s) {
		switch want := s[word]; word {
		case "$schema", "title", "description", "default":
		case "type":
			types, several := want.([]any)
			if !several {
				types = []any{want}
			}
			if !slices.ContainsFunc(types, func(t any) bool {
				switch t {
				case "object":
					return isObject
				case "array":
					return isList
				case "boolean":
					_, is := v.(bool)
					return is
				case "string":
					return isText
				case "number":
					return isNumber
				case "integer":
					return isNumber && number == math.Trunc(number)
				case "null":
					return v == nil
				}
				return false
			}) {
				bad("type")
			}
		case "enum":
			if !slices.ContainsFunc(want.([]any), func(e any) bool { return reflect.DeepEqual(e, v) }) {
				bad("enum")
			}
		case "const":
			if !reflect.DeepEqual(want, v) {
				bad("const")
			}
		case "pattern":
			if isText && !regexp.MustCompile(want.(string)).MatchString(text) {
				bad("pattern")
			}
		case "minLength":
			if isText && float64(len(text)) < want.(float64) {
				bad("minLength")
			}
		case "minimum":
			if isNumber && number < want.(float64) {
				bad("minimum")
			}
		case "maximum":
			if isNumber && number > want.(float64) {
				bad("maximum")
			}
		case "minItems":
			if isList && float64(len(list)) < want.(float64) {
				bad("minItems")
			}
		case "items":
			for i, e := range list {
				problems = append(problems, fits(want.(map[string]any), e, fmt.Sprintf("%s/%d", at, i))...)
			}
		case "required":
			for _, key := range want.([]any) {
				if _, ok := object[key.(string)]; isObject && !ok {
					bad("no " + key.(string))
				}
			}
		case "properties":
			for _, key := range sortedKeys(object) {
				if p, ok := want.(map[string]any)[key]; ok {
					problems = append(problems, fits(p.(map[string]any), object[key], at+"/"+key)...)
				} else if s["additionalProperties"] == false {
					bad("no property " + key)
				}
			}
		case "additionalProperties": // with properties
		case "oneOf", "anyOf":
			fit := 0
			for _, one := range want.([]any) {
				if len(fits(one.(map[string]any), v, at)) == 0 {
					fit++
				}
			}
			if fit == 0 || word == "oneOf" && fit > 1 {
				bad(word)
			}
		default:
			bad("the schema has a word that this test does not know: " + word)
		}
	}
	return problems
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
