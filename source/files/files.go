// Package files reads flow logs that lie somewhere whole: files, folders of
// them, standard input. It reads each once, in the order of their hours.
package files

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"flow2ipfix/source"
)

// Stdin is the path that stands for standard input.
const Stdin = "-"

// Find returns what there is to read below the given paths: files as named,
// the *.json files of folders and what lies below them, and stdin for "-". They
// are sorted by the hour in their names, then by name; files whose names say no
// hour stand in the order given.
//
// Paths that do not exist and folders without flow logs are errors.
func Find(paths []string, stdin io.Reader) ([]*source.Delta, error) {
	var found []*source.Delta
	seen := map[string]bool{}
	for _, path := range paths {
		if path == Stdin {
			found = append(found, &source.Delta{
				Blob: "standard input", Size: -1,
				Open: func(ctx context.Context) (io.ReadCloser, error) { return newPump(ctx, io.NopCloser(stdin)), nil },
			})
			continue
		}
		// WalkDir does not follow a link, not even the one that it is given.
		path, err := filepath.EvalSymlinks(path)
		if err != nil {
			return nil, fmt.Errorf("find flow logs: %w", err)
		}
		matched := false
		err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil {
				if entry == nil || name == path {
					return err
				}
				matched = true // it costs itself: reading it fails, the others go on
				found = append(found, &source.Delta{
					Blob: name, Size: -1,
					Open: func(context.Context) (io.ReadCloser, error) { return nil, err },
				})
				return nil
			}
			if entry.IsDir() || name != path && !strings.HasSuffix(name, ".json") {
				return nil
			}
			matched = true
			absolute, err := filepath.Abs(name)
			if err != nil {
				return err
			}
			if !seen[absolute] { // named twice, it is read once
				seen[absolute] = true
				found = append(found, file(name, entry))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("find flow logs: %w", err)
		}
		if !matched {
			return nil, fmt.Errorf("find flow logs: no *.json file in folder %s", path)
		}
	}
	slices.SortStableFunc(found, func(a, b *source.Delta) int {
		if a.Path.Hour.Equal(b.Path.Hour) {
			return cmp.Compare(a.Path.Target+a.Path.MAC, b.Path.Target+b.Path.MAC)
		}
		return a.Path.Hour.Compare(b.Path.Hour)
	})
	return found, nil
}

func file(name string, entry fs.DirEntry) *source.Delta {
	d := &source.Delta{Blob: name, Size: -1, Open: func(ctx context.Context) (io.ReadCloser, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return f, nil
		}
		return newPump(ctx, f), nil
	}}
	if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
		d.Size = info.Size()
	}
	d.Path, _ = source.ParsePath(filepath.ToSlash(name))
	return d
}
