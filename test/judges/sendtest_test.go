package judges

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flow2ipfix/test/peers"
)

// This file has collectors show what flow2ipfix send-test sends them, by the
// commands that it names, and compares that with what it says should be seen.

// shouldBeSeen is what send-test --summary json says.
type shouldBeSeen struct {
	Collectors []struct {
		Records uint64   `json:"exported_records"`
		Look    []string `json:"look"`
		Seen    struct {
			Records []struct {
				Flow            string     `json:"flow"`
				Source          netip.Addr `json:"source"`
				SourcePort      uint16     `json:"source_port"`
				Destination     netip.Addr `json:"destination"`
				DestinationPort uint16     `json:"destination_port"`
				Protocol        uint8      `json:"protocol"`
				Packets         uint64     `json:"packets"`
				Bytes           uint64     `json:"bytes"`
				ReversePackets  uint64     `json:"reverse_packets"`
				ReverseBytes    uint64     `json:"reverse_bytes"`
				Ingress         uint32     `json:"ingress_interface"`
				Egress          uint32     `json:"egress_interface"`
				Direction       string     `json:"direction"`
				Start           time.Time  `json:"start"`
				End             time.Time  `json:"end"`
				Domain          uint32     `json:"observation_domain"`
				Records         uint64     `json:"records"`
				Fields          struct {
					ForwardingStatus uint8 `json:"forwardingStatus"`
				} `json:"fields"`
			} `json:"records"`
		} `json:"seen"`
	} `json:"collectors"`
}

// sendTestTo runs send-test and lets a collector work off what it sent.
func sendTestTo(t *testing.T, s peers.Session, flags string) shouldBeSeen {
	t.Helper()
	r := peers.Run(append([]string{"send-test", "--summary", "json", "--collector", s.URL()}, strings.Fields(flags)...)...)
	if r.Code != 0 {
		t.Fatalf("ended with %d: %s", r.Code, r.Stderr)
	}
	var said shouldBeSeen
	if err := json.Unmarshal(r.Stdout, &said); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(int(said.Collectors[0].Records)); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return said
}

// look runs a command line that send-test names, with the name of the file or
// folder in place of the word for it.
func look(t *testing.T, command, word, name string) []string {
	t.Helper()
	command, _, _ = strings.Cut(command, ", of what ")
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(command, word, name))
	cmd.Env = append(cmd.Environ(), "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func compareSorted(t *testing.T, shown, said []string) {
	t.Helper()
	slices.Sort(shown)
	slices.Sort(said)
	if len(said) < 3 {
		t.Errorf("only %d records should be seen", len(said))
	}
	if !slices.Equal(shown, said) {
		t.Errorf("it shows\n  %s\nshould be seen:\n  %s", strings.Join(shown, "\n  "), strings.Join(said, "\n  "))
	}
}

// TestSendTestNfdump: nfdump shows what send-test says.
func TestSendTestNfdump(t *testing.T) {
	for _, flags := range []string{"", "--records biflow", "--protocol netflow9", "--interface 7 --flows https,denied"} {
		t.Run(flags, func(t *testing.T) {
			dir := t.TempDir()
			s, err := peers.StartNfcapd(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Stop() }()
			said := sendTestTo(t, s, "--preset nfdump "+flags).Collectors[0]
			stamp := func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.000") }
			endpoint := func(a netip.Addr, port uint16, icmp string) string {
				if a.Is6() {
					return fmt.Sprintf("%s.%d", a, port)
				}
				return fmt.Sprintf("%s:%d%s", a, port, icmp)
			}
			var want []string
			for _, r := range said.Seen.Records {
				counters, icmp := fmt.Sprintf("%d %d", r.Packets, r.Bytes), ""
				if strings.Contains(flags, "biflow") {
					counters += fmt.Sprintf(" %d %d", r.ReversePackets, r.ReverseBytes)
				}
				if r.Protocol == 1 {
					icmp = ".0" // type and code
				}
				want = append(want, fmt.Sprintf("%s %s %d %s %s %s %d %d %s", stamp(r.Start), stamp(r.End), r.Protocol,
					endpoint(r.Source, r.SourcePort, ""), endpoint(r.Destination, r.DestinationPort, icmp), counters, r.Ingress, r.Egress,
					map[string]string{"in": "I", "out": "E"}[r.Direction]))
			}
			var got []string
			for _, line := range look(t, said.Look[0], "DIRECTORY", filepath.Join(dir, "files")) {
				if strings.HasPrefix(line, "20") { // not a heading, nor of the summary
					got = append(got, strings.Join(strings.Fields(line), " "))
				}
			}
			compareSorted(t, got, want)
			if problems := s.Problems(); len(problems) > 0 {
				t.Errorf("problems: %q", problems)
			}
		})
	}
}

// TestSendTestGoflow2: goflow2 shows what send-test says.
func TestSendTestGoflow2(t *testing.T) {
	j := goflow2{}
	s, err := j.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	said := sendTestTo(t, s, "--preset goflow2").Collectors[0]
	var want []string
	for _, r := range said.Seen.Records {
		want = append(want, fmt.Sprintf("%s %d %s %d: %d %d in %d out %d status %d", r.Source, r.SourcePort, r.Destination, r.DestinationPort,
			r.Packets, r.Bytes, r.Ingress, r.Egress, r.Fields.ForwardingStatus))
	}
	var got []string
	show := strings.Replace(said.Look[0], "jq ", "jq -c ", 1)
	for _, line := range look(t, show, "FILE", s.(*goflow2Session).OutFile) {
		var f struct {
			Source           netip.Addr `json:"src_addr"`
			Destination      netip.Addr `json:"dst_addr"`
			SourcePort       uint16     `json:"src_port"`
			DestinationPort  uint16     `json:"dst_port"`
			Packets          uint64     `json:"packets"`
			Bytes            uint64     `json:"bytes"`
			Ingress          uint32     `json:"in_if"`
			Egress           uint32     `json:"out_if"`
			ForwardingStatus uint8      `json:"forwarding_status"`
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %d %s %d: %d %d in %d out %d status %d", f.Source, f.SourcePort, f.Destination, f.DestinationPort,
			f.Packets, f.Bytes, f.Ingress, f.Egress, f.ForwardingStatus))
	}
	compareSorted(t, got, want)
}
