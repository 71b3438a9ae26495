package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/config"
)

func TestLogForTheJournal(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(newJournalHandler(&b, slog.LevelDebug))
	log.Debug("looks", "at", 3)
	log.Info("goes on")
	log.Warn("collector away", "collector", "noc", "reason", "two\nlines", slog.Group("more", "a", 1))
	log.With("source", "prod").WithGroup("g").Error("broken", "msg", "its own")
	want := "<7>looks at=3\n<6>goes on\n<4>collector away collector=noc reason=\"two\\nlines\" more.a=1\n<3>broken source=prod g.msg=\"its own\"\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestLogForms: the form follows the configuration, and auto follows where the log
// goes.
func TestLogForms(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	st, _ := info.Sys().(*syscall.Stat_t)
	own := fmt.Sprintf("%d:%d", st.Dev, st.Ino)
	for _, tc := range []struct{ format, stream, begins string }{
		{"auto", own, "<4>away hint=x\n"},
		{"auto", "", "time="},
		{"auto", fmt.Sprintf("%d:%d", st.Dev, st.Ino+1), "time="}, // standard error was put elsewhere
		{"auto", "nonsense", "time="},
		{"text", own, "time="},
		{"json", own, `{"time":`},
	} {
		t.Setenv(journalStream, tc.stream)
		if err := f.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		newLogger(f, config.Log{Level: "info", Format: tc.format}).Warn("away", "hint", "x")
		b, err := os.ReadFile(f.Name())
		if err != nil || !strings.HasPrefix(string(b), tc.begins) {
			t.Errorf("%s with %q: %s, %v; want %s…", tc.format, tc.stream, b, err, tc.begins)
		}
	}
}

// TestErrorsForTheJournal: what ends the program has its level as well.
func TestErrorsForTheJournal(t *testing.T) {
	var b bytes.Buffer
	u := &ui{err: &b, journal: true}
	u.fail(withHint(errors.New("one\ntwo"), "look there"))
	u.notef("bye")
	if want := "<3>error: one\n<3>error: two\n<3>hint: look there\n<6>bye\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestLogOnATerminal(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: timeOfDay}))
	log.Warn("away", "time", "its own")
	if got := b.String(); len(got) < 14 || got[7] != ':' || !strings.HasSuffix(got, " level=warn msg=away time=\"its own\"\n") {
		t.Errorf("got %s", got)
	}
}

// TestLogThrottle: what repeats itself is said once a minute, and how often it was.
func TestLogThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		log := newLogger(&b, config.Log{Level: "info", Format: "text"})
		for range 300 {
			log.Warn("collector away", "collector", "a", "reason", "refused", "hint", "x")
			log.Warn("collector away", "collector", "b", "reason", "refused", "hint", "x")
			log.Info("goes on")
			time.Sleep(time.Second)
		}
		for text, want := range map[string]int{"collector=a": 5, "collector=b": 5, "held_back=59": 8, "goes on": 300} {
			if got := strings.Count(b.String(), text); got != want {
				t.Errorf("%s is said %d times, want %d", text, got, want)
			}
		}
	})
}

// TestWarningsSayWhatToDo looks at each warning and error in the program's text: it
// has a hint.
func TestWarningsSayWhatToDo(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || f.Sel.Name != "Warn" && f.Sel.Name != "Error" {
				return true
			}
			seen++
			for _, arg := range call.Args {
				if lit, ok := arg.(*ast.BasicLit); ok && lit.Value == `"hint"` {
					return true
				}
			}
			if last, ok := call.Args[len(call.Args)-1].(*ast.Ident); ok && call.Ellipsis != token.NoPos && last.Name == "attrs" {
				return true // of logCollector, which has one
			}
			t.Errorf("%s: a warning without a hint", set.Position(call.Pos()))
			return true
		})
	}
	if seen < 10 {
		t.Errorf("found %d warnings", seen)
	}
}
