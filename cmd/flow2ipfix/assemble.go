package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"flow2ipfix/bridge"
	"flow2ipfix/checkpoint"
	"flow2ipfix/config"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/internal/pulse"
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
	rates     []int // records/s
	// pulse has the signs of life of all that runs, signs those of the collectors.
	pulse *pulse.Board
	signs []*pulse.Sign
	// rejected is told of pieces that could not be read; may be nil.
	rejected func(source, blob string, r flowlog.Reject)
}

// assemble makes all parts that need no state. It asks nobody yet: what is
// wrong with a part is wrong with the configuration.
func assemble(cfg config.Config, log *slog.Logger) (_ *parts, err error) {
	p := &parts{cfg: cfg, log: log, inventory: new(templates.Inventory), pulse: pulse.NewBoard()}
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
		sign := p.pulse.Add("collector " + c.Name)
		ec.Inventory, ec.NotSent, ec.Pulse = p.inventory, notSent.Total, sign
		stream, err := exporter.NewStream(ec)
		if err != nil {
			errs = append(errs, fmt.Errorf("collector %s: %w", c.Name, err))
			continue
		}
		p.streams, p.sets, p.notSent = append(p.streams, stream), append(p.sets, ec.Templates), append(p.notSent, notSent)
		p.rates = append(p.rates, ec.Rate)
		p.signs = append(p.signs, sign)
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
			p.log.Warn("rejected", "source", source, "reason", r.Reason.String(), "blob", blob, "byte", r.Offset, "piece", r.Piece.String(), "quote", r.Quote,
				"hint", "the rest of the blob is read; if it comes often, flow2ipfix replay --rejects FILE on a copy of the blob shows all")
			if p.rejected != nil {
				p.rejected(source, blob, r)
			}
		},
		OnError: onError,
		Pulse:   p.pulse,
	}
	var followers []*source.Follower
	for i := range p.cfg.Sources {
		s := &p.cfg.Sources[i]
		fc := source.FollowerConfig{
			Name: s.Name, Backend: p.backends[i], State: store, Start: p.cfg.Start.Time(time.Now()),
			Grace: p.cfg.HourGrace, Include: s.Include, Exclude: s.Exclude,
			OnEvent: func(e source.Event) { logEvent(p.log, s.Name, e) },
			Pulse:   p.pulse,
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
			BestEffort: c.Delivery == "best_effort", NotSent: p.notSent[i], Pulse: p.signs[i],
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

// eventHints say what to do where the error does not say it.
var eventHints = map[source.EventKind]string{
	source.DiscoveryFailed: "it is tried again; flow2ipfix doctor looks for the cause",
	source.ListFailed:      "it is tried again; flow2ipfix doctor looks for the cause",
	source.ReadFailed:      "it is read on from where it stopped; flow2ipfix doctor looks for the cause",
	source.BlobRewritten:   "nothing to do: what was delivered is not sent again",
	source.BlobDeleted:     "see that nobody deletes flow logs before they are delivered: retention, lifecycle rules",
	source.BlobLate:        "if it comes often, set hour_grace higher",
	source.StateFailed:     "it is tried again; see that state_dir can be written and its disk has room",
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
		reason, hint := e.Err.Error(), hintOf(e.Err)
		var azure *azblob.Error
		if errors.As(e.Err, &azure) && azure.Hint != "" {
			reason, hint = strings.ReplaceAll(reason, "; "+azure.Hint, ""), azure.Hint
		}
		attrs = append(attrs, "reason", reason, "hint", cmp.Or(hint, eventHints[e.Kind]))
	} else if hint := eventHints[e.Kind]; hint != "" {
		attrs = append(attrs, "hint", hint)
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
