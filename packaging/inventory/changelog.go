package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// writeChangelog writes what stands under the version in CHANGELOG.md, or under
// Unreleased if the version is not there: as a Debian changelog, or as what nfpm
// makes the changelog of an rpm of.
func writeChangelog(out io.Writer, changes, form, version, maintainer string, date time.Time) error {
	if version == "" || maintainer == "" {
		return errors.New("write changelog: want -version and -maintainer")
	}
	upstream, _, _ := strings.Cut(version, "-")
	points := changesOf(changes, upstream)
	if len(points) == 0 {
		points = changesOf(changes, "Unreleased")
	}
	if len(points) == 0 {
		return fmt.Errorf("write changelog: there is nothing under %q or \"Unreleased\"", upstream)
	}
	switch form {
	case "deb":
		return writeDeb(out, points, version, maintainer, date)
	case "nfpm":
		return writeNFPM(out, points, version, maintainer, date)
	}
	return fmt.Errorf("write changelog: -form: want deb or nfpm, got %q", form)
}

func writeDeb(out io.Writer, points []string, version, maintainer string, date time.Time) error {
	var b strings.Builder
	fmt.Fprintf(&b, "flow2ipfix (%s) stable; urgency=medium\n\n", version)
	for _, p := range points {
		mark := "  * "
		for _, line := range fill(p, 74) {
			b.WriteString(mark + line + "\n")
			mark = "    "
		}
	}
	fmt.Fprintf(&b, "\n -- %s  %s\n", maintainer, date.Format(time.RFC1123Z))
	_, err := io.WriteString(out, b.String())
	return err
}

// writeNFPM writes JSON, which YAML has in it.
func writeNFPM(out io.Writer, points []string, version, maintainer string, date time.Time) error {
	type note struct {
		Note string `json:"note"`
	}
	type entry struct {
		Version    string    `json:"semver"`
		Date       time.Time `json:"date"`
		Maintainer string    `json:"packager"`
		Changes    []note    `json:"changes"`
	}
	e := entry{version, date, maintainer, nil}
	for _, p := range points {
		e.Changes = append(e.Changes, note{p})
	}
	return json.NewEncoder(out).Encode([]entry{e})
}

// changesOf returns the points under the heading of a version, with what kind of
// change each is.
func changesOf(changes, version string) []string {
	var points []string
	in, kind := false, ""
	for line := range strings.SplitSeq(changes, "\n") {
		heading, isVersion := strings.CutPrefix(line, "## ")
		name, isKind := strings.CutPrefix(line, "### ")
		point, isPoint := strings.CutPrefix(line, "- ")
		switch {
		case isVersion:
			first, _, _ := strings.Cut(strings.Trim(heading, "[]v"), " ")
			in, kind = strings.Trim(first, "[]") == version, ""
		case !in:
		case isKind:
			kind = name + ": "
		case isPoint:
			points = append(points, kind+point)
		case strings.TrimSpace(line) != "" && len(points) > 0:
			points[len(points)-1] += " " + strings.TrimSpace(line)
		}
	}
	return points
}

// fill breaks a text into lines.
func fill(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
