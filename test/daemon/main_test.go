package daemon

import (
	"os"
	"testing"

	"github.com/rs/zerolog"

	"flow2ipfix/test/peers"
)

func TestMain(m *testing.M) {
	peers.Child()
	zerolog.SetGlobalLevel(zerolog.Disabled) // what toxiproxy does to connections, byte by byte
	os.Exit(peers.Main(m, "daemon", []peers.Part{
		{Name: "azurite", Version: func() (string, error) { return peers.FirstLine("node", azuriteProgram, "--version") }},
		{Name: "node", Version: func() (string, error) { return peers.FirstLine("node", "--version") }},
		{Name: "nfcapd", Version: peers.Nfcapd{}.Version},
		{Name: "go-ipfix-tcp", Version: peers.GoIPFIX{}.Version},
		{Name: "toxiproxy", Version: func() (string, error) { return peers.FirstLine("go", "list", "-m", "github.com/Shopify/toxiproxy/v2") }},
	}))
}
