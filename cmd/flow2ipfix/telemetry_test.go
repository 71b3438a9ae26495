package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// telemetryAt lets a daemon's configuration have a listener.
func (d *daemon) telemetryAt(t *testing.T, text string) {
	t.Helper()
	b, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(b), "telemetry:")
	if err := os.WriteFile(d.config, []byte(before+"telemetry: "+text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func hangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// fetch returns what a listener says; 0 if there is none.
func fetch(t *testing.T, address, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// metricsAt returns the metrics of a listener, by name and labels.
func metricsAt(t *testing.T, address string) map[string]float64 {
	t.Helper()
	code, body := fetch(t, address, "/metrics")
	if code != http.StatusOK {
		return nil
	}
	values := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(body))
	for lines.Scan() {
		if i := strings.LastIndexByte(lines.Text(), ' '); i > 0 && !strings.HasPrefix(lines.Text(), "#") {
			n, err := strconv.ParseFloat(lines.Text()[i+1:], 64)
			if err != nil {
				t.Fatal(err)
			}
			values[lines.Text()[:i]] = n
		}
	}
	return values
}

// TestTelemetryOverReloads: counters never go back, whatever a reload changes; a
// listener that cannot be opened is no reason to give up what there is.
func TestTelemetryOverReloads(t *testing.T) {
	one, two := freePort(t), freePort(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	d := startDaemonConfigured(t, func(d *daemon) { d.telemetryAt(t, fmt.Sprintf("{ listen: %q }", one)) })
	records := d.grow(t, 20)

	highest := map[string]float64{}
	at := func(address string) map[string]float64 {
		t.Helper()
		now := metricsAt(t, address)
		for name, value := range now {
			if family, _, _ := strings.Cut(name, "{"); strings.HasPrefix(name, "flow2ipfix_") && strings.HasSuffix(family, "_total") {
				if value < highest[name] {
					t.Errorf("%s goes from %v to %v", name, highest[name], value)
				}
				highest[name] = value
			}
		}
		return now
	}
	const tuples, sent, reloads = "flow2ipfix_reader_tuples_total", `flow2ipfix_collector_records_total{collector="one"}`, "flow2ipfix_service_reloads_total"
	waitFor(t, "the first scrape", func() bool { return at(one)[sent] == float64(records) })
	first := at(one)
	waitFor(t, "readiness", func() bool { code, _ := fetch(t, one, "/readyz"); return code == http.StatusOK })

	// Another port.
	d.telemetryAt(t, fmt.Sprintf("{ listen: %q }", two))
	hangUp(t)
	waitFor(t, "the other port", func() bool { return at(two)[reloads] == 1 })
	if now := at(two); now[tuples] < first[tuples] || now[sent] != first[sent] {
		t.Errorf("%v tuples, %v records; before the reload %v and %v", now[tuples], now[sent], first[tuples], first[sent])
	}
	waitFor(t, "the end of the old one", func() bool { code, _ := fetch(t, one, "/healthz"); return code == 0 })

	// A port that is taken.
	d.telemetryAt(t, fmt.Sprintf("{ listen: %q }", taken.Addr()))
	hangUp(t)
	waitFor(t, "the refusal", func() bool { return strings.Contains(d.log.String(), "the new configuration is not used") })
	if !strings.Contains(d.log.String(), "address already in use") {
		t.Error("the log does not say why")
	}
	waitFor(t, "the reason on the page", func() bool {
		_, body := fetch(t, two, "/status.json")
		return strings.Contains(body, "the new configuration is not used")
	})

	// The same port, opened anew.
	d.telemetryAt(t, fmt.Sprintf("{ listen: %q, pprof: true, allow_remote: true }", two))
	hangUp(t)
	waitFor(t, "pprof", func() bool { code, _ := fetch(t, two, "/debug/pprof/"); return code == http.StatusOK })
	waitFor(t, "the second reload", func() bool { return at(two)[reloads] == 2 })

	more := d.grow(t, 30)
	waitFor(t, "what came after", func() bool { return at(two)[sent] >= float64(more) })

	// Another collector, and the first one again.
	for i, name := range []string{"two", "one"} {
		d.configure(t, name)
		d.telemetryAt(t, fmt.Sprintf("{ listen: %q, pprof: true, allow_remote: true }", two))
		hangUp(t)
		waitFor(t, "collector "+name, func() bool {
			now := at(two)
			_, there := now[fmt.Sprintf("flow2ipfix_collector_records_total{collector=%q}", name)]
			return now[reloads] == float64(3+i) && there
		})
	}
	if now := at(two); now[sent] != float64(more) {
		t.Errorf("%v records after all, want %d", now[sent], more)
	}

	// None.
	d.telemetryAt(t, `{ listen: "" }`)
	hangUp(t)
	waitFor(t, "the end of the listener", func() bool { code, _ := fetch(t, two, "/healthz"); return code == 0 })
}

// TestTelemetryTaken: a port that is taken ends the start, with what to do.
func TestTelemetryTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	d := &daemon{dir: t.TempDir()}
	d.config = d.dir + "/flow2ipfix.yaml"
	d.configure(t, "one")
	d.telemetryAt(t, fmt.Sprintf("{ listen: %q }", taken.Addr()))
	var out buffer
	if code := run(t.Context(), []string{"run", "--config", d.config}, nil, &out, &out); code != exitFailure {
		t.Errorf("code %d", code)
	}
	for _, want := range []string{"error: telemetry: listen on " + taken.Addr().String() + ": bind: address already in use", "hint: another program has the port"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}

// TestTelemetryRemote: a listener that others reach is warned of, unless it is meant.
func TestTelemetryRemote(t *testing.T) {
	for text, want := range map[string]bool{
		`{ listen: "0.0.0.0:0" }`: true, `{ listen: ":0", allow_remote: true }`: false, `{ listen: "127.0.0.1:0" }`: false,
	} {
		d := startDaemonConfigured(t, func(d *daemon) { d.telemetryAt(t, text) })
		waitFor(t, "the start", func() bool { return strings.Contains(d.log.String(), "msg=started") })
		if got := strings.Contains(d.log.String(), "without a password"); got != want {
			t.Errorf("%s: warned %t", text, got)
		}
	}
}

// TestTelemetryRejects: what could not be read is on the page.
func TestTelemetryRejects(t *testing.T) {
	address := freePort(t)
	d := startDaemonConfigured(t, func(d *daemon) { d.telemetryAt(t, fmt.Sprintf("{ listen: %q }", address)) })
	d.grow(t, 3)
	waitFor(t, "the first flows", func() bool { return metricsAt(t, address)["flow2ipfix_reader_tuples_total"] > 0 })
	broken := d.logs() + "/insights-logs-flowlogflowevent/flowLogResourceID=/X/Y/y=2026/m=01/d=01/h=00/m=00/macAddress=000D3A000001"
	if err := os.MkdirAll(broken, 0o700); err != nil {
		t.Fatal(err)
	}
	text := `{"records":[{"time":"2026-01-01T00:01:00Z","flowLogVersion":4,"macAddress":"000D3A000001","flowRecords":{"flows":[{"flowGroups":[{"rule":"r","flowTuples":["surprise"]}]}]}}]}`
	if err := os.WriteFile(broken+"/PT1H.json", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d.configure(t, "one")
	d.telemetryAt(t, fmt.Sprintf("{ listen: %q }", address))
	hangUp(t) // flow logs are looked for at once
	waitFor(t, "the reject", func() bool {
		_, body := fetch(t, address, "/status.json")
		return strings.Contains(body, "surprise") && strings.Contains(body, `"rejected"`)
	})
	// It is shown when it is found, and counted with the batch it is in.
	waitFor(t, "the count", func() bool { return metricsAt(t, address)["flow2ipfix_reader_rejected_tuples_total"] == 1 })
}
