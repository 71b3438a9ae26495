package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"flow2ipfix/bridge"
)

// testReport is what send-test has done, and what should be seen. It is what
// --summary json prints.
type testReport struct {
	Begin      time.Time         `json:"begin"` // of the flows
	End        time.Time         `json:"end"`
	Collectors []collectorReport `json:"collectors"`
}

// collectorReport is about one collector. Seen is what should be seen there; it is
// nil if the collector refused.
type collectorReport struct {
	Name     string   `json:"name"`
	URL      string   `json:"url"`
	Error    string   `json:"error,omitempty"`
	Preset   string   `json:"preset"`
	Protocol string   `json:"protocol"`
	Biflow   bool     `json:"biflow"`
	Records  uint64   `json:"exported_records"`
	Messages uint64   `json:"messages"`
	Bytes    uint64   `json:"bytes"`
	Seen     *seenSet `json:"seen"`
	Look     []string `json:"look"`

	taken string // what is known of its reception
}

func newCollectorReport(c *testCollector, lane *bridge.LaneSummary, how string) collectorReport {
	set := c.dialect.set
	r := collectorReport{
		Name: c.name, URL: c.exporter.URL, Error: errorText(lane.Err), Preset: set.Preset.Name, Protocol: set.Protocol.String(), Biflow: set.Biflow(),
		Records: lane.Sent.Records, Messages: lane.Sent.Messages, Bytes: lane.Sent.Bytes,
	}
	switch c.scheme {
	case "udp":
		r.taken = "nothing refused them, which is all that UDP can tell"
	case "dtls":
		r.taken = how + ", and nothing refused them"
	case "tls":
		r.taken = how + ", and the collector's host has taken them"
	case "tcp":
		r.taken = "the collector's host has taken them"
	default:
		r.taken = "written"
	}
	return r
}

func (r *testRun) print(report *testReport) error {
	for i := range report.Collectors {
		if c := &report.Collectors[i]; c.Error != "" {
			c.Seen = nil // or not all of it
		} else if c.Seen != nil {
			c.Look = whereToLook(c)
		}
	}
	out := r.ui.out
	if slices.ContainsFunc(r.collectors, func(c testCollector) bool { return c.exporter.URL == "file:-" }) {
		out = r.ui.err // standard output is taken
	}
	if r.flags.summary == "json" {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		return enc.Encode(report)
	}
	var b bytes.Buffer
	for i := range report.Collectors {
		c := &report.Collectors[i]
		if c.Seen == nil {
			continue
		}
		fmt.Fprintf(&b, "sent   %s%s in %s, %s, to %s: %s\n", count(c.Records, "flow record"), andOptions(uint64(len(c.Seen.Options))),
			count(c.Messages, "message"), size(c.Bytes), c.Name, c.taken)
		// Collectors that are sent the same share what should be seen.
		if i+1 < len(report.Collectors) && report.Collectors[i+1].Seen == c.Seen {
			continue
		}
		c.print(&b, report)
	}
	_, err := b.WriteTo(out)
	return err
}

func andOptions(n uint64) string {
	if n == 0 {
		return ""
	}
	return " and " + count(n, "options record")
}

// toldOnce are elements that are the same in all records of the set.
var toldOnce = []string{
	"interfaceName", "interfaceDescription", "VRFname", "exporterIPv4Address", "exporterIPv6Address",
	"azureFlowLog", "azureTargetResource", "azureSubscription", "azureRegion", "azureResourceGroup", "azureAcl",
}

// print writes what should be seen.
func (c *collectorReport) print(b *bytes.Buffer, report *testReport) {
	form := c.Protocol + ", preset " + c.Preset
	if c.Biflow {
		form += ", both ways of a flow in one record"
	}
	fmt.Fprintf(b, "as     %s\n", form)
	if len(c.Seen.Records) > 0 {
		first := c.Seen.Records[0]
		fmt.Fprintf(b, "with   observation domain %d, interface %d, times from %s to %s\n", first.Domain, max(first.Ingress, first.Egress),
			report.Begin.Format("15:04:05"), report.End.Format("15:04:05 MST"))
		for _, name := range toldOnce {
			if value, ok := first.Fields[name]; ok {
				fmt.Fprintf(b, "       %s %s\n", name, plain(value))
			}
		}
	}
	fmt.Fprintln(b, "\nshould be seen:")
	seenTable(b, c.Seen.Records)
	if len(c.Seen.Options) > 0 {
		fmt.Fprintln(b, "\nand of options, if the collector reads them:")
		for _, o := range c.Seen.Options {
			fmt.Fprintf(b, "  %s\n", o.text)
		}
	}
	if len(c.Seen.NotSent) > 0 {
		fmt.Fprintln(b, "\nnot sent:")
		for _, n := range c.Seen.NotSent {
			fmt.Fprintf(b, "  %s: %s\n", n.Flow, n.Why)
		}
	}
	fmt.Fprintln(b, "\nwhere to look:")
	for _, line := range c.Look {
		fmt.Fprintf(b, "  %s\n", line)
	}
}

func seenTable(out *bytes.Buffer, records []*seenRecord) {
	// Columns of numbers are padded here, since tabwriter aligns all or none.
	type numbers struct{ packets, octets string }
	cells := make([]numbers, len(records))
	wide := numbers{"PACKETS", "BYTES"}
	for i, s := range records {
		n := numbers{thousands(s.Packets), thousands(s.Bytes)}
		if s.ReversePackets != nil {
			n.packets += " / " + thousands(*s.ReversePackets)
			n.octets += " / " + thousands(*s.ReverseBytes)
		}
		cells[i] = n
		wide = numbers{longer(wide.packets, n.packets), longer(wide.octets, n.octets)}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(flow, protocol, source, destination string, n numbers, in, to, direction, shows string) {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%*s\t%*s\t%s\t%s\t%s\t%s\n", flow, protocol, source, destination,
			len(wide.packets), n.packets, len(wide.octets), n.octets, in, to, direction, shows)
	}
	row("FLOW", "PROTO", "SOURCE", "DESTINATION", numbers{"PACKETS", "BYTES"}, "IN", "OUT", "DIR", "SHOWS")
	for i, s := range records {
		row(s.Flow, protocolName(s.Protocol), endpointText(s.Source, s.SourcePort, s.Protocol), endpointText(s.Destination, s.DestinationPort, s.Protocol),
			cells[i], fmt.Sprint(s.Ingress), fmt.Sprint(s.Egress), cmp.Or(s.Direction, "-"), s.Shows)
	}
	_ = w.Flush() // into out
}

func longer(a, b string) string {
	if len(b) > len(a) {
		return b
	}
	return a
}

func protocolName(n uint8) string {
	if name, ok := map[uint8]string{1: "ICMP", 6: "TCP", 17: "UDP"}[n]; ok {
		return name
	}
	return fmt.Sprint(n)
}

func endpointText(a netip.Addr, port uint16, protocol uint8) string {
	if protocol == 1 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// whereToLook says how to find the set at a kind of collector, and what it will
// not show.
func whereToLook(c *collectorReport) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	index := uint32(0)
	if len(c.Seen.Records) > 0 {
		index = max(c.Seen.Records[0].Ingress, c.Seen.Records[0].Egress)
	}
	switch c.Preset {
	case "nfdump":
		format := "%ts %te %pr %sap %dap %pkt %byt %in %out %dir"
		if c.Biflow {
			format = "%ts %te %pr %sap %dap %ipkt %ibyt %opkt %obyt %in %out %dir"
		}
		add("nfdump -R DIRECTORY -6 -N -o 'fmt:%s' 'host %s or host %s'", format, testVM, testV6)
		add("nfcapd writes its file every 5 minutes, and when it is told to end; times are local")
		add("version 1.7.1 shows neither forwardingStatus nor firewallEvent: denied flows are those with 0 packets")
		if len(c.Seen.Options) > 0 {
			add("it counts each options record as a sequence failure, which is harmless")
		}
	case "ntopng":
		add("ntopng: Flows, Live, and there the host %s or %s; later Flows, Historical, if that is on", testVM, testV6)
		add("it makes one row of both ways of a flow")
		add("nothing there: nProbe's log says whether it drops flows, for its licence for example")
	case "elastiflow":
		add("Kibana or OpenSearch: flow.src.ip.addr: %q or flow.dst.ip.addr: %q, and likewise %s", testVM, testVM, testV6)
		add("in ECS form source.ip and destination.ip; how it shows denials is not documented")
	case "goflow2":
		add(`jq 'select([.src_addr, .dst_addr] | any(. == "%s" or . == "%s"))' FILE, of what -format json wrote`, testVM, testV6)
		add("forwarding_status and the interfaces in_if and out_if are there, firewallEvent is not without a mapping file")
		if c.Biflow {
			add("it loses what came back of bidirectional records, unless a mapping file has them")
		}
	case "pmacct":
		add("grep -F -e %s -e %s FILE, of what the print plugin wrote; or any plugin's table", testVM, testV6)
		add("forwardingStatus, firewallEvent and reverse counters need primitives: flow2ipfix collector-config --for pmacct")
	case "akvorado":
		add("console, Visualize, filter: SrcAddr = %s OR DstAddr = %s, and likewise %s", testVM, testVM, testV6)
		add("it drops flows of interfaces without metadata: give it some of interface %d, or send that of a known one with --interface", index)
		add("it files by time of arrival, unless timestamp-source is netflow-first-switched; it shows packets and bytes as rates")
	case "elk":
		add("Kibana, data of Filebeat: source.ip: %q or destination.ip: %q, and likewise %s", testVM, testVM, testV6)
		add("data of Logstash: netflow.sourceIPv4Address or netflow.destinationIPv4Address; netflow.sourceIPv6Address for %s", testV6)
		add("both file by export time; Azure's times are in fields of their own")
	case "telegraf":
		add("metric netflow, fields src and dst: %s or %s; a denial is fw_event and fwd_reason", testVM, testV6)
		add("nothing there, and it was started only now: wait for the next templates, a minute at most")
	case "vflow":
		add("the JSON of its message queue: I 8 and 12 (IPv6: 27 and 28) are %s and %s", testVM, testV6)
	case "solarwinds":
		add("NTA: endpoint %s; the address that this comes from must be a node, with its interface %d managed, or NTA drops it", testVM, index)
		add("send from a known one with --interface and --local-address; how it counts denied flows is not documented")
	case "prtg":
		add("the sensor's toplists: %s; its IPFIX sensor shows no IPv6", testVM)
	default:
		add("filter by host %s or %s, or by the ports 50001 to 50008", testVM, testV6)
	}
	switch {
	case c.Protocol == "netflow5":
		add("netflow5 has no IPv6, no firewallEvent and no forwardingStatus: a denied flow is one without packets")
	case strings.HasPrefix(c.URL, "udp:") && c.Protocol != "netflow5":
		add("nothing there at all: see that no firewall drops UDP on the way, and the collector's own log")
	}
	if slices.ContainsFunc(c.Seen.Records, func(s *seenRecord) bool { return s.Flow == "large" }) {
		add("the large flow counts 348 GB in traffic sums; --flows leaves flows out")
	}
	return lines
}
