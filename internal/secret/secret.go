// Package secret has the type of values that must not be shown: keys, tokens,
// passwords. Where such a value comes from is package config's business.
package secret

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Mask is what a secret says of itself.
const Mask = "***"

// Secret holds a value that only Reveal gives away. Printed, logged or marshalled
// in any way it is Mask, or nothing if it is empty. The zero value is empty.
type Secret struct {
	// The value is in a closure because fmt, go-cmp and other printers show the
	// unexported fields of a struct without asking their methods: what they then
	// show of this is an address.
	value func() string
}

// New makes a secret of a value.
func New(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{func() string { return value }}
}

// Reveal returns the value.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return s.value()
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal reports whether two secrets have the same value.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return Mask
}

// GoString is what %#v shows.
func (s Secret) GoString() string { return fmt.Sprintf("secret.New(%q)", s.String()) }

// Format shows the same for all other verbs.
func (s Secret) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, s.GoString())
		return
	}
	_, _ = io.WriteString(f, s.String())
}

// LogValue is what slog shows.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText is what YAML and others write.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON is what JSON writes.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// UnmarshalText takes a value over. It refuses Mask: that was written in place
// of a secret, and is none.
func (s *Secret) UnmarshalText(text []byte) error {
	if strings.TrimSpace(string(text)) == Mask {
		return errors.New("want a secret, got the " + Mask + " that stands for one that was left out")
	}
	*s = New(string(text))
	return nil
}
