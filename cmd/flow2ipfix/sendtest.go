package main

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"flow2ipfix/bridge"
	"flow2ipfix/exporter"
	"flow2ipfix/flowlog"
	"flow2ipfix/templates"
)

// sendTestFlags are the flags of send-test.
type sendTestFlags struct {
	collectors   []string
	config       configFlags
	dialect      dialectFlags
	flows        []string
	interfaceID  uint32
	localAddress string
	repeat       int
	every        time.Duration
	summary      string
}

func newSendTest(u *ui) *cobra.Command {
	var f sendTestFlags
	cmd := &cobra.Command{
		Use:     "send-test --collector URL --preset NAME",
		Short:   "send a few flows that are easy to recognise, and say what should be seen",
		Long:    sendTestLong,
		Example: sendTestExamples,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return sendTest(cmd.Context(), u, &f) },
	}
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.StringArrayVar(&f.collectors, "collector", nil, "where to send: udp:// or tcp://HOST:PORT, or file:PATH; with --config the name of a collector in it; repeat for several")
	fl.StringVar(&f.config.file, "config", "", "send to the collectors of this configuration `FILE`, as it says, tls:// and dtls:// too; all but files, if --collector names none")
	fl.StringArrayVar(&f.config.set, "set", nil, "`KEY=VALUE` that goes before the configuration")
	fl.StringSliceVar(&f.flows, "flows", nil, "only these of the set, by `NAME`: "+strings.Join(testFlowNames(), ", "))
	fl.Uint32Var(&f.interfaceID, "interface", testInterface, "interface index of the test, for collectors that show known ones only")
	fl.StringVar(&f.localAddress, "local-address", "", "IP address to send from")
	fl.IntVar(&f.repeat, "repeat", 1, "send the set so many times, each time with new times of flows")
	fl.DurationVar(&f.every, "every", 10*time.Second, "how long from one time to the next")
	fl.StringVar(&f.summary, "summary", "text", "text or json")
	f.dialect.add(fl)
	return cmd
}

// sendTest sends the set, as often as asked, and says after the first time what
// should be seen.
func sendTest(ctx context.Context, u *ui, f *sendTestFlags) error {
	r, err := f.prepare(u)
	if err != nil {
		return err
	}
	next := time.NewTimer(0)
	defer next.Stop()
	for round := range f.repeat {
		select {
		case <-next.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		next.Reset(f.every)
		report, err := r.send(ctx)
		if round == 0 && report != nil {
			if printErr := r.print(report); printErr != nil {
				err = errors.Join(err, printErr)
			}
		}
		if err != nil {
			return err
		}
		if f.repeat > 1 {
			u.notef("sent %d of %d, flows until %s", round+1, f.repeat, report.End.Format("15:04:05 MST"))
		}
	}
	return nil
}

// attempt is what became of the way to a collector.
type attempt struct {
	how string // the version of TLS or DTLS
	err error
}

// reach tries the way to every collector that may object to a connection after it
// came about, or of whose host a refusal may take some seconds.
func (r *testRun) reach(ctx context.Context) []attempt {
	all := make([]attempt, len(r.collectors))
	var group sync.WaitGroup
	waits := false
	for i := range r.collectors {
		c := &r.collectors[i]
		if c.scheme == "file" || c.scheme == "udp" && isLoopback(ctx, c.host) {
			continue
		}
		waits = waits || c.scheme == "udp" || c.scheme == "dtls"
		group.Go(func() {
			reached, err := exporter.Probe(ctx, c.exporter)
			all[i] = attempt{reached.Protocol, err}
		})
	}
	if waits {
		r.ui.notef("seeing whether a host says no, which takes some seconds")
	}
	group.Wait()
	return all
}

// send sends the set once. The report is nil if nothing was sent.
func (r *testRun) send(ctx context.Context) (*testReport, error) {
	attempts := r.reach(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	mirrors, err := openMirrors(ctx, r.dialects)
	if err != nil {
		return nil, err
	}
	defer mirrors.stop()
	cfg := r.bridge()
	lanes := make([]int, len(r.collectors)) // where each has its lane; -1 for none
	var refused []error
	for i := range r.collectors {
		c := &r.collectors[i]
		if lanes[i] = -1; attempts[i].err != nil {
			refused = append(refused, attempts[i].err)
			continue
		}
		lanes[i] = len(cfg.Lanes)
		ec := c.exporter
		ec.Inventory = cfg.Inventory
		cfg.Lanes = append(cfg.Lanes, bridge.Lane{Name: c.exporter.URL, Exporter: ec, Policy: c.dialect.policy})
	}
	if len(cfg.Lanes) == 0 {
		return nil, errors.Join(refused...)
	}
	if len(r.collectors) > 1 {
		goOn := func(_ string, err error) { r.ui.warn(err, "the other collectors go on") }
		for _, err := range refused {
			goOn("", err)
		}
		cfg.OnLaneError = goOn
	}
	first := len(cfg.Lanes)
	for i, d := range r.dialects {
		ec := mirrors[i].exporter(d)
		ec.Inventory = cfg.Inventory
		cfg.Lanes = append(cfg.Lanes, bridge.Lane{Name: "this process", Exporter: ec, Policy: d.policy})
	}
	b, err := bridge.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	end := time.Now().UTC().Truncate(time.Second)
	summary, err := b.Run(ctx, testDeltas(testLog(r.flows, end)))
	if ctx.Err() != nil {
		return nil, err
	}
	err = errors.Join(append(refused, err)...)
	report := &testReport{Begin: end.Add(-testLasts), End: end}
	for i := range r.collectors {
		lane := &bridge.LaneSummary{Err: attempts[i].err}
		if lanes[i] >= 0 {
			lane = &summary.Lanes[lanes[i]]
		}
		report.Collectors = append(report.Collectors, newCollectorReport(&r.collectors[i], lane, attempts[i].how))
	}
	for i, d := range r.dialects {
		mirrors[i].await(ctx, &summary.Lanes[first+i])
		seen, seenErr := mirrors[i].seen(r.flows, d)
		err = errors.Join(err, seenErr)
		for k := range r.collectors {
			if r.collectors[k].dialect == d {
				report.Collectors[k].Seen = seen
			}
		}
	}
	return report, err
}

// bridge returns what all lanes have in common.
func (r *testRun) bridge() bridge.Config {
	names := r.names
	names.Interfaces = maps.Clone(names.Interfaces)
	if names.Interfaces == nil {
		names.Interfaces = map[flowlog.MAC]string{}
	}
	if mac, ok := flowlog.ParseMAC(testMAC); ok {
		names.Interfaces[mac] = testName
	}
	return bridge.Config{Interfaces: fixedInterface(r.flags.interfaceID), Names: names, Domains: r.domains, Inventory: new(templates.Inventory)}
}

// isLoopback reports whether a host is this machine, where refusals come at
// once.
func isLoopback(ctx context.Context, host string) bool {
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	return err == nil && !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return !a.Unmap().IsLoopback() })
}
