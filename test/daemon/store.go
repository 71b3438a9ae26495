package daemon

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"
)

// The two containers that Azure writes flow logs to.
const (
	vnetContainer = "insights-logs-flowlogflowevent"
	nsgContainer  = "insights-logs-networksecuritygroupflowevent"
)

// The first and the last block of each blob, and their ids.
const (
	head, tail = `{"records":[`, `]}`

	zeros  = "00000000000000000000000000000000"
	headID = "A" + zeros
	tailID = "Z" + zeros
)

// Store writes flow logs to a storage account the way Azure does: a blob is a
// block of 12 bytes, a block of data a minute, each but the first beginning with
// a comma, and a block of 2 bytes; each minute is a Put Block and a Put Block
// List. Blobs are named by container and name. Different blobs may be written at
// the same time.
type Store struct {
	service *service.Client

	mu    sync.Mutex
	blobs map[string]*blob
}

// blob is what was written of a blob.
type blob struct {
	ids      []string // of the data blocks
	size     int      // of the data blocks, in bytes
	rewrites int
}

// OpenStore makes the containers in the account at an address.
func OpenStore(ctx context.Context, address string) (*Store, error) {
	credential, err := service.NewSharedKeyCredential(accountName, accountKey)
	if err != nil {
		return nil, err
	}
	client, err := service.NewClientWithSharedKeyCredential(Endpoint(address), credential, nil)
	if err != nil {
		return nil, err
	}
	for _, container := range []string{vnetContainer, nsgContainer} {
		if _, err := client.CreateContainer(ctx, container, nil); err != nil && !bloberror.HasCode(err, bloberror.ContainerAlreadyExists) {
			return nil, fmt.Errorf("create container %s: %w", container, err)
		}
	}
	return &Store{service: client, blobs: map[string]*blob{}}, nil
}

func (s *Store) client(name string) *blockblob.Client {
	container, path, _ := strings.Cut(name, "/")
	return s.service.NewContainerClient(container).NewBlockBlobClient(path)
}

func (s *Store) blob(name string) *blob {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.blobs[name]
	if b == nil {
		b = &blob{}
		s.blobs[name] = b
	}
	return b
}

// Append adds records to a blob, as one block.
func (s *Store) Append(ctx context.Context, name string, records ...[]byte) error {
	content := bytes.Join(records, []byte(","))
	if s.blob(name).size > 0 {
		content = append([]byte(","), content...)
	}
	return s.AppendBlock(ctx, name, content)
}

// AppendBlock adds a block to a blob, as it is.
func (s *Store) AppendBlock(ctx context.Context, name string, content []byte) error {
	b, client := s.blob(name), s.client(name)
	if len(b.ids) == 0 {
		for id, text := range map[string]string{headID: head, tailID: tail} {
			if err := stage(ctx, client, id, []byte(text)); err != nil {
				return fmt.Errorf("write %s: %w", name, err)
			}
		}
	}
	id := fmt.Sprintf("D%016X%016X", b.rewrites, len(b.ids))
	if err := stage(ctx, client, id, content); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	ids := append(slices.Clone(b.ids), id)
	if err := commit(ctx, client, slices.Concat([]string{headID}, ids, []string{tailID})); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	b.ids = ids
	b.size += len(content)
	return nil
}

// Rewrite replaces a blob by one with other records, each in a block.
func (s *Store) Rewrite(ctx context.Context, name string, records ...[]byte) error {
	b := s.blob(name)
	next := &blob{rewrites: b.rewrites + 1}
	blocks := [][]byte{[]byte(head)}
	ids := []string{headID}
	for i, r := range records {
		if i > 0 {
			r = append([]byte(","), r...)
		}
		id := fmt.Sprintf("D%016X%016X", next.rewrites, i)
		blocks, ids = append(blocks, r), append(ids, id)
		next.ids = append(next.ids, id)
		next.size += len(r)
	}
	blocks, ids = append(blocks, []byte(tail)), append(ids, tailID)
	if err := s.put(ctx, name, ids, blocks); err != nil {
		return err
	}
	*b = *next
	return nil
}

// PutText replaces a blob by one that has just the first so many of its fixed
// blocks: none, the first, or first and last.
func (s *Store) PutText(ctx context.Context, name string, blocks int) error {
	return s.put(ctx, name, []string{headID, tailID}[:blocks], [][]byte{[]byte(head), []byte(tail)}[:blocks])
}

func (s *Store) put(ctx context.Context, name string, ids []string, blocks [][]byte) error {
	client := s.client(name)
	for i, content := range blocks {
		if err := stage(ctx, client, ids[i], content); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	if err := commit(ctx, client, ids); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// Delete deletes a blob.
func (s *Store) Delete(ctx context.Context, name string) error {
	s.mu.Lock()
	delete(s.blobs, name)
	s.mu.Unlock()
	_, err := s.client(name).Delete(ctx, nil)
	return err
}

// List returns the names of all blobs.
func (s *Store) List(ctx context.Context) ([]string, error) {
	var names []string
	for _, container := range []string{vnetContainer, nsgContainer} {
		pages := s.service.NewContainerClient(container).NewListBlobsFlatPager(nil)
		for pages.More() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, item := range page.Segment.BlobItems {
				names = append(names, container+"/"+*item.Name)
			}
		}
	}
	return names, nil
}

// Read returns a blob's content.
func (s *Store) Read(ctx context.Context, name string) ([]byte, error) {
	r, err := s.client(name).DownloadStream(ctx, nil)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r.Body)
	return b, errors.Join(err, r.Body.Close())
}

// Blocks returns the ids and sizes of a blob's committed blocks.
func (s *Store) Blocks(ctx context.Context, name string) (ids []string, sizes []int64, err error) {
	r, err := s.client(name).GetBlockList(ctx, blockblob.BlockListTypeCommitted, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range r.CommittedBlocks {
		id, err := base64.StdEncoding.DecodeString(*b.Name)
		if err != nil {
			return nil, nil, err
		}
		ids, sizes = append(ids, string(id)), append(sizes, *b.Size)
	}
	return ids, sizes, nil
}

func stage(ctx context.Context, client *blockblob.Client, id string, content []byte) error {
	_, err := client.StageBlock(ctx, base64.StdEncoding.EncodeToString([]byte(id)), streaming.NopCloser(bytes.NewReader(content)), nil)
	return err
}

func commit(ctx context.Context, client *blockblob.Client, ids []string) error {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = base64.StdEncoding.EncodeToString([]byte(id))
	}
	_, err := client.CommitBlockList(ctx, list, nil)
	return err
}
