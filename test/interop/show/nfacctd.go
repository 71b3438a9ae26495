package show

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"flow2ipfix/test/peers"
)

// nfacctd is pmacct's collector with its print plugin. What it has no primitive
// for comes through custom ones (aggregate_primitives).
type nfacctd struct{}

func (nfacctd) Name() string { return "nfacctd" }

func (nfacctd) Version() (string, error) { return peers.NfacctdVersion() }

func (nfacctd) Takes(string) bool { return true }

// nfacctdOwn are its own primitives, and the names that it prints them under.
var nfacctdOwn = map[string][2]string{
	"sourceIPv4Address": {"src_host", "ip_src"}, "destinationIPv4Address": {"dst_host", "ip_dst"},
	"sourceTransportPort": {"src_port", "port_src"}, "destinationTransportPort": {"dst_port", "port_dst"},
	"protocolIdentifier": {"proto", "ip_proto"}, "ingressInterface": {"in_iface", "iface_in"}, "egressInterface": {"out_iface", "iface_out"},
	"sourceMacAddress": {"src_mac", "mac_src"}, "destinationMacAddress": {"dst_mac", "mac_dst"},
	"flowStartMilliseconds": {"timestamp_start", "timestamp_start"}, "flowEndMilliseconds": {"timestamp_end", "timestamp_end"},
	"octetDeltaCount": {"", "bytes"}, "packetDeltaCount": {"", "packets"},
	"observationDomainId": {"export_proto_sysid", "export_proto_sysid"}, "device": {"peer_src_ip", "peer_ip_src"},
}

// nfacctdOptions has it take options data records for records.
const nfacctdOptions = "nfacctd_account_options: true\n"

func (nfacctd) Start(dir string, j *Job) (Session, error) {
	s := &nfacctdSession{job: j}
	c := &peers.NfacctdConfig{Aggregate: []string{"peer_src_ip", "export_proto_version", "export_proto_sysid", "export_proto_seqno", "flows"}}
	names := slices.Concat(j.Elements, j.OptionsElements)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if own, ok := nfacctdOwn[name]; ok {
			if own[0] != "" && name != "observationDomainId" {
				c.Aggregate = append(c.Aggregate, own[0])
			}
			continue
		}
		if e := find(name); e.id != 0 && j.Protocol != "netflow5" {
			c.Aggregate = append(c.Aggregate, primitive(e))
			c.Primitives += nfacctdPrimitive(e, j)
		}
	}
	if len(j.OptionsElements) > 0 {
		c.More = nfacctdOptions
	}
	var err error
	s.NfacctdPeer, err = peers.StartNfacctd(dir, c)
	return s, err
}

// primitive is the name of a custom primitive. pmacct takes lower case only.
func primitive(e *element) string { return "x_" + strings.ToLower(e.name) }

func nfacctdPrimitive(e *element, j *Job) string {
	field, length, semantics := fmt.Sprint(e.id), fmt.Sprint(e.octets), "u_int"
	if pen := e.pen(j); pen != 0 {
		field = fmt.Sprintf("%d:%d", pen, e.id)
	}
	switch e.kind {
	case address:
		semantics = "ip"
		if j.IPv6Exporter {
			field, length = "131", "16"
		}
	case text:
		length, semantics = "vlen", "str"
		switch {
		case slices.Contains(j.OptionsElements, e.name):
			length = fmt.Sprint(optionsOctets(e.name))
		case j.Protocol == "netflow9":
			length = "64"
		case j.FixedStrings:
			length = fmt.Sprint(fixedOctets)
		}
	}
	return fmt.Sprintf("name=%s field_type=%s len=%s semantics=%s\n", primitive(e), field, length, semantics)
}

type nfacctdSession struct {
	*peers.NfacctdPeer
	job *Job
}

func (s *nfacctdSession) Wait(flows int) error {
	return s.WaitFlows(func() (int, error) {
		n := 0
		err := s.each(func(m map[string]any) error {
			v := peers.Values{}
			if m["flows"] != nil {
				n += int(v.Number(fmt.Sprint(m["flows"]), 31))
			}
			return v.Err
		})
		return n, err
	}, flows)
}

func (s *nfacctdSession) each(emit func(map[string]any) error) error {
	return s.Lines(func(line []byte) error {
		d := json.NewDecoder(strings.NewReader(string(line)))
		d.UseNumber()
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			return err
		}
		return emit(m)
	})
}

func (s *nfacctdSession) Records() (flows, options []Record, err error) {
	version := map[string]string{"ipfix": "10", "netflow9": "9", "netflow5": "5"}[s.job.Protocol]
	err = s.each(func(m map[string]any) error {
		if fmt.Sprint(m["export_proto_version"]) != version {
			return unexpectedVersion(m["export_proto_version"], s.job)
		}
		r, isFlow := Record{}, m["flows"] != nil
		for _, known := range []string{"event_type", "export_proto_version", "export_proto_seqno"} {
			delete(m, known)
		}
		if isFlow {
			r["records"] = fmt.Sprint(m["flows"])
			delete(m, "flows")
		}
		for name, value := range m {
			element := s.elementOf(name)
			text, err := s.text(element, fmt.Sprint(value))
			if err != nil {
				return err
			}
			r[element] = text
		}
		if isFlow {
			flows = append(flows, s.flow(r))
		} else if o := s.option(r); len(o) > 1 { // more than the observation domain
			options = append(options, o)
		}
		return nil
	})
	return flows, options, err
}

// flow leaves out what a flow record did not have: nfacctd prints every
// primitive with every record.
func (s *nfacctdSession) flow(r Record) Record {
	for name, value := range r {
		reverse := strings.HasPrefix(name, "reverse") || name == "biflowDirection"
		if empty := value == "0" || value == ""; empty && (reverse || !slices.Contains(s.job.Elements, name) && name != "observationDomainId") {
			delete(r, name)
		}
	}
	return r
}

// option does the same for an options data record; all that is 0 there was not
// in it. The time is when it came.
func (s *nfacctdSession) option(r Record) Record {
	delete(r, "flowStartMilliseconds")
	delete(r, "device")
	for name, value := range r {
		if value == "0" || value == "" || value == "00:00:00:00:00:00" || value == "0.0.0.0" {
			delete(r, name)
		}
	}
	return r
}

func (s *nfacctdSession) elementOf(name string) string {
	for element, own := range nfacctdOwn {
		if own[1] == name {
			return element
		}
	}
	for i := range elements {
		if primitive(&elements[i]) == name {
			return elements[i].name
		}
	}
	return "nfacctd " + name
}

// fixedOctets is the length of texts that have a fixed one.
const fixedOctets = 32

// optionsOctets is the length of a text in options data records.
func optionsOctets(name string) int {
	if name == "interfaceName" {
		return 32
	}
	return 64
}

func (s *nfacctdSession) text(element, value string) (string, error) {
	switch element {
	case "protocolIdentifier":
		return protocolNumber(value), nil
	case "flowStartMilliseconds", "flowEndMilliseconds":
		whole, fraction, _ := strings.Cut(value, ".")
		milliseconds, ok := strings.CutSuffix(fraction, "000")
		if !ok || len(milliseconds) != 3 {
			return "", errors.New("not in whole milliseconds")
		}
		return strings.TrimLeft(whole+milliseconds, "0"), nil
	}
	// A text that fills its length is not ended.
	if s.job.FixedStrings && find(element).kind == text && len(value) > fixedOctets {
		value = value[:fixedOctets] + "…"
	}
	return value, nil
}
