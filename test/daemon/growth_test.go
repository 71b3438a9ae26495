package daemon

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"flow2ipfix/test/peers"
)

// TestGrowth has the blobs of 50 interfaces grow for half an hour of log time, over
// an hour's turn, faster than Azure would; both kinds of receivers get all, once.
// The daemon comes when some of it is already there.
func TestGrowth(t *testing.T) {
	s := newScene(t)
	specs := s.both(50, 30, 10)
	for i := range specs {
		specs[i].Start = s.hour(0).Add(-10 * time.Minute)
	}
	parts := cut(s.make(specs...), 6)
	s.write(parts[0])
	udp, tcp := startNfcapd(t), startGoIPFIX(t)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("nfcapd", udp), required("go-ipfix", tcp)))
	for _, part := range parts[1:] {
		s.write(part)
	}
	for _, r := range []Receiver{udp, tcp} {
		v := judge(t, r, s.written)
		v.loose = true
		v.wait(d)
		if r == udp {
			v.finish(0)
			continue
		}
		d.end() // what it has not said yet it would say now
		v.finish(0)
	}
}

// TestBacklog has a day of logs lie there when the daemon comes for the first
// time. When it comes again nothing is left to do, and it does what is new.
func TestBacklog(t *testing.T) {
	s := newScene(t)
	s.needHour()
	lines := s.make(
		Spec{Kind: "vnet", NICs: 4, Start: s.hour(-24), Minutes: 24*60 + 10, Tuples: 8, Seed: 3},
		Spec{Kind: "nsg", NICs: 2, Start: s.hour(-24), Minutes: 24*60 + 10, Tuples: 8, Seed: 4},
	)
	late := len(lines) - 12 // the last two minutes
	s.do(s.store.WriteWhole(t.Context(), lines[:late]))
	s.written = lines[:late]
	udp, tcp := startNfcapd(t), startGoIPFIX(t)
	c := config(t.TempDir(), s.azurite.address, required("nfcapd", udp), required("go-ipfix", tcp))
	c.HourGrace = shortGrace
	d := startService(t, c)
	verdicts := []*Verdict{judge(t, udp, s.written), judge(t, tcp, s.written)}
	for _, v := range verdicts {
		v.turn = s.hour(0)
		v.wait(d)
	}
	d.end()
	d.start()
	s.write(lines[late:])
	for _, v := range verdicts {
		v.forgets = true
		v.expect(s.written)
		v.wait(d)
	}
	d.end()
	for _, v := range verdicts {
		v.finish(0)
	}
}

// TestStart has the daemon begin in the middle of a log: it leaves out the records
// that are older, in the hour that it begins in, too.
func TestStart(t *testing.T) {
	s := newScene(t)
	lines := s.make(s.both(4, 170, 5)...)
	s.do(s.store.WriteWhole(t.Context(), lines))
	begin := s.hour(-1).Add(20 * time.Minute)
	for _, l := range lines {
		if !l.Time.Before(begin) {
			s.written = append(s.written, l)
		}
	}
	tcp := startGoIPFIX(t)
	c := config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp))
	c.Start = begin.Format(time.RFC3339)
	d := startService(t, c)
	v := judge(t, tcp, s.written)
	v.turn = s.hour(0)
	v.wait(d)
	d.end()
	v.finish(0)
}

// TestLateBlocks has the blobs of an hour written to after those of the next one
// were: their last blocks, and a blob that was not there before.
func TestLateBlocks(t *testing.T) {
	s := newScene(t)
	lines := s.make(s.both(6, 60, 6)...) // half an hour before and after the turn
	before, after := inHour(lines, s.hour(-1)), inHour(lines, s.hour(0))
	unseen := before[len(before)-1].Blob
	var known, late []Line
	for i, l := range before {
		if l.Blob == unseen || i >= len(before)-18 { // three minutes
			late = append(late, l)
		} else {
			known = append(known, l)
		}
	}
	tcp := startGoIPFIX(t)
	s.write(known)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp)))
	v := judge(t, tcp, s.written)
	v.loose = true
	v.wait(d)
	for _, part := range [][]Line{after[:len(after)/2], late, after[len(after)/2:]} {
		s.write(part)
		v.expect(s.written)
		v.wait(d)
	}
	d.end()
	v.finish(0)
}

// TestHourEnds has an hour's blobs written to after the hour, until the grace has
// gone by without: the daemon is done with the hour then, and looks at it no more,
// also when it is started again. What is written to it after that is not read.
func TestHourEnds(t *testing.T) {
	s := newScene(t)
	s.needHour()
	lines := s.make(s.both(4, 90, 4)...)
	before, after := inHour(lines, s.hour(-1)), inHour(lines, s.hour(0))
	tooLate := before[len(before)-4:]
	s.write(before[:len(before)-4])
	tcp := startGoIPFIX(t)
	c := config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp))
	c.HourGrace = shortGrace
	d := startService(t, c)
	v := judge(t, tcp, s.written)
	v.turn = s.hour(0)
	v.wait(d)
	s.do(peers.Await("the hour ends", func() (bool, error) {
		logs, err := d.flowLogs()
		for _, l := range logs {
			if !l.LowWater.Equal(s.hour(0)) {
				return false, err
			}
		}
		return len(logs) == 2, err
	}))
	s.do(s.store.Write(t.Context(), tooLate))
	s.write(after[:len(after)/2])
	v.expect(s.written)
	v.wait(d)
	d.end()
	d.start()
	v.forgets = true
	s.write(after[len(after)/2:])
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0)
}

// TestRewritten has blobs written anew: with a record less and two more, and
// shorter than they were. What was delivered does not come again.
func TestRewritten(t *testing.T) {
	s := newScene(t)
	lines := s.make(Spec{Kind: "vnet", NICs: 3, Start: s.hour(0), Minutes: 12, Tuples: 6, Seed: 5})
	names, blobs := byBlob(lines)
	s.write(slices.Concat(cut(lines, 2)[0])) // six minutes of each
	tcp := startGoIPFIX(t)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp)))
	v := judge(t, tcp, s.written)
	v.wait(d)

	grown, shrunk, same := blobs[names[0]], blobs[names[1]], blobs[names[2]]
	s.do(s.store.Rewrite(t.Context(), names[0], texts(slices.Concat(grown[1:8]))...))
	s.do(s.store.Rewrite(t.Context(), names[1], texts(shrunk[2:4])...))
	s.do(s.store.Rewrite(t.Context(), names[2], texts(same[:6])...)) // other blocks and ETag, the same bytes
	s.written = append(s.written, grown[6:8]...)
	v.loose = true
	v.expect(s.written)
	v.wait(d)
	d.says("that a blob was rewritten", func(log string) bool { return strings.Contains(log, "blob rewritten") })
	for i, blob := range [][]Line{grown[8:], shrunk[6:], same[6:]} {
		for _, l := range blob {
			s.do(s.store.Append(t.Context(), names[i], l.Text))
		}
		s.written = append(s.written, blob...)
	}
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0)
}

// TestDeleted has a blob deleted, and later one of its name made.
func TestDeleted(t *testing.T) {
	s := newScene(t)
	lines := s.make(Spec{Kind: "nsg", NICs: 3, Start: s.hour(0), Minutes: 9, Tuples: 6, Seed: 6})
	parts := cut(lines, 3)
	s.write(parts[0])
	udp := startNfcapd(t)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("nfcapd", udp)))
	v := judge(t, udp, s.written)
	v.loose = true
	v.wait(d)
	gone := lines[0].Blob
	s.do(s.store.Delete(t.Context(), gone))
	isGone := func(l Line) bool { return l.Blob == gone }
	s.write(slices.DeleteFunc(slices.Clone(parts[1]), isGone))
	v.expect(s.written)
	v.wait(d)
	d.says("that a blob is gone", func(log string) bool { return strings.Contains(log, "blob deleted") })
	s.write(parts[2]) // the blob is there again, with what is new
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0)
}

// TestSmallBlobs has blobs of 0, 12 and 14 bytes, which later grow as others do.
func TestSmallBlobs(t *testing.T) {
	s := newScene(t)
	lines := s.make(Spec{Kind: "vnet", NICs: 4, Start: s.hour(0), Minutes: 4, Tuples: 6, Seed: 7})
	names, blobs := byBlob(lines)
	for i := range 3 {
		s.do(s.store.PutText(t.Context(), names[i], i))
	}
	s.write(blobs[names[3]][:2])
	tcp := startGoIPFIX(t)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp)))
	v := judge(t, tcp, s.written)
	v.wait(d) // the daemon has seen the small ones by now
	for _, name := range names {
		rest := blobs[name]
		if name == names[3] {
			rest = rest[2:]
		}
		s.write(rest)
	}
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0)
	checkNothingRejected(t, d)
}

// TestTornBlocks has blocks that end inside a record, at all kinds of places: the
// daemon sees the half before the rest comes.
func TestTornBlocks(t *testing.T) {
	s := newScene(t)
	lines := s.make(Spec{Kind: "vnet", NICs: 2, Start: s.hour(0), Minutes: 16, Tuples: 10, Seed: 9})
	names, blobs := byBlob(lines)
	torn, whole := blobs[names[0]], blobs[names[1]]
	s.do(s.store.PutText(t.Context(), torn[0].Blob, 2)) // so that there is a flow log
	tcp := startGoIPFIX(t)
	d := startService(t, config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp)))
	v := judge(t, tcp, nil)
	for i, l := range torn {
		text := l.Text
		if i > 0 {
			text = append([]byte(","), text...)
		}
		at := 1 + i*(len(text)-1)/len(torn) // behind the comma first, then anywhere
		s.do(s.store.AppendBlock(t.Context(), l.Blob, text[:at]))
		// One list call shows both blobs, so when the other's record has come, the
		// half was seen too, or is about to be.
		s.write(whole[i : i+1])
		v.expect(s.written)
		v.wait(d)
		s.do(s.store.AppendBlock(t.Context(), l.Blob, text[at:]))
		s.written = append(s.written, l)
	}
	v.expect(s.written)
	v.wait(d)
	d.end()
	v.finish(0)
	checkNothingRejected(t, d)
}

// rejected finds a count of rejected pieces in a log.
var rejected = regexp.MustCompile(`rejected=[1-9]|"rejected":[1-9]`)

func checkNothingRejected(t *testing.T, d *Service) {
	t.Helper()
	if log := d.process.Log(); rejected.MatchString(log) || !strings.Contains(log, "rejected") {
		t.Errorf("something was rejected: %s", log)
	}
}

// TestBusyBlob has one interface write blocks of 4 MB.
func TestBusyBlob(t *testing.T) {
	s := newScene(t)
	lines := s.make(Spec{Kind: "vnet", NICs: 1, Start: s.hour(0), Minutes: 5, Tuples: 30000, Seed: 8})
	tcp := startGoIPFIX(t)
	s.write(lines[:1])
	d := startService(t, config(t.TempDir(), s.azurite.address, required("go-ipfix", tcp)))
	s.write(lines[1:])
	v := judge(t, tcp, s.written)
	v.wait(d)
	d.end()
	v.finish(0)
}
