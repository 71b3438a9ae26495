package collectorside

import (
	"os"
	"testing"

	"flow2ipfix/test/peers"
)

func TestMain(m *testing.M) {
	module := func(program string) peers.Part {
		return peers.Part{Name: program, Version: func() (string, error) { return peers.ModuleVersion(program) }}
	}
	os.Exit(peers.Main(m, "collector-config", []peers.Part{
		module("goflow2"), module("telegraf"),
		{Name: "nfacctd", Version: peers.NfacctdVersion},
		{Name: "nfcapd", Version: peers.Nfcapd{}.Version},
		{Name: "tshark", Version: func() (string, error) { return peers.FirstLine("tshark", "--version") }},
	}))
}
