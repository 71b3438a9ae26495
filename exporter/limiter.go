package exporter

import (
	"context"
	"time"
)

// limiter holds a rate of records: a token bucket that counts in the time that
// records take at that rate. What messages cost is taken when they leave, and not
// before: who wakes up late does not send what was put off and what came since.
//
// So any stretch of time carries no more than its share and a bucket full. With a
// bucket of 5 ms, that is one and a half times the share of 10 ms.
type limiter struct {
	rate   int
	depth  time.Duration // of the bucket
	gather bool
	paid   time.Time // up to when time was used up
	last   time.Time // when the last message was let pass
	put    bool      // and the next was put off since
	// held is what messages cost that were let pass and are gathered: they leave
	// together, later, and then there must be room for that.
	held time.Duration

	alarm alarm
}

const (
	// bucket is what may leave at once: little enough for a collector's socket
	// buffer, enough for timers that are late. A message that takes longer makes the
	// bucket as deep.
	bucket = 5 * time.Millisecond
	// together is within which time messages have to come to be gathered. Those that
	// come more seldom do not wait for each other, and calls for them cost little.
	together = 100 * time.Microsecond
	// gatherRate is from which rate on messages are gathered, in records/s. Below it
	// calls cost a fiftieth of a core at most, and who captures on this machine, where
	// the kernel shows what was gathered as one, sees datagrams as they arrive.
	gatherRate = 100_000
)

// newLimiter returns what holds a configured rate; nil if there is no limit.
func newLimiter(cfg *Config) *limiter {
	if cfg.Rate == 0 {
		return nil
	}
	return &limiter{rate: cfg.Rate, depth: bucket, gather: cfg.Rate >= gatherRate}
}

func (l *limiter) cost(records int) time.Duration {
	return time.Duration(records) * time.Second / time.Duration(l.rate)
}

// settle forgets time that went by unused, but for a bucket full.
func (l *limiter) settle(now time.Time) {
	if least := now.Add(l.held - l.depth); l.paid.Before(least) {
		l.paid = least
	}
}

// delay returns how long a message with so many records has to wait.
func (l *limiter) delay(now time.Time, records int) time.Duration {
	cost := l.cost(records)
	l.depth = max(l.depth, cost)
	l.settle(now)
	d := cost - now.Sub(l.paid)
	l.put = l.put || d > 0
	return max(0, d)
}

// pass counts a message that leaves at now, or is gathered then. It reports
// whether what is gathered is to leave at once: another message would have to
// wait, or will be long in coming.
func (l *limiter) pass(now time.Time, records int) bool {
	cost := l.cost(records)
	l.settle(now)
	l.paid = l.paid.Add(cost)
	l.held += cost
	alone := now.Sub(l.last) > together && !l.put
	l.last, l.put = now, false
	if alone || !l.gather || now.Sub(l.paid) < cost {
		l.left(now)
		return true
	}
	return false
}

// left says that what was gathered has left.
func (l *limiter) left(now time.Time) {
	l.settle(now)
	l.held = 0
}

// wait waits, or returns why ctx ended.
func (l *limiter) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-l.alarm.set(d):
		return nil
	case <-ctx.Done():
		l.alarm.clear()
		return context.Cause(ctx)
	}
}

// alarm is a timer that is set again and again.
type alarm struct{ timer *time.Timer }

func (a *alarm) set(d time.Duration) <-chan time.Time {
	if a.timer == nil {
		a.timer = time.NewTimer(d)
	} else {
		a.timer.Reset(d)
	}
	return a.timer.C
}

func (a *alarm) clear() { a.timer.Stop() }
