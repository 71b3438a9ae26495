package simulation

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

var hour = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)

func testGrowth(t *testing.T) *growth {
	t.Helper()
	g, err := newGrowth(Size{FlowLogs: 3, NICs: 7, Tuples: 20}, hour.Add(17*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// What a blob is from an offset on is the end of what it is from its start; what
// it was a minute before, but for the foot, is its beginning; and it is JSON, with
// as many records of the right interface and tuples as counted.
func TestGrowth(t *testing.T) {
	g := testGrowth(t)
	const minutes = 3
	tuples := 0
	for blob := range g.size.Blobs() {
		whole := string(g.appendFrom(nil, blob, minutes, 0))
		if int64(len(whole)) != g.sizeAt(blob, minutes) {
			t.Errorf("blob %d has %d bytes, want %d", blob, len(whole), g.sizeAt(blob, minutes))
		}
		for _, offset := range []int{1, len(head), len(head) + 1, len(whole) / 3, len(whole) / 2, len(whole) - 700, len(whole) - 2, len(whole) - 1} {
			if got := string(g.appendFrom([]byte("x"), blob, minutes, int64(offset))); got != "x"+whole[offset:] {
				t.Errorf("blob %d from %d on differs", blob, offset)
			}
		}
		before := string(g.appendFrom(nil, blob, minutes-1, 0))
		if !strings.HasPrefix(whole, strings.TrimSuffix(before, foot)+",") {
			t.Errorf("blob %d does not grow", blob)
		}
		var log struct {
			Records []struct {
				Time        time.Time
				MACAddress  string
				FlowRecords struct {
					Flows []struct {
						FlowGroups []struct{ FlowTuples []string }
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(whole), &log); err != nil {
			t.Fatal(err)
		}
		for m, record := range log.Records {
			if record.MACAddress != mac(blob) || record.Time.Truncate(time.Minute) != hour.Add(time.Duration(m)*time.Minute) {
				t.Errorf("blob %d, minute %d: MAC %s, time %v", blob, m, record.MACAddress, record.Time)
			}
			for _, group := range record.FlowRecords.Flows[0].FlowGroups {
				tuples += len(group.FlowTuples)
				for _, tuple := range group.FlowTuples {
					if strings.Count(tuple, ",") != 12 || strings.Contains(tuple, "?") {
						t.Errorf("tuple %q", tuple)
					}
				}
			}
		}
		if len(log.Records) != minutes {
			t.Errorf("blob %d has %d records", blob, len(log.Records))
		}
	}
	want := 0
	for m := range minutes {
		n, _ := g.flowsIn(m)
		want += n
	}
	if tuples != want {
		t.Errorf("%d tuples, want %d", tuples, want)
	}
}

type listing struct {
	Blobs struct {
		BlobPrefix []struct{ Name string }
		Blob       []struct {
			Name       string
			Properties struct {
				Etag          string
				ContentLength int64 `xml:"Content-Length"`
			}
		}
	}
	NextMarker string
}

func ask(t *testing.T, address, from string) (status int, header http.Header, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if from != "" {
		req.Header.Set("X-Ms-Range", from)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(content)
}

// TestAccount walks from the root to a blob, as a Follower would.
func TestAccount(t *testing.T) {
	g := testGrowth(t)
	a, err := startAccount(g, 0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	a.minutes.Store(2)
	list := func(query url.Values) (l listing) {
		query.Set("comp", "list")
		_, _, text := ask(t, a.url+"/"+container+"?"+query.Encode(), "")
		if err := xml.Unmarshal([]byte(strings.TrimPrefix(text, "\ufeff")), &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	prefix := ""
	for depth := range 9 {
		l := list(url.Values{"prefix": {prefix}, "delimiter": {"/"}})
		want := 1
		switch depth {
		case 2:
			want = g.size.FlowLogs
		case 8:
			want = g.size.NICs
		}
		if len(l.Blobs.BlobPrefix) != want || len(l.Blobs.Blob) != 0 {
			t.Fatalf("%q: %+v, want %d folders", prefix, l, want)
		}
		if depth < 8 {
			prefix = l.Blobs.BlobPrefix[want-1].Name
		}
	}
	l := list(url.Values{"prefix": {prefix}})
	if len(l.Blobs.Blob) != g.size.NICs || l.NextMarker != "" {
		t.Fatalf("%q: %+v", prefix, l)
	}
	last := l.Blobs.Blob[g.size.NICs-1]
	blob := a.numbers[last.Name]
	address := a.url + "/" + container + "/" + last.Name
	status, header, text := ask(t, address, "bytes=100-")
	size := last.Properties.ContentLength
	if status != http.StatusPartialContent || header.Get("Etag") != `"`+last.Properties.Etag+`"` ||
		header.Get("Content-Range") != fmt.Sprintf("bytes 100-%d/%d", size-1, size) || text != string(g.appendFrom(nil, blob, 2, 100)) {
		t.Errorf("%d %v, %d bytes", status, header, len(text))
	}
	if status, _, _ := ask(t, address, fmt.Sprintf("bytes=%d-", size)); status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("behind the end: %d", status)
	}
	if status, _, _ := ask(t, address+"x", ""); status != http.StatusNotFound {
		t.Errorf("what is not there: %d", status)
	}
	got, first := a.take()
	got.ListBytes = 0
	if want := (Requests{Folders: 9, Lists: 1, Polls: 1, Reads: 1, Others: 2, ReadBytes: size - 100}); got != want || first.IsZero() {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestCollector sends a template, three records, and a message behind a gap.
func TestCollector(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		c, err := startCollector(network)
		if err != nil {
			t.Fatal(err)
		}
		_, address, _ := strings.Cut(c.url, "://")
		conn, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		message := func(sequence byte, sets string) {
			m := "\x00\x0a\x00" + string(rune(16+len(sets))) + "\x00\x00\x00\x00\x00\x00\x00" + string(rune(sequence)) + "\x00\x00\x00\x01" + sets
			if _, err := io.WriteString(conn, m); err != nil {
				t.Fatal(err)
			}
		}
		message(0, "\x00\x02\x00\x10\x01\x00\x00\x02\x00\x01\x00\x04\x00\x02\x00\x04") // 256: two fields of four bytes
		message(0, "\x01\x00\x00\x14abcdefghijklmnop")
		message(4, "\x01\x00\x00\x0cabcdefgh")
		got, err := c.await(t.Context(), 5)
		if err != nil || got.records != 3 || got.lost != 2 || got.messages != 3 || got.last.IsZero() {
			t.Errorf("%s: got %+v, %v", network, got, err)
		}
		conn.Close()
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}
}
