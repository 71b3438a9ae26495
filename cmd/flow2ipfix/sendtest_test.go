package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/internal/collect"
)

// received is a collector that is tested, and what it decodes.
type received struct {
	url  string
	stop func(wait uint64) []*seenRecord // when so many flow records have come
}

// receive starts a collector.
func receive(t *testing.T, scheme string) received {
	t.Helper()
	c, err := collect.Listen(t.Context(), scheme+"://127.0.0.1:0", collect.Options{EnterpriseNumber: 32473, OnError: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	m := &mirror{collector: c, stop: cancel, done: make(chan error, 1)}
	go func() { m.done <- c.Run(ctx, collect.SinkFunc(m.write)) }()
	return received{c.URL(), func(wait uint64) []*seenRecord {
		awaitRecords(ctx, c, wait)
		m.end()
		return m.records
	}}
}

// sendTestReport runs send-test and reads what it says as JSON.
func sendTestReport(t *testing.T, args ...string) testReport {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"send-test", "--summary", "json"}, args...), nil, &stdout, &stderr); code != exitOK {
		t.Fatalf("send-test %s ends with %d: %s", strings.Join(args, " "), code, stderr.String())
	}
	var report testReport
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// line writes a record for comparison, without what is said of it.
func (s *seenRecord) line() string {
	back := ""
	if s.ReversePackets != nil {
		back = fmt.Sprintf(" back %d/%d", *s.ReversePackets, *s.ReverseBytes)
	}
	return fmt.Sprintf("%s:%d > %s:%d proto %d: %d/%d%s in %d out %d %s %s-%s domain %d, %d records", s.Source, s.SourcePort, s.Destination, s.DestinationPort,
		s.Protocol, s.Packets, s.Bytes, back, s.Ingress, s.Egress, s.Direction, s.Start.Format(time.TimeOnly), s.End.Format(time.TimeOnly), s.Domain, s.Records)
}

func sortedLines(records []*seenRecord) []string {
	var all []string
	for _, s := range records {
		all = append(all, s.line())
	}
	slices.Sort(all)
	return all
}

// TestSendTestSaysWhatArrives: what send-test says is what a collector gets,
// whatever it is sent.
func TestSendTestSaysWhatArrives(t *testing.T) {
	for _, args := range sendTestDialects {
		t.Run(args, func(t *testing.T) {
			c := receive(t, "udp")
			report := sendTestReport(t, append(strings.Fields(args), "--collector", c.url)...)
			got := report.Collectors[0]
			if diff := cmp.Diff(sortedLines(c.stop(got.Records)), sortedLines(got.Seen.Records)); diff != "" {
				t.Errorf("(-arrived +said):\n%s", diff)
			}
			if age := time.Since(report.End); age < 0 || age > time.Minute || !report.Begin.Equal(report.End.Add(-time.Minute)) {
				t.Errorf("flows from %v to %v", report.Begin, report.End)
			}
			for _, s := range got.Seen.Records {
				if s.Flow != "denied" && s.Flow != "begin" && !s.Start.Equal(report.Begin) || !s.End.Equal(report.End) {
					t.Errorf("%s: from %v to %v", s.Flow, s.Start, s.End)
				}
			}
			if len(got.Look) == 0 {
				t.Error("it does not say where to look")
			}
		})
	}
}

// sendTestDialects are flags for what collectors are sent.
var sendTestDialects = []string{
	"--preset generic",
	"--preset ntopng",
	"--preset elastiflow",
	"--preset nfdump",
	"--preset pmacct",
	"--preset goflow2",
	"--preset akvorado",
	"--preset elk",
	"--preset telegraf",
	"--preset vflow",
	"--preset solarwinds",
	"--preset prtg",
	"--preset nfdump --records biflow --options interfaces,vrfs,sampling,statistics,flow_keys",
	"--protocol netflow9",
	"--protocol netflow9 --preset telegraf --options interfaces,sampling",
	"--protocol netflow5",
	"--preset elk --records biflow --enterprise-number 32473 --options types --exporter-address 2001:db8::1",
	"--fields destinationIPv6Address,sourceIPv6Address,destinationTransportPort,sourceTransportPort,protocolIdentifier,octetDeltaCount,packetDeltaCount,egressInterface,ingressInterface,flowDirection,flowStartMilliseconds,flowEndMilliseconds",
	"--preset generic --enterprise-number 32473 --enterprise-elements azureRule,azureAcl,azureTargetResource,azureEncryption,azureFlowState",
}

// TestSendTestSet holds what is sent to what the set promises, in words of its own.
func TestSendTestSet(t *testing.T) {
	c := receive(t, "tcp")
	got := sendTestReport(t, "--collector", c.url, "--enterprise-number", "32473", "--interface", "7")
	var text []string
	for _, s := range got.Collectors[0].Seen.Records {
		text = append(text, fmt.Sprintf("%s %s>%s %d/%d %d>%d %s %s %s %s %s", s.Flow, endpointText(s.Source, s.SourcePort, s.Protocol),
			endpointText(s.Destination, s.DestinationPort, s.Protocol), s.Packets, s.Bytes, s.Ingress, s.Egress, s.Direction,
			s.Fields["forwardingStatus"], s.Fields["firewallEvent"], s.Fields["azureRule"], s.Fields["azureEncryption"]))
	}
	want := []string{
		`https 192.0.2.10:50001>198.51.100.20:443 11/1100 0>7 out 64 5 "flow2ipfix-test-https" 2`,
		`https 198.51.100.20:443>192.0.2.10:50001 22/22000 7>0 in 64 5 "flow2ipfix-test-https" 2`,
		`dns 192.0.2.10:50002>198.51.100.53:53 1/72 0>7 out 64 2 "flow2ipfix-test-dns" 2`,
		`dns 198.51.100.53:53>192.0.2.10:50002 1/148 7>0 in 64 2 "flow2ipfix-test-dns" 2`,
		`denied 203.0.113.66:50003>192.0.2.10:22 0/0 7>0 in 129 3 "flow2ipfix-test-denied" 2`,
		`ipv6 [2001:db8::10]:50004>[2001:db8:0:1::20]:443 13/1300 0>7 out 64 5 "flow2ipfix-test-ipv6" 2`,
		`ipv6 [2001:db8:0:1::20]:443>[2001:db8::10]:50004 26/26000 7>0 in 64 5 "flow2ipfix-test-ipv6" 2`,
		`begin 192.0.2.10:50005>198.51.100.25:8443 0/0 0>7 out 64 1 "flow2ipfix-test-begin" 2`,
		`large 198.51.100.30:50006>192.0.2.10:443 4300000000/172000000000 7>0 in 64 5 "flow2ipfix-test-large" 2`,
		`large 192.0.2.10:443>198.51.100.30:50006 4400000000/176000000000 0>7 out 64 5 "flow2ipfix-test-large" 2`,
		`icmp 192.0.2.10>198.51.100.40 4/336 0>7 out 64 2 "flow2ipfix-test-icmp" 2`,
		`icmp 198.51.100.40>192.0.2.10 4/336 7>0 in 64 2 "flow2ipfix-test-icmp" 2`,
		`encrypted 192.0.2.10:50008>192.0.2.11:1433 14/1400 0>7 out 64 5 "flow2ipfix-test-encrypted" 1`,
		`encrypted 192.0.2.11:1433>192.0.2.10:50008 28/28000 7>0 in 64 5 "flow2ipfix-test-encrypted" 1`,
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.stop(14)
}

// TestSendTestRepeats: each time with new times.
func TestSendTestRepeats(t *testing.T) {
	c := receive(t, "udp")
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"send-test", "--collector", c.url, "--flows", "denied", "--repeat", "2", "--every", "1s"}, nil, &stdout, &stderr); code != exitOK {
		t.Fatalf("ends with %d: %s", code, stderr.String())
	}
	records := c.stop(2)
	if len(records) != 1 || records[0].Records != 2 {
		t.Errorf("%v arrived, want one record twice", sortedLines(records))
	}
	if strings.Count(stdout.String(), "should be seen") != 1 || !strings.Contains(stderr.String(), "sent 1 of 2") || !strings.Contains(stderr.String(), "sent 2 of 2") {
		t.Errorf("it says\n%s%s", stdout.String(), stderr.String())
	}
}

// TestSendTestRefused: a collector that refuses is an error, and nothing should be
// seen there; the others go on.
func TestSendTestRefused(t *testing.T) {
	for _, scheme := range []string{"udp", "tcp"} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"send-test", "--collector", scheme + "://" + closedPort(t, scheme)}, nil, &stdout, &stderr)
		if code != exitFailure || stdout.Len() > 0 || !strings.Contains(stderr.String(), ": refused\n") || !strings.Contains(stderr.String(), "hint: nothing listens at that") {
			t.Errorf("%s: ends with %d and says\n%s%s", scheme, code, stdout.String(), stderr.String())
		}
	}
	c := receive(t, "udp")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"send-test", "--collector", "udp://" + closedPort(t, "udp"), "--collector", c.url}, nil, &stdout, &stderr)
	if code != exitFailure || !strings.Contains(stderr.String(), "the other collectors go on") || strings.Count(stdout.String(), "sent ") != 1 || !strings.Contains(stdout.String(), c.url) {
		t.Errorf("ends with %d and says\n%s%s", code, stdout.String(), stderr.String())
	}
	if n := len(c.stop(14)); n != 14 {
		t.Errorf("the other got %d records", n)
	}
}

// TestSendTestByConfiguration: TLS and policies are those of the configuration.
func TestSendTestByConfiguration(t *testing.T) {
	ca := newSigner(t, "our authority")
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	pair := ca.sign(t, "flows.example", time.Hour)
	serve := func(clients tls.ClientAuthType) (url string, got <-chan []byte) {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: clients})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		messages := make(chan []byte, 8)
		go func() {
			for {
				conn, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				b, _ := io.ReadAll(conn)
				_ = conn.Close()
				messages <- b
			}
		}()
		return "tls://" + l.Addr().String(), messages
	}
	takes, got := serve(tls.NoClientCert)
	wants, _ := serve(tls.RequireAndVerifyClientCert)
	plain := receive(t, "udp")
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte(`
sources: [{name: a, directory: {path: /srv/flowlogs}}]
collectors:
  - {name: takes, url: "`+takes+`", tls: {ca_file: `+ca.file+`}}
  - {name: wants, url: "`+wants+`", tls: {ca_file: `+ca.file+`}}
  - {name: plain, url: "`+plain.url+`"}
  - {name: kept, url: "file:/nowhere/flows.ipfix"}
convert: {begin: skip, denied: skip, observation_domain: 77}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	said := sendTestReport(t, "--config", file, "--collector", "takes").Collectors
	if len(said) != 1 || said[0].Name != "takes" || said[0].URL != takes {
		t.Fatalf("it says %v", said)
	}
	if diff := cmp.Diff([]unsentFlow{{"denied", "denied is skip in the configuration"}, {"begin", "begin is skip in the configuration"}}, said[0].Seen.NotSent); diff != "" {
		t.Errorf("not sent (-want +got):\n%s", diff)
	}
	if d := said[0].Seen.Records[0].Domain; d != 77 {
		t.Errorf("observation domain %d", d)
	}
	if probe, b := <-got, <-got; len(probe) != 0 || uint64(len(b)) != said[0].Bytes {
		t.Errorf("%d and %d bytes arrived over TLS, want none and %d", len(probe), len(b), said[0].Bytes)
	}
	if n := len(sendTestReport(t, "--config", file, "--collector", "plain").Collectors[0].Seen.Records); n != 12 || len(plain.stop(12)) != 12 {
		t.Errorf("%d records over UDP", n)
	}
	for _, tc := range []struct {
		args string
		code int
		says string
	}{
		{"--collector wants", exitFailure, "hint: the collector wants a client certificate"},
		{"--collector kept", exitUsage, "kept is a file, and holds real flows"},
		{"--collector other", exitUsage, `names no collector "other"`},
		{"--collector takes --preset nfdump --local-address 127.0.0.1", exitUsage, "--preset: want it in the configuration"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"send-test", "--config", file}, strings.Fields(tc.args)...), nil, &stdout, &stderr)
		if code != tc.code || stdout.Len() > 0 || !strings.Contains(stderr.String(), tc.says) {
			t.Errorf("%s ends with %d and says\n%s%s", tc.args, code, stdout.String(), stderr.String())
		}
	}
}
