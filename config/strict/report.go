package strict

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// KeyError is one thing that is wrong.
type KeyError struct {
	File  string // empty if it is not about the file
	Line  int    // in File; 0 if it is about the file as a whole
	Env   string // the environment variable that it is about, if it is
	Key   string // sources[0].azure.account_url; empty if it is about no key
	Value string // what stands there, for people; empty if nothing does, or a secret
	Text  string // what to write instead
}

func (e KeyError) Error() string {
	var b strings.Builder
	switch {
	case e.Env != "":
		b.WriteString(e.Env + ": ")
	case e.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", e.File, e.Line)
	case e.File != "":
		b.WriteString(e.File + ": ")
	}
	if e.Key != "" && e.Env == "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Text)
	if e.Value != "" {
		b.WriteString(", got " + e.Value)
	}
	return b.String()
}

// Errors is all that is wrong, in the order of the file.
type Errors []KeyError

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// Report gathers what is wrong, and knows where keys stand.
type Report struct {
	file  string
	root  reflect.Type
	lines map[string]int    // by key path
	env   map[string]string // variables, by key path
	said  map[string]bool   // by key path: one error is enough
	errs  Errors
}

func newReport(file string) *Report {
	return &Report{file: file, lines: map[string]int{}, env: map[string]string{}, said: map[string]bool{}}
}

// raw is a value that is shown without quotes.
type raw string

// Fail says what is wrong with a key, unless something was said of it already. A
// got that is not nil is the value that stands there; a secret is not shown.
func (r *Report) Fail(path string, got any, format string, args ...any) {
	r.failAt(path, r.line(path), got, format, args...)
}

func (r *Report) failAt(path string, line int, got any, format string, args ...any) {
	if path != "" && r.said[path] {
		return
	}
	r.said[path] = true
	e := KeyError{File: r.file, Line: line, Key: path, Text: fmt.Sprintf(format, args...)}
	if env := r.env[path]; env != "" {
		e.File, e.Line, e.Env = "", 0, env
	}
	switch got := got.(type) {
	case nil:
	case string:
		e.Value = strconv.Quote(cut(got))
	default:
		e.Value = cut(fmt.Sprint(got))
	}
	r.errs = append(r.errs, e)
}

// cut shortens what is too long to be read.
func cut(text string) string {
	const most = 80
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

// Said reports whether something was wrong with a key, or with what it stands in.
func (r *Report) Said(path string) bool {
	for ; path != ""; path = parent(path) {
		if r.said[path] {
			return true
		}
	}
	return false
}

// line returns where a key stands, or what it would stand in.
func (r *Report) line(path string) int {
	for ; path != ""; path = parent(path) {
		if line := r.lines[path]; line > 0 {
			return line
		}
	}
	return 0
}

func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// Err returns all that was said as Errors, those of the environment last; nil if
// nothing was.
func (r *Report) Err() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b KeyError) int {
		if a.Env != "" || b.Env != "" {
			return strings.Compare(a.Env, b.Env)
		}
		return a.Line - b.Line
	})
	return r.errs
}

// OrList writes "a, b or c".
func OrList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
