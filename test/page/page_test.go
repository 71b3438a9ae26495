package page

import (
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"flow2ipfix/test/peers"
)

// shown is what the browser has of the page.
type shown struct {
	Title, State, Text, ToDo string
	Rejected, Lag            string // titles, with the exact values
	Collectors               []struct{ Name, State, Records, Kept, Text string }
	Sources                  []struct{ Name, FlowLogs, NICs, Text string }
	FlowLogs                 []struct{ Short, Full string }
	Reasons                  [][3]string
	Examples                 []string
	Warnings                 []string
	Charts                   []string // labels of the pictures
	Drawn                    bool     // and there is something in them
	Scripts, Images          int
	Foreign                  []string // what was loaded from elsewhere
	Wide                     []string // what stands out to the right
	Pale                     []string // text that is hard to read
	Width, ScrollWidth       int
}

// look asks the page for all of it. Contrast is WCAG's: 4.5 is what small text
// needs.
const look = `(() => {
  const all = (s, in_ = document) => [...in_.querySelectorAll(s)];
  const text = (s, in_ = document) => (in_.querySelector(s)?.textContent ?? '').trim();
  const title = (s, in_ = document) => in_.querySelector(s)?.title ?? '';
  const name = e => e.tagName + '.' + e.className + ' ' + (e.textContent || '').trim().slice(0, 40);
  const rgb = c => (c.match(/[\d.]+/g) || []).map(Number);
  const light = c => { const [r, g, b] = rgb(c).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126*r + 0.7152*g + 0.0722*b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (rgb(c)[3] !== 0) return c; } return 'rgb(255, 255, 255)'; };
  const contrast = e => { const a = light(getComputedStyle(e).color), b = light(ground(e)); return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
  const written = all('body *').filter(e => !e.closest('svg') && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
  return {
    Title: document.title, State: text('#summary .state'), Text: text('#summary h1'), ToDo: text('#summary > .todo'),
    Rejected: title('#rejected'), Lag: title('#lag'),
    Collectors: all('.collector').map(e => ({Name: e.dataset.name, State: text('.pill', e), Records: title('.records', e), Kept: title('.kept', e), Text: e.textContent})),
    Sources: all('.source').map(e => ({Name: e.dataset.name, FlowLogs: title('.facts .flowlogs', e), NICs: title('.nics', e), Text: e.textContent})),
    FlowLogs: all('table.flowlogs tbody tr').map(e => ({Short: text('summary', e), Full: text('.full', e)})),
    Reasons: all('table.reasons tbody tr').map(e => [title('td', e), text('td', e), title('td.n', e)]),
    Examples: all('.examples li').map(e => e.textContent), Warnings: all('#warnings li').map(e => e.textContent),
    Charts: all('svg[role=img]').map(e => e.getAttribute('aria-label')), Drawn: all('svg .line').every(e => e.getBBox().width > 0),
    Scripts: document.scripts.length, Images: document.images.length,
    Foreign: performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin + '/assets/')),
    Wide: all('body *').filter(e => !e.closest('thead') && e.getBoundingClientRect().right > innerWidth + 0.5).map(name),
    Pale: written.filter(e => contrast(e) < 4.5).map(e => contrast(e).toFixed(2) + ' ' + name(e)),
    Width: innerWidth, ScrollWidth: document.documentElement.scrollWidth,
  };
})()`

// TestPage has the daemon at work, and looks at its page.
func TestPage(t *testing.T) {
	d := startDaemon(t)
	b, err := StartBrowser(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	})
	doc := d.await("all is delivered, and the chart has begun", func(s *document) bool {
		return s.Ready && s.LagSeconds != nil && int(s.Read.Tuples) == d.tuples && s.FlowsPerSecond != nil && len(s.Rejected.Examples) >= 2 &&
			s.Sources[0].Undelivered == 0 && s.Collectors[1].State == "away" && len(s.Warnings) > 0 &&
			slices.ContainsFunc(s.History, func(m struct {
				FlowsPerSecond *float64 `json:"flows_per_second"`
				LagSeconds     *float64 `json:"lag_seconds"`
			},
			) bool {
				return m.FlowsPerSecond != nil && *m.FlowsPerSecond > 0
			})
	})
	if doc.Summary.State != "warning" || !strings.Contains(doc.Summary.Text, "collector backup has been away for") || doc.Summary.ToDo == "" {
		t.Errorf("the summary is %+v", doc.Summary)
	}
	if c := doc.Collectors; c[0].State != "connected" || c[0].Records == 0 || c[1].LastError == nil || c[1].LastError.Hint == "" || c[1].Required {
		t.Errorf("the collectors are %+v", c)
	}
	if s := doc.Sources[0]; s.FlowLogs != len(s.Worst) || s.FlowLogs < 3 || s.Interfaces == nil || *s.Interfaces != 9 {
		t.Errorf("the source is %+v, want 9 interfaces", s)
	}

	pictures := t.ArtifactDir()
	var first *Tab
	for _, s := range []Screen{
		{Width: 1280, Height: 800},
		{Width: 1280, Height: 800, Dark: true},
		{Width: 360, Height: 740, Mobile: true},
		{Width: 360, Height: 740, Mobile: true, Dark: true},
	} {
		name := fmt.Sprintf("%d-%v", s.Width, map[bool]string{true: "dark", false: "light"}[s.Dark])
		tab, err := b.Open(d.url, s)
		if err != nil {
			t.Fatal(err)
		}
		doc, page := together(t, d, tab)
		t.Run(name, func(t *testing.T) {
			compare(t, &doc, &page)
			checkLooks(t, tab, s, &page)
			checkPicture(t, tab, filepath.Join(pictures, name+".png"), s.Width)
		})
		if first == nil {
			first = tab
			continue
		}
		if err := tab.Close(); err != nil {
			t.Error(err)
		}
	}

	// Now the collector that is away is one that matters. Nobody touches the first
	// tab: it looks again by itself.
	d.require()
	d.await("the reload is done", func(s *document) bool { return s.Summary.State == "problem" && s.Collectors[1].Required })
	var page shown
	if err := peers.Await("the page says so", func() (bool, error) {
		_ = first.Eval(look, &page) // an error says that it is being loaded
		return page.State == "problem", nil
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.Text, "collector backup has been away for") || !strings.Contains(page.Text, "nothing is lost") {
		t.Errorf("the page says %q", page.Text)
	}
	doc = d.await("there is a rate again", func(s *document) bool { return s.FlowsPerSecond != nil })
	if doc.Read.Tuples < uint64(d.tuples) {
		t.Errorf("after the reload it has read %d tuples, before %d", doc.Read.Tuples, d.tuples)
	}
	for i, m := range doc.History {
		if m.FlowsPerSecond != nil && *m.FlowsPerSecond > float64(d.tuples) {
			t.Errorf("minute %d has %v flows/s: a leap by the reload", i, *m.FlowsPerSecond)
		}
	}
	if c := first.Complaints(); len(c) > 0 {
		t.Errorf("the console has %q", c)
	}
}

// together loads the page between two equal statuses.
func together(t *testing.T, d *daemon, tab *Tab) (doc document, page shown) {
	t.Helper()
	err := peers.Await("the status stands still", func() (bool, error) {
		before, err := d.status()
		if err != nil {
			return false, err
		}
		if err := tab.Go(d.url + "?refresh=off"); err != nil {
			return false, err
		}
		page = shown{}
		if err := tab.Eval(look, &page); err != nil {
			return false, err
		}
		doc, err = d.status()
		// The rate is a mean up to the very moment.
		before.FlowsPerSecond, doc.FlowsPerSecond = nil, nil
		before.History, doc.History = nil, nil
		return err == nil && reflect.DeepEqual(before, doc), err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tab.Go(d.url); err != nil {
		t.Fatal(err)
	}
	return doc, page
}

// compare says where the page does not show what the status says.
func compare(t *testing.T, doc *document, page *shown) {
	t.Helper()
	is := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the page has %q, the status %q", what, got, want)
		}
	}
	is("title", page.Title, doc.Summary.State+" · flow2ipfix")
	is("state", page.State, doc.Summary.State)
	is("summary", page.Text, doc.Summary.Text)
	is("to do", page.ToDo, "To do: "+doc.Summary.ToDo)
	is("lag", page.Lag, fmt.Sprint(*doc.LagSeconds, " s"))
	is("rejected", page.Rejected, fmt.Sprintf("%d pieces of flow logs, %d tuples", doc.Rejected.Pieces, doc.Rejected.Tuples))
	is("collectors", len(page.Collectors), len(doc.Collectors))
	for i, c := range doc.Collectors {
		p := page.Collectors[i]
		is("collector", p.Name, c.Name)
		is("its state", p.State, c.State)
		is("its records", p.Records, fmt.Sprintf("%d records, %d bytes, %d messages", c.Records, c.Bytes, c.Messages))
		is("what is kept", p.Kept, fmt.Sprintf("%d records, %d bytes, finished and not delivered", c.KeptRecords, c.KeptBytes))
		has := []string{c.URL}
		if c.State == "away" {
			has = append(has, c.LastError.Text, c.LastError.Hint)
		}
		for _, text := range has {
			if !strings.Contains(p.Text, text) {
				t.Errorf("collector %s lacks %q: %s", c.Name, text, p.Text)
			}
		}
	}
	is("sources", len(page.Sources), len(doc.Sources))
	var flowLogs []struct{ Short, Full string }
	evil := 0
	for i, s := range doc.Sources {
		p := page.Sources[i]
		is("source", p.Name, s.Name)
		is("its flow logs", p.FlowLogs, fmt.Sprint(s.FlowLogs))
		is("its interfaces", p.NICs, fmt.Sprintf("%d in the newest hour", *s.Interfaces))
		if !strings.Contains(p.Text, s.Place) {
			t.Errorf("source %s lacks its place: %s", s.Name, p.Text)
		}
		for _, f := range s.Worst {
			flowLogs = append(flowLogs, struct{ Short, Full string }{f.Short, f.Name})
			if f.Short == hostile {
				evil++
			}
		}
	}
	is("flow logs", page.FlowLogs, flowLogs)
	is("flow logs with a hostile name", evil, 1)
	var reasons [][3]string
	for _, r := range doc.Rejected.ByReason {
		reasons = append(reasons, [3]string{r.Reason, r.Text, fmt.Sprint(r.Pieces)})
	}
	is("reasons", page.Reasons, reasons)
	is("examples", len(page.Examples), len(doc.Rejected.Examples))
	for i, e := range doc.Rejected.Examples {
		if p := page.Examples[i]; !strings.Contains(p, e.Quote) || !strings.Contains(p, e.Blob) || !strings.Contains(p, e.Text) {
			t.Errorf("an example is %q, want %+v", p, e)
		}
	}
	is("warnings", len(page.Warnings), len(doc.Warnings))
	for i, w := range doc.Warnings {
		if p := page.Warnings[i]; !strings.Contains(withoutMarks(p), withoutMarks(w.Text)) || !strings.Contains(p, w.Level) {
			t.Errorf("a warning is %q, want %+v", p, w)
		}
	}
}

// withoutMarks leaves out what stands between a message and what it is about.
func withoutMarks(s string) string { return strings.NewReplacer("; ", "", "\n", "").Replace(s) }

// checkLooks says what is wrong with the page as such.
func checkLooks(t *testing.T, tab *Tab, s Screen, page *shown) {
	t.Helper()
	if page.Width != s.Width || page.ScrollWidth > s.Width || len(page.Wide) > 0 {
		t.Errorf("a page of %d in a window of %d, want one of %d: %q", page.ScrollWidth, page.Width, s.Width, page.Wide)
	}
	if len(page.Pale) > 0 {
		t.Errorf("hard to read: %q", page.Pale)
	}
	if len(page.Charts) != 2 || !page.Drawn || !strings.Contains(page.Charts[0], "flows/s") || !strings.Contains(page.Charts[1], "Lag") {
		t.Errorf("the charts are %q, drawn: %v", page.Charts, page.Drawn)
	}
	if page.Scripts != 0 || page.Images != 0 || len(page.Foreign) > 0 {
		t.Errorf("%d scripts, %d images, and from elsewhere %q", page.Scripts, page.Images, page.Foreign)
	}
	if c := tab.Complaints(); len(c) > 0 {
		t.Errorf("the console has %q", c)
	}
}

// checkPicture takes one, to be looked at with go test -artifacts.
func checkPicture(t *testing.T, tab *Tab, path string, width int) {
	t.Helper()
	if err := tab.Screenshot(path, 8000); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	colours := map[[3]uint32]bool{}
	size := picture.Bounds()
	for y := size.Min.Y; y < size.Max.Y; y += 3 {
		for x := size.Min.X; x < size.Max.X; x += 3 {
			r, g, b, _ := picture.At(x, y).RGBA()
			colours[[3]uint32{r, g, b}] = true
		}
	}
	if size.Dx() != width || size.Dy() < 700 || len(colours) < 50 {
		t.Errorf("the picture is %v with %d colours", size, len(colours))
	}
}
