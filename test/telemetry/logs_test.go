package telemetry

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flow2ipfix/test/peers"
)

// generated is what stands in flow logs, counted without the product's help.
type generated struct {
	bytes, records, tuples int
	byState                map[string]int
	broken                 int // tuples that cannot be read
}

// states are the eighth part of a tuple of virtual network flow logs.
var states = map[string]string{"B": "begin", "C": "continue", "E": "end", "D": "denied"}

const brokenTuple = "this is no tuple"

// generate makes flow logs of an hour, in which one tuple cannot be read.
func generate(t *testing.T, dir, start string) generated {
	t.Helper()
	r := peers.Run("generate", "--out", dir, "--kind", "vnet", "--nics", "5", "--minutes", "30", "--tuples", "100", "--seed", "5", "--start", start)
	if r.Code != 0 {
		t.Fatalf("generate ended with %d: %s", r.Code, r.Stderr)
	}
	g := generated{byState: map[string]int{}}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if g.broken == 0 {
			g.broken = 1
			_, rest, _ := bytes.Cut(b, []byte(`"flowTuples":["`))
			tuple, _, _ := bytes.Cut(rest, []byte(`"`))
			b = bytes.Replace(b, tuple, []byte(brokenTuple), 1)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				return err
			}
		}
		return g.count(b)
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *generated) count(b []byte) error {
	var blob struct {
		Records []struct {
			FlowRecords struct {
				Flows []struct {
					FlowGroups []struct {
						FlowTuples []string `json:"flowTuples"`
					} `json:"flowGroups"`
				} `json:"flows"`
			} `json:"flowRecords"`
		} `json:"records"`
	}
	if err := json.Unmarshal(b, &blob); err != nil {
		return err
	}
	g.bytes += len(b)
	g.records += len(blob.Records)
	for _, r := range blob.Records {
		for _, f := range r.FlowRecords.Flows {
			for _, group := range f.FlowGroups {
				for _, tuple := range group.FlowTuples {
					g.tuples++
					if tuple != brokenTuple {
						g.byState[states[strings.Split(tuple, ",")[7]]]++
					}
				}
			}
		}
	}
	return nil
}
