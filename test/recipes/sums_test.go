package recipes

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"flow2ipfix/test/expect"
)

// TestAnswers adds the fixture up with the oracle, and compares what each recipe
// asks for with the answer that the document has. No collector is asked.
func TestAnswers(t *testing.T) {
	d := read(t)
	o := readFixture(t)
	web, db := addr("10.1.1.4"), addr("10.1.2.4")
	servers := func(f *expect.Flow) bool { return between(f, web, db) }
	shop := prefixes("10.1.0.0/16", "2001:db8:1::/48")
	once := func(f *expect.Flow) bool {
		return !at(f, 4) && !at(f, 5) && (f.Direction == expect.Egress || !shop(f.Source))
	}
	office, azure := prefixes("192.168.0.0/16"), prefixes("10.1.0.0/16")
	premises := func(f *expect.Flow) bool {
		return office(f.Source) && azure(f.Destination) || azure(f.Source) && office(f.Destination)
	}
	denied := func(f *expect.Flow) bool { return f.FirewallEvent == 3 }
	probe := addr("168.63.129.16")

	checks := []struct {
		heading string
		columns *regexp.Regexp
		want    []string
	}{
		{"Count each packet once", pairColumns, pairs(o.flows, servers)},
		{"Count each packet once", pairColumns, pairs(o.flows, func(f *expect.Flow) bool { return at(f, 1) && servers(f) })},
		{"Count each packet once", pairColumns, pairs(o.flows, func(f *expect.Flow) bool { return once(f) && servers(f) })},

		{"Who did this VM talk to, and how much", pairColumns, pairs(o.flows, func(f *expect.Flow) bool {
			return at(f, 1) && f.Packets > 0 && !has(f, probe)
		})},
		{"Who did this VM talk to, and how much", talkColumns, conversations(o.flows, func(f *expect.Flow) bool { return at(f, 1) && f.Packets > 0 })},

		{"Top talkers and top ports", topColumns, top(o.flows, 4, once, func(f *expect.Flow) string { return f.Source.String() })},
		{"Top talkers and top ports", topColumns, slices.Concat(
			top(o.flows, 3, func(f *expect.Flow) bool { return once(f) && f.DestinationPort < 32768 }, func(f *expect.Flow) string { return fmt.Sprint(f.DestinationPort) }),
			top(o.flows, 3, func(f *expect.Flow) bool { return once(f) && f.SourcePort < 32768 }, func(f *expect.Flow) string { return fmt.Sprint(f.SourcePort) }),
		)},

		{"Between two address ranges, over time and by direction", pairColumns, networks(o.flows, func(f *expect.Flow) bool { return at(f, 4) && premises(f) })},
		{"Between two address ranges, over time and by direction", pairColumns, networks(o.flows, func(f *expect.Flow) bool { return once(f) && premises(f) })},
		{"Between two address ranges, over time and by direction", slotColumns, slots(o.flows, func(f *expect.Flow) bool { return at(f, 4) && premises(f) }, office)},

		{"Allowed and denied between two servers", talkColumns, conversations(o.flows, func(f *expect.Flow) bool { return at(f, 3) && servers(f) && !denied(f) })},
		{"Allowed and denied between two servers", listColumns, list(o.flows, func(f *expect.Flow) bool { return at(f, 3) && servers(f) && denied(f) })},
		{"Allowed and denied between two servers", whyColumns, counted(o.flows, func(f *expect.Flow) bool { return at(f, 3) && denied(f) }, func(f *expect.Flow) string {
			return fmt.Sprintf("%s %s %d", end(f.Source, f.SourcePort), end(f.Destination, f.DestinationPort), f.ForwardingStatus)
		})},

		{"Who was denied by which rule", whomColumns, counted(o.flows, denied, func(f *expect.Flow) string {
			return fmt.Sprintf("%s %s %d", f.Source, f.Destination, f.DestinationPort)
		})},
		{"Who was denied by which rule", ruleColumns, o.deniedByRule()},

		{"How a load balancer's back ends share the traffic", topColumns, slices.Concat(
			top(o.flows, 10, func(f *expect.Flow) bool {
				return f.DestinationPort == 443 && (f.Ingress == 1 || f.Ingress == 2) && f.Source != probe
			}, func(f *expect.Flow) string { return fmt.Sprint(f.Ingress) }),
			top(o.flows, 10, func(f *expect.Flow) bool {
				return f.SourcePort == 443 && (f.Egress == 1 || f.Egress == 2) && f.Destination != probe
			}, func(f *expect.Flow) string { return fmt.Sprint(f.Egress) }),
		)},

		{"What crosses a gateway", pairColumns, pairs(o.flows, func(f *expect.Flow) bool { return at(f, 4) })},
		{"What crosses a gateway", pairColumns, pairs(o.flows, func(f *expect.Flow) bool { return f.Ingress == 5 })},

		{"What is not encrypted", codeColumns, o.notEncrypted(shop)},
		{"What is not encrypted", spareColumns, each(o.flows, func(f *expect.Flow) bool { return f.ForwardingStatus == 128 }, func(f *expect.Flow) string {
			return fmt.Sprintf("%s %s %s %d", time.UnixMilli(f.End).UTC().Format("2006-01-02T15:04:05.000Z"), f.Source, f.Destination, f.DestinationPort)
		})},
	}
	if len(checks) != len(d.Recipes) {
		t.Fatalf("the document has %d recipes, the oracle knows %d", len(d.Recipes), len(checks))
	}
	for i, c := range checks {
		r := &d.Recipes[i]
		t.Run(r.Name(), func(t *testing.T) {
			if r.Heading != c.heading {
				t.Fatalf("the oracle expects a recipe of %q", c.heading)
			}
			var got []string
			for line := range strings.Lines(r.Want) {
				if m := c.columns.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
					got = append(got, strings.Join(m[1:], " "))
				}
			}
			// TestRecipes holds them to their order.
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.want))
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("the document says\n%s\nthe fixture adds up to\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// The columns of answers that count; headings do not match.
var (
	pairColumns  = regexp.MustCompile(`^ *(\S+) +(\S+) +(\d+) +(\d+) +(\d+)$`)
	talkColumns  = regexp.MustCompile(`^(\d\S+ \S+) +(\S+) +(\S+) +(\d+) +(\d+)$`)
	topColumns   = regexp.MustCompile(` any +(\S+) +(\d+)\([ .\d]+\) +(\d+)\([ .\d]+\) +(\d+)\(`)
	slotColumns  = regexp.MustCompile(`^(\S+ \S+) +(\d+) +(\d+)$`)
	listColumns  = regexp.MustCompile(`^(\d\S+ \S+) +(\S+) +(\S+) +0$`)
	whyColumns   = regexp.MustCompile(`^ *(\d+) +(\S+) +(\S+) +(\d+)$`)
	whomColumns  = whyColumns
	ruleColumns  = regexp.MustCompile(`^ *(\d+) +(\S+) +(\S+) +(\d+) +(\S+) +(\S+)$`)
	codeColumns  = regexp.MustCompile(`^(\S+) +(\S+) +(\d) +(\d+)$`)
	spareColumns = regexp.MustCompile(`^(\S+)  (\S+)  (\S+)  (\d+)$`)
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefixes(all ...string) func(netip.Addr) bool {
	return func(a netip.Addr) bool {
		return slices.ContainsFunc(all, func(p string) bool { return netip.MustParsePrefix(p).Contains(a) })
	}
}

func at(f *expect.Flow, index uint32) bool { return f.Ingress == index || f.Egress == index }

func has(f *expect.Flow, a netip.Addr) bool { return f.Source == a || f.Destination == a }

func between(f *expect.Flow, a, b netip.Addr) bool { return has(f, a) && has(f, b) }

// end is an address and port as nfdump prints them.
func end(a netip.Addr, port uint16) string {
	separator := ":"
	if a.Is6() {
		separator = "."
	}
	return a.String() + separator + strconv.Itoa(int(port))
}

// total is what flows with something in common add up to.
type total struct {
	key                     string
	packets, bytes, records uint64
}

// totals adds up, the most bytes first.
func totals(flows []expect.Flow, keep func(*expect.Flow) bool, key func(*expect.Flow) string) []total {
	var all []total
	for i := range flows {
		f := &flows[i]
		if !keep(f) {
			continue
		}
		k := slices.IndexFunc(all, func(t total) bool { return t.key == key(f) })
		if k < 0 {
			k = len(all)
			all = append(all, total{key: key(f)})
		}
		all[k].packets += f.Packets
		all[k].bytes += f.Bytes
		all[k].records++
	}
	slices.SortStableFunc(all, func(a, b total) int { return cmp.Compare(b.bytes, a.bytes) })
	return all
}

func pairs(flows []expect.Flow, keep func(*expect.Flow) bool) []string {
	return pairsOf(flows, keep, func(a netip.Addr) string { return a.String() })
}

// networks are pairs of /16.
func networks(flows []expect.Flow, keep func(*expect.Flow) bool) []string {
	return pairsOf(flows, keep, func(a netip.Addr) string {
		p, err := a.Prefix(16)
		if err != nil {
			return err.Error()
		}
		return p.Masked().Addr().String()
	})
}

func pairsOf(flows []expect.Flow, keep func(*expect.Flow) bool, name func(netip.Addr) string) []string {
	var lines []string
	for _, s := range totals(flows, keep, func(f *expect.Flow) string { return name(f.Source) + " " + name(f.Destination) }) {
		lines = append(lines, fmt.Sprintf("%s %d %d %d", s.key, s.packets, s.bytes, s.records))
	}
	return lines
}

func top(flows []expect.Flow, n int, keep func(*expect.Flow) bool, key func(*expect.Flow) string) []string {
	var lines []string
	for _, s := range totals(flows, keep, key) {
		lines = append(lines, fmt.Sprintf("%s %d %d %d", s.key, s.records, s.packets, s.bytes))
	}
	return lines[:min(n, len(lines))]
}

const nfdumpTime = "2006-01-02 15:04:05.000"

// conversations puts both directions of a flow into a line. The oracle tells the
// one that began first.
func conversations(flows []expect.Flow, keep func(*expect.Flow) bool) []string {
	type talk struct {
		start     int64
		ends      [2]string
		out, back uint64
	}
	var all []talk
	for i := range flows {
		f := &flows[i]
		if !keep(f) {
			continue
		}
		ends := [2]string{end(f.Source, f.SourcePort), end(f.Destination, f.DestinationPort)}
		back := slices.IndexFunc(all, func(t talk) bool { return t.ends == [2]string{ends[1], ends[0]} })
		if back >= 0 {
			all[back].back += f.Bytes
			continue
		}
		k := slices.IndexFunc(all, func(t talk) bool { return t.ends == ends })
		if k < 0 {
			k = len(all)
			all = append(all, talk{start: f.Start, ends: ends})
		}
		all[k].out += f.Bytes
	}
	slices.SortFunc(all, func(a, b talk) int { return cmp.Compare(a.start, b.start) })
	var lines []string
	for _, c := range all {
		lines = append(lines, fmt.Sprintf("%s %s %s %d %d", time.UnixMilli(c.start).UTC().Format(nfdumpTime), c.ends[0], c.ends[1], c.out, c.back))
	}
	return lines
}

// slots adds up bytes in ten minutes, from somewhere and the other way.
func slots(flows []expect.Flow, keep func(*expect.Flow) bool, from func(netip.Addr) bool) []string {
	sums := map[string]*[2]uint64{}
	var order []string
	for i := range flows {
		f := &flows[i]
		if !keep(f) {
			continue
		}
		slot := time.UnixMilli(f.End).UTC().Truncate(10 * time.Minute).Format("2006-01-02 15:04")
		if sums[slot] == nil {
			sums[slot] = &[2]uint64{}
			order = append(order, slot)
		}
		if from(f.Source) {
			sums[slot][0] += f.Bytes
		} else {
			sums[slot][1] += f.Bytes
		}
	}
	slices.Sort(order)
	var lines []string
	for _, slot := range order {
		lines = append(lines, fmt.Sprintf("%s %d %d", slot, sums[slot][0], sums[slot][1]))
	}
	return lines
}

// list has a line for each record.
func list(flows []expect.Flow, keep func(*expect.Flow) bool) []string {
	return each(flows, keep, func(f *expect.Flow) string {
		return fmt.Sprintf("%s %s %s", time.UnixMilli(f.End).UTC().Format(nfdumpTime), end(f.Source, f.SourcePort), end(f.Destination, f.DestinationPort))
	})
}

func each(flows []expect.Flow, keep func(*expect.Flow) bool, line func(*expect.Flow) string) []string {
	var all []string
	for i := range flows {
		if keep(&flows[i]) {
			all = append(all, line(&flows[i]))
		}
	}
	return all
}
