package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// collector makes Prometheus' metrics of a snapshot at each scrape: nothing is
// counted twice, and nobody who carries flows knows of it.
type collector struct {
	source  Source
	now     func() time.Time
	metrics []Metric
	descs   []*prometheus.Desc
}

func newCollector(source Source, now func() time.Time) *collector {
	c := &collector{source: source, now: now, metrics: Metrics()}
	for i := range c.metrics {
		m := &c.metrics[i]
		c.descs = append(c.descs, prometheus.NewDesc(m.Name, m.Help, m.Labels, nil))
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s, now := c.source.Snapshot(), c.now()
	for i := range c.metrics {
		m, d := &c.metrics[i], c.descs[i]
		kind := prometheus.GaugeValue
		if m.Counter {
			kind = prometheus.CounterValue
		}
		m.read(&s, now, func(value float64, labels ...string) {
			metric, err := prometheus.NewConstMetric(d, kind, value, labels...)
			if err != nil {
				metric = prometheus.NewInvalidMetric(d, err)
			}
			out <- metric
		})
	}
}

// newRegistry has nothing in it that some import has put there.
func newRegistry(source Source, now func() time.Time) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(source, now), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// maxScrapes is how many may be under way at once.
const maxScrapes = 4

func metricsHandler(source Source) http.Handler {
	return promhttp.HandlerFor(newRegistry(source, time.Now), promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, Timeout: readTimeout, EnableOpenMetrics: true,
	})
}
