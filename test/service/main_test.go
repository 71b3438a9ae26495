package service

import (
	"os"
	"testing"

	"flow2ipfix/test/peers"
	"flow2ipfix/test/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Child()
	os.Exit(peers.Main(m, "service", []peers.Part{
		{Name: "systemd-analyze", Version: func() (string, error) { return peers.FirstLine("systemd-analyze", "--version") }},
		{Name: "gcc", Version: func() (string, error) { return peers.FirstLine("gcc", "--version") }},
	}))
}
