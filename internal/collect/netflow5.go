package collect

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/netsampler/goflow2/v2/decoders/netflowlegacy"
)

const (
	netflow5HeaderBytes = 24
	netflow5RecordBytes = 48
)

// netflow5Template is how the fixed record of NetFlow v5 shows itself: as if a
// template of information elements had described it.
var netflow5Template = sync.OnceValue(func() *template {
	var fields []netflow.Field
	for _, f := range [][2]uint16{
		{8, 4}, {12, 4}, {15, 4}, // source, destination and next hop address
		{10, 2}, {14, 2}, // ingress and egress interface
		{2, 4}, {1, 4}, // packets, octets
		{22, 4}, {21, 4}, // first and last switched, ms of sysUpTime
		{7, 2}, {11, 2}, // ports
		{6, 1}, {4, 1}, {5, 1}, // TCP flags, protocol, type of service
		{16, 2}, {17, 2}, // AS numbers
		{9, 1}, {13, 1}, // prefix lengths
	} {
		fields = append(fields, netflow.Field{Type: f[0], Length: f[1]})
	}
	return &template{fields: fields, layout: layout(versionNetFlow5, 0, fields, elements())}
})

// netflow5 decodes a NetFlow v5 packet. Its stream is that of an engine (type
// and id); the domain of the records is made of both.
func (d *decoder) netflow5(s *session, data []byte) error {
	if len(data) < netflow5HeaderBytes {
		d.fault(s, fmt.Errorf("message of %d bytes is shorter than its header", len(data)))
		return nil
	}
	// goflow2 would fill up a short packet with empty records.
	count := int(binary.BigEndian.Uint16(data[2:]))
	if want := netflow5HeaderBytes + count*netflow5RecordBytes; len(data) != want {
		d.fault(s, fmt.Errorf("message of %d bytes says it has %d records, which makes %d", len(data), count, want))
		return nil
	}
	var p netflowlegacy.PacketNetFlowV5
	if err := netflowlegacy.DecodeMessageVersion(bytes.NewBuffer(data), &p); err != nil {
		d.fault(s, fmt.Errorf("message: %w", err))
		return nil
	}
	m := message{s, versionNetFlow5, uint32(p.EngineType)<<8 | uint32(p.EngineId)}
	d.record = Record{
		Exporter: s.exporter, Protocol: NetFlow5,
		ExportTime: time.Unix(int64(p.UnixSecs), int64(p.UnixNSecs)).UTC(),
		Domain:     m.domain, Sequence: p.FlowSequence,
		origin: s.origin, Fields: d.record.Fields,
		uptime: p.SysUptime, hasUptime: true,
	}
	t := netflow5Template()
	values := make([]byte, 0, netflow5RecordBytes)
	for i := range p.Records {
		values = appendNetFlow5(values[:0], &p.Records[i])
		d.record.Fields = append(d.record.Fields[:0], t.layout...)
		rest := values
		for i, f := range t.fields {
			d.record.Fields[i].Value = rest[:f.Length:f.Length]
			rest = rest[f.Length:]
		}
		d.stats.DataRecords++
		if err := d.write(&d.record); err != nil {
			return err
		}
	}
	missing, late := d.observe(m, p.FlowSequence, uint32(count), true)
	d.stats.SequenceGaps += uint64(missing)
	d.stats.SequenceGaps -= min(uint64(late), d.stats.SequenceGaps)
	return nil
}

// appendNetFlow5 appends the values of a record in the order of
// netflow5Template.
func appendNetFlow5(dst []byte, r *netflowlegacy.RecordsNetFlowV5) []byte {
	be := binary.BigEndian
	dst = be.AppendUint32(dst, uint32(r.SrcAddr))
	dst = be.AppendUint32(dst, uint32(r.DstAddr))
	dst = be.AppendUint32(dst, uint32(r.NextHop))
	dst = be.AppendUint16(dst, r.Input)
	dst = be.AppendUint16(dst, r.Output)
	dst = be.AppendUint32(dst, r.DPkts)
	dst = be.AppendUint32(dst, r.DOctets)
	dst = be.AppendUint32(dst, r.First)
	dst = be.AppendUint32(dst, r.Last)
	dst = be.AppendUint16(dst, r.SrcPort)
	dst = be.AppendUint16(dst, r.DstPort)
	dst = append(dst, r.TCPFlags, r.Proto, r.Tos)
	dst = be.AppendUint16(dst, r.SrcAS)
	dst = be.AppendUint16(dst, r.DstAS)
	return append(dst, r.SrcMask, r.DstMask)
}
