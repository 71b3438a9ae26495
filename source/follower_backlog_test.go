package source_test

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

// collector takes records from a rig's follower at a rate, in batches, whoever
// comes first: as a Service does whose collector is paced.
type collector struct {
	*rig
	lane  chan struct{} // whoever sends
	every time.Duration // a record's time
	away  atomic.Bool   // it takes nothing

	lagging bool // the end of an hour may come beside the next one

	// Under rig.mu:
	sent    map[string]time.Time // when each record left
	last    map[string]string    // the last record of each blob, and of each interface in a strand
	strands map[uint32]bool
}

const batch = 5

func newCollector(r *rig, every time.Duration) *collector {
	return &collector{
		rig: r, lane: make(chan struct{}, 1), every: every,
		sent: map[string]time.Time{}, last: map[string]string{}, strands: map[uint32]bool{},
	}
}

// read reads batch by batch until its turn is over. What it has taken is delivered
// at once, so that nothing may come twice, whatever happens.
func (c *collector) read(ctx context.Context, d *source.Delta) (source.Cursor, error) {
	at := *d
	cursor := source.Cursor{Offset: d.Offset}
	body, err := d.Open(ctx)
	if err != nil {
		return cursor, err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		return cursor, err
	}
	begun := time.Now()
	for text := string(content); text != ""; {
		end, n := 0, 0
		for ; n < batch; n++ {
			i := strings.IndexByte(text[end:], '}')
			if i < 0 {
				break
			}
			end += i + 1
		}
		if n == 0 {
			break
		}
		select {
		case c.lane <- struct{}{}:
		case <-ctx.Done():
			return cursor, context.Cause(ctx)
		}
		for c.away.Load() && ctx.Err() == nil {
			time.Sleep(time.Second)
		}
		time.Sleep(time.Duration(n) * c.every)
		<-c.lane
		if ctx.Err() != nil {
			return cursor, context.Cause(ctx)
		}
		moved := c.took(&at, text[:end])
		cursor = moved
		at.Offset, at.Tail = moved.Offset, moved.Tail
		text = text[end:]
		if d.Turn > 0 && time.Since(begun) >= d.Turn {
			return cursor, source.ErrTurn
		}
	}
	return cursor, nil
}

func (c *collector) took(d *source.Delta, text string) source.Cursor {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = nil
	cursor, _ := c.decode(d, text, false)
	c.strands[d.Strand] = true
	in := []string{d.Blob, fmt.Sprint(d.Path.Target, d.Path.MAC, d.Strand)}
	if c.lagging {
		in = in[:1]
	}
	for _, id := range c.got {
		if !c.sent[id].IsZero() {
			c.t.Errorf("%s came twice", id)
		}
		c.sent[id] = time.Now()
		for _, of := range in {
			if last := c.last[of]; last >= id {
				c.t.Errorf("%s came behind %s in %s", id, last, of)
			}
			c.last[of] = id
		}
	}
	c.state.mu.Lock()
	c.state.cursors[d.Blob] = cursor
	c.state.mu.Unlock()
	c.follow.Delivered(d.Blob, cursor.Offset)
	return cursor
}

// load is flow logs whose interfaces log so many records a minute.
type load struct {
	c       *collector
	minute  map[string]int // by flow log
	logged  map[string]time.Time
	minutes int
}

var loadMACs = []string{macA, macB}

// run lets minutes pass in which all log.
func (l *load) run(minutes int) {
	for range minutes {
		now := time.Now()
		for flowLog, n := range l.minute {
			for _, mac := range loadMACs {
				var text []string
				for i := range n {
					id := fmt.Sprintf("%s %s %05d.%03d", flowLog[len(flowLog)-3:], mac, l.minutes, i)
					text = append(text, rec(id, now))
					l.logged[id] = now
				}
				l.c.grow(sourcetest.Name(flowLog, now, mac), strings.Join(text, ","))
			}
		}
		l.minutes++
		l.c.pass(time.Until(now.Add(time.Minute)))
		if l.minutes%5 == 0 {
			l.check()
		}
	}
}

// check looks whether all before the low-water mark has left.
func (l *load) check() {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	for flowLog := range l.minute {
		low := l.c.state.lowWater(flowLog)
		for id, at := range l.logged {
			if strings.HasPrefix(id, flowLog[len(flowLog)-3:]) && at.Before(low) && l.c.sent[id].IsZero() {
				l.c.t.Fatalf("%s has not left, and the low-water mark is %v", id, low)
			}
		}
	}
}

// slowest returns how long records took that were logged from a time on, which
// must all have left if they were logged before another.
func (l *load) slowest(from, to time.Time) (slowest time.Duration) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	for id, at := range l.logged {
		left := l.c.sent[id]
		if at.Before(from) || left.IsZero() && at.After(to) {
			continue
		}
		if left.IsZero() {
			l.c.t.Errorf("%s has not left", id)
			continue
		}
		slowest = max(slowest, left.Sub(at))
	}
	return slowest
}

// waiting returns how many records of a flow log that were logged before a time have
// not left.
func (l *load) waiting(flowLog string, before time.Time) (n int) {
	l.c.mu.Lock()
	defer l.c.mu.Unlock()
	for id, at := range l.logged {
		if strings.HasPrefix(id, flowLog[len(flowLog)-3:]) && at.Before(before) && l.c.sent[id].IsZero() {
			n++
		}
	}
	return n
}

// TestBacklogBesideFresh: after six hours in which nothing could be read, what is
// logged now leaves within three polls, of each flow log, as soon as the hour that
// goes on has been caught up with; and the hours before get the rest of the rate.
func TestBacklogBesideFresh(t *testing.T) {
	const (
		outage = 6 * 60 // minutes
		within = 3 * 30 * time.Second
	)
	other := nsg + "2"
	for name, tc := range map[string]struct {
		readers   int
		away      func(c *collector) (back func())
		restarted bool
		strands   int
	}{
		"not started": {away: func(c *collector) func() { return c.start }, strands: 2},
		"one reader":  {away: func(c *collector) func() { return c.start }, readers: 1, strands: 2},
		"two readers": {away: func(c *collector) func() { return c.start }, readers: 2, strands: 2},
		"restarted":   {away: func(c *collector) func() { return c.start }, restarted: true, strands: 2},
		"the account is away": {away: func(c *collector) func() {
			c.start()
			c.backend.Before(func(context.Context, string, string) error { return errAway })
			return func() { c.backend.Before(nil) }
		}, strands: 2},
		"the collector is away": {away: func(c *collector) func() {
			c.start()
			c.away.Store(true)
			return func() { c.away.Store(false) }
		}, strands: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCollector(newRig(t), 500*time.Millisecond)
				c.cfg.Readers, c.cfg.Start = tc.readers, time.Now().Add(-time.Second)
				c.reader = c.read
				l := &load{c: c, minute: map[string]int{vnet: 10, nsg: 2, other: 2}, logged: map[string]time.Time{}}
				perMinute, rate := 2*(10+2+2), 120
				back := tc.away(c)
				l.run(outage)
				lost := time.Now()
				back()
				c.pass(0)
				behind := l.waiting(vnet, lost) + l.waiting(nsg, lost) + l.waiting(other, lost)
				if behind < outage*perMinute*9/10 {
					t.Fatalf("only %d records wait", behind)
				}
				minutes := behind / (rate - perMinute)
				l.run(20) // for the hour that goes on
				from := time.Now()
				for i := range minutes - 20 - 1 {
					if tc.restarted && i%7 == 3 {
						c.end()
						c.start()
						l.run(1)
						continue
					}
					l.run(1)
					if i == minutes/2 {
						for _, flowLog := range []string{nsg, other} {
							if n := l.waiting(flowLog, lost); n > 0 {
								t.Errorf("%d records of a small backlog still wait", n)
							}
						}
					}
				}
				if l.waiting(vnet, lost) == 0 {
					t.Error("the backlog did not last, so that nothing has been shown")
				}
				if got := l.slowest(from, time.Now().Add(-within)); got > within {
					t.Errorf("what is fresh takes %v", got)
				}
				l.run(minutes/10 + 5)
				for flowLog := range l.minute {
					if n := l.waiting(flowLog, lost); n > 0 {
						t.Errorf("%d records of the backlog wait after %d minutes", n, minutes)
					}
				}
				if !tc.restarted && len(c.strands) != tc.strands {
					t.Errorf("%d strands, want %d", len(c.strands), tc.strands)
				}
				c.pass(3 * time.Minute)
				if got := l.slowest(time.Time{}, time.Now()); got == 0 {
					t.Error("nothing left")
				}
				l.minute = map[string]int{vnet: 0, nsg: 0, other: 0}
				c.pass(2 * time.Hour)
				for _, flowLog := range []string{vnet, nsg, other} {
					if low := c.state.lowWater(flowLog); low.Before(time.Now().Add(-time.Hour - 20*time.Minute)) {
						t.Errorf("the low-water mark is %v", low)
					}
				}
				c.end()
			})
		})
	}
}

// TestFreshBesideHot: an interface that logs more than the collector takes does not
// keep the others waiting, nor the look for new ones.
func TestFreshBesideHot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCollector(newRig(t), 500*time.Millisecond)
		c.reader, c.lagging = c.read, true
		c.start()
		hot := 0
		for i := range 100 {
			now := time.Now()
			var text []string
			for range 300 {
				text = append(text, rec(fmt.Sprintf("hot %06d", hot), now))
				hot++
			}
			c.grow(sourcetest.Name(vnet, now, macA), strings.Join(text, ","))
			c.log(sourcetest.Name(vnet, now, macB), fmt.Sprintf("b %06d", i))
			c.log(sourcetest.Name(nsg, now, macB), fmt.Sprintf("n %06d", i))
			c.log(sourcetest.Name(vnet, now, "00224871"+strconv.Itoa(1000+i)), fmt.Sprintf("new %06d", i))
			c.pass(90 * time.Second)
			for _, id := range []string{"b", "n", "new"} {
				c.mu.Lock()
				if id = fmt.Sprintf("%s %06d", id, i); c.sent[id].IsZero() {
					t.Errorf("%s has not left after %v", id, time.Since(now))
				}
				c.mu.Unlock()
			}
			c.until(now.Add(time.Minute * 3 / 2))
		}
		if left := len(c.sent) - 300; left < hot/2 {
			t.Errorf("%d of %d records left", left, hot)
		}
		c.end()
	})
}
