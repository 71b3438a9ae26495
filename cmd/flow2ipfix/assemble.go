package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"flow2ipfix/bridge"
	"flow2ipfix/checkpoint"
	"flow2ipfix/config"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/internal/secret"
	"flow2ipfix/source"
	"flow2ipfix/source/azblob"
	"flow2ipfix/source/dir"
	"flow2ipfix/templates"
)

// parts is what a configuration is made of before anything is read or sent.
type parts struct {
	cfg      config.Config
	log      *slog.Logger
	backends []source.Backend

	// inventory is shared by all collectors; the others are one for each.
	inventory *templates.Inventory
	streams   []*exporter.Stream
	sets      []*templates.Set
	notSent   []*bridge.NotSent
}

// assemble makes all parts that need no state. It asks nobody yet: what is
// wrong with a part is wrong with the configuration.
func assemble(cfg config.Config, log *slog.Logger) (_ *parts, err error) {
	p := &parts{cfg: cfg, log: log, inventory: new(templates.Inventory)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	var errs []error
	for i := range cfg.Sources {
		s := &cfg.Sources[i]
		if s.Azure == nil {
			p.backends = append(p.backends, dir.New(s.Directory.Path))
			continue
		}
		b, err := azureBackend(s.Azure)
		if err != nil {
			errs = append(errs, fmt.Errorf("source %s: %w", s.Name, err))
			continue
		}
		p.backends = append(p.backends, b)
	}
	for i := range cfg.Collectors {
		c := &cfg.Collectors[i]
		ec, err := exporterConfig(&p.cfg, c)
		if err != nil {
			errs = append(errs, fmt.Errorf("collector %s: %w", c.Name, err))
			continue
		}
		notSent := new(bridge.NotSent)
		ec.Inventory, ec.NotSent = p.inventory, notSent.Total
		stream, err := exporter.NewStream(ec)
		if err != nil {
			errs = append(errs, fmt.Errorf("collector %s: %w", c.Name, err))
			continue
		}
		p.streams, p.sets, p.notSent = append(p.streams, stream), append(p.sets, ec.Templates), append(p.notSent, notSent)
	}
	return p, errors.Join(errs...)
}

func azureBackend(a *config.Azure) (*azblob.Backend, error) {
	cfg := azblob.Config{
		AccountURL: a.AccountURL, Containers: a.Containers, Credential: a.Credential,
		TenantID: a.TenantID, ClientID: a.ClientID, ClientSecret: a.ClientSecret,
		ClientCertificatePassword: a.CertificatePassword,
		SAS:                       a.SASToken, AccountName: a.AccountName, AccountKey: a.AccountKey, ConnectionString: a.ConnectionString,
		Cloud: a.Cloud, Audience: a.Audience,
	}
	if a.CertificateFile != "" {
		b, err := os.ReadFile(a.CertificateFile)
		if err != nil {
			return nil, fmt.Errorf("certificate_file: %w", err)
		}
		cfg.ClientCertificate = secret.New(string(b))
	}
	return azblob.New(cfg)
}

// close ends what assemble began. Streams that a service has closed stay so.
func (p *parts) close() error {
	var errs []error
	for _, s := range p.streams {
		errs = append(errs, s.Close())
	}
	for _, b := range p.backends {
		if c, ok := b.(interface{ Close() }); ok {
			c.Close()
		}
	}
	return errors.Join(errs...)
}

// service puts the parts together. onError hears of state that cannot be kept.
func (p *parts) service(store *checkpoint.Store, onError func(error)) (*bridge.Service, []*source.Follower, error) {
	cfg := bridge.ServiceConfig{
		Store:      store,
		Interfaces: store.Interfaces(),
		Domains:    domainsOf(&p.cfg),
		Names:      namesOf(&p.cfg),
		Inventory:  p.inventory,
		OnReject: func(source, blob string, r flowlog.Reject) {
			p.log.Warn("rejected", "source", source, "reason", r.Reason.String(), "blob", blob, "byte", r.Offset, "piece", r.Piece.String(), "quote", r.Quote)
		},
		OnError: onError,
	}
	var followers []*source.Follower
	for i := range p.cfg.Sources {
		s := &p.cfg.Sources[i]
		fc := source.FollowerConfig{
			Name: s.Name, Backend: p.backends[i], State: store, Start: p.cfg.Start.Time(time.Now()),
			Grace: p.cfg.HourGrace, Include: s.Include, Exclude: s.Exclude,
			OnEvent: func(e source.Event) { logEvent(p.log, s.Name, e) },
		}
		if s.Azure != nil {
			fc.PollInterval, fc.Readers = s.Azure.PollInterval, s.Azure.Readers
			cfg.Readers += s.Azure.Readers
		} else {
			fc.PollInterval, fc.Readers = s.Directory.PollInterval, directoryReaders
			cfg.Readers += directoryReaders
		}
		f, err := source.NewFollower(fc)
		if err != nil {
			return nil, nil, fmt.Errorf("source %s: %w", s.Name, err)
		}
		followers = append(followers, f)
		cfg.Sources = append(cfg.Sources, f)
	}
	// More at once would only take memory: decoding keeps two cores busy.
	cfg.Readers = min(cfg.Readers, maxDecoders)
	for i := range p.cfg.Collectors {
		c := &p.cfg.Collectors[i]
		cfg.Lanes = append(cfg.Lanes, bridge.ServiceLane{
			Name: c.Name, Policy: policyOf(&p.cfg, c, p.sets[i]), Stream: p.streams[i],
			BestEffort: c.Delivery == "best_effort", NotSent: p.notSent[i],
		})
	}
	s, err := bridge.NewService(cfg)
	return s, followers, err
}

const (
	directoryReaders = 2
	maxDecoders      = 8
)

// fixedIndexes are the interface indexes that the configuration fixes.
func fixedIndexes(cfg config.Config) map[flowlog.MAC]uint32 {
	fixed := map[flowlog.MAC]uint32{}
	for _, i := range cfg.Interfaces {
		if mac, ok := flowlog.ParseMAC(string(i.MAC)); ok && i.Index > 0 {
			fixed[mac] = uint32(i.Index)
		}
	}
	return fixed
}

// logEvent says what a follower says.
func logEvent(log *slog.Logger, name string, e source.Event) {
	attrs := []any{"source", name}
	if e.FlowLog != "" {
		attrs = append(attrs, "flow_log", e.FlowLog)
	}
	if e.Blob != "" {
		attrs = append(attrs, "blob", e.Blob)
	}
	if !e.Hour.IsZero() {
		attrs = append(attrs, "hour", e.Hour.Format("2006-01-02T15Z"))
	}
	if e.Err != nil {
		attrs = append(attrs, "reason", e.Err.Error())
		if hint := hintOf(e.Err); hint != "" {
			attrs = append(attrs, "hint", hint)
		}
	}
	if e.Retry > 0 {
		attrs = append(attrs, "retry_in", e.Retry.Round(time.Millisecond))
	}
	level := slog.LevelWarn
	switch e.Kind {
	case source.FlowLogFound, source.FlowLogGone, source.ListRecovered:
		level = slog.LevelInfo
	case source.StateFailed, source.DiscoveryFailed:
		if level = slog.LevelError; errors.Is(e.Err, source.ErrNotFound) {
			level = slog.LevelWarn // nothing is there yet
		}
	}
	log.Log(context.Background(), level, e.Kind.String(), attrs...) //nolint:sloglint // kinds are a fixed list
}
