package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"flow2ipfix/source"
)

// sample fills a directory so that all kinds of pages are in its file: branches,
// long values, free pages. It returns what was in it before the last commit, and
// after it.
func sample(t testing.TB, dir string) (before, after *Contents) {
	t.Helper()
	s, _, err := Open(dir, Options{})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	_, err = s.Begin("prod", hour)
	must(t, err)
	for h := range 3 {
		var entries []source.Entry
		for n := range 120 {
			entries = append(entries, entry("prod", blob(vnet, hour.Add(time.Duration(h)*time.Hour), n), cursor(n)))
		}
		must(t, s.Commit(entries))
	}
	long := cursor(1)
	long.Tail = bytes.Repeat([]byte("x"), 6000)
	must(t, s.Commit([]source.Entry{entry("prod", blob(nsg, hour, 1), long)}))
	must(t, s.Finish("prod", vnet, hour.Add(time.Hour)))
	for n := range 10 {
		_, err := s.Interfaces().Index(mac(n))
		must(t, err)
	}
	before = list(t, dir)
	must(t, s.Commit([]source.Entry{entry("prod", blob(vnet, hour.Add(time.Hour), 7), cursor(1000))}))
	return before, list(t, dir)
}

// openDamaged opens a directory whose file may be damaged. Either that is
// reported and all is forgotten, or all is there: as it was, or, if a header
// is reported, before the last write. It reports whether the file was set aside.
func openDamaged(t *testing.T, dir string, contents ...*Contents) bool {
	t.Helper()
	listed, listErr := List(dir)
	s, report, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	got := list(t, dir)
	if report.SetAside != "" {
		if !errors.Is(report.Reason, ErrDamaged) || !errors.Is(listErr, ErrDamaged) {
			t.Errorf("set aside because %v; List says %v", report.Reason, listErr)
		}
		if !same(&Contents{}, got) {
			t.Errorf("the new file is not empty: %v", got)
		}
		if _, err := os.Lstat(report.SetAside); err != nil {
			t.Error(err)
		}
		must(t, os.RemoveAll(report.SetAside))
	} else {
		if report.Header == nil {
			contents = contents[len(contents)-1:]
		}
		if listErr != nil {
			t.Errorf("Open takes what List does not: %v", listErr)
			return false
		}
		listed.Opened = time.Time{}
		found := false
		for _, c := range contents {
			found = found || same(c, listed) && same(c, got)
		}
		if !found {
			t.Errorf("damage is not found; header: %v\n%s", report.Header, cmp.Diff(contents[len(contents)-1], got))
		}
	}
	// It works.
	must(t, s.Commit([]source.Entry{entry("prod", blob(vnet, hour.Add(5*time.Hour), 1), cursor(5))}))
	must(t, s.Finish("prod", vnet, hour.Add(5*time.Hour)))
	if got := len(get1[map[string]source.Cursor](t)(s.Cursors("prod", vnet))); got != 1 {
		t.Errorf("%d cursors after a commit", got)
	}
	// bbolt finds nothing wrong either, now that both headers were written again.
	must(t, s.db.View(func(tx *bbolt.Tx) error {
		var errs []error
		for err := range tx.Check() {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}))
	return report.SetAside != ""
}

// same compares as cmp does, but thousands of times in a second.
func same(a, b *Contents) bool {
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// How much TestDamage tries, and what; more and others were tried by hand.
const flips, seed = 500, 2

// TestDamage does to a file whatever can be done to one.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	before, after := sample(t, dir)
	path := filepath.Join(dir, fileName)
	whole, err := os.ReadFile(path)
	must(t, err)
	pages := 0
	for n := range len(whole) / 4096 {
		if !bytes.Equal(whole[n*4096:][:4096], make([]byte, 4096)) {
			pages = n + 1
		}
	}
	t.Logf("%d bytes, %d pages", len(whole), pages)
	found := 0
	try := func(name string, data []byte) {
		t.Helper()
		must(t, os.WriteFile(path, data, 0o600))
		defer func() {
			if t.Failed() {
				t.Log("damage: ", name)
			}
		}()
		if openDamaged(t, dir, before, after) {
			found++
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	try("as it was", whole)
	if found > 0 {
		t.Fatal("a sound file is set aside")
	}

	for _, size := range []int{0, 1, 15, 16, 79, 80, 4095, 4096, 4097, 8191, 8192, 8193} {
		try(fmt.Sprintf("cut to %d", size), whole[:size])
	}
	for n := 3; n < pages; n++ {
		try(fmt.Sprintf("cut to %d pages", n), whole[:n*4096])
		try(fmt.Sprintf("cut to %d pages and a half", n), whole[:n*4096-2048])
	}
	if want := 12 + 2*(pages-3); found != want {
		t.Errorf("%d of %d cut files are set aside", found, want)
	}
	try("longer", append(bytes.Clone(whole), "more"...))
	found = 0

	for n := range pages {
		for _, with := range [][]byte{make([]byte, 4096), bytes.Repeat([]byte{0xff}, 4096), whole[4096*((n+1)%pages):][:4096]} {
			data := bytes.Clone(whole)
			copy(data[n*4096:], with)
			try(fmt.Sprintf("page %d written over", n), data)
		}
	}
	if found == 0 {
		t.Error("no page that is written over is found")
	}

	// Bits, those of headers and of the beginnings of pages above all.
	rng := rand.New(rand.NewPCG(1, seed))
	flip := func(at int) {
		data := bytes.Clone(whole)
		data[at] ^= byte(1 + rng.IntN(255))
		if rng.IntN(2) == 0 {
			data[at] = whole[at] ^ 1<<rng.IntN(8)
		}
		try(fmt.Sprintf("byte %d was %#x, is %#x", at, whole[at], data[at]), data)
	}
	count := flips
	if testing.Short() {
		count /= 5
	}
	for n := range pages {
		for range count / 2 / pages {
			flip(n*4096 + rng.IntN(80))
		}
	}
	for range count / 2 {
		flip(rng.IntN(pages * 4096))
	}

	garbage := make([]byte, len(whole))
	for n := range garbage {
		garbage[n] = byte(rng.Uint32())
	}
	found = 0
	try("garbage", garbage)
	copy(garbage, whole[:8192])
	try("garbage behind good headers", garbage)
	try("zeros", make([]byte, len(whole)))
	try("text", []byte(strings.Repeat("not a database\n", 1000)))
	if found != 4 {
		t.Errorf("%d of 4 are set aside", found)
	}
}

// TestDamageInTheWay puts in the file's place what is no file.
func TestDamageInTheWay(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"folder": func(path string) error { return os.MkdirAll(filepath.Join(path, "x"), 0o700) },
		"fifo":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"socket": func(path string) error { return syscall.Mknod(path, syscall.S_IFSOCK|0o600, 0) },
	} {
		dir := t.TempDir()
		must(t, put(filepath.Join(dir, fileName)))
		if !openDamaged(t, dir) {
			t.Errorf("a %s is not set aside", name)
		}
	}
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, newName), 0o700)) // left behind by something
	open(t, dir)
}

// TestForeignFile: what others wrote is not taken for ours, however sound.
func TestForeignFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	write := func(fn func(tx *bbolt.Tx) error) {
		t.Helper()
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 4096})
		must(t, err)
		must(t, db.Update(fn))
		must(t, db.Close())
	}
	reason := func() string {
		t.Helper()
		s, report, err := Open(dir, Options{})
		must(t, err)
		defer s.Close()
		return fmt.Sprint(report.Reason)
	}
	write(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })
	equal(t, "reason", reason(), "damaged: it is not a file of checkpoints")

	open(t, dir).Close()
	write(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketMeta).Put(keyFormat, seal(bucketMeta, keyFormat, []byte{0, 0, 0, 2}))
	})
	equal(t, "reason", reason(), "damaged: it was written by another version of flow2ipfix: format 2, this one knows 1")

	// A record that is missing, one too many, and one in another's place.
	for what, change := range map[string]func(b *bbolt.Bucket) error{
		"less": func(b *bbolt.Bucket) error { return b.Delete(indexKey(1)) },
		"more": func(b *bbolt.Bucket) error {
			return b.Put(indexKey(9), seal(bucketInterfaces, indexKey(9), owner{mac: mac(9)}.encode()))
		},
		"old": func(b *bbolt.Bucket) error {
			return b.Put(indexKey(1), seal(bucketInterfaces, indexKey(1), owner{mac: mac(9)}.encode()))
		},
		"swapped": func(b *bbolt.Bucket) error { return b.Put(indexKey(1), b.Get(indexKey(2))) },
	} {
		s := open(t, dir)
		must(t, s.Interfaces().Add(mac(1), mac(2)))
		must(t, s.Close())
		write(func(tx *bbolt.Tx) error { return change(tx.Bucket(bucketInterfaces)) })
		if r := reason(); !strings.Contains(r, "records") && !strings.Contains(r, "checksum") {
			t.Errorf("%s: set aside because %s", what, r)
		}
	}
	matches, err := filepath.Glob(filepath.Join(dir, fileName+".damaged-*"))
	if err != nil || len(matches) != 6 {
		t.Errorf("set aside: %v, %v", matches, err)
	}
}

// TestDamageInUse: a file that is cut short while it is open is an error, not a
// crash, and so is what follows. It can be closed and opened anew.
func TestDamageInUse(t *testing.T) {
	dir := t.TempDir()
	sample(t, dir)
	s := open(t, dir)
	must(t, os.Truncate(filepath.Join(dir, fileName), 2*4096))
	_, err := s.Cursors("prod", vnet)
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("Cursors says %v", err)
	}
	for range 2 {
		if err := s.Commit([]source.Entry{entry("prod", blob(vnet, hour, 1), cursor(1))}); !errors.Is(err, ErrDamaged) {
			t.Errorf("Commit says %v", err)
		}
	}
	must(t, s.Close())
	if !openDamaged(t, dir) {
		t.Error("the file is not set aside")
	}

	s = open(t, dir)
	must(t, os.Truncate(filepath.Join(dir, fileName), 0))
	if err := s.Commit([]source.Entry{entry("prod", blob(vnet, hour, 1), cursor(1))}); !errors.Is(err, ErrDamaged) {
		t.Errorf("Commit says %v", err)
	}
	var stateErr *Error
	if _, err := s.Interfaces().Index(mac(1)); !errors.As(err, &stateErr) || stateErr.Hint == "" {
		t.Errorf("Index says %v, and not what to do", err)
	}
	must(t, s.Close())
	if !openDamaged(t, dir) {
		t.Error("the file is not set aside")
	}
}
