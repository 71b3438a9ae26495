package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestHolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	ask := func(wantPID int, wantHeld bool) {
		t.Helper()
		pid, held, err := Holder(dir)
		if err != nil || pid != wantPID || held != wantHeld {
			t.Errorf("got process %d, held %t, %v; want %d, %t", pid, held, err, wantPID, wantHeld)
		}
	}
	ask(0, false)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Holder made the directory: %v", err)
	}
	s, _, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ask(os.Getpid(), true)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ask(0, false)
	// The question leaves nothing behind.
	if s, _, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
