package templates

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Protocol is how records are put into messages.
type Protocol uint8

// The protocols.
const (
	IPFIX    Protocol = iota // RFC 7011
	NetFlow9                 // RFC 3954
	NetFlow5                 // has no templates
)

var protocolNames = []string{"ipfix", "netflow9", "netflow5"}

// String returns the name that the configuration has for it.
func (p Protocol) String() string { return protocolNames[p] }

// ParseProtocol is the reverse of String. The empty text is IPFIX.
func ParseProtocol(s string) (Protocol, error) {
	if i := slices.Index(protocolNames, s); i >= 0 {
		return Protocol(i), nil
	}
	if s == "" {
		return IPFIX, nil
	}
	return 0, &Problem{"protocol", "", fmt.Sprintf("want %s, got %q", strings.Join(protocolNames, ", "), s)}
}

// Config says what a collector is sent. The zero value is the generic preset.
type Config struct {
	Preset   string // empty: generic
	Protocol Protocol
	// Fields are elements by name, in order; "preset" stands for those of the
	// preset. Empty is the preset's.
	Fields []string
	// Biflow puts both ways of a flow into one record (RFC 5103) where there are
	// two.
	Biflow bool
	// Options are the options templates; OptionsPreset stands for those of the
	// preset. nil is the preset's.
	Options []OptionsKind
	// Enterprise is about the elements that are our own.
	Enterprise Enterprise
	// Exporter is any of the exporter addresses; its family decides which element
	// carries them. Not valid: there is none.
	Exporter netip.Addr
	// MaxMessageBytes is the largest message; 1400 if 0.
	MaxMessageBytes int
	// MaxRecords is how many records a message has at most; 0 is not known.
	MaxRecords int
}

// Enterprise says how the elements that no registry has are sent.
type Enterprise struct {
	// Number is the private enterprise number that they stand under; 0 sends none.
	Number uint32
	// Elements are those that are sent, if Fields names none; nil is
	// DefaultEnterpriseElements.
	Elements []string
	// Long sends whole resource ids and not only their last names.
	Long bool
	// StringOctets is the length of all strings of data records; 0 is their own
	// (RFC 7011 §7), and 64 with NetFlow version 9, which has no such thing.
	StringOctets int
}

// DefaultEnterpriseElements are sent as soon as there is an enterprise number.
func DefaultEnterpriseElements() []string {
	return []string{"azureRule", "azureAcl", "azureEncryption"}
}

const biflowDirection = "biflowDirection"

// presetWord stands for the preset's own list.
const presetWord = "preset"

// netflow9Strings is how long strings are where they cannot say it.
const netflow9Strings = 64

// maxStringOctets bounds strings of fixed length: that of a resource id.
const maxStringOctets = 512

// Set is what a collector is sent: a template for each address family, and for
// flows with and without a way back if bidirectional records were asked for.
// NetFlow version 5 has none.
type Set struct {
	Preset     Preset
	Protocol   Protocol
	IPv4, IPv6 *Template
	// BiflowIPv4 and BiflowIPv6 are for records in which anything came back; nil
	// if there are none.
	BiflowIPv4, BiflowIPv6 *Template
	Options                []*OptionsTemplate

	enterprise uint32
}

// Generic returns the set of the generic preset.
func Generic() *Set {
	s, err := New(Config{})
	if err != nil {
		panic(err) // go-ipfix's registry has lost an element; a test would know
	}
	return s
}

// Biflow reports whether both ways of a flow go into one record.
func (s *Set) Biflow() bool { return s.BiflowIPv4 != nil }

// TellsDenied reports whether a record says that a flow was denied.
func (s *Set) TellsDenied() bool {
	return s.IPv4 != nil && slices.ContainsFunc(s.IPv4.fields, func(f Field) bool { return f.Name == "forwardingStatus" || f.Name == "firewallEvent" })
}

// For returns the template for a flow record.
func (s *Set) For(r *Record) *Template {
	if s.BiflowIPv4 != nil && r.bidirectional() {
		if r.IPv6 {
			return s.BiflowIPv6
		}
		return s.BiflowIPv4
	}
	if r.IPv6 {
		return s.IPv6
	}
	return s.IPv4
}

// Templates returns all templates of flow records.
func (s *Set) Templates() []*Template {
	switch {
	case s.IPv4 == nil:
		return nil
	case s.Biflow():
		return []*Template{s.IPv4, s.IPv6, s.BiflowIPv4, s.BiflowIPv6}
	default:
		return []*Template{s.IPv4, s.IPv6}
	}
}

// AppendTemplates appends all template records of flow records.
func (s *Set) AppendTemplates(dst []byte) []byte {
	for _, t := range s.Templates() {
		dst = t.AppendTemplate(dst)
	}
	return dst
}

// New returns what a configuration asks for. The error is made of Problems, all
// that there are.
func New(cfg Config) (*Set, error) {
	preset, err := PresetFor(cfg.Preset)
	if err != nil {
		return nil, err
	}
	if err := elements().err; err != nil {
		return nil, err
	}
	if cfg.MaxMessageBytes == 0 {
		cfg.MaxMessageBytes = 1400
	}
	s := &Set{Preset: preset, Protocol: cfg.Protocol, enterprise: cfg.Enterprise.Number}
	b := builder{cfg: &cfg, set: s, used: map[uint16]bool{}}
	b.checkProtocol()
	list := b.choose()
	b.chooseOptions()
	if len(b.errs) > 0 || cfg.Protocol == NetFlow5 {
		return s, errors.Join(b.errs...)
	}
	s.IPv4 = b.template("ipv4", family(oneWay(list), 4))
	s.IPv6 = b.template("ipv6", family(oneWay(list), 6))
	if cfg.Biflow {
		s.BiflowIPv4 = b.template("biflow-ipv4", family(b.reverse(list), 4))
		s.BiflowIPv6 = b.template("biflow-ipv6", family(b.reverse(list), 6))
	}
	return s, errors.Join(b.errs...)
}
