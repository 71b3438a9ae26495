package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Results is what the commands below cmd measured in one run of "make bench".
// Each command adds its part to the file it is told, so that the summary and the
// chart can be drawn of all.
type Results struct {
	// Ratios are comparisons with a yardstick, in the order of the summary.
	Ratios []Ratio `json:"ratios"`
	// Shares are what a replay spends its processor time on, by kind of flow log.
	Shares map[string][]Share `json:"shares"`
	// Allocs is how many allocations a replay makes for each tuple, by kind.
	Allocs map[string]float64 `json:"allocs"`
	// Limits are what the machine allows.
	Limits Limits `json:"limits"`
}

// Ratio is a part of the product beside its yardstick. What is not known is 0.
type Ratio struct {
	Section   string  `json:"section"` // of the run: a command replaces its own
	Part      string  `json:"part"`
	Yardstick string  `json:"yardstick"`
	Unit      string  `json:"unit"`      // what the nanoseconds are for
	Theirs    float64 `json:"theirs_ns"` // the yardstick's
	Ours      float64 `json:"ours_ns"`
	Allocs    float64 `json:"allocs"`    // ours, for each unit; less than 0 if not known
	TheirRSS  int64   `json:"their_rss"` // peak, in bytes
	OurRSS    int64   `json:"our_rss"`   // peak, in bytes
}

// Faster is how many times as fast as the yardstick we are.
func (r Ratio) Faster() float64 { return r.Theirs / r.Ours }

// Share is a part of a whole.
type Share struct {
	Name string  `json:"name"`
	Ns   float64 `json:"ns"` // processor time for each tuple
}

// Limits are what the machine allows, whatever a program does.
type Limits struct {
	ReadBytesPerSecond float64 `json:"read_bytes_per_second"` // of memory
	CopyBytesPerSecond float64 `json:"copy_bytes_per_second"`
	DatagramNs         float64 `json:"datagram_ns"` // of a message that is sent alone
	SegmentNs          float64 `json:"segment_ns"`  // of one among others in a call
	// Of the VNet flow log.
	BytesPerTuple   float64 `json:"bytes_per_tuple"`
	RecordsPerTuple float64 `json:"records_per_tuple"`
}

// RecordsPerMessage is how many IPv4 records a message has.
const RecordsPerMessage = 23

// Reading is how long the machine takes to read a tuple's JSON from memory, in
// nanoseconds.
func (l Limits) Reading() float64 { return 1e9 * l.BytesPerTuple / l.ReadBytesPerSecond }

// Sending is how long the kernel takes for a tuple's records, in nanoseconds.
func (l Limits) Sending() float64 { return l.RecordsPerTuple / RecordsPerMessage * l.SegmentNs }

// Update changes the results that are kept in a file. Without a file it does
// nothing.
func Update(file string, change func(*Results)) error {
	if file == "" {
		return nil
	}
	r, err := ReadResults(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	change(&r)
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("keep results: %w", err)
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("keep results: %w", err)
	}
	return nil
}

// ReadResults reads what Update has kept.
func ReadResults(file string) (r Results, err error) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("read results: %w", err)
	}
	return r, nil
}

// Replace puts a section's ratios in place of those it had.
func (r *Results) Replace(section string, ratios []Ratio) {
	r.Ratios = slices.DeleteFunc(r.Ratios, func(old Ratio) bool { return old.Section == section })
	for _, ratio := range ratios {
		ratio.Section = section
		r.Ratios = append(r.Ratios, ratio)
	}
}

// Table is a table that is written as Markdown. The first columns are text, the
// others are numbers.
type Table struct {
	texts int
	rows  [][]string
}

// NewTable has the given head, whose first columns are text.
func NewTable(texts int, head ...string) *Table {
	return &Table{texts: texts, rows: [][]string{head}}
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Write writes the table, with its columns below each other.
func (t *Table) Write(out io.Writer) {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)), 3)
		}
	}
	for n, row := range t.rows {
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i < t.texts {
				fmt.Fprintf(out, "| %s%s ", cell, space)
			} else {
				fmt.Fprintf(out, "| %s%s ", space, cell)
			}
		}
		fmt.Fprintln(out, "|")
		if n > 0 {
			continue
		}
		for i, width := range widths {
			if i < t.texts {
				fmt.Fprintf(out, "| %s ", strings.Repeat("-", width))
			} else {
				fmt.Fprintf(out, "| %s: ", strings.Repeat("-", width-1))
			}
		}
		fmt.Fprintln(out, "|")
	}
}

// Median returns the middle one of values, of an even number the mean of the
// middle two. It sorts them.
func Median[T int64 | float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// Digits writes a number with three digits, or more if it has them in front of the
// point.
func Digits(n float64) string {
	switch {
	case n < 0:
		return "-"
	case n < 9.995:
		return fmt.Sprintf("%.2f", n)
	case n < 99.95:
		return fmt.Sprintf("%.1f", n)
	}
	return fmt.Sprintf("%.0f", n)
}

// MiB writes an amount of memory.
func MiB(bytes int64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20))
}
