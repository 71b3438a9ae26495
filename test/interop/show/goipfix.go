package show

import (
	"fmt"
	"strings"

	"github.com/vmware/go-ipfix/pkg/entities"

	"flow2ipfix/test/peers"
)

// goIPFIX is the collector of go-ipfix, over TCP, in the test's own process. It
// reads data records only: see peers.GoIPFIX.
type goIPFIX struct{}

func (goIPFIX) Name() string { return "go-ipfix" }

func (goIPFIX) Version() (string, error) { return peers.GoIPFIX{}.Version() }

func (goIPFIX) Takes(protocol string) bool { return protocol == "ipfix" }

func (goIPFIX) Start(_ string, j *Job) (Session, error) {
	s := &goIPFIXSession{job: j}
	var err error
	s.RecordSession, err = peers.StartGoIPFIXRecords(s.add)
	return s, err
}

type goIPFIXSession struct {
	peers.RecordSession
	job   *Job
	flows []Record
}

// add is called with one record at a time.
func (s *goIPFIXSession) add(domain uint32, record entities.Record) error {
	r := Record{"observationDomainId": decimal(uint64(domain))}
	for _, e := range record.GetOrderedElementList() {
		name, text, err := s.value(e)
		if err != nil {
			return err
		}
		r[name] = text
	}
	s.flows = append(s.flows, r)
	return nil
}

func (s *goIPFIXSession) value(e entities.InfoElementWithValue) (name, text string, err error) {
	info := e.GetInfoElement()
	if info.EnterpriseId == s.job.Enterprise && info.EnterpriseId != 0 {
		for _, own := range elements {
			if own.own && own.id == info.ElementId {
				raw := e.GetOctetArrayValue() // it does not know the type
				if own.kind == number && len(raw) == 1 {
					return own.name, decimal(uint64(raw[0])), nil
				}
				return own.name, trimmed(string(raw)), nil
			}
		}
	}
	name = Plain(strings.TrimSuffix(info.Name, "Octet"))
	switch info.DataType {
	case entities.Unsigned8:
		text = decimal(uint64(e.GetUnsigned8Value()))
	case entities.Unsigned16:
		text = decimal(uint64(e.GetUnsigned16Value()))
	case entities.Unsigned32, entities.DateTimeSeconds:
		text = decimal(uint64(e.GetUnsigned32Value()))
	case entities.Unsigned64, entities.DateTimeMilliseconds:
		text = decimal(e.GetUnsigned64Value())
	case entities.Ipv4Address, entities.Ipv6Address:
		text = e.GetIPAddressValue().String()
	case entities.MacAddress:
		text = e.GetMacAddressValue().String()
	case entities.String:
		text = e.GetStringValue()
	default:
		err = fmt.Errorf("element %s has type %d", info.Name, info.DataType)
	}
	return name, text, err
}

// Records implements Session.
func (s *goIPFIXSession) Records() (flows, options []Record, err error) {
	return s.flows, nil, s.Err()
}
