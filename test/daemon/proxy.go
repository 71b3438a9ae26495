package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy is a TCP proxy that can be made bad: toxiproxy, in the test's process.
type Proxy struct{ proxy *toxiproxy.Proxy }

// StartProxy starts a proxy before an address, on a free port.
func StartProxy(upstream string) (*Proxy, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{toxiproxy.NewProxy(server, "network", "127.0.0.1:0", upstream)}
	return p, p.proxy.Start()
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.proxy.Listen }

// Stop ends it, and cuts all connections.
func (p *Proxy) Stop() { p.proxy.Stop() }

// Start starts it again, where it was.
func (p *Proxy) Start() error { return p.proxy.Start() }

// Poison makes the way from the server to the client bad: toxiproxy's name of a
// toxic, how many of the connections it befalls, and its attributes.
func (p *Proxy) Poison(toxic string, share float64, attributes map[string]int) error {
	b, err := json.Marshal(map[string]any{"type": toxic, "name": toxic, "toxicity": share, "attributes": attributes})
	if err != nil {
		return err
	}
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(string(b))); err != nil {
		return fmt.Errorf("toxic %s: %w", toxic, err)
	}
	return nil
}

// Cure takes a toxic away.
func (p *Proxy) Cure(toxic string) error {
	return p.proxy.Toxics.RemoveToxic(context.Background(), toxic)
}

// cutAddress cuts host:port.
func cutAddress(address string) (host, port string, ok bool) { return strings.Cut(address, ":") }
