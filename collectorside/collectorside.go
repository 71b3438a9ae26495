// Package collectorside writes what a collector has to be told so that it shows
// all that it is sent: its configuration, its definitions of elements that it does
// not know, names of interfaces. A function writes each file; which facts they rest on
// stands in the table of this package and at the head of each file.
//
// It reads nothing and writes nothing: no files, no network, no configuration.
package collectorside

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"flow2ipfix/templates"
)

// Input is what the files are made of.
type Input struct {
	// Set is what the collector is sent.
	Set *templates.Set
	// MaxMessageBytes is the largest message.
	MaxMessageBytes int
	// Scheme is how messages get there: udp, tcp, tls or dtls.
	Scheme string
	// Listen is where the collector receives.
	Listen netip.AddrPort
	// Dir is the folder of the files on the collector's machine, where they name
	// each other; empty is the collector's own.
	Dir string
	// Senders are the addresses that datagrams come from, Exporters those that
	// records name as their exporter's. Either may be empty.
	Senders, Exporters []netip.Addr
	// Interfaces are the known network interfaces, in the order of their indexes.
	Interfaces []Interface
	// Notes say what else the operator should know, like what could not be read.
	Notes []string
}

// Interface is a network interface.
type Interface struct {
	Index uint32 // 0: it has none yet
	Name  string
	MAC   string
}

// File is a file for the collector's machine.
type File struct{ Name, Text string }

// ErrAddress says that a table is keyed by the exporter's address, and that none
// is known.
var ErrAddress = errors.New("the address of the exporter, by which this collector keeps names of interfaces, is not known")

// ErrNothing says that the collector knows all that it is sent.
var ErrNothing = errors.New("there is nothing to define: without an enterprise number only elements of IANA are sent, which it knows")

// Names returns the names of all collectors.
func Names() []string {
	names := make([]string, len(collectors))
	for i := range collectors {
		names[i] = collectors[i].name
	}
	return names
}

// PresetFor returns the preset that suits a collector, and whether there is a
// collector of this name.
func PresetFor(name string) (string, bool) {
	c, ok := find(name)
	return c.preset, ok
}

// NamesInterfaces reports whether interfaces are part of a collector's files.
func NamesInterfaces(name string) bool {
	c, _ := find(name)
	return c.tables
}

func find(name string) (collector, bool) {
	i := slices.IndexFunc(collectors, func(c collector) bool { return c.name == name })
	if i < 0 {
		return collector{}, false
	}
	return collectors[i], true
}

// Files returns the files for a collector. A file that would say nothing is left
// out. The error is ErrAddress or ErrNothing, or says that there is no such
// collector.
func Files(name string, in *Input) ([]File, error) {
	c, ok := find(name)
	if !ok {
		return nil, fmt.Errorf("want %s, got %q", strings.Join(Names(), ", "), name)
	}
	v := newView(&c, in)
	switch {
	case c.keyed && len(v.keys()) == 0:
		return nil, ErrAddress
	case c.onlyOwn && len(v.own()) == 0:
		return nil, ErrNothing
	}
	var files []File
	for _, f := range c.files {
		v.file = f.name
		v.out.Reset()
		f.write(v)
		if text := strings.TrimSpace(v.out.String()); text != "" {
			files = append(files, File{f.name, text + "\n"})
		}
	}
	return files, nil
}
