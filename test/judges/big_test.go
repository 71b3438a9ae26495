package judges

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"flow2ipfix/test/expect"
	"flow2ipfix/test/peers"
)

// maxPeak is how much memory replay may take, whatever it reads.
const maxPeak = 64 << 20

// TestHour replays a virtual network's hour of 100 MB: over UDP to nfcapd, with
// every field of every flow compared, and from standard input.
func TestHour(t *testing.T) {
	files, err := generate(t.TempDir(), "--nics", "1", "--minutes", "60", "--tuples", "20600")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 {
		t.Fatalf("want one blob, got %v", files)
	}
	info, err := os.Stat(files[0])
	if err != nil {
		t.Fatal(err)
	}
	want, shown := expect.NewDigest(), peers.Nfcapd{}.Shows()
	oracle := &expect.Oracle{}
	if err := oracle.ReadFiles(files, func(f expect.Flow) { want.Add(f.Only(shown)) }); err != nil {
		t.Fatal(err)
	}
	if info.Size() < 99_000_000 || oracle.Tuples < 1_200_000 {
		t.Fatalf("the blob has become smaller: %d bytes, %d tuples", info.Size(), oracle.Tuples)
	}

	t.Run("nfcapd", func(t *testing.T) {
		s, err := peers.StartNfcapd(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Stop() })
		checkHour(t, nil, oracle, 1, "--collector", s.URL(), "--rate", hourRate(t), files[0])
		if err := s.Wait(int(oracle.Records)); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		got := expect.NewDigest()
		if err := s.Each(got.Add); err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Problems() {
			t.Error(p)
		}
		if diff := want.Compare(got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("standard input", func(t *testing.T) {
		f, err := os.Open(files[0])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		checkHour(t, f, oracle, 1, "--collector", "file:/dev/null", "-")
	})
	t.Run("1 GB", func(t *testing.T) {
		const times = 10
		checkHour(t, repeated(t, files[0], info.Size(), times), oracle, times, "--collector", "file:/dev/null", "-")
	})
}

// checkHour replays what is the oracle's hour so many times, and checks the
// summary and the memory that it took.
func checkHour(t *testing.T, stdin io.Reader, o *expect.Oracle, times uint64, args ...string) {
	t.Helper()
	r, peak, err := runGauged(t.TempDir(), stdin, append([]string{"replay", "--summary", "json"}, args...)...)
	if err != nil || r.Code != 0 || r.Stderr != "" {
		t.Fatalf("replay ended with %d, %v: %s", r.Code, err, r.Stderr)
	}
	sum, err := readSummary(r)
	if err != nil {
		t.Fatal(err)
	}
	if *sum.Rejected != 0 || *sum.Blobs != 1 || *sum.Records != times*o.LogRecords || *sum.Tuples != times*o.Tuples ||
		*sum.Skipped != times*o.Skipped || *sum.ExportedRecords != times*o.Records {
		t.Errorf("summary %s; want %d times %d records, %d tuples, %d skipped and %d flow records",
			r.Stdout, times, o.LogRecords, o.Tuples, o.Skipped, o.Records)
	}
	t.Logf("%.1f s, peak memory %.1f MiB", *sum.Seconds, float64(peak)/(1<<20))
	if peak > maxPeak {
		t.Errorf("peak memory %.1f MiB, want at most %d MiB", float64(peak)/(1<<20), maxPeak>>20)
	}
}

// hourRate is how many records a second nfcapd holds: with the socket buffer
// that it asks for, several times the default, and the default where the system
// does not grant that.
func hourRate(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/core/rmem_max")
	if err != nil {
		t.Fatal(err)
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	if limit < 4<<20 {
		return "20000"
	}
	return "60000"
}

// repeated returns a flow log with the records of a flow log many times.
func repeated(t *testing.T, path string, size int64, times int) io.Reader {
	t.Helper()
	const head, tail = `{"records":[`, `]}`
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	parts := []io.Reader{strings.NewReader(head)}
	for i := range times {
		if i > 0 {
			parts = append(parts, strings.NewReader(","))
		}
		parts = append(parts, io.NewSectionReader(f, int64(len(head)), size-int64(len(head)+len(tail))))
	}
	return io.MultiReader(append(parts, strings.NewReader(tail))...)
}
