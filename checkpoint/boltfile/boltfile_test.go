package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
)

// write makes a file with bbolt: small and large buckets, an empty one, long
// values, free pages.
func write(tb testing.TB) (path string, want map[string][]Record) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "x.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: PageSize})
	if err != nil {
		tb.Fatal(err)
	}
	want = make(map[string][]Record)
	for round := range 2 {
		if err := db.Update(func(tx *bbolt.Tx) error {
			for name, count := range map[string]int{"empty": 0, "small": 3, "large": 1000} {
				b, err := tx.CreateBucketIfNotExists([]byte(name))
				if err != nil {
					return err
				}
				want[name] = nil
				for n := range count {
					key := fmt.Appendf(nil, "key %05d", n)
					value := bytes.Repeat([]byte{byte(n), byte(round)}, n%50)
					if n == 500 {
						value = bytes.Repeat([]byte("long"), 3000)
					}
					if err := b.Put(key, value); err != nil {
						return err
					}
					want[name] = append(want[name], Record{key, value})
				}
			}
			return nil
		}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	return path, want
}

func TestRead(t *testing.T) {
	path, want := write(t)
	img, err := Read(path)
	if err != nil || img.Header != nil {
		t.Fatal(err, img)
	}
	if diff := cmp.Diff(want, img.Buckets); diff != "" {
		t.Errorf("(-bbolt +here):\n%s", diff)
	}
	if _, err := Read(path + ".none"); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrDamaged) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Read(filepath.Dir(path)); !errors.Is(err, ErrDamaged) {
		t.Errorf("a folder: %v", err)
	}

	for what, change := range map[string]func(tx *bbolt.Tx) error{
		"a bucket in a bucket": func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte("small")).CreateBucket([]byte("inner"))
			return err
		},
	} {
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(change), db.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// FuzzParse changes two places of a file. Whatever it makes of it, parse ends,
// says ErrDamaged if anything, and takes no more memory than the file is long.
// (Package checkpoint's tests see what bbolt does with what parse lets pass.)
func FuzzParse(f *testing.F) {
	path, _ := write(f)
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint32(0), []byte{}, uint32(0), []byte{})
	f.Add(uint32(16), []byte{1}, uint32(4096), []byte{0xff, 0xff})
	for page := uint32(2); page < 12; page++ {
		f.Add(page*PageSize+8, []byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, page*PageSize+16, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	}
	f.Fuzz(func(t *testing.T, at1 uint32, with1 []byte, at2 uint32, with2 []byte) {
		data := bytes.Clone(whole)
		copy(data[int(at1)%len(data):], with1)
		copy(data[int(at2)%len(data):], with2)
		img, err := parse(bytes.NewReader(data), int64(len(data)))
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		if (img == nil) != (err != nil) {
			t.Errorf("image %v, error %v", img, err)
		}
	})
}
