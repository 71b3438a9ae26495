// Package bench measures flow2ipfix against a yardstick: the same job, written
// the way a competent programmer would who does not think about speed. It holds
// the yardstick itself, what runs both as child processes and weighs them, and
// benchmarks of their parts side by side. Nothing here is part of the product.
package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/vmware/go-ipfix/pkg/exporter"
)

// maxMessageBytes is the size that the product keeps its UDP messages below.
const maxMessageBytes = 1400

// blob is a flow log as encoding/json sees it. A record of a VNet flow log
// (version 4) fills FlowRecords, one of an NSG flow log (version 2) Properties.
type blob struct {
	Records []struct {
		MACAddress  string `json:"macAddress"`
		FlowRecords struct {
			Flows []struct {
				FlowGroups []struct {
					Rule       string   `json:"rule"`
					FlowTuples []string `json:"flowTuples"`
				} `json:"flowGroups"`
			} `json:"flows"`
		} `json:"flowRecords"`
		Properties struct {
			Version int `json:"Version"`
			Flows   []struct {
				Rule  string `json:"rule"`
				Flows []struct {
					MAC        string   `json:"mac"`
					FlowTuples []string `json:"flowTuples"`
				} `json:"flows"`
			} `json:"flows"`
		} `json:"properties"`
	} `json:"records"`
}

// isNSG says which kind the flow log is.
func (b *blob) isNSG() bool { return len(b.Records) > 0 && len(b.Records[0].Properties.Flows) > 0 }

// each calls do for each list of tuples, with the interface they are of.
func (b *blob) each(do func(mac string, lines []string)) {
	for _, record := range b.Records {
		for _, flow := range record.FlowRecords.Flows {
			for _, group := range flow.FlowGroups {
				do(record.MACAddress, group.FlowTuples)
			}
		}
		for _, rule := range record.Properties.Flows {
			for _, flow := range rule.Flows {
				do(flow.MAC, flow.FlowTuples)
			}
		}
	}
}

// tuple is one flow tuple, read.
type tuple struct {
	Millis                         uint64
	Source, Destination            net.IP
	SourcePort, DestinationPort    uint16
	Protocol                       uint8
	Outbound                       bool
	State                          string // B, C, E or D
	SentPackets, SentBytes         uint64
	ReceivedPackets, ReceivedBytes uint64
}

// Yardstick reads the flow log at path and sends what it says as IPFIX to
// collectorAddr (host:port) over UDP, unpaced. It returns how many flow tuples
// it read and how many flow records it sent.
//
// It reads the file whole, lets encoding/json fill structs, takes tuples apart
// with strings.Split and hands records to go-ipfix's buffered exporter. A C or E
// tuple becomes a record with the counters sent and, when something was
// received, a second one for the way back; a D tuple becomes one record with
// zero counters; a B tuple is skipped. The elements are those of the product's
// core template. It does less than the product in four ways, all to its own
// advantage: flowStartMilliseconds is the tuple's own time, there is one
// observation domain, templates are sent once in ten minutes, and a tuple that
// cannot be read ends it with an error. forwardingStatus goes out with the four
// bytes of go-ipfix's registry, so a record is three bytes longer than the
// product's.
//
// The elements of a record are made once and filled again for each record; with
// anew, they are made for each.
func Yardstick(ctx context.Context, path, collectorAddr string, anew bool) (tuples, records int, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, fmt.Errorf("read flow log: %w", err)
	}
	var log blob
	if err := json.Unmarshal(data, &log); err != nil {
		return 0, 0, fmt.Errorf("decode flow log %s: %w", path, err)
	}

	process, err := exporter.InitExportingProcess(exporter.ExporterInput{
		CollectorAddress:    collectorAddr,
		CollectorProtocol:   "udp",
		ObservationDomainID: 1,
		MaxMsgSize:          maxMessageBytes,
	})
	if err != nil {
		return 0, 0, fmt.Errorf("connect to collector: %w", err)
	}
	defer process.CloseConnToCollector()
	buffered := exporter.NewBufferedIPFIXExporter(process)
	out, err := newSender(buffered, anew)
	if err != nil {
		return 0, 0, err
	}

	interfaces := map[string]uint32{}
	parse := parseVNet
	if log.isNSG() {
		parse = parseNSG
	}
	send := func(mac string, lines []string) error {
		index, ok := interfaces[mac]
		if !ok {
			index = uint32(len(interfaces) + 1)
			interfaces[mac] = index
		}
		for _, line := range lines {
			t, err := parse(line)
			if err != nil {
				return fmt.Errorf("decode tuple %q: %w", line, err)
			}
			tuples++
			n, err := out.Send(t, index)
			if err != nil {
				return err
			}
			records += n
		}
		return nil
	}
	log.each(func(mac string, lines []string) {
		if err == nil {
			err = cmp.Or(ctx.Err(), send(mac, lines))
		}
	})
	if err != nil {
		return tuples, records, err
	}
	if err := buffered.Flush(); err != nil {
		return tuples, records, fmt.Errorf("send last records: %w", err)
	}
	return tuples, records, nil
}

// YardstickMain sends the flow logs to collectorAddr one after the other and
// writes the Summary to out. It is what cmd/yardstick does.
func YardstickMain(ctx context.Context, collectorAddr string, anew bool, paths []string, out io.Writer) error {
	var sum Summary
	for _, path := range paths {
		tuples, records, err := Yardstick(ctx, path, collectorAddr, anew)
		if err != nil {
			return err
		}
		sum.Tuples += tuples
		sum.Records += records
	}
	return json.NewEncoder(out).Encode(sum)
}

// parseVNet reads a tuple of a VNet flow log: time in ms, addresses, ports, IANA
// protocol number, direction, state, encryption, four counters.
func parseVNet(line string) (tuple, error) {
	f := strings.Split(line, ",")
	if len(f) != 13 {
		return tuple{}, fmt.Errorf("want 13 fields, got %d", len(f))
	}
	t, err := parseCommon(f)
	if err != nil {
		return tuple{}, err
	}
	protocol, err := strconv.ParseUint(f[5], 10, 8)
	if err != nil {
		return tuple{}, err
	}
	t.Protocol = uint8(protocol)
	t.State = f[7]
	return t, nil
}

// parseNSG reads a tuple of an NSG flow log of version 2: time in s, addresses,
// ports, T or U, direction, A or D, state, four counters that may be empty.
func parseNSG(line string) (tuple, error) {
	f := strings.Split(line, ",")
	if len(f) != 13 {
		return tuple{}, fmt.Errorf("want 13 fields, got %d", len(f))
	}
	t, err := parseCommon(f)
	if err != nil {
		return tuple{}, err
	}
	t.Millis *= 1000
	switch f[5] {
	case "T":
		t.Protocol = 6
	case "U":
		t.Protocol = 17
	default:
		return tuple{}, fmt.Errorf("unknown protocol %q", f[5])
	}
	t.State = f[8]
	if f[7] == "D" {
		t.State = "D"
	}
	return t, nil
}

// parseCommon reads the fields that both kinds have at the same place.
func parseCommon(f []string) (tuple, error) {
	var t tuple
	var err error
	if t.Millis, err = strconv.ParseUint(f[0], 10, 64); err != nil {
		return tuple{}, err
	}
	if t.Source = net.ParseIP(f[1]); t.Source == nil {
		return tuple{}, fmt.Errorf("not an address: %q", f[1])
	}
	if t.Destination = net.ParseIP(f[2]); t.Destination == nil {
		return tuple{}, fmt.Errorf("not an address: %q", f[2])
	}
	for i, port := range []*uint16{&t.SourcePort, &t.DestinationPort} {
		n, err := strconv.ParseUint(f[3+i], 10, 16)
		if err != nil {
			return tuple{}, err
		}
		*port = uint16(n)
	}
	t.Outbound = f[6] == "O"
	for i, counter := range []*uint64{&t.SentPackets, &t.SentBytes, &t.ReceivedPackets, &t.ReceivedBytes} {
		if f[9+i] == "" {
			continue
		}
		if *counter, err = strconv.ParseUint(f[9+i], 10, 64); err != nil {
			return tuple{}, err
		}
	}
	return t, nil
}
