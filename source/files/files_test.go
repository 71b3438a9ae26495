package files

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	hour1a = "c/flowLogResourceID=/A/y=2026/m=11/d=21/h=01/m=00/macAddress=00000000000A/PT1H.json"
	hour1b = "c/flowLogResourceID=/B/y=2026/m=11/d=21/h=01/m=00/macAddress=00000000000B/PT1H.json"
	hour2a = "c/flowLogResourceID=/A/y=2026/m=11/d=21/h=02/m=00/macAddress=00000000000A/PT1H.json"
)

func TestFindSortsByHour(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{hour2a, hour1b, hour1a} {
		write(t, dir, name, name)
	}
	write(t, dir, "c/registry.dat", "not a flow log")
	found, err := Find([]string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range found {
		r, err := d.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if d.Size != int64(len(b)) {
			t.Errorf("%s: size %d, want %d", d.Blob, d.Size, len(b))
		}
		got = append(got, string(b))
	}
	if diff := cmp.Diff([]string{hour1a, hour1b, hour2a}, got); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
	if want := time.Date(2026, 11, 21, 1, 0, 0, 0, time.UTC); !found[0].Path.Hour.Equal(want) || found[0].Path.MAC != "00000000000A" {
		t.Errorf("path of the first blob is %+v", found[0].Path)
	}
}

func TestFindKeepsTheGivenOrder(t *testing.T) {
	dir := t.TempDir()
	z, a := write(t, dir, "z.txt", ""), write(t, dir, "a.txt", "")
	found, err := Find([]string{z, "-", a}, strings.NewReader("stdin"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range found {
		got = append(got, filepath.Base(d.Blob))
	}
	if diff := cmp.Diff([]string{"z.txt", "standard input", "a.txt"}, got); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
}

func TestFindFollowsALinkToAFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "real/x.json", "")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "real"), link); err != nil {
		t.Fatal(err)
	}
	if found, err := Find([]string{link}, nil); err != nil || len(found) != 1 {
		t.Errorf("Find(link) = %d blobs, %v; want 1", len(found), err)
	}
}

func TestFindReadsAFileOnce(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "x.json", "")
	if found, err := Find([]string{dir, path, path}, nil); err != nil || len(found) != 1 {
		t.Errorf("Find = %d blobs, %v; want 1", len(found), err)
	}
}

func TestPumpGivesEverything(t *testing.T) {
	want := strings.Repeat("0123456789", 100_000)
	found, err := Find([]string{Stdin}, iotest.HalfReader(strings.NewReader(want)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := found[0].Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != want {
		t.Errorf("read %d bytes, %v; want %d", len(got), err, len(want))
	}
}

func TestPumpEndsWithTheContext(t *testing.T) {
	silent, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	found, err := Find([]string{Stdin}, silent)
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	r, err := found[0].Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel(cause)
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, cause) {
		t.Errorf("Read = %v, want %v", err, cause)
	}
}

func TestFindErrors(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ path, want string }{
		{filepath.Join(dir, "missing"), "no such file or directory"},
		{dir, "no *.json file in folder"},
	} {
		if _, err := Find([]string{tc.path}, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Find(%s) = %v, want %q in it", tc.path, err, tc.want)
		}
	}
}
