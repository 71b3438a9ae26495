package simulation

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// accountName is in the path, as it is where a host has no name for it.
const accountName = "devaccount"

// pageOf is how many entries Azure lists at once.
const pageOf = 5000

// account answers as a storage account does, as far as flow2ipfix asks: for
// lists of folders, of blobs, and for blobs from an offset on. It looks at no
// signature.
type account struct {
	growth  *growth
	names   []string       // sorted; a blob's number is its place
	numbers map[string]int // of names
	minutes atomic.Int64   // that the blobs have
	latency time.Duration  // before each answer
	server  *http.Server
	url     string
	buffers sync.Pool

	mu       sync.Mutex
	requests Requests
	pollGap  time.Duration // requests for one list that are closer belong to one poll
	polled   map[string]time.Time
	first    time.Time // read since the counts were taken; zero if none was
}

// Requests counts what was asked for.
type Requests struct {
	Folders int // lists with a delimiter
	Lists   int // lists of blobs, each page counts
	Polls   int // how often lists of blobs were asked for, whatever the pages
	Reads   int // of blobs
	Others  int // all else, and what was refused

	ListBytes, ReadBytes int64 // of the answers' bodies
}

// startAccount serves on a port of its own.
func startAccount(g *growth, latency, pollInterval time.Duration) (*account, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open storage account: %w", err)
	}
	a := &account{
		growth: g, latency: latency, numbers: map[string]int{}, pollGap: pollInterval / 2, polled: map[string]time.Time{},
		url:     "http://" + listener.Addr().String() + "/" + accountName,
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
	for blob := range g.size.Blobs() {
		a.names = append(a.names, g.name(blob))
		a.numbers[a.names[blob]] = blob
	}
	a.server = &http.Server{Handler: a}
	go func() { _ = a.server.Serve(listener) }() // it ends when it is closed
	return a, nil
}

func (a *account) close() error { return a.server.Close() }

// take returns the counts since it was last called, and when the first blob was
// read since.
func (a *account) take() (Requests, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken, first := a.requests, a.first
	a.requests, a.first = Requests{}, time.Time{}
	return taken, first
}

// ServeHTTP implements http.Handler.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.latency > 0 {
		timer := time.NewTimer(a.latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	w.Header().Set("X-Ms-Request-Id", "0c6d3f9a-001e-0041-0000-000000000000")
	w.Header().Set("X-Ms-Version", r.Header.Get("X-Ms-Version"))
	path, ok := strings.CutPrefix(r.URL.Path, "/"+accountName+"/"+container)
	blob, known := a.numbers[strings.TrimPrefix(path, "/")]
	switch query := r.URL.Query(); {
	case r.Method != http.MethodGet:
		a.refuse(w, http.StatusMethodNotAllowed, "UnsupportedHttpVerb")
	case !ok:
		a.refuse(w, http.StatusNotFound, "ContainerNotFound")
	case query.Get("comp") == "list":
		a.list(w, query.Get("prefix"), query.Get("delimiter"), query.Get("marker"))
	case !known:
		a.refuse(w, http.StatusNotFound, "BlobNotFound")
	default:
		a.read(w, r, blob)
	}
}

func (a *account) refuse(w http.ResponseWriter, status int, code string) {
	a.mu.Lock()
	a.requests.Others++
	a.mu.Unlock()
	w.Header().Set("X-Ms-Error-Code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>refused</Message></Error>`, code)
}

// read answers "Get Blob", https://learn.microsoft.com/rest/api/storageservices/get-blob.
func (a *account) read(w http.ResponseWriter, r *http.Request, blob int) {
	minutes := int(a.minutes.Load())
	size := a.growth.sizeAt(blob, minutes)
	// The SDK writes the header's name in lower case; Go's server does not mind.
	var offset int64
	status := http.StatusOK
	if asked := r.Header.Get("X-Ms-Range"); asked != "" {
		var err error
		offset, err = strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(asked, "bytes="), "-"), 10, 64)
		if err != nil || offset < 0 {
			a.refuse(w, http.StatusBadRequest, "InvalidHeaderValue")
			return
		}
		if offset >= size {
			a.refuse(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
			return
		}
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", offset, size-1, size))
	}
	a.mu.Lock()
	a.requests.Reads++
	a.requests.ReadBytes += size - offset
	if a.first.IsZero() {
		a.first = time.Now()
	}
	a.mu.Unlock()
	w.Header().Set("Etag", `"`+a.growth.etag(blob, minutes)+`"`)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size-offset, 10))
	w.Header().Set("Last-Modified", a.modified(minutes))
	w.Header().Set("X-Ms-Blob-Type", "BlockBlob")
	w.WriteHeader(status)
	buffer := a.buffers.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in it
	*buffer = a.growth.appendFrom((*buffer)[:0], blob, minutes, offset)
	_, _ = w.Write(*buffer)
	a.buffers.Put(buffer)
}

func (a *account) modified(minutes int) string {
	return a.growth.hour.Add(time.Duration(minutes) * time.Minute).Format(http.TimeFormat)
}

// list answers "List Blobs",
// https://learn.microsoft.com/rest/api/storageservices/list-blobs. A marker is the
// number of the first blob that was not looked at.
func (a *account) list(w http.ResponseWriter, prefix, delimiter, marker string) {
	minutes := int(a.minutes.Load())
	first := sort.SearchStrings(a.names, prefix)
	if n, err := strconv.Atoi(marker); err == nil {
		first = max(first, n)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "\ufeff"+`<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="%s/" ContainerName="%s"><Prefix>`, a.url, container)
	_ = xml.EscapeText(&out, []byte(prefix))
	out.WriteString(`</Prefix><Blobs>`)
	next := ""
	listed := 0
	for blob := first; blob < len(a.names) && strings.HasPrefix(a.names[blob], prefix); listed++ {
		if listed == pageOf {
			next = strconv.Itoa(blob)
			break
		}
		name := a.names[blob]
		if i := strings.Index(name[len(prefix):], "/"); delimiter == "/" && i >= 0 {
			folder := name[:len(prefix)+i+1]
			fmt.Fprintf(&out, "<BlobPrefix><Name>%s</Name></BlobPrefix>", folder)
			blob += sort.Search(len(a.names)-blob, func(n int) bool { return !strings.HasPrefix(a.names[blob+n], folder) })
			continue
		}
		modified := a.modified(minutes)
		fmt.Fprintf(&out, `<Blob><Name>%s</Name><Properties><Creation-Time>%s</Creation-Time><Last-Modified>%s</Last-Modified><Etag>%s</Etag>`+
			`<Content-Length>%d</Content-Length><Content-Type>application/octet-stream</Content-Type><Content-Encoding /><Content-Language /><Content-CRC64 /><Content-MD5 />`+
			`<Cache-Control /><Content-Disposition /><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><AccessTierInferred>true</AccessTierInferred>`+
			`<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted></Properties><OrMetadata /></Blob>`,
			name, modified, modified, a.growth.etag(blob, minutes), a.growth.sizeAt(blob, minutes))
		blob++
	}
	fmt.Fprintf(&out, "</Blobs><NextMarker>%s</NextMarker></EnumerationResults>", next)

	now := time.Now()
	a.mu.Lock()
	a.requests.ListBytes += int64(out.Len())
	if delimiter != "" {
		a.requests.Folders++
	} else {
		a.requests.Lists++
		if now.Sub(a.polled[prefix]) > a.pollGap {
			a.requests.Polls++
			a.polled[prefix] = now
		}
	}
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	_, _ = out.WriteTo(w)
}
