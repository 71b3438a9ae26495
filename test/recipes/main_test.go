package recipes

import (
	"os"
	"testing"

	"flow2ipfix/test/peers"
)

func TestMain(m *testing.M) {
	os.Exit(peers.Main(m, "recipes", []peers.Part{
		{Name: "nfcapd", Version: peers.Nfcapd{}.Version},
		{Name: "jq", Version: func() (string, error) { return peers.FirstLine("jq", "--version") }},
		{Name: "bash", Version: func() (string, error) { return peers.FirstLine("bash", "--version") }},
	}))
}
