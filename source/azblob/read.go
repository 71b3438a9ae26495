package azblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"

	"flow2ipfix/source"
)

// Open reads a blob from an offset on, by one request. It sets no condition:
// while Azure writes to a blob nothing changes but its last two bytes, and a
// condition would fail each minute. So the SDK's reader that tries again, which
// sets one, is not used either: whoever reads goes on from where he came to.
//
// What ends before all came ends in an error.
func (b *Backend) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, source.Info, error) {
	const op = "read blob"
	containerName, rest := split(name)
	if rest == "" || offset < 0 {
		return nil, source.Info{}, fmt.Errorf("%s: want a container and a blob, and an offset of 0 or more; got %q, %d", op, name, offset)
	}
	resp, err := b.container(containerName).NewBlobClient(rest).DownloadStream(ctx, &blob.DownloadStreamOptions{
		Range: blob.HTTPRange{Offset: offset, Count: blob.CountToEnd},
	})
	if err != nil {
		return nil, source.Info{}, b.fail(ctx, op, name, err)
	}
	length := int64(-1)
	if resp.ContentLength != nil {
		length = *resp.ContentLength
	}
	info := source.Info{Name: name, Size: length}
	if resp.ContentRange != nil {
		start, size, ok := parseContentRange(*resp.ContentRange)
		if !ok || start != offset {
			err = fmt.Errorf("%w: asked for bytes from %d, got %q", errNotAzure, offset, *resp.ContentRange)
		}
		info.Size = size
	} else if offset > 0 || length < 0 {
		err = fmt.Errorf("%w: asked for bytes from %d, got all", errNotAzure, offset)
	}
	if resp.LastModified != nil {
		info.Modified = resp.LastModified.UTC()
	}
	if resp.ETag != nil {
		info.ETag = plainETag(string(*resp.ETag))
	}
	if err == nil && info.ETag == "" {
		err = fmt.Errorf("%w: no ETag in it", errNotAzure)
	}
	if err == nil && info.Size <= offset { // an empty blob, read from its start
		err = source.ErrNothing
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, source.Info{}, b.fail(ctx, op, name, err)
	}
	return &reader{ReadCloser: resp.Body, backend: b, ctx: ctx, name: name, left: info.Size - offset}, info, nil
}

// parseContentRange reads "bytes 12-99/100". Azurite answers a question for what
// is behind the end with "bytes 100-99/100", where Azure refuses it with 416.
func parseContentRange(text string) (start, size int64, ok bool) {
	text, ok = strings.CutPrefix(text, "bytes ")
	bounds, whole, slash := strings.Cut(text, "/")
	first, last, dash := strings.Cut(bounds, "-")
	start, err1 := strconv.ParseInt(first, 10, 64)
	end, err2 := strconv.ParseInt(last, 10, 64)
	size, err3 := strconv.ParseInt(whole, 10, 64)
	return start, size, ok && slash && dash && errors.Join(err1, err2, err3) == nil && start >= 0 && start <= end+1 && end == size-1
}

// reader reads a response's body.
type reader struct {
	io.ReadCloser
	backend *Backend
	ctx     context.Context
	name    string
	left    int64
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.left -= int64(n)
	r.backend.counters.read(n)
	if errors.Is(err, io.EOF) {
		if r.left <= 0 {
			return n, io.EOF
		}
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		err = r.backend.fail(r.ctx, "read blob", r.name, err)
	}
	return n, err
}
