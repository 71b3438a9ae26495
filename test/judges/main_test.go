package judges

import (
	"os"
	"testing"

	"flow2ipfix/test/peers"
)

func TestMain(m *testing.M) {
	if os.Getenv(gaugeVariable) != "" {
		os.Exit(gauge(os.Args[1:]))
	}
	var judges []peers.Part
	for _, j := range Judges() {
		judges = append(judges, peers.Part{Name: j.Name(), Version: j.Version})
	}
	os.Exit(peers.Main(m, "judges", judges))
}
