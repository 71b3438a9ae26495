package collectorside

import (
	"net/netip"
	"strings"
)

// Some collectors take no file: these say what to do by hand.

func prtgText(v *view) {
	senders, on := "empty, or the address that flow2ipfix sends from", "all addresses of the probe"
	if len(v.Senders) > 0 {
		senders = addresses(v.Senders)
	}
	if !v.everywhere() {
		on = v.Listen.Addr().String()
	}
	v.head("#")
	v.putf(`# To be set by hand; PRTG takes no file.
#
# 1. Add an %s sensor to a device of a probe that can be reached from here.
# 2. Receive Packets on UDP Port: %d
# 3. Sender IP: %s
# 4. Receive Packets on IP: %s
# 5. Active Flow Timeout (Minutes): 10. Azure's flow logs come a few minutes late,
#    and flows that are older than this are left out.
# 6. Sampling Mode: off. Nothing is sampled.
#
# The manual says that the IPFIX sensor reads IPv4 only, and that more than 50 of
# them slow a probe down. Denied flows have no packets and are not shown as denied
# (not verified).
`, v.byProtocol("IPFIX", "NetFlow v9", "NetFlow v5"), v.Listen.Port(), senders, on)
}

func solarwindsText(v *view) {
	senders := ""
	if len(v.Senders) > 0 {
		senders = " (" + addresses(v.Senders) + ")"
	}
	v.head("#")
	v.putf(`# To be set by hand; NTA takes no file.
#
# 1. The machine that sends%s has to be a node of NPM. NTA throws away what
#    comes from anybody else.
# 2. NTA Settings, NetFlow Collector Services: add port %d.
# 3. NTA Settings: "Allow monitoring of flows from unmanaged interfaces" on (not
#    verified: the name in your version). Azure's interfaces cannot be polled, and
#    flows of interfaces that are not managed are thrown away.
# 4. Indexes of interfaces, for names given by hand:
`, senders, v.Listen.Port())
	for _, i := range v.indexed() {
		v.putf("#      %d\t%s\n", i.Index, plain(i.Name))
	}
	if len(v.indexed()) == 0 {
		v.put("#      none is known yet\n")
	}
	v.put(`# 5. Flows of Azure are minutes late. NTA files them by when they came.
#
# What NTA wants in each template:
`)
	if v.protocol() == "netflow5" {
		v.put("#   netflow5 has all of it.\n")
		return
	}
	for _, wanted := range []struct {
		what, fields string
		ids          []uint16
	}{
		{"protocol (4):", "protocolIdentifier", []uint16{4}},
		{"source address (8, 27):", "sourceIPv4Address", []uint16{8, 27}},
		{"destination (12, 28):", "destinationIPv4Address", []uint16{12, 28}},
		{"interface (10 or 14):", "ingressInterface and egressInterface", []uint16{10, 14}},
		{"bytes (1):", "octetDeltaCount", []uint16{1}},
	} {
		found := "sent"
		if !v.has(wanted.ids...) {
			found = "MISSING: add " + wanted.fields + " to fields"
		}
		v.putf("#   %-24s %s\n", wanted.what, found)
	}
}

func wiresharkText(v *view) {
	v.head("#")
	v.putf(`# Live, or from a file with -r; ports other than 2055, 4739 and 9996 have to be named:
#   tshark -i any -f '%s port %d' -d %[1]s.port==%[2]d,cflow -O cflow
# In Wireshark: Analyze, Decode As..., %[3]s port %[2]d, CFLOW.
#
# A capture has to begin before a template is sent (once a minute): without it,
# Wireshark shows no records.
#
# Filters:
`, v.network(), v.Listen.Port(), strings.ToUpper(v.network()))
	if v.has(233) {
		v.put("#   denied flows:            cflow.firewall_event == 3\n")
	}
	if v.has(89) {
		v.put("#   not forwarded:           cflow.forwarding_status == 2\n")
	}
	if v.has(234) {
		v.put("#   of one target:           cflow.ingress_vrfid == NUMBER\n")
	}
	v.put("#   of one domain:           cflow.od_id == NUMBER\n")
	if len(v.own()) > 0 {
		v.put(`#
# Enterprise elements have no names there and cannot be given any without a
# dissector of one's own: they are cflow.enterprise_private_entry, octets, in this
# order:
`)
		for _, f := range v.own() {
			what := f.value
			if f.text() {
				what = "text in UTF-8"
			}
			v.putf("#   (%d/%d) %s: %s\n", f.Enterprise, f.ID, f.Name, what)
		}
		v.put("#   tshark ... -T fields -e cflow.enterprise_private_entry\n")
	}
	if len(v.reverse()) > 0 {
		v.put(`#
# Reverse counters have the names of the forward ones, behind them. In JSON use
# --no-duplicate-keys.
`)
	}
}

func addresses(all []netip.Addr) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
