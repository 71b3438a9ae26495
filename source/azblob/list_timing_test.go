package azblob

import (
	"fmt"
	"io"
	"net/http"
	"testing"
)

// BenchmarkList is one page, as large as they come.
func BenchmarkList(b *testing.B) {
	s := newFake(DefaultContainers...)
	for i := range 5000 {
		put(b, s, at(two, fmt.Sprintf("%012X", i)), "x")
	}
	backend := open(b, sasConfig(s))
	var page []byte
	s.answer = func(req *http.Request) (*reply, error) {
		if page == nil {
			page, _ = io.ReadAll(s.storage(req).content)
		}
		return respond(200, nil, string(page)), nil
	}
	b.ReportAllocs()
	for b.Loop() {
		if infos, err := backend.List(b.Context(), flowLogV, two); err != nil || len(infos) != 5000 {
			b.Fatal(len(infos), err)
		}
		s.take()
	}
	b.SetBytes(int64(len(page)))
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/5000, "ns/blob")
}
