package flowgen

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// This file reads flow logs the slow and plain way, as the judge of the tests.

type vnetFlow struct {
	ACLID      string `json:"aclID"`
	FlowGroups []struct {
		Rule       string
		FlowTuples []string
	}
}

type nsgFlow struct {
	Rule  string
	Flows []struct {
		MAC        string
		FlowTuples []string
	}
}

// rawRecord has the keys of all kinds; those of the other kind stay empty.
type rawRecord struct {
	Time             time.Time
	MACAddress       string
	Category         string
	OperationName    string
	FlowLogGUID      string
	FlowLogID        string `json:"flowLogResourceID"`
	TargetResourceID string
	FlowLogVersion   int
	FlowRecords      struct{ Flows []vnetFlow }
	SystemID         string
	ResourceID       string
	Properties       struct {
		Version int
		Flows   []nsgFlow
	}
}

// tuple is one tuple, with a zero in every field its kind has not.
type tuple struct {
	ms         int64
	src, dst   netip.Addr
	sport      int
	dport      int
	udp        bool
	inbound    bool
	state      string // B, C, E or D
	encryption string
	counters   [4]uint64
}

// connKey tells the connections of a NIC apart.
type connKey struct {
	src, dst     netip.Addr
	sport, dport int
	udp          bool
}

func (t *tuple) key() connKey { return connKey{t.src, t.dst, t.sport, t.dport, t.udp} }

// array is a flowTuples array.
type array struct {
	acl, rule string
	tuples    []tuple
}

type record struct {
	raw    rawRecord
	mac    string
	arrays []array
}

func readRecord(t testing.TB, kind Kind, text []byte) record {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var r record
	if err := d.Decode(&r.raw); err != nil {
		t.Fatalf("record is not what it should be: %v\n%s", err, text)
	}
	r.mac = r.raw.MACAddress
	for _, f := range r.raw.FlowRecords.Flows {
		for _, group := range f.FlowGroups {
			r.arrays = append(r.arrays, array{f.ACLID, group.Rule, readTuples(t, kind, group.FlowTuples)})
		}
	}
	for _, f := range r.raw.Properties.Flows {
		for _, flow := range f.Flows {
			r.mac = flow.MAC
			r.arrays = append(r.arrays, array{"", f.Rule, readTuples(t, kind, flow.FlowTuples)})
		}
	}
	return r
}

func readTuples(t testing.TB, kind Kind, texts []string) []tuple {
	t.Helper()
	if len(texts) == 0 {
		t.Error("empty flowTuples")
	}
	var all []tuple
	for _, text := range texts {
		all = append(all, readTuple(t, kind, text))
	}
	return all
}

func readTuple(t testing.TB, kind Kind, text string) tuple {
	t.Helper()
	f := strings.Split(text, ",")
	number := func(i int) uint64 {
		n, err := strconv.ParseUint(f[i], 10, 64)
		if err != nil || strconv.FormatUint(n, 10) != f[i] {
			t.Fatalf("tuple %q: field %d is not a plain number", text, i)
		}
		return n
	}
	address := func(i int) netip.Addr {
		a, err := netip.ParseAddr(f[i])
		if err != nil || a.String() != f[i] {
			t.Fatalf("tuple %q: field %d is not an address in canonical form", text, i)
		}
		return a
	}
	port := func(i int) int {
		n := number(i)
		if n < 1 || n > 65535 {
			t.Fatalf("tuple %q: field %d is not a port", text, i)
		}
		return int(n)
	}
	letter := func(i int, of string) string {
		if len(f[i]) != 1 || !strings.Contains(of, f[i]) {
			t.Fatalf("tuple %q: field %d is not one of %s", text, i, of)
		}
		return f[i]
	}
	if want := map[Kind]int{VNet: 13, NSG: 13, NSGv1: 8}[kind]; len(f) != want {
		t.Fatalf("tuple %q: %d fields, want %d", text, len(f), want)
	}
	if want := map[Kind]int{VNet: 13, NSG: 10, NSGv1: 10}[kind]; len(f[0]) != want {
		t.Fatalf("tuple %q: %d digits of time, want %d", text, len(f[0]), want)
	}

	u := tuple{ms: int64(number(0)), src: address(1), dst: address(2), sport: port(3), dport: port(4), inbound: letter(6, "IO") == "I"}
	noCounters := ""
	switch kind {
	case VNet:
		noCounters = "0"
		proto := number(5)
		if proto != 6 && proto != 17 {
			t.Fatalf("tuple %q: protocol", text)
		}
		u.udp = proto == 17
		u.state = letter(7, "BCED")
		u.encryption = f[8]
	case NSG, NSGv1:
		u.ms *= 1000
		u.udp = letter(5, "TU") == "U"
		u.state = "B"
		if kind == NSG {
			u.state = letter(8, "BCE")
		}
		if letter(7, "AD") == "D" {
			if u.state != "B" {
				t.Fatalf("tuple %q: denied, but not state B", text)
			}
			u.state = "D"
		}
	}
	if kind == NSGv1 {
		return u
	}
	for i := range u.counters {
		if u.state == "B" || u.state == "D" {
			if f[9+i] != noCounters {
				t.Fatalf("tuple %q: state %s with counters", text, u.state)
			}
			continue
		}
		u.counters[i] = number(9 + i)
	}
	return u
}

// readBlob splits a blob into the texts of its records. It demands the bytes
// of Azure's framing.
func readBlob(t testing.TB, blob []byte) []json.RawMessage {
	t.Helper()
	var outer struct{ Records []json.RawMessage }
	if err := json.Unmarshal(blob, &outer); err != nil {
		t.Fatalf("blob does not parse: %v", err)
	}
	var texts [][]byte
	for _, r := range outer.Records {
		texts = append(texts, r)
	}
	want := `{"records":[` + string(bytes.Join(texts, []byte(","))) + `]}`
	if string(blob) != want {
		t.Fatal("blob is not head of 12 bytes, records joined by a comma, tail of 2 bytes")
	}
	return outer.Records
}

// sum counts the tuples of a record on its own.
func (r *record) sum(into *Totals) {
	into.Records++
	for _, a := range r.arrays {
		for _, u := range a.tuples {
			into.Tuples++
			switch u.state {
			case "B":
				into.Begun++
			case "C":
				into.Continuing++
			case "E":
				into.Ended++
			case "D":
				into.Denied++
			}
			if u.inbound {
				into.Inbound++
			} else {
				into.Outbound++
			}
			if u.src.Is6() {
				into.IPv6++
			}
			into.PacketsSent += u.counters[0]
			into.BytesSent += u.counters[1]
			into.PacketsReceived += u.counters[2]
			into.BytesReceived += u.counters[3]
		}
	}
}
