package templates

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/vmware/go-ipfix/pkg/entities"
)

// OptionsKind is what options data records tell a collector beside flow records
// (RFC 7011 §3.4.2).
type OptionsKind string

// The kinds.
const (
	// OptionsPreset stands for those of the preset, as far as the protocol has
	// them.
	OptionsPreset OptionsKind = presetWord
	// OptionsInterfaces gives interface indexes names.
	OptionsInterfaces OptionsKind = "interfaces"
	// OptionsVRFs gives VRF ids names.
	OptionsVRFs OptionsKind = "vrfs"
	// OptionsSampling says that nothing is sampled.
	OptionsSampling OptionsKind = "sampling"
	// OptionsStatistics says what was exported, and what was not (RFC 7011 §4.1,
	// §4.3).
	OptionsStatistics OptionsKind = "statistics"
	// OptionsFlowKeys says which fields tell flows apart (RFC 7011 §4.4).
	OptionsFlowKeys OptionsKind = "flow_keys"
	// OptionsTypes describes the elements that are our own (RFC 5610).
	OptionsTypes OptionsKind = "types"
)

// OptionsKinds returns all kinds.
func OptionsKinds() []OptionsKind {
	return []OptionsKind{OptionsInterfaces, OptionsVRFs, OptionsSampling, OptionsStatistics, OptionsFlowKeys, OptionsTypes}
}

// OptionsTemplate is an options template record. It is immutable.
type OptionsTemplate struct {
	ID     uint16
	Name   string
	Kind   OptionsKind
	Scope  []Field
	Fields []Field

	record []byte
}

// AppendTemplate appends the options template record (RFC 7011 §3.4.2.2, RFC
// 3954 §6.1), without a set header around it.
func (t *OptionsTemplate) AppendTemplate(dst []byte) []byte { return append(dst, t.record...) }

// AppendOptionsTemplates appends all options template records.
func (s *Set) AppendOptionsTemplates(dst []byte) []byte {
	for _, t := range s.Options {
		dst = t.AppendTemplate(dst)
	}
	return dst
}

// The octets of names in options records. They are of fixed length because
// nfdump reads nothing else there.
const (
	interfaceNameOctets        = 32
	interfaceDescriptionOctets = 64
	vrfNameOctets              = 64
)

// optionsForm is an options template: its scope, and what is said of it.
type optionsForm struct {
	name          string
	scope, fields []string
}

var optionsForms = map[OptionsKind][]optionsForm{
	OptionsInterfaces: {{"interfaces", []string{"ingressInterface"}, []string{"interfaceName", "interfaceDescription"}}},
	OptionsVRFs:       {{"vrfs", []string{"ingressVRFID"}, []string{"VRFname"}}},
	OptionsSampling:   {{"sampling", []string{"observationDomainId"}, []string{"samplingInterval", "samplingAlgorithm"}}},
	OptionsStatistics: {
		{"exported", []string{"observationDomainId", "meteringProcessId"}, []string{"exportedMessageTotalCount", "exportedFlowRecordTotalCount", "exportedOctetTotalCount"}},
		{"not-sent", []string{"exportingProcessId"}, []string{"notSentFlowTotalCount", "notSentPacketTotalCount", "notSentOctetTotalCount"}},
	},
	OptionsFlowKeys: {{"flow-keys", []string{"templateId"}, []string{"flowKeyIndicator"}}},
	OptionsTypes: {{
		"types",
		[]string{"privateEnterpriseNumber", "informationElementId"},
		[]string{"informationElementDataType", "informationElementSemantics", "informationElementName"},
	}},
}

// netflow9Options are the same for NetFlow version 9, whose scopes are not
// elements: each is a type of its own (RFC 3954 §6.1). Interfaces are told as
// Cisco's routers do.
var netflow9Options = map[OptionsKind][]optionsForm{
	OptionsInterfaces: {{"interfaces", []string{"System"}, []string{"ingressInterface", "interfaceName", "interfaceDescription"}}},
	OptionsVRFs:       {{"vrfs", []string{"System"}, []string{"ingressVRFID", "VRFname"}}},
	OptionsSampling:   {{"sampling", []string{"System"}, []string{"samplingInterval", "samplingAlgorithm"}}},
	OptionsStatistics: {{"exported", []string{"System"}, []string{"exportedMessageTotalCount", "exportedFlowRecordTotalCount", "exportedOctetTotalCount"}}},
}

// nfdumpOptions are those of nfdump, which looks for indexes outside of the scope,
// and takes interfaceDescription for the name.
var nfdumpOptions = map[Protocol]map[OptionsKind][]optionsForm{
	IPFIX: {
		OptionsInterfaces: {{"interfaces", []string{"observationDomainId"}, []string{"ingressInterface", "interfaceDescription"}}},
		OptionsVRFs:       {{"vrfs", []string{"observationDomainId"}, []string{"ingressVRFID", "VRFname"}}},
	},
	NetFlow9: {
		OptionsInterfaces: {{"interfaces", []string{"System"}, []string{"ingressInterface", "interfaceDescription"}}},
	},
}

var netflow9Scopes = map[string]uint16{"System": 1}

var fixedOctets = map[string]int{
	"interfaceName": interfaceNameOctets, "interfaceDescription": interfaceDescriptionOctets, "VRFname": vrfNameOctets,
}

// chooseOptions makes the options templates that were asked for.
func (b *builder) chooseOptions() {
	c := b.cfg
	asked := c.Options
	if asked == nil {
		asked = []OptionsKind{OptionsPreset}
	}
	forms := maps.Clone(optionsForms)
	if c.Protocol == NetFlow9 {
		forms = maps.Clone(netflow9Options)
	}
	if b.set.Preset.readsLikeNfdump {
		maps.Copy(forms, nfdumpOptions[c.Protocol])
	}
	var kinds []OptionsKind
	for i, kind := range asked {
		switch {
		case kind == OptionsPreset:
			for _, k := range b.set.Preset.Options {
				if !slices.Contains(asked, k) && len(forms[k]) > 0 && (k != OptionsTypes || c.Enterprise.Number != 0) {
					kinds = append(kinds, k)
				}
			}
			continue
		case !slices.Contains(OptionsKinds(), kind):
			b.failName("options", string(kind), "want %s, got %q", strings.Join(optionsNames(), ", "), kind)
		case slices.Contains(asked[:i], kind):
			b.failName("options", string(kind), "want %s once", kind)
		case kind == OptionsTypes && c.Enterprise.Number == 0 && c.Protocol == IPFIX:
			b.failName("options", string(kind), "types describes enterprise elements; want an enterprise.number, or no types")
		case len(forms[kind]) == 0 && c.Protocol == NetFlow9:
			b.failName("options", string(kind), "netflow9 has no %s; want ipfix, or no %s", kind, kind)
		default:
			kinds = append(kinds, kind)
		}
	}
	if c.Protocol == NetFlow5 {
		return
	}
	for _, kind := range kinds {
		for _, f := range forms[kind] {
			b.options(kind, f)
		}
	}
}

func optionsNames() []string {
	var names []string
	for _, k := range OptionsKinds() {
		names = append(names, string(k))
	}
	return names
}

// options makes one options template.
func (b *builder) options(kind OptionsKind, f optionsForm) {
	t := &OptionsTemplate{Name: f.name, Kind: kind}
	for _, name := range f.scope {
		if id, ok := netflow9Scopes[name]; ok {
			t.Scope = append(t.Scope, Field{Name: name, ID: id, Type: typeNames[entities.Unsigned32], Length: 4})
			continue
		}
		t.Scope = append(t.Scope, b.optionsField(name))
	}
	for _, name := range f.fields {
		t.Fields = append(t.Fields, b.optionsField(name))
	}
	var definition []byte
	if b.cfg.Protocol == NetFlow9 {
		definition = binary.BigEndian.AppendUint16(definition, uint16(4*len(t.Scope)))
		definition = binary.BigEndian.AppendUint16(definition, uint16(4*len(t.Fields)))
	} else {
		definition = binary.BigEndian.AppendUint16(definition, uint16(len(t.Scope)+len(t.Fields)))
		definition = binary.BigEndian.AppendUint16(definition, uint16(len(t.Scope)))
	}
	definition = appendFields(appendFields(definition, t.Scope), t.Fields)
	t.ID = b.id(definition)
	t.record = append(binary.BigEndian.AppendUint16(nil, t.ID), definition...)
	b.set.Options = append(b.set.Options, t)
}

func (b *builder) optionsField(name string) Field {
	e, err := lookUp(name, false)
	if err != nil {
		b.errs = append(b.errs, fmt.Errorf("options: %w", err))
		return Field{}
	}
	f := Field{Name: name, ID: e.ElementId, Type: typeNames[e.DataType], Length: int(e.Len)}
	if n := fixedOctets[name]; n > 0 {
		f.Length = n
	}
	return f
}

// Interface is a network interface, as options records tell of it.
type Interface struct {
	Index             uint32
	Name, Description string
}

// VRF is what a flow log is set on, as options records tell of it.
type VRF struct {
	ID   uint32
	Name string
}

// Report is what options data records say of one observation domain.
type Report struct {
	Domain     uint32
	Interfaces []Interface
	VRFs       []VRF
	// NamesOnly leaves out all but Interfaces and VRFs.
	NamesOnly bool
	// Messages, Records and Octets were sent for the domain in this session.
	Messages, Records, Octets uint64
	// NotSent are flows that were lost to this collector, with their packets and
	// octets, in all domains.
	NotSent NotSent
}

// NotSent counts what a collector was not sent.
type NotSent struct{ Flows, Packets, Octets uint64 }

// OptionsRecords calls emit with each options data record and its template. The
// record is emit's until the next one. An error of emit ends it.
func (s *Set) OptionsRecords(r *Report, emit func(t *OptionsTemplate, record []byte) error) error {
	var b []byte
	for _, t := range s.Options {
		rows := 0
		switch t.Kind {
		case OptionsInterfaces:
			rows = len(r.Interfaces)
		case OptionsVRFs:
			rows = len(r.VRFs)
		case OptionsFlowKeys:
			rows = len(s.Templates())
		case OptionsTypes:
			rows = len(ownElements())
		default:
			rows = 1
		}
		if r.NamesOnly && t.Kind != OptionsInterfaces && t.Kind != OptionsVRFs {
			continue
		}
		for i := range rows {
			b = b[:0]
			for _, f := range t.Scope {
				b = s.appendOption(b, &f, r, i)
			}
			for _, f := range t.Fields {
				b = s.appendOption(b, &f, r, i)
			}
			if err := emit(t, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// ownElements are those that a type information record describes.
var ownElements = sync.OnceValue(func() []Element {
	return slices.DeleteFunc(slices.Clone(Elements()), func(e Element) bool { return !e.Enterprise })
})

// The values of informationElementSemantics (RFC 5610 §3.6): codes identify.
const (
	semanticsDefault    = 0
	semanticsIdentifier = 4
)

// appendOption appends one field of an options data record: the i-th of its kind.
func (s *Set) appendOption(dst []byte, f *Field, r *Report, i int) []byte {
	name := ""
	value := uint64(0)
	switch f.Name {
	case "ingressInterface":
		value = uint64(r.Interfaces[i].Index)
	case "interfaceName":
		name = r.Interfaces[i].Name
	case "interfaceDescription":
		name = r.Interfaces[i].Description
		if s.Preset.readsLikeNfdump {
			name = strings.TrimSpace(r.Interfaces[i].Name + " " + name)
		}
	case "ingressVRFID":
		value = uint64(r.VRFs[i].ID)
	case "VRFname":
		name = r.VRFs[i].Name
	case "observationDomainId", "System":
		value = uint64(r.Domain)
	case "samplingInterval", "samplingAlgorithm", "meteringProcessId", "exportingProcessId":
		value = 1
	case "exportedMessageTotalCount":
		value = r.Messages
	case "exportedFlowRecordTotalCount":
		value = r.Records
	case "exportedOctetTotalCount":
		value = r.Octets
	case "notSentFlowTotalCount":
		value = r.NotSent.Flows
	case "notSentPacketTotalCount":
		value = r.NotSent.Packets
	case "notSentOctetTotalCount":
		value = r.NotSent.Octets
	case "templateId":
		value = uint64(s.Templates()[i].ID)
	case "flowKeyIndicator":
		value = s.Templates()[i].FlowKeys()
	case "privateEnterpriseNumber":
		value = uint64(s.enterprise)
	case "informationElementId":
		value = uint64(ownElements()[i].ID)
	case "informationElementDataType":
		value = uint64(ownElements()[i].kind)
	case "informationElementSemantics":
		if value = semanticsIdentifier; ownElements()[i].kind == entities.String {
			value = semanticsDefault
		}
	case "informationElementName":
		name = ownElements()[i].Name
	}
	switch {
	case f.Type != typeNames[entities.String]:
		var number [8]byte
		binary.BigEndian.PutUint64(number[:], value)
		return append(dst, number[8-f.Length:]...)
	case f.Length == VariableLength:
		return appendText(dst, name)
	default:
		name = cut(name, f.Length)
		return append(append(dst, name...), make([]byte, f.Length-len(name))...)
	}
}
