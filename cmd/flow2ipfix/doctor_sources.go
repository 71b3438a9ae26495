package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"flow2ipfix/config"
	"flow2ipfix/source"
	"flow2ipfix/source/azblob"
	"flow2ipfix/source/dir"
)

// examineSource walks the way to the blobs of a source.
func examineSource(ctx context.Context, s *config.Source, report func(finding)) {
	if s.Azure == nil {
		examineDirectory(ctx, s.Directory.Path, report)
		return
	}
	b, err := azureBackend(s.Azure)
	if err != nil {
		report(finding{Check: "settings", Status: statusFailed, Hint: cmp.Or(hintOf(err), configHint), err: err})
		return
	}
	defer b.Close()
	for _, f := range b.Check(ctx) {
		report(finding{Check: f.Check, Container: f.Container, Status: status(f.Status), Detail: f.Detail, Hint: azureHint(f), err: f.Err})
	}
}

// azureHint returns what to do about a finding. What failed because its time
// ended says so in another place.
func azureHint(f azblob.Finding) string {
	var slow *tooSlow
	if errors.As(f.Err, &slow) {
		return ""
	}
	return f.Hint
}

const (
	// lookedAt is how many flow logs of a folder are looked at for their newest
	// blob.
	lookedAt = 20
	// oldBlob is when blobs do not come any more: while there is traffic, Azure
	// writes each minute.
	oldBlob = 2 * time.Hour
	// recent is how far back the newest blob is looked for first.
	recent = 48 * time.Hour
)

const (
	folderHint = "make or mount the folder, let the user that flow2ipfix runs as read it, or correct path in the configuration"
	layoutHint = "want Azure's own paths below the folder, …/y=2026/m=11/d=21/h=02/m=00/…/PT1H.json: copy containers as they are"
)

func examineDirectory(ctx context.Context, path string, report func(finding)) {
	if err := readableFolder(path); err != nil {
		report(finding{Check: "folder", Status: statusFailed, Hint: folderHint, err: err})
		report(finding{Check: "list", Status: statusSkipped, Detail: "not tried, for folder failed"})
		return
	}
	report(finding{Check: "folder", Status: statusOK, Detail: path + " can be read"})
	b := dir.New(path)
	flowLogs, err := b.FlowLogs(ctx)
	f := finding{Check: "list", Status: statusOK, Detail: count(uint64(len(flowLogs)), "flow log"), err: err}
	switch {
	case err != nil:
		f.Status, f.Hint = statusFailed, unlessSlow(err, folderHint)
	case len(flowLogs) == 0:
		f.Status, f.Detail, f.Hint = statusWarning, "no flow logs are in it", layoutHint
	}
	if report(f); len(flowLogs) == 0 {
		return
	}
	newest, f := newestFile(ctx, b, path, flowLogs)
	if report(f); newest == "" {
		return
	}
	if err := readFile(ctx, b, newest); err != nil {
		report(finding{Check: "read", Status: statusFailed, Hint: unlessSlow(err, folderHint), err: err})
		return
	}
	report(finding{Check: "read", Status: statusOK, Detail: "the newest blob can be read"})
}

// unlessSlow returns a hint unless the time ended.
func unlessSlow(err error, hint string) string {
	var slow *tooSlow
	if errors.As(err, &slow) {
		return ""
	}
	return hint
}

func readableFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.IsDir() {
		return cmp.Or(err, fmt.Errorf("%s is not a folder", path))
	}
	if _, err := f.ReadDir(1); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// newestFile looks for the blob that was written last among those of the last
// hour of each flow log.
func newestFile(ctx context.Context, b *dir.Backend, path string, flowLogs []string) (string, finding) {
	var newest source.Info
	var at time.Time
	var errs []error
	for _, flowLog := range flowLogs[:min(lookedAt, len(flowLogs))] {
		infos, err := lastHour(ctx, b, flowLog)
		errs = append(errs, err)
		for _, info := range infos {
			stat, err := os.Stat(filepath.Join(path, filepath.FromSlash(info.Name)))
			switch {
			case errors.Is(err, fs.ErrNotExist): // went meanwhile
			case err != nil:
				errs = append(errs, err)
			case newest.Name == "" || stat.ModTime().After(at):
				newest, at = info, stat.ModTime()
			}
		}
	}
	f := finding{Check: "newest blob", Status: statusOK, err: errors.Join(errs...)}
	if newest.Name != "" {
		age := max(0, time.Since(at)).Round(time.Second)
		f.Detail = fmt.Sprintf("written %s ago: %s, %d bytes", age, newest.Name, newest.Size)
		if len(flowLogs) > lookedAt {
			f.Detail += fmt.Sprintf(" (of %d of %d flow logs)", lookedAt, len(flowLogs))
		}
		if age > oldBlob {
			f.Status, f.Hint = statusWarning, "nothing was written for hours: fine for an archive that is finished; else see what copies or mounts the folder, and whether the flow logs are on"
		}
	}
	switch {
	case f.err != nil:
		f.Status, f.Hint = statusFailed, unlessSlow(f.err, folderHint)
	case newest.Name == "":
		f.Status, f.Detail, f.Hint = statusWarning, "there are folders, but no blobs in them", layoutHint
	}
	return newest.Name, f
}

// lastHour lists the blobs of the last hour of a flow log that has any.
func lastHour(ctx context.Context, b *dir.Backend, flowLog string) ([]source.Info, error) {
	for _, from := range []time.Time{time.Now().Add(-recent), {}} {
		hours, err := b.Hours(ctx, flowLog, from)
		if err != nil {
			return nil, err
		}
		for i := len(hours) - 1; i >= 0; i-- {
			if infos, err := b.List(ctx, flowLog, hours[i]); err != nil || len(infos) > 0 {
				return infos, err
			}
		}
	}
	return nil, nil
}

func readFile(ctx context.Context, b *dir.Backend, name string) error {
	r, _, err := b.Open(ctx, name, 0)
	if errors.Is(err, source.ErrNothing) {
		return nil // it is empty
	}
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, 1))
	return err
}
