package daemon

import (
	"context"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// scene is where a scenario plays: a storage account, and what was written to it.
type scene struct {
	*testing.T
	azurite *Azurite
	store   *Store
	written []Line
	present time.Time // the hour in which it began
}

// newScene starts a storage account. Scenarios play side by side: most of their
// time they wait.
func newScene(t *testing.T) *scene { return openScene(t, false) }

// newLastingScene is one whose account can be stopped and started.
func newLastingScene(t *testing.T) *scene { return openScene(t, true) }

func openScene(t *testing.T, keep bool) *scene {
	t.Helper()
	t.Parallel()
	a, err := StartAzurite(t.TempDir(), keep)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(); err != nil {
			t.Error(err)
		}
	})
	s, err := OpenStore(t.Context(), a.address)
	if err != nil {
		t.Fatal(err)
	}
	return &scene{T: t, azurite: a, store: s, present: time.Now().UTC().Truncate(time.Hour)}
}

// make makes flow logs.
func (s *scene) make(specs ...Spec) []Line {
	s.Helper()
	lines, err := MakeLogs(s.TempDir(), specs...)
	if err != nil {
		s.Fatal(err)
	}
	return lines
}

// write appends lines to their blobs, minute by minute.
func (s *scene) write(lines []Line) {
	s.Helper()
	s.do(s.store.Write(s.Context(), lines))
	s.written = append(s.written, lines...)
}

// play is write with a minute of log time every so often, beside the test; the
// first one at once, so that a daemon that is started then finds all flow logs. The
// returned function waits for the end.
func (s *scene) play(lines []Line, every time.Duration) (wait func()) {
	s.Helper()
	s.written = append(s.written, lines...) // all of it comes, unless the test fails
	all := minutes(lines)
	s.do(s.store.Write(s.Context(), all[0]))
	g, ctx := errgroup.WithContext(s.Context())
	g.Go(func() error {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for _, minute := range all[1:] {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if err := s.store.Write(ctx, minute); err != nil {
				return err
			}
		}
		return nil
	})
	return func() {
		s.Helper()
		s.do(g.Wait())
	}
}

// do fails the test if there is an error.
func (s *scene) do(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// required is what a configuration says of a receiver.
func required(name string, r Receiver) CollectorConf {
	return CollectorConf{Name: name, URL: r.URL(), Delivery: "required"}
}

// cut cuts lines into so many pieces of about the same log time.
func cut(lines []Line, pieces int) [][]Line {
	all := minutes(lines)
	var result [][]Line
	for i := range pieces {
		result = append(result, slices.Concat(all[i*len(all)/pieces:(i+1)*len(all)/pieces]...))
	}
	return result
}

// hour returns the hour that is so many after the present one. Paths have to lie
// around the present: the daemon goes by the clock.
func (s *scene) hour(after int) time.Time { return s.present.Add(time.Duration(after) * time.Hour) }

// needHour waits for the next hour if the present one has only minutes left. It
// is for scenarios in which hours end.
func (s *scene) needHour() {
	const need = 3 * time.Minute
	if left := time.Until(s.hour(1)); left < need {
		s.Logf("the hour turns in %v: waiting for that", left)
		<-time.After(left)
		s.present = s.hour(1)
	}
}

// both are logs of virtual networks and of security groups, half of the
// interfaces each, for so many minutes until half past the present hour.
func (s *scene) both(nics, minutes, tuples int) []Spec {
	return bothKinds(s.present, nics, minutes, tuples)
}

func bothKinds(present time.Time, nics, minutes, tuples int) []Spec {
	start := present.Add(time.Duration(30-minutes) * time.Minute)
	return []Spec{
		{Kind: "vnet", NICs: nics - nics/2, Start: start, Minutes: minutes, Tuples: tuples, Seed: 11},
		{Kind: "nsg", NICs: nics / 2, Start: start, Minutes: minutes, Tuples: tuples, Seed: 12},
	}
}
