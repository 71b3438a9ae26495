package page

import (
	"os"
	"testing"

	"flow2ipfix/test/peers"
)

func TestMain(m *testing.M) {
	os.Exit(peers.Main(m, "page", []peers.Part{
		{Name: browserProgram, Version: func() (string, error) { return peers.FirstLine(browserProgram, "--version") }},
	}))
}
