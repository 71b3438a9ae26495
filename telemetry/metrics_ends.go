package telemetry

import (
	"strconv"
	"time"
)

// The kinds of sources.
const (
	KindAzure     = "azure"
	KindDirectory = "directory"
)

var perSource = []string{"source"}

var sourceMetrics = []Metric{
	{
		Name: "flow2ipfix_source_lag_seconds", Labels: perSource, Help: "How long ago the newest delivered record was logged. Not there before one was delivered.",
		read: since(func(s *SourceState) time.Time { return s.Delivered }),
	},
	{
		Name: "flow2ipfix_source_read_lag_seconds", Labels: perSource, Help: "How long ago the newest record that was read was logged.",
		read: since(func(s *SourceState) time.Time { return s.Newest }),
	},
	{
		Name: "flow2ipfix_source_answer_age_seconds", Labels: perSource, Help: "How long ago the source last said what there is, without an error.",
		read: since(func(s *SourceState) time.Time { return s.Answered }),
	},
	{
		Name: "flow2ipfix_source_flow_logs", Labels: perSource, Help: "Flow logs that are followed.",
		read: ofSource(func(s *SourceState) int { return s.FlowLogCount }),
	},
	{
		Name: "flow2ipfix_source_flow_log_age_max_seconds", Labels: perSource, Help: "How long ago the newest delivered record of the flow log was logged that is the furthest behind. One without traffic is behind, too.",
		read: func(s *Snapshot, _ time.Time, emit emitter) {
			for i := range s.Sources {
				if age := s.Sources[i].Ages.Max; age > 0 {
					emit(age.Seconds(), s.Sources[i].Name)
				}
			}
		},
	},
	{
		Name: "flow2ipfix_source_flow_logs_older", Labels: []string{"source", "seconds"}, Help: "Flow logs whose newest delivered record is older than so many seconds. The status page names those.",
		read: func(s *Snapshot, _ time.Time, emit emitter) {
			for i := range s.Sources {
				for k, n := range s.Sources[i].Ages.Older {
					emit(float64(n), s.Sources[i].Name, strconv.Itoa(int(AgeLimits[k].Seconds())))
				}
			}
		},
	},
	{
		Name: "flow2ipfix_source_periods_open", Labels: perSource, Help: "Hours of flow logs that are not finished.",
		read: ofSource(func(s *SourceState) int { return s.Hours }),
	},
	{
		Name: "flow2ipfix_source_blobs_open", Labels: perSource, Help: "Blobs of these hours.",
		read: ofSource(func(s *SourceState) int { return s.Blobs }),
	},
	{
		Name: "flow2ipfix_source_blobs_undelivered", Labels: perSource, Help: "Of these, those that were read further than delivered.",
		read: ofSource(func(s *SourceState) int { return s.Undelivered }),
	},
	{
		Name: "flow2ipfix_source_oldest_hour_timestamp_seconds", Labels: perSource, Help: "The first hour that is not finished, in Unix time.",
		read: func(s *Snapshot, _ time.Time, emit emitter) {
			for i := range s.Sources {
				if at := s.Sources[i].OldestHour; !at.IsZero() {
					emit(float64(at.Unix()), s.Sources[i].Name)
				}
			}
		},
	},
	{
		Name: "flow2ipfix_source_discoveries_total", Counter: true, Labels: perSource, Help: "How often flow logs were looked for.",
		read: ofSource(func(s *SourceState) uint64 { return s.Discoveries }),
	},
	{
		Name: "flow2ipfix_source_lists_total", Counter: true, Labels: perSource, Help: "How often the blobs of an hour were listed.",
		read: ofSource(func(s *SourceState) uint64 { return s.Lists }),
	},
	{
		Name: "flow2ipfix_source_list_errors_total", Counter: true, Labels: perSource, Help: "How often flow logs or blobs could not be listed.",
		read: ofSource(func(s *SourceState) uint64 { return s.ListErrors }),
	},
	{
		Name: "flow2ipfix_source_reads_total", Counter: true, Labels: perSource, Help: "How often what is new in a blob was read.",
		read: ofSource(func(s *SourceState) uint64 { return s.Reads }),
	},
	{
		Name: "flow2ipfix_source_read_errors_total", Counter: true, Labels: perSource, Help: "How often that failed. It is tried again from where it came to.",
		read: ofSource(func(s *SourceState) uint64 { return s.ReadErrors }),
	},
	{
		Name: "flow2ipfix_source_blobs_rewritten_total", Counter: true, Labels: perSource, Help: "Blobs that were written anew, and read from their start.",
		read: ofSource(func(s *SourceState) uint64 { return s.Rewritten }),
	},
	{
		Name: "flow2ipfix_source_blobs_deleted_total", Counter: true, Labels: perSource, Help: "Blobs that went away before they were finished.",
		read: ofSource(func(s *SourceState) uint64 { return s.Deleted }),
	},
	{
		Name: "flow2ipfix_source_blobs_late_total", Counter: true, Labels: perSource, Help: "Blobs that were written to later than hour_grace after their hour: it may be too short.",
		read: ofSource(func(s *SourceState) uint64 { return s.Late }),
	},
	{
		Name: "flow2ipfix_source_periods_finished_total", Counter: true, Labels: perSource, Help: "Hours of flow logs of which all is delivered, and no more is expected.",
		read: ofSource(func(s *SourceState) uint64 { return s.HoursFinished }),
	},
	{
		Name: "flow2ipfix_source_state_errors_total", Counter: true, Labels: perSource, Help: "How often the state could not be asked, or told that an hour is finished.",
		read: ofSource(func(s *SourceState) uint64 { return s.StateErrors }),
	},
}

var perCollector = []string{"collector"}

var collectorMetrics = []Metric{
	{
		Name: "flow2ipfix_collector_connected", Labels: perCollector, Help: "1 while there is a connection; over udp, while nothing refuses.",
		read: ofCollector(func(c *CollectorState) float64 { return zeroOne(c.Connected) }),
	},
	{
		Name: "flow2ipfix_collector_required", Labels: perCollector, Help: "1 if reading waits for it (delivery: required).",
		read: ofCollector(func(c *CollectorState) float64 { return zeroOne(c.Required) }),
	},
	{
		Name: "flow2ipfix_collector_rate_limit", Labels: perCollector, Help: "Records a second at most; 0 is no limit.",
		read: ofCollector(func(c *CollectorState) int { return c.Rate }),
	},
	{
		Name: "flow2ipfix_collector_exported_tuples_total", Counter: true, Labels: perCollector, Help: "Tuples that became flow records.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.ExportedTuples }),
	},
	{
		Name: "flow2ipfix_collector_skipped_tuples_total", Counter: true, Labels: []string{"collector", "rule"},
		Help: "Tuples that a rule of the configuration leaves out: begin, denied, filter, old or ipv6.",
		read: func(s *Snapshot, _ time.Time, emit emitter) {
			for i := range s.Collectors {
				emitMap(s.Collectors[i].SkippedTuples, emit, s.Collectors[i].Name)
			}
		},
	},
	{
		Name: "flow2ipfix_collector_not_sent_tuples_total", Counter: true, Labels: perCollector, Help: "Tuples that a best-effort collector missed while it was away.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.NotSentTuples }),
	},
	{
		Name: "flow2ipfix_collector_records_total", Counter: true, Labels: perCollector, Help: "Flow records that were sent, each once. A tuple mostly makes two.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.Records }),
	},
	{
		Name: "flow2ipfix_collector_resent_records_total", Counter: true, Labels: perCollector, Help: "Flow records that were sent again because they may not have arrived, each time.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.Resent }),
	},
	{
		Name: "flow2ipfix_collector_options_records_total", Counter: true, Labels: perCollector, Help: "Options data records that were sent, repetitions included.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.OptionsRecords }),
	},
	{
		Name: "flow2ipfix_collector_templates_total", Counter: true, Labels: perCollector, Help: "Template records that were sent, repetitions included.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.Templates }),
	},
	{
		Name: "flow2ipfix_collector_messages_total", Counter: true, Labels: perCollector, Help: "Messages that were sent, repetitions included.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.Messages }),
	},
	{
		Name: "flow2ipfix_collector_sent_bytes_total", Counter: true, Labels: perCollector, Help: "Bytes of these messages, without the headers of lower layers.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.Bytes }),
	},
	{
		Name: "flow2ipfix_collector_clamped_values_total", Counter: true, Labels: perCollector, Help: "Values that the protocol cannot carry: times of long ago in netflow9 and netflow5, and large counters and interface indexes in netflow5.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.Clamped }),
	},
	{
		Name: "flow2ipfix_collector_connections_total", Counter: true, Labels: perCollector, Help: "Transport sessions that were begun.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.Connections }),
	},
	{
		Name: "flow2ipfix_collector_reconnects_total", Counter: true, Labels: perCollector, Help: "Of these, those after one that failed.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.Reconnects }),
	},
	{
		Name: "flow2ipfix_collector_failures_total", Counter: true, Labels: perCollector, Help: "Connections that ended with an error, sending included, or did not come about.",
		read: ofCollector(func(c *CollectorState) uint64 { return c.Failures }),
	},
	{
		Name: "flow2ipfix_collector_kept_bytes", Labels: perCollector, Help: "Messages that are kept until they are delivered, in bytes of memory.",
		read: ofCollector(func(c *CollectorState) int { return c.KeptBytes }),
	},
	{
		Name: "flow2ipfix_collector_kept_records", Labels: perCollector, Help: "Flow records in them.",
		read: ofCollector(func(c *CollectorState) int { return c.KeptRecords }),
	},
	{
		Name: "flow2ipfix_collector_unacknowledged_bytes", Labels: perCollector, Help: "Bytes that were handed to the connection and that the collector's kernel has not acknowledged; 0 but for tcp and tls.",
		read: ofCollector(func(c *CollectorState) int64 { return c.Unacknowledged }),
	},
	{
		Name: "flow2ipfix_collector_pacing_wait_seconds_total", Counter: true, Labels: perCollector, Help: "How long sending has waited for the rate limit. Close to a second a second: the limit is what holds it up.",
		read: ofCollector(func(c *CollectorState) float64 { return c.PacingWait.Seconds() }),
	},
}
