package collect

import (
	"fmt"
	"sync"

	"github.com/netsampler/goflow2/v2/decoders/netflow"
	"github.com/vmware/go-ipfix/pkg/entities"
	"github.com/vmware/go-ipfix/pkg/registry"
)

const (
	// reversePEN is the enterprise number of reverse information elements
	// (RFC 5103 §6.1).
	reversePEN = registry.IANAReversedEnterpriseID

	enterpriseBit   = 0x8000
	variableLength  = 0xffff
	firstTemplateID = 256

	// maxElementID is past the last element that go-ipfix knows.
	maxElementID = 1023

	// firstOwnID is the first of flow2ipfix's own elements.
	firstOwnID = 1001

	// lastScopeType is the last scope type of RFC 3954 §6.1.
	lastScopeType = 5
)

// elementKey names an information element; enterprise 0 is IANA.
type elementKey struct {
	enterprise uint32
	id         uint16
}

type element struct {
	name string
	kind entities.IEDataType
}

// elements is a copy of go-ipfix's registry, which is a package global that
// anybody may load again; a copy can be read from any goroutine.
var elements = sync.OnceValue(func() map[elementKey]element {
	if _, err := registry.GetInfoElementFromID(1, registry.IANAEnterpriseID); err != nil {
		registry.LoadRegistry()
	}
	all := make(map[elementKey]element)
	for _, enterprise := range []uint32{registry.IANAEnterpriseID, reversePEN, registry.AntreaEnterpriseID} {
		for id := uint16(1); id <= maxElementID; id++ {
			ie, err := registry.GetInfoElementFromID(id, enterprise)
			if err == nil && ie.Name != "" {
				all[elementKey{enterprise, id}] = element{ie.Name, ie.DataType}
			}
		}
	}
	return all
})

// ownElements returns the elements that flow2ipfix sends under an enterprise
// number of its operator's; none if the number is 0.
func ownElements(enterprise uint32) map[elementKey]element {
	own := make(map[elementKey]element)
	if enterprise == 0 {
		return own
	}
	for i, e := range []element{
		{"azureRule", entities.String},
		{"azureAcl", entities.String},
		{"azureFlowLog", entities.String},
		{"azureTargetResource", entities.String},
		{"azureSubscription", entities.String},
		{"azureRegion", entities.String},
		{"azureResourceGroup", entities.String},
		{"azureEncryption", entities.Unsigned8},
		{"azureFlowState", entities.Unsigned8},
	} {
		own[elementKey{enterprise, firstOwnID + uint16(i)}] = e
	}
	return own
}

// scopes are the scope types of NetFlow v9 options templates (RFC 3954 §6.1).
// They are not information elements; what is above them is taken for one.
var scopes = [lastScopeType + 1]string{
	"scope0", "scopeSystem", "scopeInterface", "scopeLineCard", "scopeCache", "scopeTemplate",
}

// describe names an information element by the first map that knows it. What
// none knows is "ie<id>" or "pen<enterprise>/<id>", without a type.
func describe(key elementKey, known []map[elementKey]element) element {
	for _, m := range known {
		if e, ok := m[key]; ok {
			return e
		}
	}
	if key.enterprise == 0 {
		return element{fmt.Sprintf("ie%d", key.id), entities.OctetArray}
	}
	return element{fmt.Sprintf("pen%d/%d", key.enterprise, key.id), entities.OctetArray}
}

// layout turns the fields of a template into those of its records, described by
// what is known.
func layout(version uint16, scopeCount int, fields []netflow.Field, known ...map[elementKey]element) []Field {
	out := make([]Field, len(fields))
	used := make(map[string]int, len(fields))
	for i, f := range fields {
		e := describe(elementKey{f.Pen, f.Type}, known)
		if i < scopeCount && version == versionNetFlow9 && f.Type <= lastScopeType {
			e = element{scopes[f.Type], entities.Unsigned64}
		}
		out[i] = Field{Enterprise: f.Pen, ID: f.Type, Name: e.name, Scope: i < scopeCount, kind: e.kind}
		// A template may hold an element more than once; names in JSON
		// should differ.
		out[i].key = e.name
		if used[e.name]++; used[e.name] > 1 {
			out[i].key = fmt.Sprintf("%s#%d", e.name, used[e.name])
		}
	}
	return out
}
