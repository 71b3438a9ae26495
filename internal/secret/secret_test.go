package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

const value = "hunter2-hunter2"

// holder has a secret in all places where a printer may find one.
type holder struct {
	Exported   Secret
	unexported Secret
	Pointer    *Secret
	List       []Secret
	Map        map[string]Secret
	Any        any
}

func shown(t *testing.T, s Secret) map[string]string {
	t.Helper()
	h := holder{s, s, &s, []Secret{s}, map[string]Secret{"k": s}, s}
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%10s", "%T"} {
		out["value "+verb] = fmt.Sprintf(verb, s)
		out["pointer "+verb] = fmt.Sprintf(verb, &s)
		out["holder "+verb] = fmt.Sprintf(verb, h)
		out["holder pointer "+verb] = fmt.Sprintf(verb, &h)
		out["error "+verb] = fmt.Errorf(verb, errors.New(fmt.Sprint(s))).Error()
	}
	out["print"] = fmt.Sprint(s, h)
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out["json"] = string(b)
	b, err = yaml.Marshal(map[string]any{"a": s, "b": &s, "c": []Secret{s}})
	if err != nil {
		t.Fatal(err)
	}
	out["yaml"] = string(b)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var buf bytes.Buffer
		slog.New(handler(&buf)).Info("m", "value", s, "pointer", &s, "holder", h, "list", []Secret{s})
		out[name] = buf.String()
	}
	out["cmp"] = cmp.Diff(s, New("other"))
	return out
}

func TestNothingShowsASecret(t *testing.T) {
	for how, out := range shown(t, New(value)) {
		if strings.Contains(out, value) || strings.Contains(strings.ToLower(out), fmt.Sprintf("%x", value)) {
			t.Errorf("%s shows it: %s", how, out)
		}
	}
}

func TestSaysThatThereIsOne(t *testing.T) {
	b, err := json.Marshal(map[string]Secret{"set": New(value), "unset": {}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"set":"***","unset":""}`; string(b) != want {
		t.Errorf("marshalled to %s, want %s", b, want)
	}
	if got := fmt.Sprintf("%v|%s|%#v|%v", New(value), New(value), New(value), Secret{}); got != `***|***|secret.New("***")|` {
		t.Errorf("printed as %s", got)
	}
}

func TestValue(t *testing.T) {
	s := New(value)
	if s.Reveal() != value || s.IsZero() || !(Secret{}).IsZero() || !New("").IsZero() || (Secret{}).Reveal() != "" {
		t.Error("a secret is not what it was made of")
	}
	if !s.Equal(New(value)) || s.Equal(New("other")) || s.Equal(Secret{}) || !(Secret{}).Equal(New("")) {
		t.Error("Equal does not compare values")
	}
}

func TestUnmarshal(t *testing.T) {
	var v struct{ S Secret }
	if err := yaml.Unmarshal([]byte("s: "+value), &v); err != nil || v.S.Reveal() != value {
		t.Errorf("Unmarshal = %v, %q", err, v.S.Reveal())
	}
	if err := json.Unmarshal([]byte(`{"S":"***"}`), &v); err == nil || !strings.Contains(err.Error(), "left out") {
		t.Errorf("Unmarshal(***) = %v", err)
	}
	if v.S.Reveal() != value {
		t.Error("a refused value was taken over")
	}
}
