package recipes

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flow2ipfix/test/expect"
)

// oracle is the fixture: as flow records, which the oracle of package expect
// makes, and as tuples with what no IANA element carries.
type oracle struct {
	flows  []expect.Flow
	tuples []tuple
}

type tuple struct {
	acl, rule       string
	from, to        string
	port            string
	inbound         bool
	state           string
	encryption      string
	sent, received  uint64 // bytes
	packets, answer uint64
}

func readFixture(t *testing.T) *oracle {
	t.Helper()
	o := &oracle{}
	paths := fixtures(t)
	if err := (&expect.Oracle{}).ReadFiles(paths, func(f expect.Flow) { o.flows = append(o.flows, f) }); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.read(b); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	return o
}

// read reads a virtual network flow log, version 4.
func (o *oracle) read(b []byte) error {
	var log struct {
		Records []struct {
			FlowRecords struct {
				Flows []struct {
					ACL    string `json:"aclID"`
					Groups []struct {
						Rule   string   `json:"rule"`
						Tuples []string `json:"flowTuples"`
					} `json:"flowGroups"`
				} `json:"flows"`
			} `json:"flowRecords"`
		} `json:"records"`
	}
	if err := json.Unmarshal(b, &log); err != nil {
		return err
	}
	for _, r := range log.Records {
		for _, f := range r.FlowRecords.Flows {
			for _, g := range f.Groups {
				for _, text := range g.Tuples {
					p := strings.Split(text, ",")
					if len(p) != 13 {
						return fmt.Errorf("tuple %q has %d fields", text, len(p))
					}
					t := tuple{acl: f.ACL, rule: g.Rule, from: p[1], to: p[2], port: p[4], inbound: p[6] == "I", state: p[7], encryption: p[8]}
					for i, n := range []*uint64{&t.packets, &t.sent, &t.answer, &t.received} {
						var err error
						if *n, err = strconv.ParseUint(p[9+i], 10, 64); err != nil {
							return err
						}
					}
					o.tuples = append(o.tuples, t)
				}
			}
		}
	}
	return nil
}

// deniedByRule counts what was denied: how often, from, to, port, ACL, rule.
func (o *oracle) deniedByRule() []string {
	var all []string
	for _, t := range o.tuples {
		if t.state == "D" {
			acl := t.acl[strings.LastIndexByte(t.acl, '/')+1:]
			all = append(all, strings.Join([]string{t.from, t.to, t.port, acl, t.rule}, " "))
		}
	}
	return count(all)
}

// counted counts records.
func counted(flows []expect.Flow, keep func(*expect.Flow) bool, line func(*expect.Flow) string) []string {
	return count(each(flows, keep, line))
}

// count says how often each line is there.
func count(lines []string) []string {
	times := map[string]int{}
	for _, line := range lines {
		times[line]++
	}
	var all []string
	for line, n := range times {
		all = append(all, fmt.Sprintf("%d %s", n, line))
	}
	return all
}

// notEncrypted adds up the bytes that left a VM for another and were not
// encrypted: from, to, code, bytes.
func (o *oracle) notEncrypted(vm func(netip.Addr) bool) []string {
	codes := map[string]string{"NX": "2", "NX_HW_NOT_SUPPORTED": "3"}
	bytes := map[string]uint64{}
	for _, t := range o.tuples {
		code, plain := codes[t.encryption]
		if !plain || t.state == "B" || !vm(addr(t.from)) || !vm(addr(t.to)) {
			continue
		}
		if t.inbound {
			if t.received > 0 {
				bytes[t.to+" "+t.from+" "+code] += t.received
			}
		} else {
			bytes[t.from+" "+t.to+" "+code] += t.sent
		}
	}
	var all []string
	for key, n := range bytes {
		all = append(all, fmt.Sprintf("%s %d", key, n))
	}
	slices.Sort(all)
	return all
}
