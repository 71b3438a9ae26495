package exporter

import (
	"errors"
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
	countsDue  bool      // so are statistics
	at         time.Time // when it was last begun to be said
	counts     time.Time // when statistics were
	first      uint64    // the message of a Stream that began with it
	records    int       // that it took, names apart
	interfaces round     // of the inventory's
	vrfs       round
	waiting    bool // in announcer.waiting
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
// of it at the beginning and from time to time, and names when they are known.
//
// Names may be many, and flows do not wait for them: at most a message of them goes
// before each message of flows, and all of them get a part of the rate. Domains
// with names that are not said yet wait for their turn.
type announcer struct {
	set        *templates.Set
	inventory  *templates.Inventory
	notSent    func() templates.NotSent
	every      time.Duration
	rate       int
	interfaces bool // options data records have their names
	vrfs       bool
	statistics bool
	records    int // that it takes to say all of all domains, names apart

	budget   float64 // options data records that may be sent, or less than none
	refilled time.Time
	waiting  queue[*domain]
}

const (
	// optionsShare is which part of the rate options data records get at most.
	optionsShare = 10
	// namesAtOnce is how many names may go at once, when none went for a while.
	namesAtOnce = 64
	// newAtOnce is how many names that were never said are few: they go before their
	// flows, although others have used up what there was.
	newAtOnce = 32
	// namesInTurn is how many interfaces are named before VRFs have their turn.
	namesInTurn = 8
	// namesApart is for how many names it is worth it to end a message of flows
	// before it is full.
	namesApart = 16
)

// errEnough says that no more is to be said now.
var errEnough = errors.New("enough")

func newAnnouncer(cfg *Config) announcer {
	a := announcer{set: cfg.Templates, inventory: cfg.Inventory, notSent: cfg.NotSent, every: cfg.TemplateRefresh, rate: cfg.Rate}
	a.budget = a.most()
	for _, t := range a.set.Options {
		a.interfaces = a.interfaces || t.Kind == templates.OptionsInterfaces
		a.vrfs = a.vrfs || t.Kind == templates.OptionsVRFs
		a.statistics = a.statistics || t.Kind == templates.OptionsStatistics
	}
	return a
}

// most is the largest budget: what comes together while nobody asks for a tenth of
// a second, or a few messages.
func (a *announcer) most() float64 { return max(namesAtOnce, float64(a.rate)/optionsShare/10) }

// refill adds what the time since the last refill has brought.
func (a *announcer) refill(now time.Time) {
	if a.rate == 0 || a.refilled.IsZero() {
		a.budget = a.most()
	} else {
		a.budget = min(a.most(), a.budget+now.Sub(a.refilled).Seconds()*float64(a.rate)/optionsShare)
	}
	a.refilled = now
}

// spend counts an options data record.
func (a *announcer) spend() { a.budget = max(a.budget-1, -a.most()) }

// wants reports whether something may be said of a domain, now that flows are to
// come. live is whether somebody is there, repeat whether what was said may have
// got lost.
func (a *announcer) wants(d *domain, now time.Time, live, repeat bool) bool {
	if len(a.set.Options) == 0 {
		return false
	}
	a.refill(now)
	if live && !d.told.due && (repeat || a.statistics) {
		every := a.every
		if a.rate > 0 { // they leave as much to names
			every = max(every, 2*optionsShare*time.Duration(a.records)*time.Second/time.Duration(a.rate))
		}
		d.told.due = repeat && now.Sub(d.told.at) >= every
		d.told.countsDue = d.told.countsDue || a.statistics && now.Sub(d.told.counts) >= every
	}
	return a.owes(d)
}

// owes reports whether something is to be said of a domain.
func (a *announcer) owes(d *domain) bool {
	if d.told.due || d.told.countsDue {
		return true
	}
	interfaces, vrfs := a.known(d)
	return d.told.interfaces.owed(len(interfaces)) > 0 || d.told.vrfs.owed(len(vrfs)) > 0
}

// news returns how many names a domain has that were never said.
func (a *announcer) news(d *domain) int {
	interfaces, vrfs := a.known(d)
	return len(interfaces) - d.told.interfaces.known + len(vrfs) - d.told.vrfs.known
}

// known returns the names of a domain that options data records have.
func (a *announcer) known(d *domain) (interfaces []templates.Interface, vrfs []templates.VRF) {
	if a.interfaces || a.vrfs {
		interfaces, vrfs = a.inventory.Names(d.id, 0, 0)
	}
	if !a.interfaces {
		interfaces = nil
	}
	if !a.vrfs {
		vrfs = nil
	}
	return interfaces, vrfs
}

// announce adds to m, a message of d, what is to be said: all but names, and of
// these what is granted. next begins another message when m is full. With an error,
// which is one of next, the rest is still to be said. So it is when next finds that
// all must be said again.
func (a *announcer) announce(d *domain, m *message.Message, now time.Time, g grant, next func() error) error {
	defer a.wait(d)
	if d.told.due || d.told.countsDue {
		if err := a.sayAll(d, m, now, next); err != nil {
			return err
		}
	}
	if d.told.due {
		return nil
	}
	return a.sayNames(d, m, &g, next)
}

// sayAll says everything but names, or only statistics, if no more is due.
func (a *announcer) sayAll(d *domain, m *message.Message, now time.Time, next func() error) error {
	t := &d.told
	all := t.due
	if all {
		a.records -= t.records
		t.records, t.at = 0, now
		t.interfaces.again()
		t.vrfs.again()
	}
	t.due, t.countsDue, t.counts = false, false, now
	report := templates.Report{Domain: d.id, Messages: d.messages, Records: d.records, Octets: d.octets}
	if a.notSent != nil {
		report.NotSent = a.notSent()
	}
	err := a.set.OptionsRecords(&report, func(o *templates.OptionsTemplate, record []byte) error {
		if !all && o.Kind != templates.OptionsStatistics {
			return nil
		}
		if !m.FitsOption(record) {
			if err := next(); err != nil {
				return err
			}
		}
		m.AddOption(o, record)
		a.spend()
		if all {
			t.records++
			a.records++
		}
		return nil
	})
	if err != nil {
		t.due, t.countsDue = t.due || all, true
	}
	return err
}

// grant is how many names may be said.
type grant struct {
	fresh, again int  // that were never said, and that were
	messages     bool // in any number of messages, and not one
}

// beforeFlows grants what the budget has to a domain of which flows are to come, and
// more than that for a few new names. live is whether somebody is there: nothing is
// said again to nobody.
func (a *announcer) beforeFlows(d *domain, live bool) grant {
	g := a.inTurn()
	if a.news(d) <= newAtOnce {
		g.fresh = int(max(0, a.budget+newAtOnce))
	}
	if !live {
		g.again = 0
	}
	return g
}

// inTurn grants what the budget has to a domain that has waited.
func (a *announcer) inTurn() grant {
	n := int(max(0, a.budget))
	return grant{fresh: n, again: n}
}

// sayNames says names of a domain.
func (a *announcer) sayNames(d *domain, m *message.Message, g *grant, next func() error) error {
	said := 0
	for {
		interfaces, vrfs := a.known(d)
		ofInterfaces, ofVRFs := len(interfaces), len(vrfs)
		from, n := d.told.interfaces.chunk(ofInterfaces, g)
		interfaces = interfaces[from : from+n]
		from, n = d.told.vrfs.chunk(ofVRFs, g)
		vrfs = vrfs[from : from+n]
		if len(interfaces)+len(vrfs) == 0 {
			return nil
		}
		report := templates.Report{Domain: d.id, NamesOnly: true, Interfaces: interfaces, VRFs: vrfs}
		err := a.set.OptionsRecords(&report, func(o *templates.OptionsTemplate, record []byte) error {
			if !m.FitsOption(record) {
				if said > 0 && !g.messages {
					return errEnough
				}
				if err := next(); err != nil {
					return err
				}
			}
			m.AddOption(o, record)
			a.spend()
			said++
			if o.Kind == templates.OptionsInterfaces {
				d.told.interfaces.said(ofInterfaces)
			} else {
				d.told.vrfs.said(ofVRFs)
			}
			return nil
		})
		switch {
		case errors.Is(err, errEnough) && !g.messages:
			return nil
		case err != nil:
			return err
		}
	}
}

// wait lets a domain wait for its turn, if something is left to be said.
func (a *announcer) wait(d *domain) {
	if !d.told.waiting && a.owes(d) {
		d.told.waiting = true
		a.waiting.push(d)
	}
}

// turn returns the domain that has waited longest, and no longer waits. It returns
// nil if none waits, if nothing may be said, or if the turn is that of own, of which
// a message is to come anyway.
func (a *announcer) turn(own *domain) *domain {
	for a.waiting.len() > 0 && a.budget >= 1 {
		d := *a.waiting.at(0)
		a.waiting.pop()
		d.told.waiting = false
		switch {
		case !a.owes(d):
		case d == own:
			a.wait(d)
			return nil
		default:
			return d
		}
	}
	return nil
}

// round is which names of a kind were said: the first ones of the inventory, each
// once, and which of these are to be said again. That goes round and round, so that
// each has its turn, however often it is begun anew.
type round struct {
	known int // were said
	of    int // are said again, of which
	next  int // is the next
	left  int // and so many are left
}

// again says that all are to be said again.
func (r *round) again() {
	r.of, r.left = r.known, r.known
	if r.next >= r.of {
		r.next = 0
	}
}

// owed returns how many are to be said if there are so many.
func (r *round) owed(total int) int { return total - r.known + r.left }

// chunk returns some that are to be said and lie side by side, and takes them off
// what is granted: those that were never said first.
func (r *round) chunk(total int, g *grant) (from, n int) {
	if r.known < total {
		n = min(total-r.known, g.fresh, namesInTurn)
		g.fresh -= n
		return r.known, n
	}
	n = min(r.left, r.of-r.next, g.again, namesInTurn)
	g.again -= n
	return r.next, n
}

// said counts one that was said.
func (r *round) said(total int) {
	if r.known < total {
		r.known++
		return
	}
	r.left--
	if r.next++; r.next == r.of {
		r.next = 0
	}
}
