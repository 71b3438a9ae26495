package exporter

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/internal/pulse"
)

// TestStreamPulse: who waits for a collector that is away, that takes nothing or
// that is paced shows that it lives; who hangs in a link does not.
func TestStreamPulse(t *testing.T) {
	hangs := make(chan struct{})
	for name, tc := range map[string]struct {
		rate   int
		open   func(context.Context) (link, error)
		silent bool
	}{
		"refused":       {0, func(context.Context) (link, error) { return nil, errors.New("refused") }, false},
		"takes nothing": {0, func(context.Context) (link, error) { return &fakeLink{busy: true}, nil }, false},
		"never answers": {0, func(ctx context.Context) (link, error) { <-ctx.Done(); return nil, ctx.Err() }, false},
		"paced":         {1, func(context.Context) (link, error) { return &fakeLink{all: true}, nil }, false},
		"hangs":         {0, func(context.Context) (link, error) { return &hangingLink{hangs: hangs}, nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hangs = make(chan struct{})
				board := pulse.NewBoard()
				sign := board.Add("it")
				cfg := Config{MaxKeptBytes: 4 * DefaultMaxMessageBytes, Rate: tc.rate, Pulse: sign}
				s := fakeStream(t, cfg, tc.open)
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for r := v4; s.Export(ctx, 7, &r) == nil; {
					}
				}()
				time.Sleep(time.Minute)
				silent := 0
				for range 5 {
					since := time.Now()
					time.Sleep(time.Minute)
					silent += len(board.Silent(since))
				}
				if got, want := silent > 0, tc.silent; got != want {
					t.Errorf("silent %d times", silent)
				}
				stop()
				close(hangs)
				<-ended
			})
		})
	}
}

// hangingLink breaks the promise of a link to come back at once.
type hangingLink struct {
	fakeLink
	hangs chan struct{}
}

func (h *hangingLink) send([]byte, uint64) error {
	<-h.hangs
	return errBusy
}
