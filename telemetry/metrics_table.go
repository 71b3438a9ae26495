package telemetry

import (
	"time"
)

// documentHead begins docs/METRICS.md.
const documentHead = `# Metrics

<!-- Written by "go test ./telemetry -run TestDocument -update"; see telemetry/metrics_table.go. -->

` + "`flow2ipfix run` serves these at `http://127.0.0.1:9469/metrics` (`telemetry.listen`) in the" + `
format of Prometheus; what to do with them stands in examples/prometheus (alerts)
and examples/grafana (a dashboard). Beside them there are:

| Path | What it answers |
|---|---|
| ` + "`/healthz`" + ` | 200 while the process and its stages are alive, or else 503 and which stage shows no sign of life. A collector or an account that is away does not count: to begin anew would not help. |
| ` + "`/readyz`" + ` | 200 while all is read and sent; 503 while it starts, reloads or stops, while a required collector is not connected, a source does not answer or the state cannot be written, and which. |
| ` + "`/`, `/status.json`" + ` | The status page, and the same for programs. |
| ` + "`/debug/pprof/`" + ` | Profiles of the program; only with ` + "`telemetry.pprof: true`" + `. |

- Counters count since the process began, also over a reload. A collector or source that
  a reload takes away takes its series along.
- No label holds an address, a MAC, a resource or a blob: there are as many series as
  sources, collectors, reasons, rules, and kinds of answers.
- A listener that cannot be opened ends the start, with what to do about it. When a
  reload changes ` + "`telemetry.listen`" + `, the new address is opened before anything is given
  up for it: if it cannot be, the old configuration goes on. Only when nothing but the host changes
  is the port taken by ourselves until then; if it should not be free at that moment, the
  daemon goes on without, says so, and tries again every five seconds.
- ` + "`flow2ipfix_source_lag_seconds`" + ` also grows when there is no traffic to log. Azure writes
  flow logs once a minute, mostly one to three minutes late.
`

var serviceMetrics = []Metric{
	{
		Name: "flow2ipfix_build_info", Help: "Always 1; the labels say what runs.", Labels: []string{"version", "goversion"},
		read: func(s *Snapshot, _ time.Time, emit emitter) { emit(1, s.Version, s.GoVersion) },
	},
	{
		Name: "flow2ipfix_start_time_seconds", Help: "When the process began, in Unix time.",
		read: func(s *Snapshot, _ time.Time, emit emitter) {
			if !s.Started.IsZero() {
				emit(float64(s.Started.UnixMilli()) / 1000)
			}
		},
	},
	{
		Name: "flow2ipfix_service_ready", Help: "1 while /readyz says so: all is read and sent, each required collector is connected, and the state can be written.",
		read: func(s *Snapshot, now time.Time, emit emitter) { emit(zeroOne(len(s.unready(now)) == 0)) },
	},
	{
		Name: "flow2ipfix_service_stages_stalled", Help: "Stages of the pipeline that show no sign of life; above 0 /healthz fails.",
		read: of(func(s *Snapshot) int { return len(s.Stalled) }),
	},
	{
		Name: "flow2ipfix_service_reloads_total", Counter: true, Help: "How often another configuration came into use.",
		read: of(func(s *Snapshot) uint64 { return s.Restarts }),
	},
	{
		Name: "flow2ipfix_service_config_timestamp_seconds", Help: "When the configuration in use was loaded, in Unix time.",
		read: func(s *Snapshot, _ time.Time, emit emitter) {
			if !s.Reloaded.IsZero() {
				emit(float64(s.Reloaded.UnixMilli()) / 1000)
			}
		},
	},
}

var readerMetrics = []Metric{
	{
		Name: "flow2ipfix_reader_bytes_total", Counter: true, Help: "Bytes of blobs that were decoded.",
		read: of(func(s *Snapshot) uint64 { return s.BytesRead }),
	},
	{
		Name: "flow2ipfix_reader_records_total", Counter: true, Help: "Records of flow logs that were decoded.",
		read: of(func(s *Snapshot) uint64 { return s.Records }),
	},
	{
		Name: "flow2ipfix_reader_unknown_version_records_total", Counter: true, Help: "Of these, those of a version that this program does not know; they are read like the known ones.",
		read: of(func(s *Snapshot) uint64 { return s.UnknownVersions }),
	},
	{
		Name: "flow2ipfix_reader_tuples_total", Counter: true, Help: "Flow tuples that were read, rejected ones included.",
		read: of(func(s *Snapshot) uint64 { return s.Tuples }),
	},
	{
		Name: "flow2ipfix_reader_decoded_tuples_total", Counter: true, Labels: []string{"state"},
		Help: "Tuples that went on to the collectors: stateless (of NSG flow logs version 1), begin, continue, end or denied.",
		read: by(func(s *Snapshot) map[string]uint64 { return s.ByState }),
	},
	{
		Name: "flow2ipfix_reader_left_out_tuples_total", Counter: true, Labels: []string{"reason"},
		Help: "Tuples that were read and not handed on: before_start, older than where reading began; delivered, before their blob was written anew.",
		read: by(func(s *Snapshot) map[string]uint64 { return s.LeftOut }),
	},
	{
		Name: "flow2ipfix_reader_rejected_tuples_total", Counter: true, Help: "Tuples that could not be read.",
		read: of(func(s *Snapshot) uint64 { return s.RejectedTuples }),
	},
	{
		Name: "flow2ipfix_reader_rejected_pieces_total", Counter: true, Labels: []string{"reason"},
		Help: "Pieces that could not be read: tuples, parts of records, or records.",
		read: by(func(s *Snapshot) map[string]uint64 { return s.RejectedPieces }),
	},
	{
		Name: "flow2ipfix_reader_decoders", Help: "How many blobs can be decoded at once.",
		read: of(func(s *Snapshot) int { return s.DecodersCount }),
	},
	{
		Name: "flow2ipfix_reader_decoders_busy", Help: "How many are. All of them, for long: reading waits for a collector, or the machine is too small.",
		read: of(func(s *Snapshot) int { return s.DecodersBusy }),
	},
}

var azureMetrics = []Metric{
	{
		Name: "flow2ipfix_azure_requests_total", Counter: true, Labels: []string{"source", "operation", "status"},
		Help: "Requests, each try: discover lists folders, list lists blobs, read reads one, clock asks for the time, token asks Entra ID; status is that of HTTP, or error if there was no answer. 429 and 503 are throttling.",
		read: ofAzure(func(s *SourceState, emit emitter) {
			for _, r := range s.Requests {
				emit(float64(r.Count), s.Name, r.Operation, r.Status)
			}
		}),
	},
	{
		Name: "flow2ipfix_azure_read_bytes_total", Counter: true, Labels: []string{"source"}, Help: "Bytes of blobs that came over the network.",
		read: ofAzure(func(s *SourceState, emit emitter) { emit(float64(s.ReadBytes), s.Name) }),
	},
	{
		Name: "flow2ipfix_azure_clock_skew_seconds", Labels: []string{"source"}, Help: "How far Azure's clock is ahead of ours, to about a second.",
		read: ofAzure(func(s *SourceState, emit emitter) { emit(s.ClockSkew.Seconds(), s.Name) }),
	},
}

var checkpointMetrics = []Metric{
	{
		Name: "flow2ipfix_checkpoint_commits_total", Counter: true, Help: "How often what is delivered was written to the state.",
		read: of(func(s *Snapshot) uint64 { return s.Commits }),
	},
	{
		Name: "flow2ipfix_checkpoint_commit_errors_total", Counter: true, Help: "How often that failed. It is tried again and nothing is lost, but flows stop by and by, and after a crash more would be sent twice.",
		read: of(func(s *Snapshot) uint64 { return s.CommitErrors }),
	},
	{
		Name: "flow2ipfix_state_failing_seconds", Help: "For how long the state cannot be written, be it what is delivered or the indexes of new interfaces; 0 if it can. Flows stop, at once if there is a new interface, until it can.",
		read: func(s *Snapshot, now time.Time, emit emitter) {
			if s.StateFailing.IsZero() {
				emit(0)
				return
			}
			emit(max(0, now.Sub(s.StateFailing).Seconds()))
		},
	},
	{
		Name: "flow2ipfix_checkpoint_interfaces", Help: "Network interfaces that have an index.",
		read: of(func(s *Snapshot) int { return s.StateInterfaces }),
	},
}
