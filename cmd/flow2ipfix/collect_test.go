package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"flow2ipfix/internal/collect"
	"flow2ipfix/internal/ipaddr"
	"flow2ipfix/templates"
)

// TestCollectKnowsEveryElement: the collector calls each element as the exporter
// does, though neither knows of the other.
func TestCollectKnowsEveryElement(t *testing.T) {
	const enterprise = 64999
	exporter4 := netip.MustParseAddr("192.0.2.9")
	for _, tc := range []struct {
		cfg     templates.Config
		header  string // but for the length in that of IPFIX
		sets    [2]uint16
		without func(templates.Element) bool
		also    []string // that the collector shows beside what was asked for
	}{
		{
			cfg: templates.Config{
				Protocol: templates.IPFIX, Exporter: exporter4, Biflow: true, Options: templates.OptionsKinds(),
				Enterprise: templates.Enterprise{Number: enterprise},
			},
			header:  "\x00\x0a\x00\x00\x6a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07",
			sets:    [2]uint16{2, 3},
			without: func(templates.Element) bool { return false },
		},
		{
			cfg: templates.Config{Protocol: templates.NetFlow9, Exporter: exporter4, Options: []templates.OptionsKind{
				templates.OptionsInterfaces, templates.OptionsVRFs, templates.OptionsSampling, templates.OptionsStatistics,
			}},
			header:  "\x00\x09\x00\x01\x00\x00\xff\xff\x6a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07",
			sets:    [2]uint16{0, 1},
			without: func(e templates.Element) bool { return e.Enterprise || e.Reverse || e.Name == "biflowDirection" },
			also:    []string{"flowStartSysUpTime", "flowEndSysUpTime"},
		},
	} {
		t.Run(tc.cfg.Protocol.String(), func(t *testing.T) {
			want := slices.Clone(tc.also)
			for _, e := range templates.Elements() {
				if e.Name == "exporterIPv6Address" || tc.without(e) {
					continue
				}
				tc.cfg.Fields = append(tc.cfg.Fields, e.Name)
				if e.Name != "sourceIPv4Address" && e.Name != "destinationIPv4Address" {
					want = append(want, e.Name)
				}
			}
			all, err := templates.New(tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			var options uint64
			message := []byte(tc.header)
			message = appendSet(message, tc.sets[0], all.AppendTemplates(nil))
			message = appendSet(message, tc.sets[1], all.AppendOptionsTemplates(nil))
			if err := all.OptionsRecords(&templates.Report{
				Domain: 7, Interfaces: []templates.Interface{{Index: 3, Name: "nic"}}, VRFs: []templates.VRF{{ID: 5, Name: "vnet"}},
			}, func(o *templates.OptionsTemplate, record []byte) error {
				options++
				message = appendSet(message, o.ID, record)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			record := templates.Record{
				IPv6: true, Source: ipaddr.MustParse("2001:db8::1"), Destination: ipaddr.MustParse("2001:db8::2"), ReverseOctets: 1,
			}
			flow := all.For(&record)
			message = appendSet(message, flow.ID, flow.Append(nil, &record, 0))
			if tc.cfg.Protocol == templates.IPFIX {
				binary.BigEndian.PutUint16(message[2:], uint16(len(message)))
			}

			lines, stats := collectOne(t, message, enterprise)
			var got struct{ Fields map[string]any }
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
				t.Fatal(err)
			}
			var names []string
			for name := range got.Fields {
				names = append(names, name)
			}
			slices.Sort(want)
			slices.Sort(names)
			if diff := cmp.Diff(want, names); diff != "" {
				t.Errorf("elements (-exporter's +collector's):\n%s", diff)
			}
			for _, line := range lines {
				if strings.Contains(line, `"ie`) || strings.Contains(line, `"pen`) {
					t.Errorf("an element without a name: %s", line)
				}
			}
			if stats.OptionRecords != options || stats.DataRecords != 1 || stats.DecodeErrors+stats.MissingTemplate > 0 {
				t.Errorf("stats %+v, want %d option records", stats, options)
			}
		})
	}
}

func appendSet(dst []byte, id uint16, body []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, id)
	dst = binary.BigEndian.AppendUint16(dst, uint16(4+len(body)))
	return append(dst, body...)
}

// collectOne sends a message to a collector until the first flow record, and
// returns what it printed.
func collectOne(t *testing.T, message []byte, enterprise uint32) (lines []string, _ collect.Stats) {
	t.Helper()
	c, err := collect.Listen(t.Context(), "udp://127.0.0.1:0", collect.Options{
		OnError: func(err error) { t.Error(err) }, EnterpriseNumber: enterprise,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out bytes.Buffer
	var g errgroup.Group
	g.Go(func() error { return c.Run(ctx, &limitedSink{Sink: collect.NewJSON(&out), limit: 1}) })
	conn, err := net.Dial("udp", strings.TrimPrefix(c.URL(), "udp://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(message); err != nil {
		t.Fatal(err)
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n"), c.Stats()
}
