package judges

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// burstVariable says how many flow records TestBurst sends at least. What it sends
// without is about eight seconds' worth.
const (
	burstVariable = "FLOW2IPFIX_JUDGES_BURST"
	burstRecords  = 160_000
)

// TestBurst replays one hour to three collectors beside each other, at the rates
// that their presets have of themselves: each decodes all of it, and the kernel
// has dropped nothing at their sockets.
func TestBurst(t *testing.T) {
	least := burstRecords
	if v := os.Getenv(burstVariable); v != "" {
		var err error
		if least, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	files, err := generate(t.TempDir(), "--nics", "1", "--minutes", "60", "--tuples", strconv.Itoa(least/65))
	if err != nil {
		t.Fatal(err)
	}
	oracle := &expect.Oracle{}
	if err := oracle.ReadFiles(files, func(expect.Flow) {}); err != nil {
		t.Fatal(err)
	}
	if oracle.Records < uint64(least) || oracle.Records > uint64(least)*5/4 {
		t.Fatalf("the hour has become another one: %d flow records", oracle.Records)
	}
	var ended sync.WaitGroup
	targets := burstTargets(t)
	results := make([]peers.Ended, len(targets))
	for i := range targets {
		target := &targets[i]
		if target.peer, err = target.start(t.TempDir()); err != nil {
			t.Fatalf("%s: %v", target.preset, err)
		}
		t.Cleanup(func() {
			if err := target.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	for i, target := range targets {
		args := []string{"replay", "--collector", target.peer.URL(), "--preset", target.preset, "--summary", "json"}
		ended.Go(func() { results[i] = peers.Run(slices.Concat(args, files)...) })
	}
	ended.Wait()
	for i, target := range targets {
		t.Run(target.preset, func(t *testing.T) { target.judge(t, results[i], oracle.Records) })
	}
}

// burstTarget is a collector that only counts, with its preset.
type burstTarget struct {
	preset string
	start  func(dir string) (*peers.UDPPeer, error)
	peer   *peers.UDPPeer // once it is started
	// printing is of a collector that writes a line for each record, and not what it
	// has left when it is stopped.
	printing bool
	stop     func() error
	// count returns how many flow records it has decoded. It is stopped then.
	count func() (int, error)
	// problems also says how many datagrams the kernel dropped at the socket.
	problems func() []string
}

func burstTargets(t *testing.T) []burstTarget {
	var (
		nfcapd  *peers.NfcapdSession
		nfacctd *peers.NfacctdPeer
		third   *goflow2Session
	)
	return []burstTarget{
		{
			preset: "nfdump",
			start: func(dir string) (_ *peers.UDPPeer, err error) {
				if nfcapd, err = peers.StartNfcapd(dir); err != nil {
					return nil, err
				}
				return nfcapd.UDPPeer, nil
			},
			count:    func() (n int, err error) { err = nfcapd.Each(func(expect.Flow) { n++ }); return n, err },
			stop:     func() error { return nfcapd.Stop() },
			problems: func() []string { return nfcapd.Problems() },
		},
		{
			preset: "pmacct",
			start: func(dir string) (_ *peers.UDPPeer, err error) {
				c := &peers.NfacctdConfig{
					Aggregate: []string{"export_proto_sysid", "export_proto_seqno", "flows"},
					More:      "plugin_pipe_size: 10240000\nplugin_buffer_size: 10240\n",
				}
				if nfacctd, err = peers.StartNfacctd(dir, c); err != nil {
					return nil, err
				}
				return nfacctd.UDPPeer, nil
			},
			count: func() (int, error) {
				m := burstMessages{}
				err := nfacctd.Lines(m.add)
				return m.records(), err
			},
			stop:     func() error { return nfacctd.Stop() },
			problems: func() []string { return nfacctd.Problems() },
		},
		{
			preset: "goflow2", printing: true,
			start: func(dir string) (*peers.UDPPeer, error) {
				p, err := peers.StartGoflow2(dir, "formatter: { fields: [type, proto, bytes] }\n")
				if err != nil {
					return nil, err
				}
				third = &goflow2Session{UDPPeer: p}
				if err := p.GrowBuffer(8_000_000); err != nil { // what the others ask for
					t.Logf("goflow2 has the system's socket buffer: %v", err)
				}
				return p, nil
			},
			count: func() (int, error) {
				b, err := os.ReadFile(third.OutFile)
				return bytes.Count(b, []byte(`"type":"IPFIX"`)), err
			},
			stop:     func() error { return third.Stop() },
			problems: func() []string { return third.Problems() },
		},
	}
}

// burstMessages are the flow records of each message of each observation domain, by
// sequence number.
type burstMessages map[uint32]map[uint32]int

func (m burstMessages) add(line []byte) error {
	var l nfacctdLine
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	if m[l.Domain] == nil {
		m[l.Domain] = map[uint32]int{}
	}
	m[l.Domain][l.Sequence] += int(l.Flows)
	return nil
}

// records returns how many flow records there are. Now and then nfacctd's plugin
// takes what lies in its pipe twice; but a message has no more records than lie
// between its sequence number and the next one.
func (m burstMessages) records() (n int) {
	for _, flows := range m {
		sequences := slices.Sorted(maps.Keys(flows))
		for i, s := range sequences {
			most := flows[s]
			if i+1 < len(sequences) {
				most = int(sequences[i+1] - s)
			}
			n += min(flows[s], most)
		}
	}
	return n
}

// judge compares what the collector counts with what was sent.
func (c *burstTarget) judge(t *testing.T, r peers.Ended, want uint64) {
	if r.Code != 0 || r.Stderr != "" {
		t.Fatalf("replay ended with %d: %s", r.Code, r.Stderr)
	}
	sum, err := readSummary(r)
	if err != nil {
		t.Fatal(err)
	}
	if *sum.ExportedRecords != want {
		t.Errorf("%d flow records were sent, want %d", *sum.ExportedRecords, want)
	}
	if err := c.peer.Drain(); err != nil {
		t.Fatal(err)
	}
	if c.printing {
		if err := peers.WaitLines(c.peer.Process, int(want)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	n, err := c.count()
	if err != nil {
		t.Fatal(err)
	}
	if n != int(want) {
		t.Errorf("%d flow records have arrived, want %d", n, want)
	}
	for _, p := range c.problems() {
		t.Error(p)
	}
	t.Logf("%d flow records in %.1f s", n, *sum.Seconds)
}
