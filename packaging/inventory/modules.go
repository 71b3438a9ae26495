package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

// module is one that a binary was linked from.
type module struct {
	path, version string
	sum           string   // as in go.sum: h1: and the SHA-256 of what is in it
	licences      []string // by their SPDX names; all of them hold
	texts         []text
}

// text is a file of a module that says what holds for it.
type text struct{ name, content string }

// stdlib is what Go's own library is called.
const stdlib = "std"

// modulesOf returns the modules of a binary, with Go's library first. They must
// lie in the module cache, where the build has put them. A licence that is not
// known here is an error: somebody has to read it.
func modulesOf(info *debug.BuildInfo) ([]module, error) {
	root, err := goCommand("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	all := []module{{path: stdlib, version: strings.TrimPrefix(info.GoVersion, "go")}}
	folders := []string{strings.TrimSpace(string(root))}
	args := []string{"mod", "download", "-json"}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return nil, fmt.Errorf("module %s is replaced by %s: release what go.mod names", m.Path, m.Replace.Path)
		}
		all = append(all, module{path: m.Path, version: m.Version, sum: m.Sum})
		args = append(args, m.Path+"@"+m.Version)
	}
	if len(info.Deps) > 0 {
		out, err := goCommand(args...)
		if err != nil {
			return nil, err
		}
		d := json.NewDecoder(bytes.NewReader(out))
		for i := range info.Deps {
			var m struct{ Path, Dir, Sum string }
			if err := d.Decode(&m); err != nil {
				return nil, fmt.Errorf("find modules: %w", err)
			}
			if m.Path != info.Deps[i].Path || m.Sum != info.Deps[i].Sum {
				return nil, fmt.Errorf("find modules: got %s %s, want %s %s", m.Path, m.Sum, info.Deps[i].Path, info.Deps[i].Sum)
			}
			folders = append(folders, m.Dir)
		}
	}
	var unknown []error
	for i := range all {
		if err := all[i].readTexts(folders[i]); err != nil {
			unknown = append(unknown, err)
		}
	}
	return all, errors.Join(unknown...)
}

func goCommand(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", args[0], err)
	}
	return out, nil
}

// readTexts reads the licence and what else is to be passed on.
func (m *module) readTexts(folder string) error {
	entries, err := os.ReadDir(folder) // sorted
	if err != nil {
		return fmt.Errorf("module %s: %w", m.path, err)
	}
	for _, e := range entries {
		stem := strings.TrimSuffix(strings.ToUpper(e.Name()), strings.ToUpper(filepath.Ext(e.Name())))
		if e.IsDir() || stem != "LICENSE" && stem != "LICENCE" && stem != "COPYING" && stem != "NOTICE" && stem != "PATENTS" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			return fmt.Errorf("module %s: %w", m.path, err)
		}
		m.texts = append(m.texts, text{e.Name(), string(content)})
		for _, l := range licencesOf(string(content)) {
			if !slices.Contains(m.licences, l) {
				m.licences = append(m.licences, l)
			}
		}
	}
	if len(m.licences) == 0 {
		return fmt.Errorf("module %s: its licence is not known; read what is in %s, and teach packaging/inventory", m.path, folder)
	}
	return nil
}

// known are licences, and words that each of them has.
var known = []struct {
	id    string
	words []string
}{
	{"Apache-2.0", []string{"Apache License Version 2.0"}},
	{"MPL-2.0", []string{"Mozilla Public License Version 2.0"}},
	{"MIT", []string{"Permission is hereby granted, free of charge, to any person obtaining a copy"}},
	{"ISC", []string{"Permission to use, copy, modify, and/or distribute this software for any purpose"}},
	{"BSD-3-Clause", []string{"Redistribution and use in source and binary forms", "Neither the name"}},
	{"BSD-2-Clause", []string{"Redistribution and use in source and binary forms"}},
}

// licencesOf returns the SPDX names of the licences in a file, by their words.
func licencesOf(content string) []string {
	words := strings.Join(strings.Fields(content), " ")
	var found []string
	for _, l := range known {
		missing := slices.ContainsFunc(l.words, func(part string) bool { return !strings.Contains(words, part) })
		if !missing && (l.id != "BSD-2-Clause" || !slices.Contains(found, "BSD-3-Clause")) {
			found = append(found, l.id)
		}
	}
	return found
}

const noticesIntro = `flow2ipfix is under the Apache License, version 2.0. The program holds the
following modules of others; what their licences ask to be passed on follows.
`

// writeNotices writes the licences and notices of modules.
func writeNotices(out io.Writer, modules []module) error {
	var b strings.Builder
	b.WriteString(noticesIntro + "\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "  %s %s: %s\n", m.title(), m.version, m.expression())
	}
	for _, m := range modules {
		for _, t := range m.texts {
			head := fmt.Sprintf("%s %s: %s", m.title(), m.version, t.name)
			fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", head, strings.Repeat("=", len(head)), strings.TrimRight(t.content, "\n"))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// expression is what holds, in the language of SPDX.
func (m *module) expression() string { return strings.Join(m.licences, " AND ") }

func (m *module) title() string {
	if m.path == stdlib {
		return "Go's standard library"
	}
	return m.path
}
