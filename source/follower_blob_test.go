package source_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flow2ipfix/source"
	"flow2ipfix/source/sourcetest"
)

// TestRewritten: a blob that is another is read from its start, without what was
// delivered.
func TestRewritten(t *testing.T) {
	old := func(id string, minute int) string { return rec(id, at(1, minute, 0)) }
	for name, blocks := range map[string][]string{
		"shrunk to nothing":    nil,
		"shrunk":               {head, old("b", 50), foot},
		"another before":       {head, old("a", 40), "," + old("X", 45), "," + old("c", 51), foot},
		"of the same size":     {head, old("a", 40), "," + old("B", 50), foot},
		"another and longer":   {head, old("a", 40), "," + old("B", 50), "," + old("c", 51), "," + old("d", 52), foot},
		"of one byte more":     {head, old("a", 40), "," + old("B+", 50), foot},
		"without its foot":     {head, old("a", 40), "," + old("B", 50)},
		"shrunk to the cursor": {head, old("a", 40), "," + strings.Replace(old("b", 50), "x", "y", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.put(nameA, head, old("a", 40), ","+old("b", 50), foot)
				r.put(nameB, head, old("z", 50), foot)
				r.start()
				r.wantSet("records", &r.got, "a", "b", "z")
				r.put(nameA, blocks...)
				r.pass(2 * time.Minute)
				var want, left []string
				for _, id := range []string{"c", "d"} {
					if strings.Contains(strings.Join(blocks, ""), `"id":"`+id+`"`) {
						want = append(want, id)
					}
				}
				for _, id := range []string{"a", "X", "b", "B", "B+"} {
					if strings.Contains(strings.Join(blocks, ""), `"id":"`+id+`"`) {
						left = append(left, id+": delivered")
					}
				}
				r.want("records", &r.got, want...)
				r.wantSet("left out", &r.left, left...)
				r.want("events", &r.events, "flow log found", "blob rewritten 02/"+macA)
				r.put(nameA, append([]string{head, old("a", 40), "," + old("b", 50)}, ","+old("e", 55), foot)...)
				r.pass(2 * time.Minute)
				r.want("records after a second time", &r.got, "e")
				r.until(at(3, 20, 0))
				r.wantLow(vnet, at(3, 0, 0))
				r.want("records later", &r.got)
				r.end()
			})
		})
	}
}

// TestRewrittenInFlight: a blob that is another is not read before what it was is
// delivered, so that nobody mixes the two up.
func TestRewrittenInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.holding(true)
		r.log(nameA, "a")
		r.log(nameA, "b")
		r.start()
		r.put(nameA, head, rec("c", at(2, 17, 0)), foot)
		r.pass(5 * time.Minute)
		r.want("records", &r.got, "a", "b")
		r.deliver()
		r.pass(time.Minute)
		r.want("records", &r.got, "c")
		r.want("events", &r.events, "flow log found", "blob rewritten 02/"+macA)
		if s := r.follow.Stats(); s.Rewritten != 1 || s.Undelivered != 0 {
			t.Errorf("stats %+v", s)
		}
		r.end()
	})
}

// TestRewrittenBehindItsHour: that keeps the hour open, even if only a read shows it.
func TestRewrittenBehindItsHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.start()
		r.until(at(3, 14, 0))
		r.put(nameA, head, rec("b", at(2, 17, 0)), foot) // of the same size
		r.until(at(3, 20, 0))
		r.wantLow(vnet, time.Time{})
		r.log(nameA, "c")
		r.until(at(3, 37, 0))
		r.want("records", &r.got, "a", "b", "c")
		r.wantLow(vnet, at(3, 0, 0))
		r.end()
	})
}

// TestRewrittenMeanwhile: also a blob that was written anew while nobody looked.
func TestRewrittenMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.log(nameA, "b")
		r.start()
		r.want("records", &r.got, "a", "b")
		r.end()
		r.put(nameA, head, rec("X", at(2, 0, 0)), ","+rec("c", at(2, 17, 0)), ","+rec("d", at(2, 18, 0)), foot)
		r.start()
		r.want("records", &r.got, "c", "d")
		r.want("left out", &r.left, "X: delivered")
		r.end()
	})
}

func TestDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.log(nameB, "b")
		r.start()
		r.wantSet("records", &r.got, "a", "b")
		if err := r.backend.Delete(t.Context(), nameA); err != nil {
			t.Fatal(err)
		}
		r.log(nameB, "b2")
		// Between the list and the read.
		r.backend.Before(func(ctx context.Context, method, of string) error {
			if method == "Open" {
				return r.backend.Delete(ctx, of)
			}
			return nil
		})
		r.pass(5 * time.Minute)
		r.wantSet("events", &r.events, "flow log found", "blob deleted 02/"+macA, "blob deleted 02/"+macB)
		r.wantSet("forgotten", &r.state.forgot, nameA, nameB)
		r.backend.Before(nil)
		// As it was, and a record more.
		r.put(nameA, head, rec("a", at(2, 16, 0)), ","+rec("a2", time.Now()), foot)
		r.pass(time.Minute)
		r.want("records", &r.got, "a2")
		r.until(at(3, 20, 0))
		r.wantLow(vnet, at(3, 0, 0))
		if s := r.follow.Stats(); s.Deleted != 2 || s.Rewritten != 0 || s.Blobs != 0 {
			t.Errorf("stats %+v", s)
		}
		r.end()
	})
}

// TestDeletedMeanwhile: while nobody looked.
func TestDeletedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.log(nameB, "b")
		r.start()
		r.end()
		if err := r.backend.Delete(t.Context(), nameA); err != nil {
			t.Fatal(err)
		}
		take(r, &r.events)
		r.start()
		r.pass(5 * time.Minute)
		r.want("events", &r.events, "flow log found", "blob deleted 02/"+macA)
		r.want("forgotten", &r.state.forgot, nameA)
		r.end()
	})
}

// TestSmallBlobs: of 0, 12 and 14 bytes, which may grow or not.
func TestSmallBlobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		small := map[string][]string{"000000000000": {}, "000000000012": {head}, "000000000014": {head, foot}}
		for mac, blocks := range small {
			r.put(sourcetest.Name(vnet, at(2, 0, 0), mac), blocks...)
			r.put(sourcetest.Name(vnet, at(1, 0, 0), mac), blocks...)
		}
		r.start()
		r.pass(5 * time.Minute)
		if calls := r.backend.Calls(); calls["Open"] > 5 {
			t.Errorf("requests %v, want one each", calls)
		}
		for mac := range small {
			r.put(sourcetest.Name(vnet, at(2, 0, 0), mac), head, rec(mac, time.Now()), foot)
		}
		r.until(at(3, 20, 0))
		r.wantSet("records", &r.got, "000000000000", "000000000012", "000000000014")
		r.want("torn", &r.torn)
		r.want("events", &r.events, "flow log found")
		r.wantLow(vnet, at(3, 0, 0))
		r.end()
	})
}

// TestTorn: a block that ends inside a record waits for the next; what is torn at
// the end of the hour is rejected, once.
func TestTorn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.start()
		block := "," + rec("b", time.Now())
		r.append(nameA, block[:40])
		r.pass(time.Minute)
		r.want("records", &r.got, "a")
		r.append(nameA, block[40:])
		r.pass(time.Minute)
		r.want("records", &r.got, "b")
		r.append(nameA, block[:50])
		r.put(nameB, head, rec("c", time.Now()), ","+rec("d", time.Now())[:60]) // without a foot
		r.until(at(3, 14, 0))
		r.want("records", &r.got, "c")
		r.want("torn", &r.torn)
		if calls := r.backend.Calls(); calls["Open"] > 6 {
			t.Errorf("requests %v: a torn record is read at each poll", calls)
		}
		r.until(at(3, 20, 0))
		r.wantSet("torn", &r.torn, nameA, nameB)
		r.wantLow(vnet, at(3, 0, 0))
		r.pass(time.Hour)
		r.want("torn later", &r.torn)
		r.want("records later", &r.got)
		r.want("events", &r.events, "flow log found")
		r.end()
	})
}

// TestTouched: a blob that is written with what it had is looked at, and that is
// all; it does not keep its hour open.
func TestTouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.start()
		r.backend.Calls()
		touches := 0
		for time.Now().Before(at(3, 16, 0)) {
			r.put(nameA, head, rec("a", at(2, 16, 0)), foot)
			touches++
			r.pass(time.Minute)
		}
		if calls := r.backend.Calls(); calls["Open"] < touches-2 || calls["Open"] > touches {
			t.Errorf("%d touches, requests %v", touches, calls)
		}
		r.want("records", &r.got, "a")
		r.want("events", &r.events, "flow log found")
		r.wantLow(vnet, at(3, 0, 0))
		r.end()
	})
}

// early is a Backend that answers the first Open while the blob is written: with
// the content from before and the ETag from after, as Azurite may.
type early struct {
	*sourcetest.Memory
	write func() source.Info
}

func (e *early) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, source.Info, error) {
	body, info, err := e.Memory.Open(ctx, name, offset)
	if e.write != nil {
		info.ETag = e.write().ETag
		e.write = nil
	}
	return body, info, err
}

// TestETagTooEarly: the ETag alone does not say that there is nothing new.
func TestETagTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.log(nameA, "a")
		r.cfg.Backend = &early{r.backend, func() source.Info {
			r.log(nameA, "b")
			infos, err := r.backend.List(t.Context(), vnet, at(2, 0, 0))
			if err != nil || len(infos) != 1 {
				t.Errorf("list: %v, %v", infos, err)
			}
			return infos[0]
		}}
		r.start()
		r.want("records at once", &r.got, "a")
		r.pass(2 * time.Minute)
		r.want("records", &r.got, "b")
		r.backend.Calls()
		r.pass(10 * time.Minute)
		if calls := r.backend.Calls(); calls["Open"] > 0 {
			t.Errorf("a blob with nothing new: %v", calls)
		}
		r.end()
	})
}
