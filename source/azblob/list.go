package azblob

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"golang.org/x/sync/errgroup"

	"flow2ipfix/source"
)

const (
	// walkers is how many folders are listed at once.
	walkers = 8
	// maxDepth is how deep flow logs are looked for: NSGs' are ten folders deep.
	maxDepth = 24
	blobName = "PT1H.json"
)

var yearFolder = regexp.MustCompile(`^y=\d{4}$`)

// FlowLogs walks through the folders of all containers, down to those of years.
// Containers that are not there are in Stats and no error, unless all are
// missing: then the error is source.ErrNotFound.
func (b *Backend) FlowLogs(ctx context.Context) ([]string, error) {
	var found, missing []string
	var errs, notThere []error
	for _, name := range b.cfg.Containers {
		flowLogs, err := b.walk(ctx, name)
		found = append(found, flowLogs...)
		if errors.Is(err, source.ErrNotFound) {
			missing, notThere = append(missing, name), append(notThere, err)
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 { // else nothing was said of some
		b.counters.setMissing(missing)
	}
	if len(missing) == len(b.cfg.Containers) {
		errs = notThere
	}
	slices.Sort(found)
	return found, errors.Join(errs...)
}

// walk finds the flow logs of a container, level by level.
func (b *Backend) walk(ctx context.Context, name string) ([]string, error) {
	var found []string
	var errs []error
	level := []string{""}
	for depth := 0; len(level) > 0 && depth < maxDepth; depth++ {
		folders, err := b.expand(ctx, "list flow logs", name, level)
		if err != nil {
			errs = append(errs, err)
		}
		var next []string
		for i, parent := range level {
			hasYears := false
			for _, folder := range folders[i] {
				if yearFolder.MatchString(path.Base(folder)) {
					hasYears = true
				} else {
					next = append(next, folder)
				}
			}
			if hasYears {
				found = append(found, strings.TrimSuffix(name+"/"+parent, "/"))
			}
		}
		level = next
	}
	return found, errors.Join(errs...)
}

// expand lists the folders in each of several folders. What is listed stands
// beside the errors of what is not.
func (b *Backend) expand(ctx context.Context, op, name string, folders []string) ([][]string, error) {
	found, errs := make([][]string, len(folders)), make([]error, len(folders))
	var group errgroup.Group
	group.SetLimit(walkers)
	for i, folder := range folders {
		group.Go(func() error {
			found[i], errs[i] = b.folders(ctx, op, name, folder)
			return nil
		})
	}
	_ = group.Wait()
	return found, errors.Join(errs...)
}

// folders lists the folders in one.
func (b *Backend) folders(ctx context.Context, op, name, folder string) ([]string, error) {
	pager := b.container(name).NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{
		Prefix: &folder,
	})
	var found []string
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err == nil && page.Segment == nil {
			err = errNotAzure
		}
		if err != nil {
			return found, b.fail(ctx, op, name+"/"+folder, err)
		}
		for _, p := range page.Segment.BlobPrefixes {
			if p.Name != nil && strings.HasSuffix(*p.Name, "/") {
				found = append(found, *p.Name)
			}
		}
	}
	return found, nil
}

// Hours walks through the folders of years, months, days and hours. The hour
// that from is in is among them.
func (b *Backend) Hours(ctx context.Context, flowLog string, from time.Time) ([]time.Time, error) {
	name, root := split(flowLog)
	if root != "" {
		root += "/"
	}
	from = from.UTC().Truncate(time.Hour)
	level := []string{root}
	var hours []time.Time
	for depth := 1; depth <= 4; depth++ {
		folders, err := b.expand(ctx, "list hours", name, level)
		if err != nil {
			return nil, err
		}
		level = level[:0]
		for _, folder := range slices.Concat(folders...) {
			start, end, ok := span(strings.TrimPrefix(folder, root), depth)
			if !ok || !end.After(from) {
				continue
			}
			level = append(level, folder)
			if depth == 4 {
				hours = append(hours, start)
			}
		}
	}
	slices.SortFunc(hours, time.Time.Compare)
	return slices.Compact(hours), nil
}

// span says which time a folder such as y=2026/m=11/d=21/h=02/ has, cut off
// behind any of the four.
func span(folder string, depth int) (start, end time.Time, ok bool) {
	parts := strings.Split(strings.TrimSuffix(folder, "/"), "/")
	if len(parts) != depth {
		return start, end, false
	}
	n := [4]int{0, 1, 1, 0}
	for i, part := range parts {
		digits, found := strings.CutPrefix(part, [4]string{"y=", "m=", "d=", "h="}[i])
		v, err := strconv.ParseUint(digits, 10, 16)
		if !found || err != nil || len(digits) != [4]int{4, 2, 2, 2}[i] {
			return start, end, false
		}
		n[i] = int(v)
	}
	start = time.Date(n[0], time.Month(n[1]), n[2], n[3], 0, 0, 0, time.UTC)
	if start.Year() != n[0] || int(start.Month()) != n[1] || start.Day() != n[2] || start.Hour() != n[3] {
		return start, end, false // there is no such day
	}
	switch depth {
	case 1:
		end = start.AddDate(1, 0, 0)
	case 2:
		end = start.AddDate(0, 1, 0)
	case 3:
		end = start.AddDate(0, 0, 1)
	default:
		end = start.Add(time.Hour)
	}
	return start, end, true
}

// List lists the blobs of an hour.
func (b *Backend) List(ctx context.Context, flowLog string, hour time.Time) ([]source.Info, error) {
	var infos []source.Info
	err := b.list(ctx, flowLog, hour, func(info source.Info, modified time.Time) {
		info.Modified = modified
		infos = append(infos, info)
	})
	return infos, err
}

func (b *Backend) list(ctx context.Context, flowLog string, hour time.Time, found func(info source.Info, modified time.Time)) error {
	name, root := split(flowLog)
	if root != "" {
		root += "/"
	}
	hour = hour.UTC()
	prefix := root + fmt.Sprintf("y=%04d/m=%02d/d=%02d/h=%02d/", hour.Year(), hour.Month(), hour.Day(), hour.Hour())
	pager := b.container(name).NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
		Prefix: &prefix,
	})
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err == nil && page.Segment == nil {
			err = errNotAzure
		}
		if err != nil {
			return b.fail(ctx, "list blobs", name+"/"+prefix, err)
		}
		for _, item := range page.Segment.BlobItems {
			if isBlob(item) {
				info := source.Info{Name: name + "/" + *item.Name, Size: *item.Properties.ContentLength, ETag: plainETag(string(*item.Properties.ETag))}
				var modified time.Time
				if item.Properties.LastModified != nil {
					modified = item.Properties.LastModified.UTC()
				}
				found(info, modified)
			}
		}
	}
	return nil
}

// isBlob leaves out what is no flow log, or not the one that is there now:
// folders of a hierarchical namespace, snapshots, old versions, deleted blobs.
func isBlob(item *container.BlobItem) bool {
	p := item.Properties
	if item.Name == nil || path.Base(*item.Name) != blobName || p == nil || p.ContentLength == nil || p.ETag == nil {
		return false
	}
	for key, value := range item.Metadata {
		if strings.EqualFold(key, "hdi_isfolder") && value != nil && *value == "true" {
			return false
		}
	}
	return (item.Snapshot == nil || *item.Snapshot == "") &&
		(item.Deleted == nil || !*item.Deleted) &&
		(item.IsCurrentVersion == nil || *item.IsCurrentVersion) &&
		(p.ResourceType == nil || *p.ResourceType != "directory")
}

// plainETag makes one of what listings (0x8D…) and headers ("0x8D…") say.
func plainETag(etag string) string { return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`) }
