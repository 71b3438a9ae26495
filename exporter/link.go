package exporter

import (
	"context"
	"errors"
	"time"
)

// link is one transport session of a Stream. None of its methods waits for the
// collector. Messages are counted: what upTo is for is said of each method. An
// error of any method but errBusy is the end of the link.
type link interface {
	// send takes a message, of which it keeps nothing that is not copied. When it
	// is delivered, so are all messages before upTo. The error is errBusy if it
	// can take no more now.
	send(b []byte, upTo uint64) error
	// flush hands what was sent to the kernel, as far as that takes it now.
	flush() error
	// poll returns up to which message all are delivered.
	poll(now time.Time) (upTo uint64, err error)
	// repeatTemplates says whether templates may get lost.
	repeatTemplates() bool
	// probe returns how long a message must have been out to show that somebody
	// listens; 0 if the link shows that by being there.
	probe() time.Duration
	// settleTime returns how long the collector, or what is before it, may take to
	// object to what was sent.
	settleTime() time.Duration
	// renew returns after which time a link must be replaced by a new one; 0 is
	// never.
	renew() time.Duration
	// close ends the link, with a word to the collector if that is due, and within
	// a moment.
	close(farewell bool)
}

// errBusy says that a link takes no more for now.
var errBusy = errors.New("busy")

// openLink opens a link to the collector.
func openLink(ctx context.Context, cfg *Config) (link, error) {
	a, err := cfg.address()
	if err != nil {
		return nil, err
	}
	switch a.Scheme {
	case "udp":
		return openUDPLink(ctx, cfg, a.Target)
	case "dtls":
		return openDTLSLink(ctx, cfg, a.Target)
	case "file":
		return openFileLink(ctx, cfg, a.Target)
	default:
		return openTCPLink(ctx, cfg, a)
	}
}

// attempt is a link that is being opened.
type attempt struct {
	cancel context.CancelFunc
	done   chan struct{}
	// Of these, one is set when done is closed.
	link link
	err  error
}

func newAttempt(open func(context.Context) (link, error)) *attempt {
	ctx, cancel := context.WithCancel(context.Background())
	a := &attempt{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		defer cancel()
		a.link, a.err = open(ctx)
	}()
	return a
}

// ready reports whether the attempt has ended.
func (a *attempt) ready() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// giveUp ends the attempt, and what came of it.
func (a *attempt) giveUp() {
	a.cancel()
	<-a.done
	if a.err == nil {
		a.link.close(true)
	}
}

// departed is what has left and is not delivered yet: all messages before upTo
// left at a time; in a stream of bytes, they end at a position.
type departed struct {
	upTo     uint64
	position int64
	at       time.Time // zero: not yet acknowledged
}

// settling is what has left, in order.
type settling struct {
	queue[departed]
	delivered uint64
}

// settle counts as delivered what is out for the time of d and was out long
// enough at now.
func (s *settling) settle(now time.Time, d time.Duration) uint64 {
	for s.len() > 0 && !s.at(0).at.IsZero() && now.Sub(s.at(0).at) >= d {
		s.delivered = s.at(0).upTo
		s.pop()
	}
	return s.delivered
}
