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

// scopes are the scope types of NetFlow v9 options templates (RFC 3954 §6.1).
// They are not information elements.
var scopes = map[uint16]string{
	1: "scopeSystem", 2: "scopeInterface", 3: "scopeLineCard", 4: "scopeCache", 5: "scopeTemplate",
}

// describe names an information element. What the registry does not know is
// "ie<id>" or "pen<enterprise>/<id>", without a type.
func describe(enterprise uint32, id uint16) element {
	if e, ok := elements()[elementKey{enterprise, id}]; ok {
		return e
	}
	if enterprise == 0 {
		return element{fmt.Sprintf("ie%d", id), entities.OctetArray}
	}
	return element{fmt.Sprintf("pen%d/%d", enterprise, id), entities.OctetArray}
}

// layout turns the fields of a template into those of its records.
func layout(version uint16, scopeCount int, fields []netflow.Field) []Field {
	out := make([]Field, len(fields))
	used := make(map[string]int, len(fields))
	for i, f := range fields {
		e := describe(f.Pen, f.Type)
		if i < scopeCount && version == versionNetFlow9 {
			e = element{scopes[f.Type], entities.Unsigned64}
			if e.name == "" {
				e.name = fmt.Sprintf("scope%d", f.Type)
			}
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
