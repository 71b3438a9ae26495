package checkpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"flow2ipfix/flowlog"
	"flow2ipfix/source"
)

// large fills a directory like that of an instance with 20 000 blobs: 50 flow
// logs with 200 interfaces, in two hours.
func large(b *testing.B, dir string) (*Store, []source.Entry) {
	b.Helper()
	s := open(b, dir)
	var entries []source.Entry
	for f := range 50 {
		for nic := range 200 {
			for h := range 2 {
				name := blob(fmt.Sprintf("%s-%d", vnet, f), hour.Add(time.Duration(h)*time.Hour), 200*f+nic)
				entries = append(entries, entry("prod", name, cursor(nic)))
			}
		}
	}
	must(b, s.Commit(entries))
	return s, entries
}

// BenchmarkCommit commits 100 of 20 000 cursors, of one flow log or of all.
func BenchmarkCommit(b *testing.B) {
	for _, bc := range []struct {
		name   string
		stride int
	}{{"near", 1}, {"spread", 199}} {
		b.Run(bc.name, func(b *testing.B) {
			dir := b.TempDir()
			s, entries := large(b, dir)
			batch := make([]source.Entry, 100)
			at := 0
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i] = entries[at%len(entries)]
					batch[i].Cursor.Offset += int64(b.N)
					at += bc.stride
				}
				must(b, s.Commit(batch))
			}
			b.StopTimer()
			info, err := os.Stat(filepath.Join(dir, fileName))
			must(b, err)
			b.ReportMetric(float64(info.Size())/1e6, "MB/file")
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, _ := large(b, dir)
	must(b, s.Close())
	b.ReportAllocs()
	for b.Loop() {
		s, _, err := Open(dir, Options{})
		must(b, err)
		must(b, s.Close())
	}
}

func BenchmarkCursors(b *testing.B) {
	s, _ := large(b, b.TempDir())
	b.ReportAllocs()
	for b.Loop() {
		_, err := s.Cursors("prod", vnet+"-7")
		must(b, err)
	}
}

// BenchmarkFinish turns the hour of a flow log of 200 interfaces.
func BenchmarkFinish(b *testing.B) {
	s, entries := large(b, b.TempDir())
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		must(b, s.Finish("prod", fmt.Sprintf("%s-%d", vnet, n%50), hour.Add(2*time.Hour)))
		b.StopTimer()
		must(b, s.Commit(entries[n%50*400:][:400]))
		b.StartTimer()
	}
}

// BenchmarkAddInterfaces is the first start of an instance with 10 000.
func BenchmarkAddInterfaces(b *testing.B) {
	macs := make([]flowlog.MAC, 10000)
	for n := range macs {
		macs[n] = mac(n)
	}
	for b.Loop() {
		b.StopTimer()
		s := open(b, b.TempDir())
		b.StartTimer()
		must(b, s.Interfaces().Add(macs...))
	}
}
