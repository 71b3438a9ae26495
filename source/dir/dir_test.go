package dir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// writer writes files: in place of the old one under a new inode, or into it.
type writer struct {
	path    string
	inPlace bool
}

func (w writer) Containers() [2]string { return [2]string{"vnet", "nsg"} }

func (w writer) Put(_ context.Context, name string, blocks ...string) error {
	return w.write(name, strings.Join(blocks, ""))
}

func (w writer) write(name, content string) error {
	name = filepath.Join(w.path, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(name+".new", []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func (w writer) Append(_ context.Context, name, block string) error {
	old, err := os.ReadFile(filepath.Join(w.path, name))
	if err != nil {
		return err
	}
	kept := len(old) - len(sourcetest.Foot)
	if !w.inPlace {
		return w.write(name, string(old[:kept])+block+sourcetest.Foot)
	}
	f, err := os.OpenFile(filepath.Join(w.path, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(block+sourcetest.Foot), int64(kept))
	return errors.Join(err, f.Close())
}

func (w writer) Delete(_ context.Context, name string) error {
	return os.Remove(filepath.Join(w.path, name))
}

func TestConformance(t *testing.T) {
	for name, inPlace := range map[string]bool{"Rename": false, "InPlace": true} {
		t.Run(name, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T) (source.Backend, sourcetest.Writer) {
				path := t.TempDir()
				return New(path), writer{path, inPlace}
			})
		})
	}
}

var hour = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)

func put(t *testing.T, path, name, content string) {
	t.Helper()
	if err := (writer{path: path}).write(name, content); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoryIsFlowLog(t *testing.T) {
	path := t.TempDir()
	put(t, path, sourcetest.Name(".", hour, "000D3A123456"), "content")
	b := New(path)
	found, err := b.FlowLogs(t.Context())
	if err != nil || !slices.Equal(found, []string{"."}) {
		t.Fatalf("found %q, %v", found, err)
	}
	list, err := b.List(t.Context(), ".", hour)
	if err != nil || len(list) != 1 {
		t.Fatalf("list %+v, %v", list, err)
	}
	if p, ok := source.ParsePath(list[0].Name); !ok || p.Target != "." || !p.Hour.Equal(hour) {
		t.Errorf("%s is of %+v", list[0].Name, p)
	}
	r, _, err := b.Open(t.Context(), list[0].Name, 3)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != "tent" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestLinks: a link may stay inside; what leads out is not there.
func TestLinks(t *testing.T) {
	path, out := t.TempDir(), t.TempDir()
	put(t, out, sourcetest.Name("x", hour, "000D3A000000"), "secret")
	put(t, out, "secret", "secret")
	put(t, path, sourcetest.Name("a", hour, "000D3A000001"), "content")
	link := func(to, name string) {
		t.Helper()
		name = filepath.Join(path, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.Symlink(to, name)); err != nil {
			t.Fatal(err)
		}
	}
	inside, file, relative, folder := sourcetest.Name("a", hour, "000D3A000002"), sourcetest.Name("a", hour, "000D3A000003"),
		sourcetest.Name("a", hour, "000D3A000004"), sourcetest.Name("a", hour, "000D3A000000")
	link("../macAddress=000D3A000001/PT1H.json", inside)
	link(filepath.Join(out, "secret"), file)
	link(strings.Repeat("../", 30)+filepath.Join(out, "secret"), relative)
	link(filepath.Join(out, filepath.Dir(sourcetest.Name("x", hour, "000D3A000000"))), filepath.Dir(folder))
	link(filepath.Join(out, "x"), "b")
	b := New(path)
	if found, err := b.FlowLogs(t.Context()); err != nil || !slices.Equal(found, []string{"a"}) {
		t.Errorf("flow logs %q, %v", found, err)
	}
	list, err := b.List(t.Context(), "a", hour)
	if err != nil || len(list) != 2 || list[1].Name != inside {
		t.Errorf("list %+v, %v", list, err)
	}
	for _, name := range []string{file, relative, folder, sourcetest.Name("b", hour, "000D3A000000"), "../" + filepath.Base(out) + "/secret", filepath.Join(out, "secret")} {
		if r, _, err := b.Open(t.Context(), name, 0); err == nil {
			r.Close()
			t.Errorf("%s is opened", name)
		}
	}
	if list, err := b.List(t.Context(), "b", hour); err == nil && len(list) > 0 {
		t.Errorf("behind a link out: %+v", list)
	}
}

// TestOddFiles: a pipe or a folder under a blob's name keeps nobody waiting.
func TestOddFiles(t *testing.T) {
	path := t.TempDir()
	pipe, folder := sourcetest.Name("a", hour, "000D3A000001"), sourcetest.Name("a", hour, "000D3A000002")
	for _, dir := range []string{filepath.Dir(pipe), folder} {
		if err := os.MkdirAll(filepath.Join(path, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(path, pipe), 0o644); err != nil {
		t.Fatal(err)
	}
	b := New(path)
	if list, err := b.List(t.Context(), "a", hour); err != nil || len(list) != 0 {
		t.Errorf("list %+v, %v", list, err)
	}
	for _, name := range []string{pipe, folder} {
		if _, _, err := b.Open(t.Context(), name, 0); !errors.Is(err, source.ErrNotFound) {
			t.Errorf("open %s: %v", name, err)
		}
	}
}

// TestDirectoryComesLater: what is mounted later, or anew, is seen.
func TestDirectoryComesLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mount")
	b := New(path)
	_, flowLogs := b.FlowLogs(t.Context())
	_, hours := b.Hours(t.Context(), "a", time.Time{})
	_, list := b.List(t.Context(), "a", hour)
	for what, err := range map[string]error{"FlowLogs": flowLogs, "Hours": hours, "List": list} {
		if !errors.Is(err, source.ErrNotFound) {
			t.Errorf("%s of a directory that is not there: %v", what, err)
		}
	}
	for _, name := range []string{"a", "b"} {
		put(t, path, sourcetest.Name(name, hour, ""), "content")
		if found, err := b.FlowLogs(t.Context()); err != nil || !slices.Equal(found, []string{name}) {
			t.Errorf("flow logs %q, %v", found, err)
		}
		if err := os.Rename(path, path+name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCutOff: a file that shrinks while it is read breaks the read.
func TestCutOff(t *testing.T) {
	path := t.TempDir()
	name := sourcetest.Name("a", hour, "")
	put(t, path, name, "content")
	r, _, err := New(path).Open(t.Context(), name, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := os.Truncate(filepath.Join(path, name), 3); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); string(got) != "con" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
}

// TestNeverWrites: nothing is different after all methods were used.
func TestNeverWrites(t *testing.T) {
	path := t.TempDir()
	name := sourcetest.Name("a", hour, "")
	put(t, path, name, "content")
	before := tree(t, path)
	b := New(path)
	_, flowLogs := b.FlowLogs(t.Context())
	_, hours := b.Hours(t.Context(), "a", time.Time{})
	_, list := b.List(t.Context(), "a", hour)
	r, _, open := b.Open(t.Context(), name, 0)
	if err := errors.Join(flowLogs, hours, list, open); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, ok := r.(io.Writer); ok {
		t.Error("what Open returns can be written to")
	}
	if diff := cmp.Diff(before, tree(t, path)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func tree(t *testing.T, path string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		stat, err := entry.Info()
		all[name] = info(name, stat).ETag + stat.Mode().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestFlowLogAway: a flow log that is not there is not one without blobs; an hour
// that is not there is.
func TestFlowLogAway(t *testing.T) {
	path := t.TempDir()
	b := New(path)
	away := func(flowLog string) {
		t.Helper()
		hours, err := b.Hours(t.Context(), flowLog, time.Time{})
		if len(hours) != 0 || !errors.Is(err, source.ErrNotFound) {
			t.Errorf("hours of %s: %v, %v", flowLog, hours, err)
		}
		list, err := b.List(t.Context(), flowLog, hour)
		if len(list) != 0 || !errors.Is(err, source.ErrNotFound) {
			t.Errorf("list of %s: %v, %v", flowLog, list, err)
		}
	}
	away("a")
	away(".")
	put(t, path, "a/notes.txt", "x") // the mount point is further down
	away("a")
	put(t, path, sourcetest.Name("a", hour, ""), "content")
	away(".")
	hours, err := b.Hours(t.Context(), "a", hour.Add(time.Hour))
	if len(hours) != 0 || err != nil {
		t.Errorf("hours after the last: %v, %v", hours, err)
	}
	list, err := b.List(t.Context(), "a", hour.Add(time.Hour))
	if len(list) != 0 || err != nil {
		t.Errorf("list of an hour that is not there: %v, %v", list, err)
	}
}

// TestUnreadable: a folder that may not be read costs nothing but itself.
func TestUnreadable(t *testing.T) {
	path := t.TempDir()
	names := []string{sourcetest.Name("a", hour, "000D3A000001"), sourcetest.Name("a", hour, "000D3A000002"), sourcetest.Name("a", hour, "000D3A000003")}
	for _, name := range names {
		put(t, path, name, "content")
	}
	if os.Geteuid() == 0 {
		t.Skip("root may read all")
	}
	below := filepath.Join(path, filepath.Dir(names[1]))
	if err := os.Chmod(below, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(below, 0o700) })
	list, err := New(path).List(t.Context(), "a", hour)
	if len(list) != 2 || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("list %+v, %v", list, err)
	}
}
