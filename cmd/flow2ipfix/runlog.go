package main

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"flow2ipfix/bridge"
	"flow2ipfix/checkpoint"
	"flow2ipfix/config"
	"flow2ipfix/exporter"
	"flow2ipfix/source"
)

// logPlan says what will be read and where it goes.
func logPlan(log *slog.Logger, cfg *config.Config, file string) {
	log.Info("started", "version", versionText(), "config", file, "state_dir", cfg.StateDir)
	for i := range cfg.Sources {
		if s := &cfg.Sources[i]; s.Azure != nil {
			log.Info("reads", "source", s.Name, "account", s.Azure.AccountURL, "credential", s.Azure.Credential, "every", s.Azure.PollInterval)
		} else {
			log.Info("reads", "source", s.Name, "directory", s.Directory.Path, "every", s.Directory.PollInterval)
		}
	}
	for i := range cfg.Collectors {
		c := &cfg.Collectors[i]
		log.Info("sends", "collector", c.Name, "url", c.URL, "protocol", c.Protocol, "preset", c.Preset, "delivery", c.Delivery)
	}
}

func logRefused(log *slog.Logger, flags *configFlags, err error) {
	log.Error("the new configuration is not used, the old one goes on", "config", flags.file, "reason", err.Error(),
		"hint", "correct it, see what flow2ipfix config check says, and reload again")
}

func logReport(log *slog.Logger, cfg config.Config, r checkpoint.Report) {
	if r.SetAside != "" {
		log.Error("the state was damaged and is set aside; reading begins at start again", "file", r.SetAside, "reason", r.Reason.Error(), "start", cfg.Start.String(),
			"hint", "look after the disk; the file can be deleted, and flow2ipfix replay sends what start leaves out")
	}
	if r.Header != nil {
		log.Warn("a part of the state was damaged; what was delivered last may be sent again", "reason", r.Header.Error(), "hint", "look after the disk if this comes again")
	}
	for _, m := range r.Moved {
		log.Warn("an interface has another index now, the configuration gives its old one away", "mac", m.MAC.String(), "from", m.From, "to", m.To,
			"hint", "fix its index as well, below interfaces, if the collectors know it by that")
	}
}

// logCollector says when a collector comes and goes.
func logCollector(log *slog.Logger, name string, now, last exporter.StreamStats) exporter.StreamStats {
	if now.LastError != nil && !now.LastErrorTime.Equal(last.LastErrorTime) {
		hint := hintOf(now.LastError)
		if hint == "" {
			hint = "see what the collector says; flow2ipfix doctor tries it out"
		}
		attrs := []any{"collector", name, "reason", now.LastError.Error(), "hint", hint}
		if now.Connected && now.Connections == last.Connections {
			log.Warn("the connection could not be renewed, the old one goes on", attrs...)
		} else {
			log.Warn("collector away, it is connected to again by and by", attrs...)
		}
	}
	if now.Connected && now.Connections > last.Connections {
		log.Info("collector connected", "collector", name, "records_sent_again", now.ResentRecords-last.ResentRecords)
	}
	return now
}

// logClamped says that a collector is told less than the truth.
func logClamped(log *slog.Logger, c *config.Collector, now, last uint64) uint64 {
	if now > last {
		log.Warn("values were clamped", "collector", c.Name, "values", now-last,
			"reason", c.Protocol+" cannot carry times of long ago, and netflow5 no large counters and interface indexes", "hint", "let the collector have ipfix, if it can")
	}
	return now
}

// tally is how it went up to a time.
type tally struct {
	at      time.Time
	service bridge.ServiceStats
}

// attributes say how it goes now, or went when the service ended, and how much came
// since the tally was made.
func (t *tally) attributes(now tally, p *parts, followers []*source.Follower, ended bool) []any {
	span := now.at.Sub(t.at)
	read, before := &now.service.Read, &t.service.Read
	attrs := []any{
		"in", span.Round(time.Second),
		"flows", read.Tuples - before.Tuples,
		"flows_per_second", rate(read.Tuples-before.Tuples, span),
		"rejected", read.RejectedPieces() - before.RejectedPieces(),
		"read", size(now.service.BytesRead - t.service.BytesRead),
	}
	for _, f := range followers {
		attrs = append(attrs, slog.String("source."+f.Name(), sourceWords(f.Stats(), now.at)))
	}
	for i, l := range now.service.Lanes {
		last := bridge.ServiceLaneStats{}
		if i < len(t.service.Lanes) {
			last = t.service.Lanes[i]
		}
		words := laneWords(p.streams[i].Stats(), ended) + "took " + count(l.Exported-last.Exported, "flow")
		if n := l.NotSent - last.NotSent; n > 0 {
			words += ", was not sent " + count(n, "flow")
		}
		attrs = append(attrs, slog.String("collector."+l.Name, words))
	}
	return attrs
}

// rate is how many a second that is, in one digit behind the point if it is little.
func rate(n uint64, span time.Duration) string {
	if span <= 0 {
		return "0"
	}
	f := float64(n) / span.Seconds()
	if f > 0 && f < 10 {
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.0f", f)
}

// sourceWords says how far a source is.
func sourceWords(s source.FollowerStats, now time.Time) string {
	if s.FlowLogs == 0 {
		return "no flow logs yet"
	}
	words := []string{count(uint64(s.FlowLogs), "flow log"), count(uint64(s.Blobs), "open blob")}
	if s.Undelivered > 0 {
		words = append(words, thousands(uint64(s.Undelivered))+" with undelivered flows")
	}
	if s.Newest.IsZero() {
		words = append(words, "nothing read yet")
	} else {
		words = append(words, behind(s.Newest, now))
	}
	return strings.Join(words, ", ")
}

// behind says how old the newest record is.
func behind(newest, now time.Time) string {
	return max(0, now.Sub(newest)).Round(time.Second).String() + " behind"
}

// laneWords says how a collector is, and what waits for it; nothing if there is no
// connection any more.
func laneWords(s exporter.StreamStats, ended bool) string {
	words := "away, "
	switch {
	case ended:
		return ""
	case s.Connected:
		words = "connected, "
	}
	if s.KeptRecords > 0 {
		words += count(uint64(s.KeptRecords), "record") + " under way, "
	}
	return words
}
