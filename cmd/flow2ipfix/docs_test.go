package main

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"flow2ipfix/config"
)

// documents are what people read, beginning at the root.
func documents(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 8 {
		t.Fatalf("found only %q", files)
	}
	return files
}

// fenced is a block of a document.
type fenced struct {
	language, text string
	line           int // of its first line, from 1
}

func fencedBlocks(document string) (blocks []fenced) {
	var open *fenced
	for i, line := range strings.Split(document, "\n") {
		switch mark, isFence := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case isFence && open == nil:
			open = &fenced{language: mark, line: i + 2}
		case isFence:
			blocks, open = append(blocks, *open), nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return blocks
}

// TestDocumentsConfigurations: what documents show of a configuration is one that
// the program takes. A block that has only sources gets a collector, and the other
// way round; one that is followed by the errors that it makes makes those.
func TestDocumentsConfigurations(t *testing.T) {
	credentials := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	for name, content := range map[string]string{
		"client_secret": "x", "account_key": "eA==", "sas_token": "sv=2026-02-06&sp=rl&sig=x", "connection_string": "AccountName=a;AccountKey=eA==",
		"client.pem": "x", "prod_sas": "sv=2026-02-06&sp=rl&sig=x", "test_sas": "sv=2026-02-06&sp=rl&sig=x",
	} {
		if err := os.WriteFile(filepath.Join(credentials, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ours := map[string]bool{}
	for _, k := range config.Keys() {
		key, _, _ := strings.Cut(k.Path, ".")
		ours[strings.TrimSuffix(key, "[]")] = true
	}
	checked := 0
	for _, file := range documents(t) {
		document, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := fencedBlocks(string(document))
		for i, b := range blocks {
			var keys map[string]any
			if b.language != "yaml" || yaml.Unmarshal([]byte(b.text), &keys) != nil && !strings.Contains(b.text, "sources:") {
				continue
			}
			if !isOurs(keys, ours) {
				continue // another program's
			}
			checked++
			want := ""
			if i+1 < len(blocks) && strings.HasPrefix(blocks[i+1].text, "flow2ipfix: error: ") {
				want = blocks[i+1].text
			}
			t.Run(fmt.Sprintf("%s:%d", filepath.Base(file), b.line), func(t *testing.T) {
				if want != "" { // with nothing beside it
					t.Setenv("CREDENTIALS_DIRECTORY", "")
				}
				if got := checkSnippet(t, b.text, keys); got != want {
					t.Errorf("this configuration\n%s\nsays\n%s\nwant\n%s", b.text, got, want)
				}
			})
		}
	}
	if checked < 10 {
		t.Errorf("only %d configurations were found", checked)
	}
}

func isOurs(keys map[string]any, ours map[string]bool) bool {
	for key := range keys {
		if !ours[key] {
			return false
		}
	}
	return len(keys) > 0
}

// checkSnippet returns what config check says, if it is not content.
func checkSnippet(t *testing.T, text string, keys map[string]any) string {
	t.Helper()
	if keys["sources"] == nil {
		text += "sources: [{ name: a, directory: { path: /srv/flowlogs } }]\n"
	}
	if keys["collectors"] == nil {
		text += "collectors: [{ name: a, url: 'udp://192.0.2.1:4739' }]\n"
	}
	for _, name := range variable.FindAllStringSubmatch(text, -1) {
		t.Setenv(name[1], "eA==")
	}
	// What files hold is no business of a document's.
	text = absolute.ReplaceAllStringFunc(text, func(s string) string {
		path := filepath.Join(t.TempDir(), filepath.Base(s))
		if err := os.WriteFile(path, []byte("sig=eA=="), 0o600); err != nil {
			t.Fatal(err)
		}
		return strings.Replace(s, strings.TrimSpace(s[strings.Index(s, ":")+1:]), path, 1)
	})
	t.Chdir(t.TempDir())
	if err := os.WriteFile("flow2ipfix.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if run(t.Context(), []string{"config", "check", "--config", "flow2ipfix.yaml"}, nil, &stdout, &stderr) != exitOK {
		return stderr.String()
	}
	return ""
}

var (
	variable = regexp.MustCompile(`(?m)_env: (\w+)$`)
	absolute = regexp.MustCompile(`(?m)_file: /etc/[\w./-]+$`)
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	notWord  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestDocumentsLinks: what documents point to is there, down to the heading.
func TestDocumentsLinks(t *testing.T) {
	for _, file := range documents(t) {
		document, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(document)
		for _, b := range fencedBlocks(text) {
			text = strings.Replace(text, b.text, "", 1)
		}
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			if problem := follow(file, found[1]); problem != "" {
				t.Errorf("%s: (%s): %s", filepath.Base(file), found[1], problem)
			}
		}
	}
}

// follow says what is wrong with a link.
func follow(from, to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" {
		return ""
	}
	target := from
	if u.Path != "" {
		target = filepath.Join(filepath.Dir(from), u.Path)
	}
	content, err := os.ReadFile(target)
	if err != nil {
		if info, statErr := os.Stat(target); statErr == nil && info.IsDir() {
			return ""
		}
		return "no such file"
	}
	if u.Fragment == "" {
		return ""
	}
	var anchors []string
	for _, h := range heading.FindAllStringSubmatch(string(content), -1) {
		anchors = append(anchors, strings.ReplaceAll(notWord.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	if !slices.Contains(anchors, u.Fragment) {
		return fmt.Sprintf("no such heading; there are %s", strings.Join(anchors, ", "))
	}
	return ""
}

// commandLine is flow2ipfix as a document tells its reader to run it.
var commandLine = regexp.MustCompile(`(?m)^(?:sudo (?:-u flow2ipfix |env \S+ )?)?(?:bin/)?flow2ipfix ([^|>;&#\n]+)`)

// TestDocumentsCommands: the program knows the commands and flags that documents
// tell people to paste.
func TestDocumentsCommands(t *testing.T) {
	tried := 0
	for _, file := range documents(t) {
		document, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range fencedBlocks(string(document)) {
			if b.language != "sh" {
				continue
			}
			for _, found := range commandLine.FindAllStringSubmatch(strings.ReplaceAll(b.text, "\\\n", " "), -1) {
				tried++
				var out bytes.Buffer
				root := newRoot(newUI(&out, &out), nil)
				cmd, rest, err := root.Find(strings.Fields(found[1]))
				if err == nil {
					err = cmd.ParseFlags(rest)
				}
				if err == nil && !cmd.Runnable() {
					err = fmt.Errorf("%s is not a command", cmd.CommandPath())
				}
				if err != nil {
					t.Errorf("%s: flow2ipfix %s: %v", filepath.Base(file), found[1], err)
				}
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d commands were found", tried)
	}
}
