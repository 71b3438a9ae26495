package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"flow2ipfix/bridge"
	"flow2ipfix/checkpoint"
	"flow2ipfix/config"
	"flow2ipfix/exporter"
	"flow2ipfix/source"
)

func newRun(u *ui) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run --config FILE",
		Short: "follow flow logs and send what is new, as a service",
		Long:  runLong,
		Args:  noArgs,
	}
	flags := addConfigFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return runDaemon(cmd.Context(), u.err, flags) }
	return cmd
}

// runDaemon runs until ctx ends. SIGHUP loads the configuration again: if it is
// sound, what was read is delivered, and all begins anew with it.
func runDaemon(ctx context.Context, stderr io.Writer, flags *configFlags) error {
	cfg, err := flags.load()
	if err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		// Half the garbage costs no time that could be measured, and 30 MiB less
		// with two collectors and 10 000 network interfaces (make bench).
		debug.SetGCPercent(50)
	}
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	for {
		next, err := runOnce(ctx, stderr, flags, cfg, hangUp)
		if next == nil || err != nil || ctx.Err() != nil {
			return err
		}
		cfg = *next
	}
}

// runOnce runs the daemon with one configuration. It returns the next one if it
// was told to begin anew.
func runOnce(ctx context.Context, stderr io.Writer, flags *configFlags, cfg config.Config, hangUp <-chan os.Signal) (next *config.Config, err error) {
	log := newLogger(stderr, cfg.Log)
	p, err := assemble(cfg, log)
	if err != nil {
		return nil, &configError{err}
	}
	defer func() { err = errors.Join(err, p.close()) }()
	store, report, err := checkpoint.Open(cfg.StateDir, checkpoint.Options{Interfaces: fixedIndexes(cfg)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	logReport(log, cfg, report)
	damaged := make(chan error, 1)
	service, followers, err := p.service(store, func(err error) {
		if errors.Is(err, checkpoint.ErrDamaged) {
			select {
			case damaged <- err:
			default:
			}
			return
		}
		log.Error("the state cannot be written; it is tried again, and nothing is lost", "reason", err.Error(), "hint", hintOf(err))
	})
	if err != nil {
		return nil, err
	}
	log.Info("started", "version", versionText(), "config", flags.file, "state_dir", cfg.StateDir)
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

	running, stop := context.WithCancel(ctx)
	defer stop()
	abort, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	context.AfterFunc(running, func() { time.AfterFunc(cfg.ShutdownTimeout, cancel) })
	ended := make(chan error, 1)
	go func() { ended <- service.Run(running, abort) }()

	minute, second := time.NewTicker(time.Minute), time.NewTicker(time.Second)
	defer minute.Stop()
	defer second.Stop()
	watched, clamped := make([]exporter.StreamStats, len(p.streams)), make([]uint64, len(p.streams))
	var last bridge.ServiceStats
	again := false // told to reload while it ends
	for {
		select {
		case err := <-ended:
			log.Info("stopped", sinceLast(service.Stats(), last, followers)...)
			for i, stream := range p.streams {
				if n := stream.Stats().KeptRecords; n > 0 {
					log.Warn("not all that was handed over is surely delivered", "collector", cfg.Collectors[i].Name, "records", n)
				}
			}
			if errors.Is(err, bridge.ErrNotInTime) {
				log.Warn("not all was delivered in time; nothing is lost, it will be sent again", "timeout", cfg.ShutdownTimeout)
				err = nil
			}
			if again {
				if newer, err := reload(flags, cfg, log); err != nil {
					logRefused(log, flags, err)
				} else {
					next = newer
				}
			}
			return next, err
		case <-second.C:
			for i, stream := range p.streams {
				watched[i] = logCollector(log, cfg.Collectors[i].Name, stream.Stats(), watched[i])
			}
		case <-minute.C:
			now := service.Stats()
			log.Info("status", sinceLast(now, last, followers)...)
			last = now
			for i, stream := range p.streams {
				clamped[i] = logClamped(log, &cfg.Collectors[i], stream.Stats().Clamped, clamped[i])
			}
		case <-ctx.Done():
			ctx = context.WithoutCancel(ctx) // said once
			log.Info("stopping", "reason", "told to end", "timeout", cfg.ShutdownTimeout)
		case err := <-damaged: // no more of it can be trusted; the next start sets it aside
			cancel()
			stop()
			return nil, errors.Join(err, <-ended)
		case <-hangUp:
			if next != nil {
				again = true
				continue
			}
			if next, err = reload(flags, cfg, log); err != nil {
				logRefused(log, flags, err)
				next = nil
				continue
			}
			log.Info("stopping", "reason", "told to load the configuration again", "timeout", cfg.ShutdownTimeout)
			stop()
		}
	}
}

// reload loads the configuration and sees whether it would do, as far as that
// can be seen while the old one is at work.
func reload(flags *configFlags, old config.Config, log *slog.Logger) (*config.Config, error) {
	cfg, err := flags.load()
	if err != nil {
		return nil, err
	}
	if cfg.StateDir != old.StateDir {
		store, _, err := checkpoint.Open(cfg.StateDir, checkpoint.Options{Interfaces: fixedIndexes(cfg)})
		if err != nil {
			return nil, err
		}
		if err := store.Close(); err != nil {
			return nil, err
		}
	}
	p, err := assemble(cfg, log)
	if err != nil {
		return nil, err
	}
	return &cfg, p.close()
}

func logRefused(log *slog.Logger, flags *configFlags, err error) {
	log.Error("the new configuration is not used, the old one goes on", "config", flags.file, "reason", err.Error())
}

func logReport(log *slog.Logger, cfg config.Config, r checkpoint.Report) {
	if r.SetAside != "" {
		log.Error("the state was damaged and is set aside; reading begins at start again", "file", r.SetAside, "reason", r.Reason.Error(), "start", cfg.Start.String())
	}
	if r.Header != nil {
		log.Warn("a part of the state was damaged; what was delivered last may be sent again", "reason", r.Header.Error())
	}
	for _, m := range r.Moved {
		log.Warn("an interface has another index now, the configuration gives its old one away", "mac", m.MAC.String(), "from", m.From, "to", m.To)
	}
}

// logCollector says when a collector comes and goes.
func logCollector(log *slog.Logger, name string, now, last exporter.StreamStats) exporter.StreamStats {
	if now.LastError != nil && !now.LastErrorTime.Equal(last.LastErrorTime) {
		attrs := []any{"collector", name, "reason", now.LastError.Error()}
		if hint := hintOf(now.LastError); hint != "" {
			attrs = append(attrs, "hint", hint)
		}
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

// sinceLast says how it goes, and how much came since the last time.
func sinceLast(now, last bridge.ServiceStats, followers []*source.Follower) []any {
	attrs := []any{
		"tuples", now.Read.Tuples - last.Read.Tuples,
		"rejected", now.Read.RejectedPieces() - last.Read.RejectedPieces(),
		"bytes", now.BytesRead - last.BytesRead,
	}
	for _, f := range followers {
		s := f.Stats()
		group := []any{"flow_logs", s.FlowLogs, "blobs", s.Blobs, "undelivered", s.Undelivered}
		if !s.Newest.IsZero() {
			group = append(group, "behind", time.Since(s.Newest).Round(time.Second))
		}
		attrs = append(attrs, slog.Group(f.Name(), group...))
	}
	for i, l := range now.Lanes {
		before := bridge.ServiceLaneStats{}
		if i < len(last.Lanes) {
			before = last.Lanes[i]
		}
		attrs = append(attrs, slog.Group(l.Name, "exported", l.Exported-before.Exported, "not_sent", l.NotSent-before.NotSent))
	}
	return attrs
}

// configError is a part that cannot be made of what the configuration says.
type configError struct{ error }

func (e *configError) Unwrap() error { return e.error }
