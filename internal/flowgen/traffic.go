package flowgen

// continueMs is the time between two C rows of one connection: 5 minutes.
const continueMs = 300_000

// span is a class of lives: how long a connection lasts and how many packets
// its initiator sends in all.
type span struct {
	minMs, maxMs     int64 // from 5 minutes on, multiples of continueMs
	minBits, maxBits int   // packets, as powers of two
}

const (
	flash = iota
	brief
	short
	medium
	long
	numSpans
)

var spans = [numSpans]span{
	flash:  {20, 2_000, 3, 7},
	brief:  {2_000, 30_000, 5, 12},
	short:  {30_000, 300_000, 8, 16},
	medium: {300_000, 3_600_000, 11, 20},
	long:   {3_600_000, 14_400_000, 14, 23},
}

// life is the share of each span in 1/256; the sum is 256.
type life [numSpans]uint8

// place is where the peers of a profile are.
type place struct{ first, size uint64 }

// Sizes are prime, and so have no factor in common with sourcePorts; see open.
var (
	internet  = place{0, 2039}
	storage   = place{2039, 31}
	resolvers = place{2070, 7}
	sameVNet  = place{outsideSize, 251}
)

const outsideSize = 2039 + 31 + 7

// rule is the security rule a tuple is logged under, in the order of a record.
type rule uint8

const (
	platform rule = iota
	internetOut
	vnetOut
	storageOut
	smtpOut
	httpsIn
	sshIn
	vnetIn
	rdpIn
	denyAllIn
	numRules
)

var ruleNames = [numRules]string{
	platform:    "PlatformRule",
	internetOut: "DefaultRule_AllowInternetOutBound",
	vnetOut:     "DefaultRule_AllowVnetOutBound",
	storageOut:  "UserRule_AllowStorageOutBound",
	smtpOut:     "UserRule_DenySmtpOutBound",
	httpsIn:     "UserRule_AllowHttpsInBound",
	sshIn:       "UserRule_AllowSshInBound",
	vnetIn:      "DefaultRule_AllowVnetInBound",
	rdpIn:       "UserRule_MicrosoftDefenderForCloud-JITRule_1204416739_5D2C1B7A90E34F6688A1C4FD03B7E259",
	denyAllIn:   "DefaultRule_DenyAllInBound",
}

// platform rules are those of the platform, others of the NSG, which a VNet
// record lists once for outbound and once for inbound rules.
func (r rule) entry() int {
	switch {
	case r == platform:
		return 0
	case r <= smtpOut:
		return 1
	}
	return 2
}

// octets is the range of a connection's mean packet size in bytes.
type octets struct{ min, max uint64 }

// profile is a kind of connection.
type profile struct {
	weight   uint32 // share of new connections in 1/1024
	udp      bool
	inbound  bool
	denied   bool
	encrypt  bool
	port     uint16 // of the responder; 0 is a port of a scanner's choice
	rule     rule
	nsgRule  rule // the same in an NSG log, which has no platform rule
	peers    place
	life     life
	boost    int    // added to the powers of two of packets
	sent     octets // initiator to responder
	received octets
}

const numProfiles = 14

var profiles = [numProfiles]profile{
	{weight: 400, port: 443, rule: internetOut, nsgRule: internetOut, peers: internet, // HTTPS clients
		life: life{96, 120, 34, 5, 1}, sent: octets{90, 700}, received: octets{300, 1460}},
	{
		weight: 40, port: 80, rule: internetOut, nsgRule: internetOut, peers: internet,
		life: life{128, 118, 10, 0, 0}, sent: octets{70, 300}, received: octets{300, 1460},
	},
	{
		weight: 100, udp: true, port: 53, rule: platform, nsgRule: internetOut, peers: resolvers,
		life: life{200, 56, 0, 0, 0}, boost: -6, sent: octets{60, 110}, received: octets{90, 512},
	},
	{
		weight: 20, udp: true, port: 123, rule: internetOut, nsgRule: internetOut, peers: internet,
		life: life{0, 0, 240, 16, 0}, boost: -8, sent: octets{90, 90}, received: octets{90, 132},
	},
	{weight: 240, inbound: true, port: 443, rule: httpsIn, nsgRule: httpsIn, peers: internet, // HTTPS service
		life: life{64, 148, 38, 5, 1}, boost: 1, sent: octets{70, 400}, received: octets{400, 1460}},
	{
		weight: 5, inbound: true, port: 22, rule: sshIn, nsgRule: sshIn, peers: internet,
		life: life{0, 20, 80, 120, 36}, sent: octets{60, 200}, received: octets{80, 900},
	},
	{weight: 60, encrypt: true, port: 1433, rule: vnetOut, nsgRule: vnetOut, peers: sameVNet, // SQL pools
		life: life{0, 120, 100, 26, 10}, boost: 1, sent: octets{80, 900}, received: octets{100, 1400}},
	{
		weight: 45, encrypt: true, inbound: true, port: 8080, rule: vnetIn, nsgRule: vnetIn, peers: sameVNet,
		life: life{100, 100, 40, 12, 4}, sent: octets{80, 600}, received: octets{200, 1400},
	},
	{weight: 3, port: 443, rule: storageOut, nsgRule: storageOut, peers: storage, // backups
		life: life{0, 0, 56, 120, 80}, boost: 4, sent: octets{1200, 1460}, received: octets{54, 90}},
	{weight: 5, inbound: true, port: 8443, rule: platform, nsgRule: httpsIn, peers: internet, // behind a load balancer
		life: life{0, 200, 56, 0, 0}, sent: octets{70, 400}, received: octets{400, 1460}},
	{weight: 70, inbound: true, denied: true, rule: denyAllIn, nsgRule: denyAllIn, peers: internet},
	{weight: 10, inbound: true, denied: true, udp: true, rule: denyAllIn, nsgRule: denyAllIn, peers: internet},
	{weight: 18, inbound: true, denied: true, port: 3389, rule: rdpIn, nsgRule: rdpIn, peers: internet},
	{weight: 8, denied: true, port: 25, rule: smtpOut, nsgRule: smtpOut, peers: internet},
}

// scanner is the profile that fills a record which would be empty.
const scanner = 10

// scannedPorts are what scanners like best; none of them is open here.
var scannedPorts = [...]uint16{23, 445, 2323, 5060, 5555, 5900, 6379, 7547, 8728, 9200, 11211, 27017, 37777, 50050, 52869, 60023}

// Denied TCP connections are tried again after 3 s and 9 s, one in four.
const retryShare = 4

// traffic is what the profiles mean for one kind of log and one load.
type traffic struct {
	kind     Kind
	arrivals uint64 // new connections per minute, in 1/2^16
	pick     [1024]uint8
}

func newTraffic(kind Kind, tuples int) traffic {
	t := traffic{kind: kind}
	// Tuples per connection, in 1/2^20. Per 1024 connections that is at most
	// 2^37, so that no term here comes near 2^64.
	const one = 1 << 20
	var perConn uint64
	next := 0
	for i := range profiles {
		p := &profiles[i]
		for range p.weight {
			t.pick[next] = uint8(i)
			next++
		}
		each := uint64(one)
		switch {
		case p.denied && !p.udp:
			each += 2 * one / retryShare
		case !p.denied && kind != NSGv1:
			each += one
			for s, share := range p.life {
				each += uint64(share) * t.continues(spans[s], one) / 256
			}
		}
		perConn += uint64(p.weight) * each / 1024
	}
	if next != len(t.pick) {
		panic("flowgen: the weights of the profiles do not add up")
	}
	t.arrivals = (uint64(tuples) << 36) / perConn
	return t
}

// continues returns the mean number of C rows in a life of span s, times one.
func (t *traffic) continues(s span, one uint64) uint64 {
	if t.kind == NSG { // a sweep hits any moment of a life
		return one * uint64(s.minMs+s.maxMs) / (2 * continueMs)
	}
	if s.minMs < continueMs {
		return 0
	}
	return one * uint64(s.minMs/continueMs+s.maxMs/continueMs-1) / 2
}
