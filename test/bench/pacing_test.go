package bench

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPacingIsCounted(t *testing.T) {
	at := func(millis float64, sequence uint32) pacedArrival {
		return pacedArrival{at: time.Hour + time.Duration(millis*1e6), sequence: sequence}
	}
	got := newPacing(2000, 100, []pacedArrival{at(0, 0), at(9, 20), at(9, 30), at(9.9, 40), at(10, 50), at(18.9, 60), at(19, 70), at(45, 80)}, 3)
	want := Pacing{
		Rate: 2000, Records: 100, Datagrams: 8, Calls: 7, Lost: 3, Took: 45 * time.Millisecond,
		Windows: []int{50, 30, 0, 0, 20},
		Worst:   50, // 20 more than 10 ms after the first do not count with it
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	var text strings.Builder
	got.Print(&text)
	for _, line := range []string{
		"2000 records/s: 100 records in 8 datagrams, at 7 times, in 0.04 s: 2222 records/s; 3 datagrams lost",
		"  0.00 to 0.25          2 windows  40.0 %  ################",
		"  2.50 and more         1 windows  20.0 %  ########",
		"  the fullest 10ms have 50 records, 2.50 times their share of 20",
	} {
		if !strings.Contains(text.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, text.String())
		}
	}
}
