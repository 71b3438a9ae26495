// Package daemon shows `flow2ipfix run` at work with real parts: Azurite as the
// storage account, with blobs that are written as Azure writes them, nfcapd and
// go-ipfix's collector as receivers, toxiproxy between them where the network is
// to be bad. What a collector got is compared with what an oracle says that the
// blobs hold.
//
// Files without _test are the harness: azurite.go and store.go are the account,
// logs.go what is written to it, service.go and config.go the daemon, receiver.go
// the collectors, verdict.go the comparison, proxy.go the network.
package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"

	"flow2ipfix/test/peers"
)

// The account that every Azurite has. Both are public.
const (
	accountName = "devstoreaccount1"
	accountKey  = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// azuriteProgram is where npm puts Azurite's blob service.
const azuriteProgram = "../azurite/node_modules/azurite/dist/src/blob/main.js"

// Azurite is a storage account on this machine.
type Azurite struct {
	dir     string
	keep    bool // what is written outlives the process
	process *peers.Process
	runs    int
	address string // host and port, always the same
}

// StartAzurite starts Azurite on a free port. Its files lie in dir, which is
// empty; if keep is set, blobs do too, so that it can be stopped and started.
func StartAzurite(dir string, keep bool) (*Azurite, error) {
	a := &Azurite{dir: dir, keep: keep, address: "127.0.0.1:0"}
	return a, a.Start()
}

var listening = regexp.MustCompile(`successfully listens on http://(127\.0\.0\.1:\d+)`)

// Start starts it again, at the address that it had.
func (a *Azurite) Start() error {
	if _, err := os.Stat(azuriteProgram); err != nil {
		return fmt.Errorf("azurite: %w; make daemon installs it with npm", err)
	}
	program, err := filepath.Abs(azuriteProgram)
	if err != nil {
		return err
	}
	a.runs++
	logs := filepath.Join(a.dir, fmt.Sprintf("run-%d", a.runs))
	if err := os.Mkdir(logs, 0o755); err != nil {
		return err
	}
	host, port, _ := cutAddress(a.address)
	args := []string{program, "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--blobHost", host, "--blobPort", port}
	if a.keep {
		args = append(args, "--location", filepath.Join(a.dir, "data"))
	} else {
		args = append(args, "--inMemoryPersistence")
	}
	if a.process, err = peers.Start(logs, "node", args...); err != nil {
		return fmt.Errorf("azurite: %w", err)
	}
	err = peers.Await("azurite listens", func() (bool, error) {
		m := listening.FindStringSubmatch(a.process.Log())
		if m == nil {
			return false, a.process.Alive()
		}
		a.address = m[1]
		return true, nil
	})
	if err != nil {
		return errors.Join(err, a.Stop())
	}
	return nil
}

// Stop ends it. It may be called again.
func (a *Azurite) Stop() error {
	if a.process == nil {
		return nil
	}
	return a.process.End(syscall.SIGTERM)
}

// Endpoint is the account's URL, at the given host and port: Azurite's own, or a
// proxy's before it.
func Endpoint(address string) string { return "http://" + address + "/" + accountName }

// ConnectionString is what the portal gives out for such an account.
func ConnectionString(address string) string {
	return fmt.Sprintf("DefaultEndpointsProtocol=http;AccountName=%s;AccountKey=%s;BlobEndpoint=%s;", accountName, accountKey, Endpoint(address))
}
