package daemon

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// TestStore looks at what the harness writes, without the daemon: blobs have the
// blocks that Azure's have, and a plain reader finds in them what was meant.
func TestStore(t *testing.T) {
	s := newScene(t)
	lines := s.make(s.both(4, 40, 5)...) // over an hour's turn
	s.write(lines)
	names, err := s.store.List(t.Context())
	s.do(err)
	want, blobs := byBlob(lines)
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(blobs)); !slices.Equal(names, got) || len(names) != 8 {
		t.Fatalf("the account has %q, want %q: 4 interfaces in 2 hours", names, got)
	}
	var flows []expect.Flow
	oracle := &expect.Oracle{Interfaces: map[string]uint32{}}
	for _, name := range want {
		s.do(number(oracle.Interfaces, name))
		b, err := s.store.Read(t.Context(), name)
		s.do(err)
		ids, sizes, err := s.store.Blocks(t.Context(), name)
		s.do(err)
		checkBlob(t, b, ids, sizes, blobs[name])
		s.do(oracle.Read(bytes.NewReader(b), func(f expect.Flow) { flows = append(flows, f) }))
	}
	expected, err := Expected(lines)
	s.do(err)
	if diff := expect.Compare(expected, flows, expect.ShowsAll, false); diff != "" || len(flows) < 500 {
		t.Errorf("%d flow records in the blobs: %s", len(flows), diff)
	}
}

// checkBlob checks a blob against the description of Azure's.
func checkBlob(t *testing.T, content []byte, ids []string, sizes []int64, lines []Line) {
	t.Helper()
	if len(ids) != len(lines)+2 {
		t.Fatalf("%d blocks for %d records", len(ids), len(lines))
	}
	last := len(ids) - 1
	if ids[0] != "A00000000000000000000000000000000" || ids[last] != "Z00000000000000000000000000000000" || sizes[0] != 12 || sizes[last] != 2 {
		t.Errorf("the first block is %s of %d bytes, the last %s of %d", ids[0], sizes[0], ids[last], sizes[last])
	}
	at := sizes[0]
	if string(content[:at]) != `{"records":[` || !bytes.HasSuffix(content, []byte(`]}`)) {
		t.Errorf("the blob begins %q and ends %q", content[:at], content[len(content)-2:])
	}
	for i, l := range lines {
		want := string(l.Text)
		if i > 0 {
			want = "," + want
		}
		block := string(content[at : at+sizes[i+1]])
		at += sizes[i+1]
		if block != want || len(ids[i+1]) != 33 || !strings.HasPrefix(ids[i+1], "D") {
			t.Errorf("block %s is %.60q, want %.60q", ids[i+1], block, want)
		}
	}
}

// TestStoreRewrites looks at the other things that can be done to blobs.
func TestStoreRewrites(t *testing.T) {
	s := newScene(t)
	lines := s.make(Spec{Kind: "vnet", NICs: 1, Start: s.hour(0), Minutes: 4, Tuples: 2, Seed: 1})
	name := lines[0].Blob
	read := func() string {
		b, err := s.store.Read(t.Context(), name)
		s.do(err)
		return string(b)
	}
	for blocks, want := range []string{"", `{"records":[`, `{"records":[]}`} {
		s.do(s.store.PutText(t.Context(), name, blocks))
		if got := read(); got != want {
			t.Errorf("%d blocks are %q, want %q", blocks, got, want)
		}
	}
	text := texts(lines)
	s.do(s.store.Append(t.Context(), name, text[0], text[1]))
	s.do(s.store.AppendBlock(t.Context(), name, append([]byte(","), text[2][:20]...)))
	s.do(s.store.AppendBlock(t.Context(), name, text[2][20:]))
	if got, want := read(), head+string(bytes.Join(text[:3], []byte(",")))+tail; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.do(s.store.Rewrite(t.Context(), name, text[1]))
	s.do(s.store.Append(t.Context(), name, text[3]))
	if got, want := read(), head+string(text[1])+","+string(text[3])+tail; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.do(s.store.Delete(t.Context(), name))
	if names, err := s.store.List(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("left are %q, %v", names, err)
	}
}

// TestReceivers sends to the receivers what replay makes of a log, and has them
// go away and come back between two runs.
func TestReceivers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) Receiver{
		"nfcapd":   func(t *testing.T) Receiver { return startNfcapd(t) },
		"go-ipfix": func(t *testing.T) Receiver { return startGoIPFIX(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testReceiver(t, start(t))
		})
	}
}

func testReceiver(t *testing.T, r Receiver) {
	dir := t.TempDir()
	lines, err := MakeLogs(dir, bothKinds(time.Now(), 4, 40, 20)...)
	if err != nil {
		t.Fatal(err)
	}
	replay := func() {
		t.Helper()
		if e := peers.Run("replay", "--collector", r.URL(), dir); e.Code != 0 {
			t.Fatal(e.Stderr)
		}
	}
	v := judge(t, r, lines)
	replay()
	v.wait(nil)
	if len(v.duplicates) > 0 || len(v.foreign) > 0 || len(v.mixed) > 0 {
		t.Fatal(v.describe())
	}
	r.end()
	moment := time.Now()
	r.start()
	replay()
	if err := peers.Await("all comes again", func() (bool, error) {
		v.look()
		return len(v.duplicates) == v.expected, nil
	}); err != nil {
		t.Fatal(err, v.describe())
	}
	v.finish(peers.Patience, moment)
}
