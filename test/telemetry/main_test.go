// Package telemetry looks at the metrics of the whole program, as Prometheus does,
// and at what stands in examples/ to be used with them.
package telemetry

import (
	"os"
	"testing"

	"flow2ipfix/test/peers"
)

func TestMain(m *testing.M) {
	os.Exit(peers.Main(m, "telemetry", []peers.Part{
		{Name: "promtool", Version: func() (string, error) { return peers.FirstLine("promtool", "--version") }},
	}))
}
