package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flow2ipfix/test/peers"
)

// hostile is in the name of a flow log: whoever may create one in the subscription
// chooses it.
const hostile = `EVIL"><IMG SRC=X ONERROR=ALERT(1)>'`

// daemon is the program with something to show: flow logs, some of which cannot be
// read, a collector that is there and one that is not.
type daemon struct {
	t       *testing.T
	dir     string
	url     string
	process *peers.Process
	tuples  int // that there are to read
	sink    net.PacketConn
	away    string // where no collector listens
}

func startDaemon(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{t: t, dir: t.TempDir()}
	d.makeLogs()
	var err error
	if d.sink, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.sink.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			if _, _, err := d.sink.ReadFrom(b); err != nil {
				return
			}
		}
	}()
	d.away = freeAddress(t)
	listen := freeAddress(t)
	d.url = "http://" + listen + "/"
	d.configure(listen, "best_effort")
	if d.process, err = peers.Start(d.dir, peers.Product, "run", "--config", filepath.Join(d.dir, "flow2ipfix.yaml")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.process.End(syscall.SIGTERM); err != nil || d.process.Code() != 0 {
			t.Errorf("the daemon ended with %d, %v: %s", d.process.Code(), err, d.process.Log())
		}
	})
	return d
}

// freeAddress returns one where nobody listens, below the ports that the kernel
// gives to whoever asks for any.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		port, err := peers.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp4", address); err == nil {
			l.Close()
			return address
		}
	}
}

// configure writes the configuration; delivery is that of the collector that is
// away.
func (d *daemon) configure(listen, delivery string) {
	d.t.Helper()
	text := fmt.Sprintf(`
sources:
  - name: folder
    directory: {path: %q, poll_interval: 500ms}
start: earliest
hour_grace: 3h
state_dir: %q
collectors:
  - {name: noc, url: "udp://%s", preset: nfdump}
  - {name: backup, url: "tcp://%s", delivery: %s}
telemetry: {listen: %q}
shutdown_timeout: 1s
`, filepath.Join(d.dir, "logs"), filepath.Join(d.dir, "state"), d.sink.LocalAddr(), d.away, delivery, listen)
	if err := os.WriteFile(filepath.Join(d.dir, "flow2ipfix.yaml"), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// require makes the collector that is away a required one.
func (d *daemon) require() {
	d.t.Helper()
	d.configure(strings.Trim(strings.TrimPrefix(d.url, "http://"), "/"), "required")
	if err := d.process.Signal(syscall.SIGHUP); err != nil {
		d.t.Fatal(err)
	}
}

var wrote = regexp.MustCompile(`wrote [\d,]+ records with ([\d,]+) tuples`)

// makeLogs makes flow logs of the last minutes, one of them with a hostile name and
// one with a tuple and a record that cannot be read.
func (d *daemon) makeLogs() {
	d.t.Helper()
	logs := filepath.Join(d.dir, "logs")
	start := time.Now().UTC().Add(-12 * time.Minute).Format(time.RFC3339)
	for i, kind := range []string{"nsg", "vnet"} {
		r := peers.Run("generate", "--out", logs, "--kind", kind, "--nics", "4", "--minutes", "10", "--tuples", "40", "--seed", strconv.Itoa(i+1), "--start", start)
		m := wrote.FindStringSubmatch(r.Stderr + string(r.Stdout))
		if r.Code != 0 || m == nil {
			d.t.Fatalf("generate ended with %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
		n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		if err != nil {
			d.t.Fatal(err)
		}
		d.tuples += n
	}
	spoiled := false
	err := filepath.WalkDir(logs, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(path, "NETWORKSECURITYGROUPS") {
			return err
		}
		if spoiled {
			return nil
		}
		spoiled = true
		at := bytes.Index(text, []byte(`"flowTuples":["`)) + len(`"flowTuples":["`)
		text = append(text[:at:at], append([]byte(`<b>this is no tuple</b>","`), text[at:]...)...)
		d.tuples++
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
		nsg := regexp.MustCompile(`NETWORKSECURITYGROUPS/[^/]+/`)
		other := nsg.ReplaceAllLiteralString(path, "NETWORKSECURITYGROUPS/"+hostile+"/")
		if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
			return err
		}
		return os.WriteFile(other, []byte(`{"records":[{"time":"`+start+`","category":17}]}`), 0o644)
	})
	if err != nil || !spoiled {
		d.t.Fatal(err, spoiled)
	}
}

// document is what /status.json says, as far as it is asked for here: another
// reader than the writer.
type document struct {
	Ready          bool
	Version        string
	LagSeconds     *float64 `json:"lag_seconds"`
	FlowsPerSecond *float64 `json:"flows_per_second"`
	Summary        struct {
		State, Text string
		ToDo        string `json:"to_do"`
	}
	Sources []struct {
		Name, Kind, Place string
		FlowLogs          int `json:"flow_logs"`
		Worst             []struct {
			Name       string
			Short      string `json:"short_name"`
			Interfaces int
		} `json:"flow_logs_worst"`
		Interfaces  *int
		Undelivered int     `json:"blobs_undelivered"`
		Delivered   *string `json:"newest_delivered"`
	}
	Collectors []struct {
		Name, URL, State string
		Required         bool
		LastError        *struct{ Text, Hint string } `json:"last_error"`
		Records, Bytes   uint64
		Messages         uint64
		KeptRecords      int    `json:"kept_records"`
		KeptBytes        int    `json:"kept_bytes"`
		NotSent          uint64 `json:"tuples_not_sent"`
	}
	Read     struct{ Tuples, Bytes uint64 }
	Rejected struct {
		Pieces, Tuples uint64
		ByReason       []struct {
			Reason, Text string
			Pieces       uint64
		} `json:"by_reason"`
		Examples []struct{ Blob, Quote, Text string }
	}
	Warnings []struct{ Level, Text string }
	History  []struct {
		FlowsPerSecond *float64 `json:"flows_per_second"`
		LagSeconds     *float64 `json:"lag_seconds"`
	}
}

// status asks for it.
func (d *daemon) status() (document, error) {
	var doc document
	if err := d.process.Alive(); err != nil {
		return doc, err
	}
	r, err := http.Get(d.url + "status.json")
	if err != nil {
		return doc, nil // it does not listen yet
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return doc, fmt.Errorf("status.json: %s", r.Status)
	}
	return doc, json.NewDecoder(r.Body).Decode(&doc)
}

// await waits until the status is as it should be.
func (d *daemon) await(what string, good func(*document) bool) document {
	d.t.Helper()
	var doc document
	err := peers.Await(what, func() (done bool, err error) {
		doc, err = d.status()
		return err == nil && good(&doc), err
	})
	if err != nil {
		d.t.Fatalf("%v; the status is %+v; the daemon says %s", err, doc, d.process.Log())
	}
	return doc
}
