// Package peers runs what the program is tested with, and the program itself, as
// child processes: nfcapd, go-ipfix's collector, and what all such need.
//
// What does not live here: what a collector should get (package expect), and
// collectors that only the judges have.
package peers

import (
	"flow2ipfix/test/expect"
)

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
	Flows() ([]expect.Flow, error)
	// Problems returns what else was wrong: losses, sequence numbers, complaints.
	// It is called after Flows.
	Problems() []string
}
