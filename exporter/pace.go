package exporter

import (
	"math/rand/v2"
	"time"
)

// pace is how patient a stream is. Zero values mean the defaults below.
type pace struct {
	// settle is how long what has left over TCP must not be objected to before it
	// counts as delivered. near and far are the same of datagrams: to this machine,
	// where refusals come at once, and to others. There the slowest word comes from
	// our own kernel, which asks for the neighbor three times, a second apart,
	// before it says that nobody is there.
	settle, near, far time.Duration
	// stall is how long a TCP connection may not move before it is given up.
	stall time.Duration
	// retry and retryMost bound the wait before connecting again.
	retry, retryMost time.Duration
	// tick is how often a stream that waits looks again.
	tick time.Duration
}

func (p *pace) setDefaults() {
	for at, value := range map[*time.Duration]time.Duration{
		&p.settle:    time.Second,
		&p.near:      100 * time.Millisecond,
		&p.far:       4 * time.Second,
		&p.stall:     time.Minute,
		&p.retry:     500 * time.Millisecond,
		&p.retryMost: 30 * time.Second,
		&p.tick:      5 * time.Millisecond,
	} {
		if *at == 0 {
			*at = value
		}
	}
}

// backoff returns how long to wait after the given number of failures in a row:
// twice as long each time up to a limit, and up to a fifth more or less, so that
// those who lost a collector at once do not come back to it at once.
func (p *pace) backoff(failures int) time.Duration {
	d := p.retry
	for range failures - 1 {
		if d *= 2; d >= p.retryMost {
			break
		}
	}
	d = min(d, p.retryMost)
	return d*4/5 + rand.N(d*2/5+1)
}

// datagram is how long a datagram may be refused.
func (p *pace) datagram(loopback bool) time.Duration {
	if loopback {
		return p.near
	}
	return p.far
}
