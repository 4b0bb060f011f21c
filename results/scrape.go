package results

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// metricKey is a series: the family and the values of the labels that its
// entry in families keeps, in that order.
type metricKey struct {
	family string
	labels [maxLabels]string
}

const maxLabels = 5

// families are the metrics that are read, with the labels that are kept;
// series that differ in other labels are added up. A scrape of a busy API
// server has some 50,000 lines, of which these are a few thousand.
var families = map[string][]string{
	"apiserver_request_sli_duration_seconds": {"verb", "group", "resource", "subresource", "scope"},
	"apiserver_request_duration_seconds":     {"verb", "group", "resource", "subresource", "scope"},
	"apiserver_request_total":                {"verb", "code"},
	"apiserver_longrunning_requests":         {"verb", "resource"},
	"apiserver_current_inflight_requests":    {"request_kind"},
	"apiserver_terminated_watchers_total":    {"resource"},

	"apiserver_flowcontrol_rejected_requests_total":       {"priority_level", "reason"},
	"apiserver_flowcontrol_request_wait_duration_seconds": {"priority_level"},

	"apiserver_watch_cache_events_received_total":      {"resource"},
	"apiserver_watch_cache_events_dispatched_total":    {"resource"},
	"apiserver_watch_cache_initializations_total":      {"resource"},
	"apiserver_storage_consistency_checks_total":       {"status", "group", "resource"},
	"apiserver_watch_cache_consistent_read_total":      {"success", "fallback"},
	"apiserver_watch_cache_read_wait_seconds":          {"resource"},
	"apiserver_watch_events_dispatch_duration_seconds": {"resource", "stage"},

	"etcd_request_duration_seconds": {"operation"},

	"scheduler_pod_scheduling_sli_duration_seconds":        {},
	"scheduler_scheduling_attempt_duration_seconds":        {"result"},
	"scheduler_scheduling_algorithm_duration_seconds":      {},
	"scheduler_framework_extension_point_duration_seconds": {"extension_point"},
	"scheduler_schedule_attempts_total":                    {"result"},
	"scheduler_pending_pods":                               {"queue"},

	processStart: {},
}

// gauges are the families whose difference over time means nothing; Delta
// keeps their later value.
var gauges = map[string]bool{
	"apiserver_longrunning_requests":      true,
	"apiserver_current_inflight_requests": true,
	"scheduler_pending_pods":              true,
}

const processStart = "process_start_time_seconds"

// Scrape is what was read of one server's metrics, or a sum or difference of
// such readings.
type Scrape struct {
	values     map[metricKey]float64 // counters and gauges
	histograms map[metricKey]*buckets
	start      float64 // when the process started, Unix seconds; 0 if not told
}

func newScrape() *Scrape {
	return &Scrape{values: map[metricKey]float64{}, histograms: map[metricKey]*buckets{}}
}

// withoutGauges leaves out what was only true when it was read. What both have is
// shared: nobody changes a scrape.
func (s *Scrape) withoutGauges() *Scrape {
	kept := &Scrape{values: maps.Clone(s.values), histograms: s.histograms, start: s.start}
	maps.DeleteFunc(kept.values, func(k metricKey, _ float64) bool { return gauges[k.family] })
	return kept
}

// slis is the part of the scrape that the SLOs judge.
func (s *Scrape) slis() *Scrape {
	kept := newScrape()
	kept.start = s.start
	for k, h := range s.histograms {
		if k.family == sliFamily {
			kept.histograms[k] = h
		}
	}
	return kept
}

// buckets is a histogram as Prometheus exposes it.
type buckets struct {
	bounds []float64 // upper bounds, ascending; the last is +Inf
	counts []float64 // cumulative
	sum    float64
}

// ParseScrape reads the Prometheus text format. It knows the part of the
// format that Kubernetes components write: one sample a line, without
// timestamps and exemplars.
func ParseScrape(text []byte) (*Scrape, error) {
	s := newScrape()
	p := scrapeParser{scrape: s, words: map[string]string{}}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		line = bytes.TrimRight(line, "\r\n ")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("parse metrics: line %d: %w", n, err)
		}
	}
	for k, h := range s.histograms {
		if !h.complete() {
			return nil, fmt.Errorf("parse metrics: histogram %s %v is cut off", k.family, k.labels)
		}
	}
	return s, nil
}

type scrapeParser struct {
	scrape *Scrape
	words  map[string]string // label values, each kept once
	last   struct {          // most lines belong to the series of the line before
		key  metricKey
		hist *buckets
	}
}

// part is what a sample of a family is of it.
type part int

const (
	partValue part = iota
	partBucket
	partSum
	partCount
)

// family finds the family of a metric's name. The suffixes of histograms are
// no names of their own.
func family(name []byte) ([]byte, part, bool) {
	if _, ok := families[string(name)]; ok {
		return name, partValue, true
	}
	i := bytes.LastIndexByte(name, '_')
	if i < 0 {
		return nil, 0, false
	}
	var p part
	switch string(name[i:]) {
	case "_bucket":
		p = partBucket
	case "_sum":
		p = partSum
	case "_count":
		p = partCount
	default:
		return nil, 0, false
	}
	_, ok := families[string(name[:i])]
	return name[:i], p, ok
}

func (p *scrapeParser) line(b []byte) error {
	end := bytes.IndexAny(b, "{ ")
	if end <= 0 {
		return fmt.Errorf("no sample: %q", cut(b))
	}
	name, part, ok := family(b[:end])
	if !ok {
		return nil
	}
	k := metricKey{family: p.word(name, false)}
	le, rest, err := p.labels(b[end:], &k)
	if err != nil {
		return err
	}
	text, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte(" "))
	value, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return fmt.Errorf("value %q is no number", cut(text))
	}
	return p.sample(k, part, le, value)
}

func (p *scrapeParser) sample(k metricKey, part part, le string, value float64) error {
	switch part {
	case partValue:
		if k.family == processStart {
			p.scrape.start = value
		}
		p.scrape.values[k] += value
	case partSum:
		p.histogram(k).sum += value
	case partBucket:
		bound, err := strconv.ParseFloat(le, 64)
		if err != nil {
			return fmt.Errorf("bucket bound %q is no number", le)
		}
		p.histogram(k).add(bound, value)
	case partCount: // equals the bucket of +Inf
	}
	return nil
}

func (p *scrapeParser) histogram(k metricKey) *buckets {
	if p.last.hist != nil && p.last.key == k {
		return p.last.hist
	}
	h := p.scrape.histograms[k]
	if h == nil {
		h = &buckets{}
		p.scrape.histograms[k] = h
	}
	p.last.key, p.last.hist = k, h
	return h
}

// labels reads {a="b",...} into k and returns the rest of the line.
func (p *scrapeParser) labels(b []byte, k *metricKey) (le string, rest []byte, err error) {
	if b[0] != '{' {
		return "", b, nil
	}
	b = b[1:]
	for {
		b = bytes.TrimLeft(b, ", ")
		if len(b) > 0 && b[0] == '}' {
			return le, b[1:], nil
		}
		eq := bytes.Index(b, []byte(`="`))
		if eq < 0 {
			return "", nil, fmt.Errorf("label without a value: %q", cut(b))
		}
		end, escaped := quoteEnd(b[eq+2:])
		if end < 0 {
			return "", nil, fmt.Errorf("label value does not end: %q", cut(b))
		}
		name, raw := b[:eq], b[eq+2:eq+2+end]
		b = b[eq+2+end+1:]
		if string(name) == "le" {
			le = p.word(raw, escaped)
		} else if i := slices.Index(families[k.family], string(name)); i >= 0 {
			k.labels[i] = p.word(raw, escaped)
		}
	}
}

// quoteEnd returns where the quoted string ends.
func quoteEnd(b []byte) (end int, escaped bool) {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			return i, escaped
		}
	}
	return -1, false
}

func (p *scrapeParser) word(raw []byte, escaped bool) string {
	if w, ok := p.words[string(raw)]; ok {
		return w
	}
	w := string(raw)
	if escaped {
		w = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(w)
	}
	p.words[string(raw)] = w
	return w
}

// cut shortens what is quoted in an error.
func cut(b []byte) []byte { return b[:min(len(b), 60)] }

// add adds a bucket. The buckets of one series come in ascending order;
// another series with the same kept labels starts again from the first bound.
func (h *buckets) add(bound, count float64) {
	i, found := slices.BinarySearch(h.bounds, bound)
	if found {
		h.counts[i] += count
		return
	}
	h.bounds = slices.Insert(h.bounds, i, bound)
	h.counts = slices.Insert(h.counts, i, count)
}

func (h *buckets) complete() bool {
	n := len(h.bounds)
	return n > 0 && math.IsInf(h.bounds[n-1], 1)
}

func (h *buckets) count() float64 { return h.counts[len(h.counts)-1] }
