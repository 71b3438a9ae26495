package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"flow2ipfix/checkpoint"
	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

// makeState writes a state directory as the service would.
func makeState(dir string) (err error) {
	store, _, err := checkpoint.Open(dir, checkpoint.Options{
		Interfaces: map[flowlog.MAC]uint32{{0x00, 0x0d, 0x3a, 0, 0, 2}: 17},
	})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := store.Close(); err == nil {
			err = closeErr
		}
	}()
	hour := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	for _, name := range []string{"prod", "archive"} {
		if _, err := store.Begin(name, hour.Add(-26*time.Hour)); err != nil {
			return err
		}
	}
	if _, err := store.Interfaces().Index(flowlog.MAC{0x00, 0x0d, 0x3a, 0, 0, 1}); err != nil {
		return err
	}
	const blobs = "insights/A/y=2026/m=11/d=21/h=02/m=00/macAddress="
	if err := store.Commit([]source.Entry{
		{Source: "prod", Blob: blobs + "000D3A000001/PT1H.json", Cursor: source.Cursor{Offset: 4711, ETag: "0x1", Last: hour.Add(17 * time.Minute)}},
		{Source: "prod", Blob: blobs + "000D3A000002/PT1H.json", Cursor: source.Cursor{Offset: 12}},
	}); err != nil {
		return err
	}
	for _, flowLog := range []string{"insights/A", "insights/B"} {
		if err := store.Finish("prod", flowLog, hour); err != nil {
			return err
		}
	}
	return nil
}

// TestCheckpoints runs scripts in which there is a state directory, and the
// commands hold and release, which keep it in use.
func TestCheckpoints(t *testing.T) {
	var held *checkpoint.Store
	release := func() error {
		if held == nil {
			return nil
		}
		store := held
		held = nil
		return store.Close()
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/checkpoints",
		Setup: func(env *testscript.Env) error {
			env.Defer(func() { _ = release() })
			return makeState(filepath.Join(env.WorkDir, "state"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"hold": func(ts *testscript.TestScript, _ bool, args []string) {
				store, _, err := checkpoint.Open(ts.MkAbs(args[0]), checkpoint.Options{})
				ts.Check(err)
				held = store
			},
			"release": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(release()) },
		},
	})
}
