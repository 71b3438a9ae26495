package daemon

import (
	"testing"
	"time"
)

// badNetwork are ways in which the network before the account can be bad: a toxic,
// how many connections it befalls, and its attributes.
var badNetwork = []struct {
	toxic      string
	share      float64
	attributes map[string]int
}{
	{"latency", 1, map[string]int{"latency": 300, "jitter": 200}},
	{"limit_data", 0.7, map[string]int{"bytes": 9000}}, // cut in the middle of answers
	{"reset_peer", 0.5, map[string]int{"timeout": 0}},
	{"timeout", 0.5, map[string]int{"timeout": 1500}}, // nothing comes, then the end
	{"bandwidth", 1, map[string]int{"rate": 40}},      // KB/s
	{"slicer", 1, map[string]int{"average_size": 64, "size_variation": 32, "delay": 500}},
}

// TestBadNetwork has blobs grow while the network between the account and the
// daemon is bad in one way after the other. All comes, once.
func TestBadNetwork(t *testing.T) {
	s := newScene(t)
	parts := cut(s.make(s.both(6, 60, 40)...), len(badNetwork)+1)
	proxy, err := StartProxy(s.azurite.address)
	s.do(err)
	t.Cleanup(proxy.Stop)
	tcp := startGoIPFIX(t)
	s.write(parts[0])
	d := startService(t, config(t.TempDir(), proxy.Address(), required("go-ipfix", tcp)))
	v := judge(t, tcp, s.written)
	v.loose = true
	v.wait(d)
	for i, bad := range badNetwork {
		s.do(proxy.Poison(bad.toxic, bad.share, bad.attributes))
		s.play(parts[i+1], 300*time.Millisecond)()
		v.expect(s.written)
		before := time.Now()
		v.settle(d, 6*time.Second) // as much as comes in this state
		t.Logf("%s: %d of %d records have come %.1f s after the last was written", bad.toxic, v.expected-v.missing, v.expected, time.Since(before).Seconds())
		s.do(proxy.Cure(bad.toxic))
	}
	v.wait(d)
	d.end()
	v.finish(0)
}

// TestAccountUnreachable cuts the network between the account and the daemon, and
// mends it.
func TestAccountUnreachable(t *testing.T) {
	s := newScene(t)
	parts := cut(s.make(s.both(4, 30, 10)...), 2)
	proxy, err := StartProxy(s.azurite.address)
	s.do(err)
	proxy.Stop()
	t.Cleanup(proxy.Stop)
	tcp := startGoIPFIX(t)
	d := startService(t, config(t.TempDir(), proxy.Address(), required("go-ipfix", tcp)))
	s.write(parts[0])
	<-time.After(2 * time.Second)
	s.do(proxy.Start())
	v := judge(t, tcp, s.written)
	v.loose = true
	v.wait(d)
	s.write(parts[1])
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0)
}

// TestAzuriteStopped stops the account while the daemon runs, and starts it again.
func TestAzuriteStopped(t *testing.T) {
	s := newLastingScene(t)
	parts := cut(s.make(s.both(4, 60, 10)...), 3)
	tcp := startGoIPFIX(t)
	s.write(parts[0])
	d := startService(t, config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp)))
	v := judge(t, tcp, s.written)
	v.loose = true
	v.wait(d)
	for _, part := range parts[1:] {
		// The second time it may be in the middle of reading.
		s.do(s.azurite.Stop())
		<-time.After(2 * time.Second)
		s.do(s.azurite.Start())
		s.write(part)
		v.expect(s.written)
	}
	v.wait(d)
	d.end()
	v.finish(0)
}
