package telemetry

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// This file says numbers and times as people do. The page has the exact values in
// title attributes.

// count is 9876 as "9 876" and 12345678 as "12.3 M".
func count[N int | int64 | uint64](n N) string {
	if v := float64(n); math.Abs(v) >= 1e5 {
		return scaled(v)
	}
	return grouped(int64(n))
}

// grouped puts narrow no-break spaces between thousands.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:]
	}
	return digits
}

// scaled is a large number with three digits and k, M, G or T.
func scaled(v float64) string {
	unit := 0
	units := []string{"", "k", "M", "G", "T", "P", "E"}
	for math.Abs(v) >= 999.5 && unit < len(units)-1 {
		v /= 1000
		unit++
	}
	digits := 0
	if unit > 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(math.Abs(v)+1e-9))))
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if unit > 0 {
		text += "\u00a0" + units[unit]
	}
	return text
}

// bytesText is a number of bytes in decimal units.
func bytesText[N int | uint64](n N) string {
	text := scaled(float64(n))
	if strings.Contains(text, "\u00a0") {
		return text + "B"
	}
	return text + "\u00a0B"
}

// rateText is a rate in a second, without the unit.
func rateText(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 0.1:
		return "< 0.1"
	case v < 9.95:
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	return count(int64(math.Round(v)))
}

// durationText is a duration with one or two units.
func durationText(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0).Round(time.Second)
	two := func(large time.Duration, a string, small time.Duration, b string) string {
		text := fmt.Sprintf("%d\u00a0%s", d/large, a)
		if rest := d % large / small; rest > 0 {
			text += fmt.Sprintf(" %d\u00a0%s", rest, b)
		}
		return text
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d\u00a0s", d/time.Second)
	case d < 10*time.Minute:
		return two(time.Minute, "min", time.Second, "s")
	case d < time.Hour:
		return fmt.Sprintf("%d\u00a0min", d/time.Minute)
	case d < day:
		return two(time.Hour, "h", time.Minute, "min")
	case d < 14*day:
		return two(day, "d", time.Hour, "h")
	}
	return fmt.Sprintf("%d\u00a0d", d/day)
}

// ago is a time as seen from now.
func ago(now, t time.Time) string {
	switch d := now.Sub(t); {
	case d < -time.Second:
		return "in " + durationText(-d)
	case d < time.Second:
		return "just now"
	default:
		return durationText(d) + " ago"
	}
}

// clock is the time of day in UTC, with the date if it is another one than now's.
func clock(now, t time.Time) string {
	t = t.UTC()
	if t.Format(time.DateOnly) == now.UTC().Format(time.DateOnly) {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}

// plural is "1 flow log" or "3 flow logs".
func plural[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// plain makes text of others fit to be shown: what cannot be seen, or turns the
// direction of writing, is spelt out, and too much of it is cut off. It is escaped
// for HTML and JSON where it is written.
func plain(s string, maxBytes int) string {
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= maxBytes {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case unicode.Is(unicode.C, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// shortName is the last part of a flow log's or a blob's path, which tells it from
// others.
func shortName(path string) string {
	trimmed := strings.TrimRight(path, "/")
	return trimmed[strings.LastIndexByte(trimmed, '/')+1:]
}
