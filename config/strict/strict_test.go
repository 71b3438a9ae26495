package strict

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flow2ipfix/internal/secret"
)

type zoo struct {
	Animals []animal      `yaml:"animals" doc:"Who lives here."`
	Gate    gate          `yaml:"gate" doc:"The way in."`
	Rest    time.Duration `yaml:"rest" default:"1h30m" doc:"How long it is closed."`
}

type gate struct {
	Guards int           `yaml:"guards" default:"2" min:"1" max:"9" doc:"How many stand there."`
	Word   secret.Secret `yaml:"word,omitempty" doc:"What to say."`
}

type animal struct {
	Kind  string   `yaml:"kind" required:"true" enum:"cat,dog" doc:"What it is."`
	Names []string `yaml:"names" default:"it,that" doc:"What it is called."`
	Food  []string `yaml:"food" default:"fish" enum:"fish,meat" doc:"What it eats."`
	Bowl  *bowl    `yaml:"bowl" either:"true" doc:"Where it eats."`
	Hand  *bowl    `yaml:"hand" either:"true" doc:"Or out of whose hand."`
}

type bowl struct {
	Size int `yaml:"size" default:"3" min:"1" max:"9" doc:"How much fits."`
}

func readZoo(t *testing.T, text string, env map[string]string) (zoo, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zoo")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	z, r, _ := Read[zoo](file, "ZOO_", env)
	CheckEnv[zoo](r, "ZOO_", env, []string{"ZOO_KEEPER"})
	if err := r.Err(); err != nil {
		return z, strings.ReplaceAll(err.Error(), file, "zoo")
	}
	return z, ""
}

func TestRead(t *testing.T) {
	got, errs := readZoo(t, "animals:\n- {kind: cat, bowl: {}}\n- {kind: dog, names: [], food: [meat, fish], hand: {size: 9}}\n", map[string]string{"ZOO_GATE_GUARDS": "4", "ZOO_GATE_WORD": "friend", "ZOO_KEEPER": "me", "OTHER": "x"})
	want := zoo{
		Animals: []animal{{Kind: "cat", Names: []string{"it", "that"}, Food: []string{"fish"}, Bowl: &bowl{3}}, {Kind: "dog", Food: []string{"meat", "fish"}, Hand: &bowl{9}}},
		Gate:    gate{4, secret.New("friend")},
		Rest:    90 * time.Minute,
	}
	if diff := cmp.Diff(want, got); errs != "" || diff != "" {
		t.Errorf("%s (-want +got):\n%s", errs, diff)
	}
	var dump bytes.Buffer
	if err := Dump(&dump, got); err != nil {
		t.Fatal(err)
	}
	const text = "animals:\n  - kind: cat\n    names:\n      - it\n      - that\n    food:\n      - fish\n    bowl:\n      size: 3\n  - kind: dog\n    names: []\n    food:\n      - meat\n      - fish\n    hand:\n      size: 9\ngate:\n  guards: 4\n  word: '***'\nrest: 1h30m\n"
	if diff := cmp.Diff(text, dump.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(zoo{Gate: gate{Guards: 2}, Rest: 90 * time.Minute}, Default[zoo]()); diff != "" {
		t.Errorf("default (-want +got):\n%s", diff)
	}
}

func TestReadErrors(t *testing.T) {
	_, got := readZoo(t, "animals:\n- {kind: cow, bowl: {}}\n- {bowl: {size: 10}, hand: {}}\n- {kind: cat, bwl: {}}\n- {kind: dog, food: [meat, hay, 5]}\ngate: {gards: 3}\n", map[string]string{"ZOO_GATE_GUARDS": "ten", "ZOO_REST": "5", "ZOO_GATE": "x", "ZOO_RSET": ""})
	want := `zoo:2: animals[0].kind: want cat or dog, got "cow"
zoo:3: animals[1].kind: missing; want cat or dog
zoo:3: animals[1].hand: bowl is there already; want one of them
zoo:3: animals[1].bowl.size: want a number from 1 to 9, got 10
zoo:4: animals[2].bwl: unknown key; did you mean bowl?
zoo:5: animals[3]: want bowl or hand
zoo:5: animals[3].food[1]: want fish or meat, got "hay"
zoo:5: animals[3].food[2]: want fish or meat, got 5
zoo:6: gate.gards: unknown key; did you mean guards?
ZOO_GATE: unknown variable; lists, and what is in them, stand in the file only
ZOO_REST: want a duration with a unit, like 30s, got "5"
ZOO_RSET: unknown variable; did you mean ZOO_REST?`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"log", "start", "state_dir", "shutdown_timeout", "url"}
	for word, want := range map[string]string{
		"lgo": "log", "Log": "log", "sttart": "start", "stateDir": "state_dir", "state-dir": "state_dir", "shutdowntimeot": "shutdown_timeout",
		"uri": "url", "state": "state_dir", "shutdown": "shutdown_timeout", "x": "", "": "", "colour": "", "tart": "start", strings.Repeat("log", 100): "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("%q is near to %q, want %q", word, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", 15 * time.Hour: "15h", time.Hour + time.Second: "1h0m1s",
		90 * time.Minute: "1h30m", 250 * time.Millisecond: "250ms", -time.Hour: "-1h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
