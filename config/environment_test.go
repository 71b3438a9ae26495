package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEnvironment(t *testing.T) {
	cfg, errs := loadText(t, whole+"log: {level: debug}\nstart: earliest\n",
		"FLOW2IPFIX_START=24h",
		"FLOW2IPFIX_HOUR_GRACE=1h",
		"FLOW2IPFIX_STATE_DIR=012",
		"FLOW2IPFIX_CONVERT_BEGIN=export",
		"FLOW2IPFIX_CONVERT_OBSERVATION_DOMAIN=5",
		"FLOW2IPFIX_TELEMETRY_LISTEN=",
		"FLOW2IPFIX_TELEMETRY_PPROF=true",
		"FLOW2IPFIX_LOG_FORMAT=json",
		"FLOW2IPFIX_SHUTDOWN_TIMEOUT=5s",
		"PATH=/bin", "odd", "LOG_LEVEL=error", "flow2ipfix_log_level=error")
	want := defaultsWith(Source{Name: "archive", Directory: &Directory{Path: "/srv/flowlogs"}}, Collector{Name: "noc", URL: "udp://127.0.0.1:4739"})
	want.Start = Start{Ago: 24 * time.Hour}
	want.HourGrace = time.Hour
	want.StateDir = "012"
	want.Convert.Begin = "export"
	want.Convert.ObservationDomain = ObservationDomain{true, 5}
	want.Telemetry = Telemetry{Pprof: true}
	want.Log = Log{"debug", "json"}
	want.ShutdownTimeout = 5 * time.Second
	if diff := cmp.Diff(want, cfg); errs != "" || diff != "" {
		t.Errorf("%s (-want +got):\n%s", errs, diff)
	}
}

func TestEnvironmentErrors(t *testing.T) {
	_, got := loadText(t, whole+"log: {level: loud}\nconvert: {begin: x}\n",
		"FLOW2IPFIX_LOG_LEVL=debug",
		"FLOW2IPFIX_LOG_FORMAT=",
		"FLOW2IPFIX_HOUR_GRACE=5",
		"FLOW2IPFIX_TELEMETRY_ALLOW_REMOTE=yes",
		"FLOW2IPFIX_TELEMETRY_LISTEN=9469",
		"FLOW2IPFIX_COLLECTORS=udp://h:1",
		"FLOW2IPFIX_CONVERT=",
		"FLOW2IPFIX_CONVERT_BEGIN=skip", // goes before the file's
		"FLOW2IPFIX_SOURCES_0_NAME=x",
		"FLOW2IPFIX_STATE_DIR=",
	)
	const lists = "unknown variable; lists, and what is in them, stand in the file only"
	want := `f:7: log.level: want debug, info, warn or error, got "loud"
FLOW2IPFIX_COLLECTORS: ` + lists + `
FLOW2IPFIX_CONVERT: ` + lists + `
FLOW2IPFIX_HOUR_GRACE: want a duration with a unit, like 30s, of 1s or more, got "5"
FLOW2IPFIX_LOG_FORMAT: want auto, text or json, got ""
FLOW2IPFIX_LOG_LEVL: unknown variable; did you mean FLOW2IPFIX_LOG_LEVEL?
FLOW2IPFIX_SOURCES_0_NAME: ` + lists + `
FLOW2IPFIX_STATE_DIR: want a folder, like /var/lib/flow2ipfix, got ""
FLOW2IPFIX_TELEMETRY_ALLOW_REMOTE: want true or false, got "yes"
FLOW2IPFIX_TELEMETRY_LISTEN: want address:port, like 127.0.0.1:9469, or nothing, got "9469"`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
