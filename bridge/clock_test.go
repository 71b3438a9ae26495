package bridge

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/convert"
	"flow2ipfix/internal/collect"
	"flow2ipfix/source"
)

// minutes is a blob of one record a minute, whose tuple is 10 s older.
func minutes(n int) string {
	var all []string
	for m := range n {
		at := start.Add(time.Duration(m) * time.Minute)
		tuple := strings.Replace(good, "1663146003606", itoa(at.Add(-10*time.Second).UnixMilli()), 1)
		r := strings.Replace(record, "%s", `"`+tuple+`"`, 1)
		r = strings.Replace(r, ",O,E,", ",O,C,", 1) // goes on: it starts a minute before
		all = append(all, strings.Replace(r, "2022-09-14T09:00:52Z", at.Format(time.RFC3339), 1))
	}
	return `{"records":[` + strings.Join(all, ",") + `]}`
}

func itoa(n int64) string {
	var b [20]byte
	i := len(b)
	for ; n > 0; n /= 10 {
		i--
		b[i] = byte('0' + n%10)
	}
	return string(b[i:])
}

func TestSpeedAndShift(t *testing.T) {
	for _, tc := range []struct {
		name  string
		speed float64
		shift bool
		took  time.Duration
		ends  func(begin time.Time, i int) time.Time
	}{
		{"neither", 0, false, 0, func(_ time.Time, i int) time.Time {
			return start.Add(time.Duration(i)*time.Minute - 10*time.Second)
		}},
		{"log time", 1, false, 4 * time.Minute, func(_ time.Time, i int) time.Time {
			return start.Add(time.Duration(i)*time.Minute - 10*time.Second)
		}},
		{"sixty times faster, now", 60, true, 4 * time.Second, func(begin time.Time, i int) time.Time {
			return begin.Add(time.Duration(i)*time.Second - 10*time.Second)
		}},
		{"at once, now", 0, true, 0, func(begin time.Time, _ int) time.Time { return begin.Add(-10 * time.Second) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			var begin time.Time
			synctest.Test(t, func(t *testing.T) {
				begin = time.Now()
				if _, err := run(t.Context(), t, Config{
					Speed: tc.speed, ShiftToNow: tc.shift,
					Lanes: []Lane{fileLane(t, dir, "x", convert.Policy{})},
				}, []*source.Delta{blob("a", minutes(5))}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(begin); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
			})
			i := 0
			readFile(t, filepath.Join(dir, "x"), func(r *collect.Record) {
				if want := tc.ends(begin, i/2); !r.End().Equal(want) {
					t.Errorf("record %d ends at %v, want %v", i, r.End().UTC(), want.UTC())
				}
				if want := time.Minute; i >= 2 && r.End().Sub(r.Start()) != want {
					t.Errorf("record %d lasts %v, want %v", i, r.End().Sub(r.Start()), want)
				}
				i++
			})
			if i != 10 {
				t.Errorf("%d records, want 10", i)
			}
		})
	}
}
