// Package source says where flow logs come from, and in which pieces. It knows
// blobs by name and offset; what is in them is package flowlog's business.
//
// Its subpackages are the sources.
package source

import (
	"context"
	"io"
	"strings"
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
	// Turn is how long the reader may go on, if not zero. Then it returns ErrTurn, as
	// soon as it came further: other blobs are to be read, too.
	Turn time.Duration
	// Strand tells apart hours of a flow log that are read at the same time: within
	// one they come in order, as long as its reader keeps up with an interface.
	Strand uint32
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

// ParsePath reads a blob's name, with '/' between its parts. It reports false
// for names that are not of Azure's form:
// …/y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json. Blobs from
// before 2018 have no MAC in their names.
func ParsePath(name string) (Path, bool) {
	const (
		form    = "y=0000/m=00/d=00/h=00/m=00/"
		macForm = "macAddress=XXXXXXXXXXXX/"
	)
	rest, ok := strings.CutSuffix(name, "PT1H.json")
	if !ok {
		return Path{}, false
	}
	mac := ""
	if rest, ok = cutForm(rest, macForm); ok {
		mac = name[len(rest)+len("macAddress=") : len(rest)+len(macForm)-1]
	}
	target, ok := cutForm(rest, form)
	if !ok || strings.Contains(target, "\n") {
		return Path{}, false
	}
	at := rest[len(target):]
	number := func(from, to int) (n int) {
		for _, digit := range at[from:to] {
			n = 10*n + int(digit-'0')
		}
		return n
	}
	year, month, day, hour := number(2, 6), time.Month(number(9, 11)), number(14, 16), number(19, 21)
	begin := time.Date(year, month, day, hour, 0, 0, 0, time.UTC)
	if y, m, d := begin.Date(); y != year || m != month || d != day || begin.Hour() != hour {
		return Path{}, false // there is no such time
	}
	return Path{Target: strings.TrimSuffix(target, "/"), Hour: begin, MAC: mac}, true
}

// cutForm cuts off what has a form, in which 0 is any digit and X a hexadecimal
// one, and reports whether it was there.
func cutForm(s, form string) (string, bool) {
	n := len(s) - len(form)
	if n < 0 {
		return s, false
	}
	for i := range len(form) {
		c := s[n+i]
		switch digit := '0' <= c && c <= '9'; {
		case form[i] == '0' && digit:
		case form[i] == 'X' && (digit || 'a' <= c|0x20 && c|0x20 <= 'f'):
		case form[i] != '0' && form[i] != 'X' && c == form[i]:
		default:
			return s, false
		}
	}
	return s[:n], true
}
