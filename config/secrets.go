package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"flow2ipfix/config/strict"
	"flow2ipfix/internal/secret"
)

// credentialsDirectory is the variable in which systemd names the folder with
// what LoadCredential= says.
const credentialsDirectory = "CREDENTIALS_DIRECTORY"

// secretKeys are the keys that give one secret.
type secretKeys struct {
	key       string
	value     *secret.Secret
	file, env *string
}

func (a *Azure) secrets() []secretKeys {
	return []secretKeys{
		{"client_secret", &a.ClientSecret, &a.ClientSecretFile, &a.ClientSecretEnv},
		{"certificate_password", &a.CertificatePassword, &a.CertificatePasswordFile, &a.CertificatePasswordEnv},
		{"sas_token", &a.SASToken, &a.SASTokenFile, &a.SASTokenEnv},
		{"account_key", &a.AccountKey, &a.AccountKeyFile, &a.AccountKeyEnv},
		{"connection_string", &a.ConnectionString, &a.ConnectionStringFile, &a.ConnectionStringEnv},
	}
}

// given returns the keys that are there.
func (s secretKeys) given() []string {
	var keys []string
	if !s.value.IsZero() {
		keys = append(keys, s.key)
	}
	if *s.file != "" {
		keys = append(keys, s.key+"_file")
	}
	if *s.env != "" {
		keys = append(keys, s.key+"_env")
	}
	return keys
}

// access is what a credential takes beside its name.
type access struct {
	needs, may []string
	entra      bool // it gets tokens of Entra ID
}

var accesses = map[string]access{
	"managed_identity":   {may: []string{"client_id"}, entra: true},
	"workload_identity":  {may: []string{"tenant_id", "client_id"}, entra: true},
	"client_secret":      {needs: []string{"tenant_id", "client_id", "client_secret"}, entra: true},
	"client_certificate": {needs: []string{"tenant_id", "client_id", "certificate_file"}, may: []string{"certificate_password"}, entra: true},
	"sas":                {needs: []string{"sas_token"}},
	"account_key":        {needs: []string{"account_key"}, may: []string{"account_name"}},
	"connection_string":  {needs: []string{"connection_string"}},
	"default":            {may: []string{"tenant_id"}, entra: true},
}

// readSecrets reads secrets from where the configuration says that they are, and
// makes sure that each credential has what it needs and nothing else.
func (r *report) readSecrets(cfg *Config, vars map[string]string) {
	dir := vars[credentialsDirectory]
	for i := range cfg.Sources {
		a := cfg.Sources[i].Azure
		if a == nil {
			continue
		}
		at := fmt.Sprintf("sources[%d].azure", i)
		acc, known := accesses[a.Credential]
		if !known {
			continue // said already
		}
		a.CertificateFile = inCredentials(dir, a.CertificateFile)
		for _, t := range []struct{ key, value string }{
			{"tenant_id", a.TenantID},
			{"client_id", a.ClientID},
			{"certificate_file", a.CertificateFile},
			{"account_name", a.AccountName},
		} {
			switch {
			case t.value != "" && !acc.takes(t.key):
				r.unused(at+"."+t.key, t.key, a.Credential)
			case t.value == "" && slices.Contains(acc.needs, t.key):
				r.Fail(at+"."+t.key, nil, "missing; credential %s needs it", a.Credential)
			}
		}
		for _, s := range a.secrets() {
			path := at + "." + s.key
			switch given := s.given(); {
			case len(given) > 0 && !acc.takes(s.key):
				r.unused(at+"."+given[0], s.key, a.Credential)
			case len(given) > 1:
				r.Fail(at+"."+given[1], nil, "given twice, as %s; keep one", strings.Join(given, " and "))
			default:
				r.readSecret(path, s, dir, vars, acc)
			}
			r.checkSecret(path, s)
		}
	}
	for i := range cfg.Collectors {
		t := &cfg.Collectors[i].TLS
		for _, file := range []*string{&t.CAFile, &t.CertFile, &t.KeyFile} {
			*file = inCredentials(dir, *file)
		}
	}
}

func (a access) takes(key string) bool {
	return slices.Contains(a.needs, key) || slices.Contains(a.may, key)
}

func (r *report) unused(path, key, credential string) {
	var with []string
	for name, a := range accesses {
		if a.takes(key) {
			with = append(with, name)
		}
	}
	slices.Sort(with)
	r.Fail(path, nil, "not used by credential %s; leave it out, or write credential: %s", credential, strict.OrList(with))
}

var variableForm = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)

// readSecret fills in a secret that is given in one way or in none.
func (r *report) readSecret(path string, s secretKeys, dir string, vars map[string]string, acc access) {
	name, needed := s.key, slices.Contains(acc.needs, s.key)
	switch {
	case !s.value.IsZero():
	case *s.env != "":
		switch text := vars[*s.env]; {
		case !variableForm.MatchString(*s.env): // not shown: it may be the secret itself
			r.Fail(path+"_env", nil, "want the name of an environment variable, like SAS_TOKEN")
		case text == "":
			r.Fail(path+"_env", *s.env, "the variable is not set; want the name of one that holds the secret")
		default:
			*s.value = secret.New(text)
		}
	case *s.file != "":
		*s.file = inCredentials(dir, *s.file)
		r.readSecretFile(path+"_file", s)
	case dir != "" && acc.takes(name) && exists(filepath.Join(dir, name)):
		*s.file = filepath.Join(dir, name)
		r.readSecretFile(path, s)
	case needed && !r.Said(path+"_file") && !r.Said(path+"_env"):
		r.Fail(path, nil, "missing; write %s: VALUE, %s_file: PATH or %s_env: VARIABLE, or let systemd hand it over with LoadCredential=%s:PATH", name, name, name, name)
	}
}

// maxSecretBytes is more than any token has.
const maxSecretBytes = 64 << 10

func (r *report) readSecretFile(path string, s secretKeys) {
	f, err := os.Open(*s.file)
	if err != nil {
		r.failRead(path, *s.file, err)
		return
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	value := strings.TrimRight(string(text), "\r\n")
	switch {
	case err != nil:
		r.failRead(path, *s.file, err)
	case len(text) > maxSecretBytes || strings.ContainsAny(value, "\r\n"):
		r.Fail(path, *s.file, "want a file of one line with nothing but the secret")
	case value == "":
		r.Fail(path, *s.file, "the file is empty; want one with the secret")
	default:
		*s.value = secret.New(value)
	}
}

func (r *report) failRead(path, file string, err error) {
	var p *os.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	r.Fail(path, file, "%v; want a file that the daemon may read", err)
}

// checkSecret looks at a secret's form, and says nothing of its value.
func (r *report) checkSecret(path string, s secretKeys) {
	text := s.value.Reveal()
	if text == "" {
		return
	}
	switch s.key {
	case "sas_token":
		if strings.Contains(text, "://") || !strings.Contains(text, "sig=") {
			r.Fail(path, nil, "not a SAS token; want what stands behind the ? of a SAS URL, like sv=…&sig=…")
		}
	case "account_key":
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			r.Fail(path, nil, "not an account key; want base64, as the portal shows it under access keys")
		}
	case "connection_string":
		lower := strings.ToLower(text)
		if !strings.Contains(lower, "accountname=") && !strings.Contains(lower, "blobendpoint=") && lower != "usedevelopmentstorage=true" {
			r.Fail(path, nil, "not a connection string; want one like DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…")
		}
	}
}

// inCredentials returns where a file is: a relative path is looked for in
// systemd's folder first.
func inCredentials(dir, path string) string {
	if dir == "" || path == "" || filepath.IsAbs(path) {
		return path
	}
	if in := filepath.Join(dir, path); exists(in) {
		return in
	}
	return path
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// secretVariables returns the environment variables that hold secrets.
func (c *Config) secretVariables() []string {
	var names []string
	for i := range c.Sources {
		if a := c.Sources[i].Azure; a != nil {
			for _, s := range a.secrets() {
				names = append(names, *s.env)
			}
		}
	}
	return names
}
