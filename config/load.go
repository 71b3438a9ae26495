package config

import (
	"io"
	"strings"

	"flow2ipfix/config/strict"
)

// KeyError is one thing that is wrong: where it stands, and what to write
// instead.
type KeyError = strict.KeyError

// Errors is all that is wrong with a configuration, in the order of the file.
type Errors = strict.Errors

// Key describes a key, for documentation.
type Key = strict.Key

// envPrefix begins the environment variables that are ours.
const envPrefix = "FLOW2IPFIX_"

// report gathers what is wrong.
type report struct{ *strict.Report }

// Load reads a file and, above it, the variables of environ (as os.Environ
// returns them) that begin with FLOW2IPFIX_. Of the others it reads those that
// the file names, and CREDENTIALS_DIRECTORY, where systemd puts secrets. The error
// is Errors: all that is wrong, also that the file cannot be read. What comes
// beside an error is not to be used.
func Load(path string, environ []string) (Config, error) {
	vars := make(map[string]string, len(environ))
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	cfg, rep, ok := strict.Read[Config](path, envPrefix, vars)
	if ok {
		r := &report{rep}
		strict.CheckEnv[Config](rep, envPrefix, vars, cfg.secretVariables())
		r.check(&cfg)
		r.readSecrets(&cfg, vars)
	}
	return cfg, rep.Err()
}

// Default returns the configuration of an empty file. It lacks what must be
// given: sources and collectors.
func Default() Config { return strict.Default[Config]() }

// Keys describes all keys, in the order of the file.
func Keys() []Key { return strict.Keys[Config](envPrefix) }

// Schema writes a JSON Schema (draft 2020-12) of the file, for editors. What it
// accepts Load may still refuse: some rules stand between keys.
func Schema(w io.Writer) error { return strict.Schema[Config](w, "flow2ipfix.yaml") }

// Dump writes a configuration as YAML, defaults included. A secret that came from
// a file or a variable is shown as that, any other as ***.
func Dump(w io.Writer, cfg Config) error { return strict.Dump(w, cfg) }
