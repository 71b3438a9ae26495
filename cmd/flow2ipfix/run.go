package main

import (
	"cmp"
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
	tell, seen := newHerald(), newObserver()
	for first := true; ; first = false {
		next, err := runOnce(ctx, stderr, flags, cfg, hangUp, tell, seen)
		var part *configError
		if !first && errors.As(err, &part) {
			// It was sound a moment ago: a file that is just being replaced, perhaps.
			// Another start may find it so again, and code 78 would forbid that.
			err = part.error
		}
		if next == nil || err != nil || ctx.Err() != nil {
			tell.stopping(0)
			return errors.Join(err, seen.close())
		}
		cfg = *next
	}
}

// runOnce runs the daemon with one configuration. It returns the next one if it
// was told to begin anew.
func runOnce(ctx context.Context, stderr io.Writer, flags *configFlags, cfg config.Config, hangUp <-chan os.Signal, tell *herald, seen *observer) (next *config.Config, err error) {
	log := seen.logger(newLogger(stderr, cfg.Log))
	p, err := assemble(cfg, log)
	if err != nil {
		return nil, &configError{err}
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := seen.use(cfg.Telemetry, log); err != nil {
		return nil, err
	}
	p.rejected = seen.rejected
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
		log.Error("the state cannot be written; it is tried again, and nothing is lost", "reason", err.Error(), "hint", cmp.Or(hintOf(err), "see that state_dir can be written and its disk has room"))
	})
	if err != nil {
		return nil, err
	}
	logPlan(log, &cfg, flags.file)
	seen.begin(&running{parts: p, loaded: time.Now(), store: store, service: service, followers: followers})
	defer seen.end()

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
	last := tally{at: time.Now()}
	again := false // told to reload while it ends
	tell.started(log, &cfg)
	for {
		select {
		case err := <-ended:
			log.Info("stopped", last.attributes(tally{time.Now(), service.Stats()}, p, followers, true)...)
			for i, stream := range p.streams {
				logClamped(log, &cfg.Collectors[i], stream.Stats().Clamped, clamped[i])
				if n := stream.Stats().KeptRecords; n > 0 {
					log.Warn("not all that was handed over is surely delivered", "collector", cfg.Collectors[i].Name, "records", n,
						"hint", "nothing to do: what a required collector may lack is sent again at the next start")
				}
			}
			if errors.Is(err, bridge.ErrNotInTime) {
				log.Warn("not all was delivered in time; nothing is lost, it will be sent again", "timeout", cfg.ShutdownTimeout,
					"hint", "nothing to do if a collector is away; else give it more time with shutdown_timeout")
				err = nil
			}
			if again {
				if newer, err := reload(flags, cfg, log, seen); err != nil {
					logRefused(log, flags, err)
				} else {
					next = newer
				}
			}
			return next, err
		case now := <-second.C:
			tell.second(log, p.pulse, tally{now, service.Stats()}, p, followers)
			for i, stream := range p.streams {
				watched[i] = logCollector(log, cfg.Collectors[i].Name, stream.Stats(), watched[i])
			}
		case <-minute.C:
			now := tally{time.Now(), service.Stats()}
			log.Info("status", last.attributes(now, p, followers, false)...)
			last = now
			for i, stream := range p.streams {
				clamped[i] = logClamped(log, &cfg.Collectors[i], stream.Stats().Clamped, clamped[i])
			}
		case <-ctx.Done():
			ctx = context.WithoutCancel(ctx) // said once
			tell.stopping(cfg.ShutdownTimeout)
			seen.ending("it ends")
			log.Info("stopping", "reason", "told to end", "timeout", cfg.ShutdownTimeout)
		case err := <-damaged: // no more of it can be trusted; the next start sets it aside
			tell.stopping(0)
			cancel()
			stop()
			return nil, errors.Join(err, <-ended)
		case <-hangUp:
			if next != nil {
				again = true
				continue
			}
			tell.reloading()
			if next, err = reload(flags, cfg, log, seen); err != nil {
				logRefused(log, flags, err)
				tell.refused()
				next = nil
				continue
			}
			log.Info("stopping", "reason", "told to load the configuration again", "timeout", cfg.ShutdownTimeout)
			seen.ending("it begins anew with another configuration")
			stop()
		}
	}
}

// reload loads the configuration and sees whether it would do, as far as that
// can be seen while the old one is at work.
func reload(flags *configFlags, old config.Config, log *slog.Logger, seen *observer) (*config.Config, error) {
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
	return &cfg, errors.Join(p.close(), seen.prepare(cfg.Telemetry))
}

// configError is a part that cannot be made of what the configuration says.
type configError struct{ error }

func (e *configError) Unwrap() error { return e.error }
