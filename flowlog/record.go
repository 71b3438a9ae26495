package flowlog

import (
	"bytes"
	"errors"
	"io"
)

// This file reads one record. Keys may come in any order, more than once, and
// with unknown ones between them: tuples are decoded where they stand, and what
// their rule, access list and MAC are is filled in when the object that says so
// ends.

// readItem reads a value at the outer levels. It reports true for a wrapper,
// whose list of records comes next. If the value is no record it sets
// rec.Offset to -1.
func (d *Decoder) readItem(c byte) (wrapper bool, err error) {
	w := &d.w
	switch c {
	case '{':
		return d.readRecord()
	case '"':
		// Behind the list of records a wrapper may have more members; anywhere
		// else a string is not a record.
		key, err := w.str(w.scratch[:])
		if err != nil {
			return false, err
		}
		isRecords, holdsFlows := false, false
		switch string(key) {
		case "records":
			isRecords = true
		case "flowRecords", "properties", "flows", "flowGroups", "flowTuples":
			holdsFlows = true
		}
		holdsObject := bytes.IndexByte(key, '{') >= 0
		c, err = w.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if err != nil || c != ':' {
			if holdsObject {
				// The input may begin within a string, whose closing quote was
				// taken for an opening one: what seems to stand between quotes
				// are brackets then, and the next record begins among them.
				return false, errSyntax
			}
			d.rec.Offset = -1
			return false, nil
		}
		w.pos++
		if isRecords {
			return true, nil
		}
		if holdsFlows { // the input begins within a record
			d.rec.Offset = -1
		}
		return !holdsFlows, w.skip(0)
	default:
		d.rec.Offset = -1
		return c == 'n', w.skip(0) // null says that there is no list of records
	}
}

// readRecord reads an object that is a record, or the beginning of a wrapper.
func (d *Decoder) readRecord() (wrapper bool, err error) {
	isRecord := false
	resourceID := ""
	for first := true; ; first = false {
		key, ok, err := d.w.member(first)
		if err != nil {
			return false, err
		}
		if !ok {
			break
		}
		switch string(key) {
		case "records":
			if !isRecord {
				return true, nil
			}
			err = d.w.skip(1)
		case "flowRecords":
			isRecord = true
			err = d.flowsUnder((*Decoder).vnetFlow)
		case "properties":
			isRecord = true
			err = d.flowsUnder((*Decoder).nsgRule)
		case "time":
			var s []byte
			s, err = d.text()
			d.rec.Time = parseTime(s)
		case "macAddress":
			var s []byte
			s, err = d.text()
			d.rec.MAC, _ = parseMAC(s)
		case "targetResourceID":
			err = d.str(&d.rec.Target)
		case "resourceId", "resourceid":
			err = d.str(&resourceID)
		case "flowLogResourceID":
			err = d.str(&d.rec.FlowLog)
		case "flowLogGUID", "systemId":
			err = d.str(&d.rec.FlowLogGUID)
		case "flowLogVersion":
			err = d.version()
		default:
			err = d.w.skip(1)
		}
		if err != nil {
			return false, err
		}
	}
	if !isRecord {
		d.rec.Offset = -1
	}
	// NSG flow logs have only resourceId. Where both stand, targetResourceID is
	// the documented one.
	if d.rec.Target == "" {
		d.rec.Target = resourceID
	}
	return false, nil
}

// flowsUnder reads the object that holds "flows" ("flowRecords" and
// "properties") and calls each for the elements of that list.
func (d *Decoder) flowsUnder(each func(*Decoder) error) error {
	if ok, err := d.want('{', PieceElement); !ok {
		return err
	}
	for first := true; ; first = false {
		key, ok, err := d.w.member(first)
		if !ok {
			return err
		}
		switch string(key) {
		case "flows":
			err = d.list(each)
		case "Version":
			err = d.version()
		default:
			err = d.w.skip(2)
		}
		if err != nil {
			return err
		}
	}
}

// vnetFlow reads an element of flowRecords.flows.
func (d *Decoder) vnetFlow() error {
	groups, acl, err := d.labelled("aclID", "flowGroups", func(d *Decoder) error { return d.list((*Decoder).vnetGroup) })
	for i := range groups {
		groups[i].ACL = acl
	}
	return err
}

// vnetGroup reads an element of flowRecords.flows[].flowGroups.
func (d *Decoder) vnetGroup() error {
	groups, rule, err := d.labelled("rule", "flowTuples", func(d *Decoder) error { return d.tuples(VNet) })
	for i := range groups {
		groups[i].Rule = rule
	}
	return err
}

// nsgRule reads an element of properties.flows.
func (d *Decoder) nsgRule() error {
	groups, rule, err := d.labelled("rule", "flows", func(d *Decoder) error { return d.list((*Decoder).nsgFlow) })
	for i := range groups {
		groups[i].Rule = rule
	}
	return err
}

// nsgFlow reads an element of properties.flows[].flows.
func (d *Decoder) nsgFlow() error {
	groups, text, err := d.labelled("mac", "flowTuples", func(d *Decoder) error { return d.tuples(NSG) })
	mac, _ := ParseMAC(text)
	for i := range groups {
		groups[i].MAC = mac
	}
	return err
}

// labelled reads an object of two members: a label, and a child that holds
// groups. It returns those groups and what the label says about them.
func (d *Decoder) labelled(label, child string, readChild func(*Decoder) error) ([]Group, string, error) {
	before := len(d.batch.groups)
	text := ""
	if ok, err := d.want('{', PieceElement); !ok {
		return nil, "", err
	}
	for first := true; ; first = false {
		key, ok, err := d.w.member(first)
		if !ok {
			return d.batch.groups[before:], text, err
		}
		switch string(key) {
		case label:
			err = d.str(&text)
		case child:
			err = readChild(d)
		default:
			err = d.w.skip(3)
		}
		if err != nil {
			return nil, "", err
		}
	}
}

// tuples reads a flowTuples array as groups of flows.
func (d *Decoder) tuples(kind Kind) error {
	if ok, err := d.want('[', PieceElement); !ok {
		return err
	}
	w, b := &d.w, d.batch
	before := b.flows
	for first := true; ; first = false {
		if ok, err := w.element(first); err != nil {
			return err
		} else if !ok {
			break
		}
		if w.buf[w.pos] == '"' && d.fastTuples(kind) {
			continue
		}
		if err := d.slowTuple(kind); err != nil {
			return err
		}
	}
	d.lost.Tuples += uint64(b.flows - before)
	b.addGroup(kind, before)
	return nil
}

// parseTuple chooses the layout by the shape that the tuple stands in.
func parseTuple(kind Kind, b []byte, i int, f *Flow) (int, Reason) {
	if kind == VNet {
		return parseVNet(b, i, f)
	}
	return parseNSG(b, i, f)
}

// slowTuple reads an element of flowTuples by the rules of JSON first and of
// tuples then.
func (d *Decoder) slowTuple(kind Kind) error {
	w := &d.w
	if ok, err := d.want('"', PieceTuple); !ok {
		return err
	}
	raw, escaped, err := w.rawString()
	if err != nil {
		return err
	}
	start := w.offset() - int64(len(raw)) - 2
	b, i, length := w.buf, w.pos-1-len(raw), len(raw)
	if escaped {
		plain, ok := unescape(nil, raw)
		if !ok && !w.dropping {
			w.pos-- // to the closing quote
			return errSyntax
		}
		b, i, length = append(plain, '"'), 0, len(plain)
	}
	var f Flow
	end, reason := parseTuple(kind, b, i, &f)
	if reason == reasonNone && end != i+length {
		reason = BadFieldCount // a quotation mark within the tuple
	}
	switch {
	case reason != reasonNone:
		d.reject(start, PieceTuple, reason)
	case !w.dropping:
		d.batch.room()[0] = f
		d.batch.flows++
	}
	return nil
}

// text reads a string. Values of other types are skipped and read as nothing:
// what such a key says is not worth a record. The bytes live until the next call
// that reads a string.
func (d *Decoder) text() ([]byte, error) {
	c, err := d.w.next()
	if err != nil {
		return nil, err
	}
	if c != '"' {
		return nil, d.w.skip(1)
	}
	return d.w.str(d.w.scratch[:])
}

// str sets dst to a string that records say again and again.
func (d *Decoder) str(dst *string) error {
	s, err := d.text()
	if err == nil && !d.w.dropping {
		*dst = d.in.get(s)
	}
	return err
}

// version reads a version number in any of its forms.
func (d *Decoder) version() error {
	if _, err := d.w.next(); err != nil {
		return err
	}
	start := d.w.offset()
	if err := d.w.skip(1); err != nil {
		return err
	}
	if i := start - d.w.base; i >= 0 {
		d.rec.Version = parseVersion(d.w.buf[i:d.w.pos])
	}
	return nil
}

// list reads an array and calls element for each of its values.
func (d *Decoder) list(element func(*Decoder) error) error {
	if ok, err := d.want('[', PieceElement); !ok {
		return err
	}
	for first := true; ; first = false {
		if ok, err := d.w.element(first); !ok {
			return err
		}
		if err := element(d); err != nil {
			return err
		}
	}
}

// want reports whether the next value begins with c. If not it reads the value
// and rejects it as a piece, unless it is null, which says that there is none.
func (d *Decoder) want(c byte, piece Piece) (bool, error) {
	got, err := d.w.next()
	if err != nil || got == c {
		return err == nil, err
	}
	start := d.w.offset()
	if err := d.w.skip(1); err != nil {
		return false, err
	}
	if got != 'n' {
		d.reject(start, piece, BadType)
	}
	return false, nil
}
