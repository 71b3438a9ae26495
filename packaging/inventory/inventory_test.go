package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

const mit = `Copyright (c) 2020 Somebody

Permission is hereby granted, free of charge, to any person obtaining
a copy of this software`

const bsd = `Redistribution and use in source and binary forms, with or without
modification, are permitted provided that`

func TestLicencesOf(t *testing.T) {
	for _, tc := range []struct {
		content string
		want    []string
	}{
		{mit, []string{"MIT"}},
		{bsd, []string{"BSD-2-Clause"}},
		{bsd + "\n  * Neither the\n name of Google", []string{"BSD-3-Clause"}},
		{"   Apache License\n   Version 2.0, January 2004", []string{"Apache-2.0"}},
		{"Apache License\nVersion 2.0\n\n" + mit, []string{"Apache-2.0", "MIT"}},
		{"Mozilla Public License Version 2.0", []string{"MPL-2.0"}},
		{"All rights reserved.", nil},
		{"", nil},
	} {
		if got := licencesOf(tc.content); !slices.Equal(got, tc.want) {
			t.Errorf("%q: got %q, want %q", tc.content, got, tc.want)
		}
	}
}

// TestReadTexts: a module without a licence that is known cannot be released.
func TestReadTexts(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"LICENSE.txt": mit, "NOTICE": "a notice", "license_test.go": "package x", "README.md": bsd} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := module{path: "example.com/m", version: "v1.0.0"}
	if err := m.readTexts(folder); err != nil {
		t.Fatal(err)
	}
	if m.expression() != "MIT" || len(m.texts) != 2 || m.texts[0].name != "LICENSE.txt" || m.texts[1].content != "a notice" {
		t.Errorf("got %s, %+v", m.expression(), m.texts)
	}
	var b bytes.Buffer
	if err := writeNotices(&b, []module{m}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  example.com/m v1.0.0: MIT\n", "\nexample.com/m v1.0.0: LICENSE.txt\n", mit, "a notice"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing: %s", want, b.String())
		}
	}
	if err := os.Remove(filepath.Join(folder, "LICENSE.txt")); err != nil {
		t.Fatal(err)
	}
	unknown := module{path: "example.com/m"}
	if err := unknown.readTexts(folder); err == nil || !strings.Contains(err.Error(), "example.com/m: its licence is not known") {
		t.Errorf("got %v", err)
	}
}

func TestSBOM(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Path: "flow2ipfix"}, Settings: []debug.BuildSetting{{Key: "GOARCH", Value: "arm64"}, {Key: "-trimpath", Value: "true"}}}
	modules := []module{
		{path: stdlib, version: "1.26.8", licences: []string{"BSD-3-Clause"}},
		{path: "example.com/m", version: "v1.0.0+incompatible", sum: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", licences: []string{"MIT"}},
	}
	write := func(version string) string {
		t.Helper()
		var b bytes.Buffer
		if err := writeSBOM(&b, []byte("binary"), info, modules, version, time.Unix(1790000000, 0).UTC()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	got := write("1.0.0")
	for _, want := range []string{
		`"bom-ref": "pkg:golang/flow2ipfix@1.0.0"`, `"2026-09-21T14:13:20Z"`, `"flow2ipfix:build:GOARCH"`,
		`"purl": "pkg:golang/example.com/m@v1.0.0%2Bincompatible"`, `"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"`, `"expression": "MIT"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing: %s", want, got)
		}
	}
	if strings.Contains(got, "trimpath") {
		t.Errorf("it says how it was built, too: %s", got)
	}
	serial := func(s string) string { _, s, _ = strings.Cut(s, "urn:uuid:"); return s[:36] }
	if got != write("1.0.0") || serial(got) == serial(write("1.0.1")) {
		t.Error("the same has another serial number, or something else has the same")
	}
	if err := writeSBOM(&bytes.Buffer{}, nil, info, modules, "", time.Time{}); err == nil {
		t.Error("no version is taken")
	}
	modules[1].sum = "h1:*"
	if err := writeSBOM(&bytes.Buffer{}, nil, info, modules, "1", time.Time{}); err == nil {
		t.Error("a sum that is none is taken")
	}
}

const changelog = `# Changelog

## Unreleased

### Added

- Something new, which takes more words to say than fit into one line of a
  Debian changelog.

## 1.0.0 (2026-01-02)

### Fixed

- A bug.
- Another.
`

func TestChangelog(t *testing.T) {
	date := time.Unix(1790000000, 0).UTC()
	for _, tc := range []struct{ form, version, want string }{
		{"deb", "1.0.0-1", "flow2ipfix (1.0.0-1) stable; urgency=medium\n\n  * Fixed: A bug.\n  * Fixed: Another.\n\n -- a <a@example.com>  Mon, 21 Sep 2026 14:13:20 +0000\n"},
		{"deb", "1.0.0+3.gabc-1", "flow2ipfix (1.0.0+3.gabc-1) stable; urgency=medium\n\n  * Added: Something new, which takes more words to say than fit into one line\n    of a Debian changelog.\n\n -- a <a@example.com>  Mon, 21 Sep 2026 14:13:20 +0000\n"},
		{"nfpm", "1.0.0-1", `[{"semver":"1.0.0-1","date":"2026-09-21T14:13:20Z","packager":"a \u003ca@example.com\u003e","changes":[{"note":"Fixed: A bug."},{"note":"Fixed: Another."}]}]` + "\n"},
	} {
		var b bytes.Buffer
		if err := writeChangelog(&b, changelog, tc.form, tc.version, "a <a@example.com>", date); err != nil || b.String() != tc.want {
			t.Errorf("%s %s: got %q, %v, want %q", tc.form, tc.version, b.String(), err, tc.want)
		}
	}
	for _, tc := range []struct{ changes, form, version, maintainer string }{
		{changelog, "deb", "", "a"},
		{changelog, "deb", "1", ""},
		{changelog, "x", "1", "a"},
		{"# Changelog\n", "deb", "1", "a"},
	} {
		if err := writeChangelog(&bytes.Buffer{}, tc.changes, tc.form, tc.version, tc.maintainer, date); err == nil {
			t.Errorf("%+v is taken", tc)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{nil, {"sbom"}, {"x", "y"}, {"changelog", "-x", "y"}, {"sbom", "inventory_test.go"}, {"notices", "nothing"}, {"changelog", "nothing"}} {
		if err := run(args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}
