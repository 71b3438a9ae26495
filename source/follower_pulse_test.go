package source_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/internal/pulse"
	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

type blockedReader struct {
	io.Reader
	block chan struct{}
}

func (b blockedReader) Read(p []byte) (int, error) {
	<-b.block
	return b.Reader.Read(p)
}

// TestFollowerPulse: a follower shows that it lives while it polls; what hangs is
// silent once it has had the time that it may take.
func TestFollowerPulse(t *testing.T) {
	for where, want := range map[string]string{
		"": "", "FlowLogs": "source test", "Hours": "flow log " + vnet, "List": "flow log " + vnet,
		"Open": "blob of flow log " + vnet, "Read": "blob of flow log " + vnet,
	} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				block := make(chan struct{})
				r.backend.Before(func(_ context.Context, method, _ string) error {
					if method == where {
						<-block // whatever the context says
					}
					return nil
				})
				r.backend.Body(func(_ string, _ int64, body io.Reader) io.Reader {
					if where == "Read" {
						return blockedReader{body, block}
					}
					return body
				})
				board := pulse.NewBoard()
				r.cfg.Pulse = board
				r.log(sourcetest.Name(vnet, at(2, 0, 0), macA), "one")
				r.start()
				r.pass(6 * time.Minute)
				for range 10 {
					since := time.Now()
					r.pass(time.Minute)
					got := board.Silent(since)
					if want == "" && len(got) > 0 || want != "" && !slices.Equal(got, []string{want}) {
						t.Fatalf("silent are %q, want %q", got, want)
					}
				}
				close(block)
				r.pass(time.Minute)
				r.end()
				if got := board.Silent(time.Now().Add(time.Hour)); len(got) > 0 {
					t.Errorf("%q are watched after the end", got)
				}
			})
		})
	}
}

// TestFollowerPulseOfABusyReader: while a blob waits for its turn, or for whoever
// takes what was read, nothing is silent.
func TestFollowerPulseOfABusyReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		board := pulse.NewBoard()
		r.cfg.Pulse, r.cfg.Readers = board, 1
		turn := make(chan struct{})
		r.Read = func(ctx context.Context, d *source.Delta) error {
			_, _, stopped := pulse.Take(d.Sign, turn, ctx.Done())
			if stopped {
				return context.Cause(ctx)
			}
			return nil
		}
		for _, mac := range []string{macA, macB} {
			r.log(sourcetest.Name(vnet, at(2, 0, 0), mac), "of "+mac)
			r.log(sourcetest.Name(nsg, at(2, 0, 0), mac), "of "+mac)
		}
		r.start()
		for range 60 {
			since := time.Now()
			r.pass(time.Minute)
			if got := board.Silent(since); len(got) > 0 {
				t.Fatalf("silent are %q", got)
			}
		}
		close(turn)
		r.pass(time.Minute)
		r.end()
	})
}

// slowState takes a second to forget a blob.
type slowState struct{ *memory }

func (s slowState) Forget(name, blob string) error {
	time.Sleep(time.Second)
	return s.memory.Forget(name, blob)
}

// TestFollowerPulseWhileItForgets: it takes minutes to forget many blobs that are
// gone; nothing is silent meanwhile, whether somebody looked when they went or not.
func TestFollowerPulseWhileItForgets(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running %v", running), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const gone = 400
				r := newRig(t)
				board := pulse.NewBoard()
				r.cfg.Pulse, r.cfg.State = board, slowState{r.state}
				r.log(sourcetest.Name(vnet, at(2, 0, 0), macA), "stays")
				names := make([]string, gone)
				for i := range names {
					names[i] = sourcetest.Name(vnet, at(2, 0, 0), fmt.Sprintf("0022487%05X", i))
					r.log(names[i], "goes")
				}
				r.start()
				r.pass(time.Minute)
				if !running {
					r.end()
				}
				for _, name := range names {
					if err := r.backend.Delete(t.Context(), name); err != nil {
						t.Fatal(err)
					}
				}
				if !running {
					r.start()
				}
				for range 10 {
					since := time.Now()
					r.pass(time.Minute)
					if got := board.Silent(since); len(got) > 0 {
						t.Fatalf("silent are %q", got)
					}
				}
				forgot := take(r, &r.state.forgot)
				slices.Sort(forgot)
				if !slices.Equal(forgot, names) {
					t.Errorf("%d blobs are forgotten, want the %d that are gone", len(forgot), gone)
				}
				r.end()
			})
		})
	}
}
