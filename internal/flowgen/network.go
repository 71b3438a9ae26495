package flowgen

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// nicsPerNetwork NICs share a virtual network, its NSG and its flow log.
const nicsPerNetwork = 16

// Containers Azure writes flow logs to; the first part of a BlobPath.
const (
	VNetContainer = "insights-logs-flowlogflowevent"
	NSGContainer  = "insights-logs-networksecuritygroupflowevent"
)

// Salts keep the uses of hash apart.
const (
	saltTraffic = iota + 1
	saltTiming
	saltJitter
	saltLoad
	saltMAC
	saltPrefix
	saltSubscription
	saltFlowLog
	saltSystem
	saltPool
)

// hash mixes a seed, a salt and a number (the finaliser of SplitMix64).
func hash(seed, salt, i uint64) uint64 {
	x := seed + salt*0x9e3779b97f4a7c15 + i*0xd1342543de82ef95
	for range 2 {
		x ^= x >> 30
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 27
		x *= 0x94d049bb133111eb
		x ^= x >> 31
	}
	return x
}

// scale maps a random 64-bit number to 0 … limit-1.
func scale(random, limit uint64) uint64 {
	hi, _ := bits.Mul64(random, limit)
	return hi
}

// guidOf returns a random-looking version 4 GUID in lower case.
func guidOf(seed, salt, i uint64) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hash(seed, salt, 2*i))
	binary.BigEndian.PutUint64(b[8:], hash(seed, salt, 2*i+1))
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// macOf returns the MAC address of a NIC the way flow logs write it: 12
// upper-case hexadecimal digits. NICs of one seed never share one.
func macOf(seed uint64, nic int) string {
	const odd = 0x9e3779b1 // a bijection of the lower 24 bits
	return fmt.Sprintf("000D3A%06X", (hash(seed, saltMAC, 0)+uint64(nic)*odd)&0xffffff)
}

// network is a virtual network: the names its NICs log under, and its subnets.
type network struct {
	blobPrefix string // container and blob name up to "/y="
	beforeMAC  string // record text between the time and the MAC address
	afterMAC   string // record text from the MAC address to the list of flows
	acl        string // ARM id of the NSG, as in aclID

	vm4, vm6     string // address prefixes of the subnet with the NICs
	peer4, peer6 string // and of the subnet with the peers
}

func makeNetworks(cfg Config) []network {
	nets := make([]network, (cfg.NICs+nicsPerNetwork-1)/nicsPerNetwork)
	sub := guidOf(cfg.Seed, saltSubscription, 0)
	pre := hash(cfg.Seed, saltPrefix, 0)
	ula := fmt.Sprintf("fd%02x:%x:%x", pre&0xff, pre>>8&0xffff|0x1000, pre>>24&0xffff|0x1000)
	for v := range nets {
		n := &nets[v]
		a, b := 100+v%128, 128+2*(v/128)
		n.vm4, n.peer4 = fmt.Sprintf("10.%d.%d.", a, b), fmt.Sprintf("10.%d.%d.", a, b+1)
		n.vm6, n.peer6 = fmt.Sprintf("%s:%x::", ula, 0x100+2*v), fmt.Sprintf("%s:%x::", ula, 0x101+2*v)
		n.name(cfg, sub, v)
	}
	return nets
}

// name fills in the texts: the resources of network v in subscription sub.
func (n *network) name(cfg Config, sub string, v int) {
	region := [...]string{"westeurope", "eastus2", "northeurope"}[v%3]
	group := "rg-net-" + region
	vnet := fmt.Sprintf("vnet-app-%03d", v+1)
	resource := fmt.Sprintf("/subscriptions/%s/resourceGroups/%s/providers/Microsoft.Network/", sub, group)
	n.acl = fmt.Sprintf("%snetworkSecurityGroups/nsg-app-%03d", resource, v+1)

	if cfg.Kind == VNet {
		log := vnet + "-" + group + "-flowlog"
		n.blobPrefix = VNetContainer + "/flowLogResourceID=/" +
			strings.ToUpper(sub+"_networkwatcherrg/networkwatcher_"+region+"_"+log)
		logID := strings.ToUpper("/subscriptions/" + sub +
			"/resourceGroups/networkwatcherrg/providers/Microsoft.Network/networkWatchers/networkwatcher_" + region + "/flowLogs/" + log)
		n.beforeMAC = `","flowLogGUID":"` + guidOf(cfg.Seed, saltFlowLog, uint64(v)) + `","macAddress":"`
		n.afterMAC = `","category":"FlowLogFlowEvent","flowLogResourceID":"` + logID +
			`","targetResourceID":"` + resource + "virtualNetworks/" + vnet +
			`","flowLogVersion":4,"operationName":"FlowLogFlowEvent","flowRecords":{"flows":[`
		return
	}
	id := strings.ToUpper(n.acl)
	n.blobPrefix = NSGContainer + "/resourceId=" + id
	n.beforeMAC = `","systemId":"` + guidOf(cfg.Seed, saltSystem, uint64(v))
	version := "1"
	if cfg.Kind == NSG { // version 1 has the MAC address inside the flows only
		n.beforeMAC += `","macAddress":"`
		version = "2"
	}
	n.afterMAC = `","category":"NetworkSecurityGroupFlowEvent","resourceId":"` + id +
		`","operationName":"NetworkSecurityGroupFlowEvents","properties":{"Version":` + version + `,"flows":[`
}

// vmAddrs returns the addresses of the k-th NIC of the network.
func (n *network) vmAddrs(k int) (v4, v6 string) {
	return fmt.Sprintf("%s%d", n.vm4, 100+k), fmt.Sprintf("%s%x", n.vm6, 100+k)
}

// BlobPath returns container and name of the blob that the record of nic and
// minute belongs to. A blob is one NIC and one hour, the hour of RecordTime.
// The left part has the form of "Read flow logs", VNet with two segments:
// https://learn.microsoft.com/azure/network-watcher/flow-logs-read.
func (g *Generator) BlobPath(nic, minute int) string {
	n := &g.nics[nic]
	const layout = "/y=2006/m=01/d=02/h=15/m=00/macAddress="
	b := make([]byte, 0, 320)
	b = append(b, n.net.blobPrefix...)
	b = g.RecordTime(nic, minute).AppendFormat(b, layout)
	b = append(b, n.mac...)
	return string(append(b, "/PT1H.json"...))
}

// timing is when a NIC's records are written: each minute at about the same
// second, with a slow drift and a little jitter.
type timing struct {
	seed   uint64
	phase  int64 // of the minute, in 100 ns: 5 s to 50 s
	slope  int64 // drift per minute, in 100 ns
	lagMs  int64 // from the end of the window to the record, 2.0 s to 2.9 s
	sweep  int64 // NSG: remainder of the Unix milliseconds of C rows by continueMs
	jitter uint64
}

const (
	ticksPerMs    = 10_000 // a tick is 100 ns, the resolution of a record's time
	ticksPerMin   = 60_000 * ticksPerMs
	maxDriftTicks = 3_000 * ticksPerMs
	jitterTicks   = 20 * ticksPerMs
)

func newTiming(seed uint64, nic int) timing {
	at := func(i uint64, limit uint64) int64 {
		return int64(scale(hash(seed, saltTiming, uint64(nic)<<3|i), limit))
	}
	return timing{
		seed:   seed,
		phase:  5_000*ticksPerMs + at(0, 45_000*ticksPerMs),
		slope:  2*ticksPerMs + at(1, 28*ticksPerMs),
		lagMs:  2_000 + at(2, 900),
		sweep:  at(3, continueMs/1000) * 1000,
		jitter: uint64(nic) << 32,
	}
}

// record returns the time of the record of minute.
func (t *timing) record(start time.Time, minute int) time.Time {
	drift := int64(minute+1) * t.slope % (2 * maxDriftTicks) // to and fro, to stay in the minute
	if drift >= maxDriftTicks {
		drift = 2*maxDriftTicks - drift
	}
	jitter := int64(scale(hash(t.seed, saltJitter, t.jitter+uint64(minute+1)), jitterTicks))
	ticks := int64(minute)*ticksPerMin + t.phase + drift + jitter
	sec, frac := ticks/(1000*ticksPerMs), ticks%(1000*ticksPerMs)
	if frac < 0 {
		sec, frac = sec-1, frac+1000*ticksPerMs
	}
	return time.Unix(start.Unix()+sec, frac*100).UTC()
}

// window returns the Unix milliseconds a record reports on, from (included) to
// to (not included). The windows of one NIC follow each other without a gap.
func (t *timing) window(start time.Time, minute int) (from, to int64) {
	return t.record(start, minute-1).UnixMilli() - t.lagMs, t.record(start, minute).UnixMilli() - t.lagMs
}

// addrPool is the fixed set of addresses outside the virtual networks.
type addrPool struct{ v4, v6 []string }

var outside = sync.OnceValue(func() (p addrPool) {
	seen := make(map[netip.Addr]bool)
	for i := uint64(0); len(p.v4) < outsideSize; i++ {
		h := hash(0, saltPool, i)
		a := netip.AddrFrom4([4]byte{publicOctets[h>>32%uint64(len(publicOctets))], 64 + byte(h%192), 64 + byte(h>>8%192), 1 + byte(h>>16)%254})
		if seen[a] {
			continue
		}
		seen[a] = true
		p.v4 = append(p.v4, a.String())
		// The number in the third group makes it different from all others.
		v6 := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0x10 | byte(len(p.v6)>>8), byte(len(p.v6)), byte(h >> 40), byte(h >> 48), 15: 1 + byte(h>>16)%254}
		if h>>24%4 != 0 { // no server's ::1, but an address a client made up
			binary.BigEndian.PutUint64(v6[8:], hash(1, saltPool, i))
		}
		b := netip.AddrFrom16(v6)
		p.v6 = append(p.v6, b.String())
	}
	return p
})

// publicOctets are the first octets of the pool. They leave out those under
// which private, shared, link-local, documentation or multicast addresses lie.
var publicOctets = [...]byte{
	13, 20, 23, 35, 40, 45, 51, 52, 64, 79, 89, 92, 94, 103, 104, 108, 109, 113, 122, 134, 138, 141, 142, 143,
	144, 145, 146, 147, 149, 151, 152, 154, 155, 157, 159, 161, 162, 163, 164, 165, 167, 168, 170, 173, 174, 176, 178, 180, 183, 184,
	185, 188, 191, 193, 194, 195, 196, 199, 201, 202, 204, 205, 206, 207, 208, 209, 210, 212, 213, 216, 217, 218, 220, 221, 222,
}
