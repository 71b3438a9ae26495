package source

import (
	"errors"
	"regexp"
	"strings"
)

// filter says which flow logs and blobs are wanted.
type filter struct {
	include, exclude []glob
	byMAC            bool // include has a glob that may be of a MAC
}

// glob is one over the whole of a text.
type glob struct{ path, mac *regexp.Regexp }

var macGlob = regexp.MustCompile(`^[0-9A-Fa-f*?:-]+$`)

func newFilter(include, exclude []string) (filter, error) {
	var f filter
	for _, l := range []struct {
		from []string
		to   *[]glob
	}{{include, &f.include}, {exclude, &f.exclude}} {
		for _, text := range l.from {
			if text == "" {
				return filter{}, errors.New("want a glob to include or exclude, got an empty one; * stands for everything")
			}
			g := glob{path: compile(text)}
			if macGlob.MatchString(text) {
				g.mac = compile(strings.NewReplacer(":", "", "-", "").Replace(text))
			}
			*l.to = append(*l.to, g)
		}
	}
	for _, g := range f.include {
		f.byMAC = f.byMAC || g.mac != nil
	}
	return f, nil
}

func compile(text string) *regexp.Regexp {
	return regexp.MustCompile("(?is)^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(text)) + "$")
}

func likePath(globs []glob, path string) bool {
	for _, g := range globs {
		if g.path.MatchString(path) {
			return true
		}
	}
	return false
}

func likeMAC(globs []glob, mac string) bool {
	for _, g := range globs {
		if g.mac != nil && mac != "" && g.mac.MatchString(mac) {
			return true
		}
	}
	return false
}

// flowLog reports whether a flow log may have blobs that are wanted.
func (f *filter) flowLog(path string) bool {
	return !likePath(f.exclude, path) && (f.whole(path) || f.byMAC)
}

// whole reports whether a flow log is wanted whatever the MAC, but for those that
// are excluded.
func (f *filter) whole(path string) bool {
	return len(f.include) == 0 || likePath(f.include, path)
}

// blob reports whether one of a flow log that may have some is wanted.
func (f *filter) blob(whole bool, mac string) bool {
	return (whole || likeMAC(f.include, mac)) && !likeMAC(f.exclude, mac)
}
