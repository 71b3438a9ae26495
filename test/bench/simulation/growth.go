// Package simulation runs flow2ipfix as a daemon against a storage account of
// many network interfaces whose flow logs grow by the minute, and says what that
// costs: time, memory, requests. The account is a fake one that makes its blobs
// while they are read, so that it stays small; the daemon is the built program.
package simulation

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const (
	container = "insights-logs-flowlogflowevent"
	head      = `{"records":[`
	foot      = `]}`
	// variants is how many texts there are to make records from.
	variants = 16
)

// Size is how much grows.
type Size struct {
	FlowLogs int // up to 150
	NICs     int // of each flow log, up to 5000
	Tuples   int // of each record
}

// Blobs is how many there are an hour.
func (s Size) Blobs() int { return s.FlowLogs * s.NICs }

// growth is the content of all blobs of one hour, each a record a minute. It is
// the same whenever it is asked for.
type growth struct {
	size    Size
	hour    time.Time
	records [variants]pattern
}

// pattern is a record with places for what differs between network interfaces
// and minutes. These are always as long.
type pattern struct {
	text            string
	mac, clock      int   // where
	flowLogs        []int // number, three digits
	vms             []int // address
	times           []tupleTime
	flows, reported int // tuples, and records that come of them
}

type tupleTime struct {
	at     int
	millis int64 // since the minute began
}

const (
	clockLayout = "2006-01-02T15:04:05.0000000Z"
	macWidth    = len("000D3A000000")
	vmWidth     = len("10.100.100.100")
	timeWidth   = len("1795168800000")
)

func newGrowth(size Size, hour time.Time) (*growth, error) {
	if size.FlowLogs < 1 || size.FlowLogs > 150 || size.NICs < 1 || size.NICs > 5000 || size.Tuples < 1 || size.Tuples > 1e6 {
		return nil, fmt.Errorf("size: want 1 to 150 flow logs of 1 to 5000 network interfaces, and 1 to 1000000 tuples; got %+v", size)
	}
	g := &growth{size: size, hour: hour.UTC().Truncate(time.Hour)}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range g.records {
		g.records[i] = newPattern(random, size.Tuples)
	}
	return g, nil
}

// newPattern makes up traffic: about as many tuples of each state as Azure logs,
// each rule's in their order.
func newPattern(random *rand.Rand, tuples int) pattern {
	var p pattern
	var b strings.Builder
	place := func(width int) int {
		b.WriteString(strings.Repeat("?", width))
		return b.Len() - width
	}
	number := func() { p.flowLogs = append(p.flowLogs, place(3)) }
	b.WriteString(`{"time":"`)
	p.clock = place(len(clockLayout))
	b.WriteString(`","flowLogGUID":"92171318-ae7d-4b81-917a-29a9670f7851","macAddress":"`)
	p.mac = place(macWidth)
	const subscription = "8625a287-3518-4d9d-b1e9-93eaed7dc8bc"
	b.WriteString(`","category":"FlowLogFlowEvent","flowLogResourceID":"/SUBSCRIPTIONS/` + strings.ToUpper(subscription) +
		`/RESOURCEGROUPS/NETWORKWATCHERRG/PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/NETWORKWATCHER_WESTEUROPE/FLOWLOGS/VNET-APP-`)
	number()
	b.WriteString(`-RG-NET-FLOWLOG","targetResourceID":"/subscriptions/` + subscription + `/resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks/vnet-app-`)
	number()
	b.WriteString(`","flowLogVersion":4,"operationName":"FlowLogFlowEvent","flowRecords":{"flows":[{"aclID":"/subscriptions/` + subscription +
		`/resourceGroups/rg-net/providers/Microsoft.Network/networkSecurityGroups/nsg-app-`)
	number()
	b.WriteString(`","flowGroups":[`)
	rules := []string{"DefaultRule_AllowInternetOutBound", "DefaultRule_AllowVnetInBound", "UserRule_web", "DefaultRule_DenyAllInBound"}
	for i, rule := range rules {
		n := tuples*(i+1)/len(rules) - tuples*i/len(rules)
		if n == 0 {
			continue
		}
		if p.flows > 0 {
			b.WriteString(`,`)
		}
		b.WriteString(`{"rule":"` + rule + `","flowTuples":[`)
		for k := range n {
			if k > 0 {
				b.WriteString(`,`)
			}
			p.flows++
			b.WriteString(`"`)
			p.times = append(p.times, tupleTime{place(timeWidth), int64(60_000*k/n) + random.Int64N(60_000/int64(n)+1)})
			b.WriteString(`,`)
			peer := fmt.Sprintf("%d.%d.%d.%d", 20+random.IntN(150), random.IntN(256), random.IntN(256), 1+random.IntN(254))
			if i == 0 {
				p.vms = append(p.vms, place(vmWidth))
				fmt.Fprintf(&b, ",%s,%d,443,6,O,", peer, 1024+random.IntN(64000))
			} else {
				b.WriteString(peer + ",")
				p.vms = append(p.vms, place(vmWidth))
				fmt.Fprintf(&b, ",%d,443,6,I,", 1024+random.IntN(64000))
			}
			sent := 1 + random.IntN(300)
			switch state := random.IntN(100); {
			case i == len(rules)-1 && state < 50:
				b.WriteString(`D,NX,0,0,0,0"`)
				p.reported++
			case state < 35:
				b.WriteString(`B,NX,0,0,0,0"`)
			case state < 38: // nobody answered
				fmt.Fprintf(&b, `E,NX,%d,%d,0,0"`, sent, 60*sent)
				p.reported++
			default:
				received := 1 + random.IntN(300)
				fmt.Fprintf(&b, `%s,NX,%d,%d,%d,%d"`, []string{"C", "E"}[random.IntN(2)], sent, sent*(60+random.IntN(1000)), received, received*(60+random.IntN(1000)))
				p.reported += 2
			}
		}
		b.WriteString(`]}`)
	}
	b.WriteString(`]}]}}`)
	p.text = b.String()
	return p
}

// pattern returns that of a blob's record.
func (g *growth) pattern(blob, minute int) *pattern { return &g.records[(7*blob+minute)%variants] }

// sizeAt is how long a blob is after so many minutes.
func (g *growth) sizeAt(blob, minutes int) int64 {
	size := len(head) + len(foot) + max(0, minutes-1)
	for m := range minutes {
		size += len(g.pattern(blob, m).text)
	}
	return int64(size)
}

// etag is that of a blob after so many minutes.
func (g *growth) etag(blob, minutes int) string {
	return fmt.Sprintf("0x8DE%06X%06X", blob, minutes)
}

// appendFrom appends a blob as it is after so many minutes, from an offset on.
func (g *growth) appendFrom(dst []byte, blob, minutes int, offset int64) []byte {
	skip := offset
	piece := func(length int, add func()) {
		if skip >= int64(length) {
			skip -= int64(length)
			return
		}
		before := len(dst)
		add()
		if skip > 0 {
			dst = append(dst[:before], dst[before+int(skip):]...)
			skip = 0
		}
	}
	piece(len(head), func() { dst = append(dst, head...) })
	for m := range minutes {
		if m > 0 {
			piece(1, func() { dst = append(dst, ',') })
		}
		piece(len(g.pattern(blob, m).text), func() { dst = g.appendRecord(dst, blob, m) })
	}
	piece(len(foot), func() { dst = append(dst, foot...) })
	return dst
}

func (g *growth) appendRecord(dst []byte, blob, minute int) []byte {
	p := g.pattern(blob, minute)
	start := len(dst)
	dst = append(dst, p.text...)
	text := dst[start:]
	begin := g.hour.Add(time.Duration(minute) * time.Minute)
	// AppendFormat would write behind it, for a while.
	copy(text[p.clock:], begin.Add(time.Duration(blob%60)*time.Second).Format(clockLayout))
	copy(text[p.mac:], mac(blob))
	flowLog, nic := blob/g.size.NICs, blob%g.size.NICs
	number := fmt.Sprintf("%03d", flowLog)
	for _, at := range p.flowLogs {
		copy(text[at:], number)
	}
	vm := fmt.Sprintf("10.%d.%d.%d", 100+flowLog, 100+nic/150, 100+nic%150)
	for _, at := range p.vms {
		copy(text[at:], vm)
	}
	from := begin.Add(-time.Minute).UnixMilli()
	for _, t := range p.times {
		strconv.AppendInt(text[:t.at], from+t.millis, 10)
	}
	return dst
}

// flowsIn returns how many tuples all blobs have for one minute, and how many
// records come of them when flows that only began are left out: one each way in
// which there was anything.
func (g *growth) flowsIn(minute int) (tuples, records int) {
	for blob := range g.size.Blobs() {
		p := g.pattern(blob, minute)
		tuples += p.flows
		records += p.reported
	}
	return tuples, records
}

func mac(blob int) string { return fmt.Sprintf("000D3A%06X", blob) }

// name is that of a blob in its container. In the order of names, blobs are in
// the order of their numbers.
func (g *growth) name(blob int) string {
	return fmt.Sprintf("flowLogResourceID=/8625A287-3518-4D9D-B1E9-93EAED7DC8BC_NETWORKWATCHERRG/NETWORKWATCHER_WESTEUROPE_VNET-APP-%03d-RG-NET-FLOWLOG/", blob/g.size.NICs) +
		g.hour.Format("y=2006/m=01/d=02/h=15/m=00/") + "macAddress=" + mac(blob) + "/PT1H.json"
}
