// Package source says where flow logs come from, and in which pieces. It knows
// blobs by name and offset; what is in them is package flowlog's business.
//
// Its subpackages are the sources.
package source

import (
	"context"
	"io"
	"regexp"
	"time"

	"flow2ipfix/internal/pulse"
)

// Delta is a stretch of one blob that is to be read: from Offset to where the
// reader ends.
type Delta struct {
	// Blob is the blob's full name within its source, for people and for the
	// checkpoint.
	Blob string
	// Path is what the name says, if it has the form of Azure's.
	Path Path
	// Offset is where the stretch begins, in bytes.
	Offset int64
	// Size is how many bytes the stretch has, or -1 if that is not known.
	Size int64
	// Growing says that more may come behind the stretch: a record that it ends
	// in is not rejected but left for the next one.
	Growing bool
	// Since leaves out records whose time is not after it, for the reason that
	// Left says; zero leaves out none.
	Since time.Time
	Left  Left
	// Tail is what stands before Offset, as in a Cursor; not to be changed. Empty
	// if that is not known.
	Tail []byte
	// Info is the version of the blob that is being read, after Open, if the source
	// has versions.
	Info Info
	// Open starts to read. The caller closes the reader.
	Open func(context.Context) (io.ReadCloser, error)
	// Sign is shown by whoever reads, while it waits for something else than the
	// reader; nil if nobody watches.
	Sign *pulse.Sign
}

// Left is why a record is left out.
type Left uint8

// The reasons to leave out records.
const (
	// LeftBeforeStart: it is older than where reading is to start.
	LeftBeforeStart Left = iota
	// LeftDelivered: it was delivered before its blob was written anew.
	LeftDelivered
	LeftCount
)

func (l Left) String() string { return [...]string{"before start", "delivered"}[l] }

// Path is what the right end of a blob's name says about it.
type Path struct {
	// Target is what stands left of the hour: the container, and the resource
	// or flow log that the blob belongs to. Its form varies; it is only good for
	// telling targets apart.
	Target string
	Hour   time.Time // UTC
	MAC    string    // 12 hexadecimal digits
}

var azurePath = regexp.MustCompile(`^(.*?)/?y=(\d{4})/m=(\d\d)/d=(\d\d)/h=(\d\d)/m=\d\d/(?:macAddress=([0-9A-Fa-f]{12})/)?PT1H\.json$`)

// ParsePath reads a blob's name, with '/' between its parts. It reports false
// for names that are not of Azure's form:
// …/y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json. Blobs from
// before 2018 have no MAC in their names.
func ParsePath(name string) (Path, bool) {
	m := azurePath.FindStringSubmatch(name)
	if m == nil {
		return Path{}, false
	}
	hour, err := time.Parse("2006-01-02T15", m[2]+"-"+m[3]+"-"+m[4]+"T"+m[5])
	if err != nil {
		return Path{}, false
	}
	return Path{Target: m[1], Hour: hour, MAC: m[6]}, true
}
