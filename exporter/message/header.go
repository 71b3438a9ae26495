package message

import (
	"encoding/binary"
	"math"
	"time"

	"flow2ipfix/templates"
)

// The header of IPFIX (RFC 7011 §3.1).
const (
	Version     = 10
	HeaderBytes = 16
)

// The headers of NetFlow (RFC 3954 §5.1, and Cisco's format of version 5).
const (
	netflow9Version = 9
	netflow9Header  = 20
	netflow9Padding = 3 // flow sets end at a multiple of 4 octets

	netflow5Version = 5
	netflow5Header  = 24

	// netflow5Sampling says that nothing is sampled: 1 out of 1. The mode in the two
	// upper bits is 0, since not all collectors take it off.
	netflow5Sampling = 1
)

// Seal writes into the header of a finished message what is known only when it
// leaves: the sequence number and the time. It can be sealed again, later. epoch is
// the message's.
//
// A decoder takes the header's sysUptime from its time, and so finds the epoch. A
// message that has waited for so long that sysUptime cannot say it leaves with the
// last time that it can say: the times of the flows are right either way.
func (k *Maker) Seal(b []byte, epoch int64, sequence uint32, now time.Time) {
	seconds := now.Unix()
	if k.protocol == templates.IPFIX {
		binary.BigEndian.PutUint32(b[4:], uint32(seconds))
		binary.BigEndian.PutUint32(b[8:], sequence)
		return
	}
	seconds = max(min(seconds, (epoch+math.MaxUint32)/1000), (epoch+999)/1000)
	binary.BigEndian.PutUint32(b[4:], uint32(seconds*1000-epoch))
	binary.BigEndian.PutUint32(b[8:], uint32(seconds))
	if k.protocol == templates.NetFlow9 {
		binary.BigEndian.PutUint32(b[12:], sequence)
	} else {
		binary.BigEndian.PutUint32(b[16:], sequence)
	}
}

// Steps returns by how much a message with so many flow records and options data
// records moves the sequence number on: IPFIX counts both (RFC 7011 §3.1), version
// 9 messages (RFC 3954 §5.1), version 5 flow records.
func (k *Maker) Steps(records, options int) uint32 {
	switch k.protocol {
	case templates.NetFlow9:
		return 1
	case templates.NetFlow5:
		return uint32(records)
	default:
		return uint32(records + options)
	}
}

// How old a flow may be so that its times can be told is reach at the beginning;
// later it is more, up to maxReach, which leaves a day and a half of the 49.7 that
// sysUptime has. The epoch is moved on then, and when the clock was set back.
const (
	reach    = 40 * 24 * time.Hour
	minReach = reach - 24*time.Hour
	maxReach = 48 * 24 * time.Hour
)

// epoch returns when sysUptime was 0, given the epoch so far; 0 is none.
func epoch(last int64, now time.Time) int64 {
	age := time.Duration(now.UnixMilli()-last) * time.Millisecond
	if last != 0 && age >= minReach && age <= maxReach {
		return last
	}
	return now.Add(-reach).Unix() * 1000
}

// The elements of times that are counted in sysUptime.
const (
	lastSwitched  = 21
	firstSwitched = 22
)

func countsUptime(t *templates.Template) bool {
	for _, f := range t.Fields() {
		if f.Enterprise == 0 && (f.ID == firstSwitched || f.ID == lastSwitched) {
			return true
		}
	}
	return false
}

// clampTimes counts the times of r that sysUptime cannot say.
func (m *Message) clampTimes(r *templates.Record) {
	for _, at := range [2]int64{r.Start, r.End} {
		if up := at - m.Epoch; up < 0 || up > math.MaxUint32 {
			m.Clamped++
		}
	}
}
