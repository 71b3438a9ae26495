package daemon

import (
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Config is what a configuration file of the daemon says, as far as the tests
// need it: see DESIGN.md, "The configuration".
type Config struct {
	Sources         []Source        `yaml:"sources"`
	Start           string          `yaml:"start"`
	HourGrace       string          `yaml:"hour_grace"`
	StateDir        string          `yaml:"state_dir"`
	Collectors      []CollectorConf `yaml:"collectors"`
	Telemetry       map[string]any  `yaml:"telemetry,omitempty"`
	Log             map[string]any  `yaml:"log,omitempty"`
	ShutdownTimeout string          `yaml:"shutdown_timeout,omitempty"`
}

// Source is a storage account.
type Source struct {
	Name  string `yaml:"name"`
	Azure Azure  `yaml:"azure"`
}

// Azure is how to get to it.
type Azure struct {
	Credential       string   `yaml:"credential"`
	ConnectionString string   `yaml:"connection_string"`
	Containers       []string `yaml:"containers"`
	PollInterval     string   `yaml:"poll_interval"`
}

// CollectorConf is a collector.
type CollectorConf struct {
	Name     string `yaml:"name"`
	URL      string `yaml:"url"`
	Rate     *int   `yaml:"rate,omitempty"`
	Delivery string `yaml:"delivery,omitempty"`
}

// pollInterval is how often the daemon looks for what is new, in all tests.
const pollInterval = "500ms"

// longGrace keeps all hours of a test open; shortGrace lets them end in it.
const (
	longGrace  = "3h"
	shortGrace = "1s"
)

// config is the configuration of a daemon that reads the account at an address
// from the beginning and sends all to some collectors.
func config(stateDir, address string, collectors ...CollectorConf) Config {
	return Config{
		Sources: []Source{{
			Name: "azurite",
			Azure: Azure{
				Credential: "connection_string", ConnectionString: ConnectionString(address),
				Containers: []string{vnetContainer, nsgContainer}, PollInterval: pollInterval,
			},
		}},
		Start: "earliest", HourGrace: longGrace, StateDir: stateDir, Collectors: collectors,
		Telemetry: map[string]any{"listen": ""}, Log: map[string]any{"level": "debug"},
	}
}

// write writes the file.
func (c *Config) write(dir string) (string, error) {
	b, err := yaml.Marshal(c)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "flow2ipfix.yaml")
	return path, os.WriteFile(path, b, 0o600)
}
