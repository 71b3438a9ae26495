package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"flow2ipfix/config/strict"
)

// Start is the time from which a source is read. The zero value is now.
type Start struct {
	Earliest bool          // everything that is there
	Ago      time.Duration // so long before now
	At       time.Time     // then, if it is not zero
}

const wantStart = "want now, earliest, a duration like 24h or a time like 2026-11-20T00:00:00Z"

// Time returns the first time that is of interest; zero for all.
func (s Start) Time(now time.Time) time.Time {
	switch {
	case s.Earliest:
		return time.Time{}
	case !s.At.IsZero():
		return s.At
	default:
		return now.Add(-s.Ago)
	}
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Start) UnmarshalText(text []byte) error {
	*s = Start{Earliest: string(text) == "earliest"}
	if s.Earliest || string(text) == "now" {
		return nil
	}
	if ago, err := time.ParseDuration(string(text)); err == nil && ago > 0 {
		s.Ago = ago
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil || at.IsZero() {
		return errors.New(wantStart)
	}
	s.At = at.UTC()
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (s Start) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Start) String() string {
	switch {
	case s.Earliest:
		return "earliest"
	case !s.At.IsZero():
		return s.At.Format(time.RFC3339Nano)
	case s.Ago > 0:
		return strict.Duration(s.Ago)
	default:
		return "now"
	}
}

// JSONSchema says what may stand in the file.
func (Start) JSONSchema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"enum": []any{"now", "earliest"}},
		map[string]any{"type": "string", "pattern": strict.DurationPattern},
		map[string]any{"type": "string", "pattern": `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`},
	}}
}

// ObservationDomain is one number for everything, if Fixed, or else one for each
// target.
type ObservationDomain struct {
	Fixed  bool
	Number uint32
}

const perTarget = "per_target"

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *ObservationDomain) UnmarshalText(text []byte) error {
	*d = ObservationDomain{}
	if string(text) == perTarget {
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return errors.New("want per_target or a number up to 4294967295")
	}
	*d = ObservationDomain{true, uint32(n)}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d ObservationDomain) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func (d ObservationDomain) String() string {
	if d.Fixed {
		return strconv.FormatUint(uint64(d.Number), 10)
	}
	return perTarget
}

// JSONSchema says what may stand in the file.
func (ObservationDomain) JSONSchema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"const": perTarget},
		map[string]any{"type": "integer", "minimum": 0, "maximum": 4294967295},
	}}
}

// Rate is records a second, or what suits the collector.
type Rate struct {
	Preset bool
	Number int // 0 is no limit
}

const (
	byPreset = "preset"
	maxRate  = 100_000_000
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(text []byte) error {
	*r = Rate{Preset: string(text) == byPreset}
	if r.Preset {
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || strconv.Itoa(n) != string(text) || n < 0 || n > maxRate {
		return fmt.Errorf("want preset or a number from 0 to %d", maxRate)
	}
	r.Number = n
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r Rate) String() string {
	if r.Preset {
		return byPreset
	}
	return strconv.Itoa(r.Number)
}

// JSONSchema says what may stand in the file.
func (Rate) JSONSchema() map[string]any {
	return map[string]any{"anyOf": []any{
		map[string]any{"const": byPreset},
		map[string]any{"type": "integer", "minimum": 0, "maximum": maxRate},
	}}
}

// MAC is a MAC address: 12 hexadecimal digits in upper case.
type MAC string

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(text []byte) error {
	digits := strings.ToUpper(strings.NewReplacer("-", "", ":", "", ".", "").Replace(string(text)))
	if len(digits) != 12 || strings.Trim(digits, "0123456789ABCDEF") != "" {
		return errors.New("want 12 hexadecimal digits, like 000D3A123456")
	}
	*m = MAC(digits)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m), nil }

// JSONSchema says what may stand in the file.
func (MAC) JSONSchema() map[string]any {
	// Twelve digits without quotes are a number to YAML, and fine here.
	return map[string]any{"type": []any{"string", "number"}, "pattern": "^([0-9A-Fa-f][-:.]?){11}[0-9A-Fa-f]$"}
}
