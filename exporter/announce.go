package exporter

import (
	"time"

	"flow2ipfix/exporter/message"
	"flow2ipfix/templates"
)

// domain is what is known of an observation domain. Of NetFlow version 5 it is an
// engine, which several domains may share.
type domain struct {
	id uint32
	// All of these are of the transport session.
	sequence      uint32    // of the next message
	templatesSent time.Time // when they were last sent, zero if never
	nextTemplate  int       // the first that is not sent, of templates that take several messages
	messages      uint64    // that were sent, with
	records       uint64    // so many flow records and
	octets        uint64    // so many octets

	told told
}

// told is what options data records have said of a domain.
type told struct {
	due        bool      // all is to be said, again
	at         time.Time // when it was last begun to be said
	first      uint64    // the message of a Stream that began with it
	records    int       // that it took
	interfaces int       // how many of the inventory are known by name
	vrfs       int
}

// domainOf returns a domain, which it adds if it is new.
func domainOf(domains map[uint32]*domain, id uint32) *domain {
	d := domains[id]
	if d == nil {
		d = &domain{id: id, told: told{due: true}}
		domains[id] = d
	}
	return d
}

// newSession says that a transport session begins.
func (d *domain) newSession() { *d = domain{id: d.id, told: d.told} }

func (d *domain) templatesDue(now time.Time, repeat bool, every time.Duration) bool {
	return d.templatesSent.IsZero() || repeat && now.Sub(d.templatesSent) >= every
}

// sent notes a message.
func (d *domain) sent(records, octets int) {
	d.messages++
	d.records += uint64(records)
	d.octets += uint64(octets)
}

// announcer puts into messages what options data records say of their domains: all
// of it at the beginning and from time to time, and names as soon as they are
// known.
type announcer struct {
	set       *templates.Set
	inventory *templates.Inventory
	notSent   func() templates.NotSent
	every     time.Duration
	rate      int
	names     bool // options data records have names
	records   int  // that it takes to say all of all domains
}

const (
	// optionsShare is which part of the rate options data records get at most when
	// they are repeated.
	optionsShare = 10
	// namesAtOnce is how many names are taken from the inventory at once.
	namesAtOnce = 64
)

func newAnnouncer(cfg *Config) announcer {
	a := announcer{set: cfg.Templates, inventory: cfg.Inventory, notSent: cfg.NotSent, every: cfg.TemplateRefresh, rate: cfg.Rate}
	for _, t := range a.set.Options {
		a.names = a.names || t.Kind == templates.OptionsInterfaces || t.Kind == templates.OptionsVRFs
	}
	return a
}

// wants reports whether something is to be said of a domain. repeat is whether
// what was said may have got lost.
func (a *announcer) wants(d *domain, now time.Time, repeat bool) bool {
	if len(a.set.Options) == 0 {
		return false
	}
	if !d.told.due && repeat {
		every := a.every
		if a.rate > 0 {
			every = max(every, optionsShare*time.Duration(a.records)*time.Second/time.Duration(a.rate))
		}
		d.told.due = now.Sub(d.told.at) >= every
	}
	if d.told.due {
		return true
	}
	interfaces, vrfs := a.news(d)
	return len(interfaces)+len(vrfs) > 0
}

// news returns names that were not said yet.
func (a *announcer) news(d *domain) ([]templates.Interface, []templates.VRF) {
	if !a.names {
		return nil, nil
	}
	interfaces, vrfs := a.inventory.Names(d.id, d.told.interfaces, d.told.vrfs)
	return interfaces[:min(len(interfaces), namesAtOnce)], vrfs[:min(len(vrfs), namesAtOnce)]
}

// announce adds to m, a message of d, what is to be said; next begins another when
// it is full. With an error, which is one of next, the rest is still to be said.
// So it is when next finds that all must be said again.
func (a *announcer) announce(d *domain, m *message.Message, now time.Time, next func() error) error {
	emit := func(t *templates.OptionsTemplate, record []byte) error {
		if !m.FitsOption(record) {
			if err := next(); err != nil {
				return err
			}
		}
		m.AddOption(t, record)
		d.told.records++
		a.records++
		return nil
	}
	report := templates.Report{Domain: d.id, Messages: d.messages, Records: d.records, Octets: d.octets}
	if d.told.due {
		a.records -= d.told.records
		d.told = told{at: now, first: d.told.first}
		if a.notSent != nil {
			report.NotSent = a.notSent()
		}
		if err := a.set.OptionsRecords(&report, emit); err != nil {
			d.told.due = true
			return err
		}
	}
	for report.NamesOnly = true; !d.told.due; {
		report.Interfaces, report.VRFs = a.news(d)
		if len(report.Interfaces)+len(report.VRFs) == 0 {
			return nil
		}
		if err := a.set.OptionsRecords(&report, emit); err != nil {
			return err
		}
		d.told.interfaces += len(report.Interfaces)
		d.told.vrfs += len(report.VRFs)
	}
	return nil
}
