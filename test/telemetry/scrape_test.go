package telemetry

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"flow2ipfix/test/peers"
)

// scraped is what a scrape says.
type scraped struct {
	text   string
	values map[string]float64 // by name and labels, as they stand there
}

func scrape(address string) (scraped, error) {
	code, text, err := get(address, "/metrics")
	if err != nil || code != http.StatusOK {
		return scraped{}, fmt.Errorf("scrape: %d %s: %w", code, text, err)
	}
	s := scraped{text, map[string]float64{}}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		if s.values[line[:i]], err = strconv.ParseFloat(line[i+1:], 64); err != nil {
			return s, err
		}
	}
	return s, nil
}

func get(address, path string) (int, string, error) {
	client := &http.Client{Timeout: peers.Patience}
	resp, err := client.Get("http://" + address + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// sum adds up all series of a metric that have all of these labels.
func (s scraped) sum(name string, labels ...string) float64 {
	total := 0.0
series:
	for series, value := range s.values {
		if family, _, _ := strings.Cut(series, "{"); family != name {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(series, l) {
				continue series
			}
		}
		total += value
	}
	return total
}

// sink is a collector that only counts.
type sink struct {
	conn            *net.UDPConn
	messages, bytes atomic.Uint64
}

func newSink(t *testing.T) *sink {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			s.messages.Add(1)
			s.bytes.Add(uint64(n))
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return s
}

// TestScrape: at rest, what the daemon says of itself is what went in, and what the
// collector got; and promtool has nothing to say against how.
func TestScrape(t *testing.T) {
	dir := t.TempDir()
	logs := filepath.Join(dir, "logs")
	made := generate(t, logs, time.Now().UTC().Add(-2*time.Hour).Truncate(time.Hour).Format(time.RFC3339))
	udp := newSink(t)
	port, err := peers.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	file := filepath.Join(dir, "flow2ipfix.yaml")
	text := fmt.Sprintf(`
sources: [{ name: generated, directory: { path: %q, poll_interval: 200ms } }]
start: earliest
state_dir: %q
collectors:
  - { name: sink, url: "udp://%s", begin: export }
  - { name: file, url: "file:%s", denied: skip }
  - { name: nobody, url: "tcp://127.0.0.1:1", delivery: best_effort }
telemetry: { listen: %q }
`, logs, filepath.Join(dir, "state"), udp.conn.LocalAddr(), filepath.Join(dir, "flows.ipfix"), address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon, err := peers.Start(dir, peers.Product, "run", "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := daemon.End(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(daemon.Log())
		}
	})

	var now scraped
	err = peers.Await("rest", func() (bool, error) {
		if err := daemon.Alive(); err != nil {
			return false, err
		}
		s, err := scrape(address)
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		now = s
		// The last options records go out up to a moment after all is read.
		return s.sum("flow2ipfix_reader_tuples_total") == float64(made.tuples) && s.sum("flow2ipfix_source_blobs_undelivered") == 0 &&
			s.sum("flow2ipfix_collector_kept_bytes") == 0 && s.sum("flow2ipfix_source_blobs_open") > 0 &&
			s.sum("flow2ipfix_collector_sent_bytes_total", `"sink"`) == float64(udp.bytes.Load()), nil
	})
	if err != nil {
		t.Fatalf("%v: %s", err, now.text)
	}

	decoded := now.sum("flow2ipfix_reader_decoded_tuples_total")
	equal := func(what string, got, want float64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	equal("records", now.sum("flow2ipfix_reader_records_total"), float64(made.records))
	equal("rejected tuples", now.sum("flow2ipfix_reader_rejected_tuples_total"), float64(made.broken))
	equal("rejected pieces", now.sum("flow2ipfix_reader_rejected_pieces_total"), float64(made.broken))
	equal("tuples", float64(made.tuples), decoded+now.sum("flow2ipfix_reader_rejected_tuples_total")+now.sum("flow2ipfix_reader_left_out_tuples_total"))
	for letter, state := range states {
		if made.byState[state] == 0 {
			t.Errorf("no tuples of state %s were made", letter)
		}
		equal("tuples of state "+state, now.sum("flow2ipfix_reader_decoded_tuples_total", fmt.Sprintf("state=%q", state)), float64(made.byState[state]))
	}
	for _, name := range []string{"sink", "file", "nobody"} {
		c := fmt.Sprintf("collector=%q", name)
		equal(name+": tuples", now.sum("flow2ipfix_collector_exported_tuples_total", c)+now.sum("flow2ipfix_collector_skipped_tuples_total", c)+now.sum("flow2ipfix_collector_not_sent_tuples_total", c), decoded)
	}
	equal("sink: exported", now.sum("flow2ipfix_collector_exported_tuples_total", `"sink"`), decoded)
	equal("file: denied", now.sum("flow2ipfix_collector_skipped_tuples_total", `"file"`, `rule="denied"`), float64(made.byState["denied"]))
	equal("file: begin", now.sum("flow2ipfix_collector_skipped_tuples_total", `"file"`, `rule="begin"`), float64(made.byState["begin"]))
	equal("sink: messages", now.sum("flow2ipfix_collector_messages_total", `"sink"`), float64(udp.messages.Load()))
	equal("sink: connected", now.sum("flow2ipfix_collector_connected", `"sink"`), 1)
	equal("nobody: connected", now.sum("flow2ipfix_collector_connected", `"nobody"`), 0)
	equal("flow logs", now.sum("flow2ipfix_source_flow_logs"), 1)
	equal("interfaces", now.sum("flow2ipfix_checkpoint_interfaces"), 5)
	if n := now.sum("flow2ipfix_collector_not_sent_tuples_total", `"nobody"`); n == 0 {
		t.Error("nobody has missed nothing")
	}
	if n := now.sum("flow2ipfix_reader_bytes_total"); n < 0.9*float64(made.bytes) || n > float64(made.bytes) {
		t.Errorf("%v bytes read, want %d or a little less", n, made.bytes)
	}
	if lag := now.sum("flow2ipfix_source_lag_seconds"); lag < 3600 || lag > 3*3600 {
		t.Errorf("lag is %v", lag)
	}
	if n := now.sum("flow2ipfix_collector_failures_total", `"nobody"`); n == 0 {
		t.Error("no failure to connect is counted")
	}
	if n := now.sum("flow2ipfix_checkpoint_commits_total"); n == 0 {
		t.Error("no commit is counted")
	}

	document := documented(t)
	for series := range now.values {
		name, _, _ := strings.Cut(series, "{")
		if strings.HasPrefix(name, "flow2ipfix_") && !document[name] {
			t.Errorf("%s is not in docs/METRICS.md", name)
		}
	}
	promtool(t, now.text, "check", "metrics")

	for path, want := range map[string]string{"/healthz": "healthy\n", "/readyz": "ready\n"} {
		if code, body, err := get(address, path); err != nil || code != http.StatusOK || body != want {
			t.Errorf("%s: %d %q %v", path, code, body, err)
		}
	}
}
