package judges

// Judge is a collector, and what it can show of a flow record.
type Judge interface {
	// Name is that of the program, and how it is used.
	Name() string
	// Version returns the version of the installed program. An error means that
	// it is missing.
	Version() (string, error)
	// Shows returns the fields that it shows.
	Shows() Fields
	// Merges reports whether it adds up records that differ in nothing but their
	// counters.
	Merges() bool
	// Start starts it. It keeps its files in dir, which is empty.
	Start(dir string) (Session, error)
}

// Session is a judge that receives.
type Session interface {
	// URL is what the program should send to.
	URL() string
	// Wait is called when the program has ended. It returns when the judge has
	// worked off all that was sent, as far as it lets that be seen: at the latest
	// when it has this many flow records. That too few came is no error.
	Wait(records int) error
	// Stop ends the judge; all its processes are gone then. It may be called
	// again.
	Stop() error
	// Flows returns what it received. It is called after Stop.
	Flows() ([]Flow, error)
	// Problems returns what else was wrong: losses, sequence numbers, complaints.
	// It is called after Flows.
	Problems() []string
}

// Judges returns all judges.
func Judges() []Judge {
	return []Judge{
		nfcapd{}, nfacctd{}, goflow2{}, tsharkLive{"udp"}, tsharkLive{"tcp"}, tsharkFile{}, goIPFIX{}, ownCollect{},
	}
}

// templateField is a field of a template: an information element's number, and
// its length in octets.
type templateField struct{ id, length int }

// coreTemplates is what the templates of the generic preset should say. Only
// IANA's elements are in it.
var coreTemplates = map[int][]templateField{
	256: append([]templateField{{8, 4}, {12, 4}}, coreFields...),
	257: append([]templateField{{27, 16}, {28, 16}}, coreFields...),
}

var coreFields = []templateField{
	{7, 2}, {11, 2}, // ports
	{4, 1},         // protocolIdentifier
	{1, 8}, {2, 8}, // octetDeltaCount, packetDeltaCount
	{152, 8}, {153, 8}, // flowStartMilliseconds, flowEndMilliseconds
	{10, 4}, {14, 4}, // ingressInterface, egressInterface
	{61, 1},  // flowDirection
	{34, 4},  // samplingInterval
	{89, 1},  // forwardingStatus: four octets are registered, one is what collectors read
	{233, 1}, // firewallEvent
}

// The limits that a message has to keep.
const (
	maxMessageBytes   = 1400
	maxMessageRecords = 64
)
