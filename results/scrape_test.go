package results

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const smallScrape = `# HELP apiserver_request_total Counter of apiserver requests.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="",verb="GET",version="v1"} 5
apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="nodes",scope="resource",subresource="",verb="GET",version="v1"} 1e+01
apiserver_request_total{code="503",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="",verb="GET",version="v1"} 1
# TYPE apiserver_request_sli_duration_seconds histogram
apiserver_request_sli_duration_seconds_bucket{component="apiserver",group="",resource="pods",scope="resource",subresource="status",verb="PATCH",version="v1",le="0.05"} 90
apiserver_request_sli_duration_seconds_bucket{component="apiserver",group="",resource="pods",scope="resource",subresource="status",verb="PATCH",version="v1",le="1"} 99
apiserver_request_sli_duration_seconds_bucket{component="apiserver",group="",resource="pods",scope="resource",subresource="status",verb="PATCH",version="v1",le="+Inf"} 100
apiserver_request_sli_duration_seconds_sum{component="apiserver",group="",resource="pods",scope="resource",subresource="status",verb="PATCH",version="v1"} 7.5
apiserver_request_sli_duration_seconds_count{component="apiserver",group="",resource="pods",scope="resource",subresource="status",verb="PATCH",version="v1"} 100
# TYPE process_start_time_seconds gauge
process_start_time_seconds 1.79e+09
# TYPE go_goroutines gauge
go_goroutines 4000
apiserver_flowcontrol_rejected_requests_total{flow_schema="a \"quoted\" \\ name",priority_level="node-high",reason="queue-full"} 3
`

func mustScrape(t testing.TB, text string) *Scrape {
	t.Helper()
	s, err := ParseScrape([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseScrape(t *testing.T) {
	s := mustScrape(t, smallScrape)
	if s.start != 1.79e9 {
		t.Errorf("start = %v", s.start)
	}
	if diff := cmp.Diff(map[string]int64{"200": 15, "503": 1}, s.counts("apiserver_request_total", 1)); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"node-high queue-full": 3},
		s.counts("apiserver_flowcontrol_rejected_requests_total", 0, 1)); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
	k := metricKey{sliFamily, [maxLabels]string{"PATCH", "", "pods", "status", "resource"}}
	want := &buckets{[]float64{0.05, 1, math.Inf(1)}, []float64{90, 99, 100}, 7.5}
	if diff := cmp.Diff(want, s.histograms[k], cmp.AllowUnexported(buckets{})); diff != "" {
		t.Errorf("histogram (-want +got):\n%s", diff)
	}
}

func TestParseScrapeRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := ParseScrape([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
	f(smallScrape+"scheduler_pending_pods{queue=\"active\"} many\n", "line 17: value \"many\" is no number")
	f("scheduler_pending_pods{queue=\"active} 1", "does not end")
	f("scheduler_pending_pods{queue} 1", "label without a value")
	f("{a=\"b\"} 1", "no sample")
	f("<html>", "no sample")
	// Cut off in the middle of a histogram.
	untilInf := smallScrape[:strings.Index(smallScrape, `le="+Inf"`)]
	f(untilInf[:strings.LastIndex(untilInf, "\n")], "is cut off")
	f(`etcd_request_duration_seconds_bucket{operation="get",le="wide"} 1`, "bucket bound")
}

// bigScrape is of the size and shape of what a busy API server exposes.
func bigScrape(resources int) []byte {
	var b bytes.Buffer
	bounds := []string{"0.05", "0.1", "0.2", "0.4", "0.6", "0.8", "1", "1.25", "1.5", "2", "3", "4", "5", "6", "8", "10", "15", "20", "30", "45", "60", "+Inf"}
	for _, family := range []string{"apiserver_request_sli_duration_seconds", "apiserver_request_duration_seconds", "apiserver_response_sizes"} {
		fmt.Fprintf(&b, "# HELP %s Latency.\n# TYPE %s histogram\n", family, family)
		for r := range resources {
			for v, verb := range []string{"GET", "LIST", "POST", "PATCH", "DELETE", "WATCH"} {
				labels := fmt.Sprintf(`component="apiserver",group="",resource="resource-%d",scope="resource",subresource="",verb="%s",version="v1"`, r, verb)
				for i, le := range bounds {
					fmt.Fprintf(&b, "%s_bucket{%s,le=\"%s\"} %d\n", family, labels, le, 100*(r+1)*(v+1)*(i+1))
				}
				fmt.Fprintf(&b, "%s_sum{%s} %v\n%s_count{%s} %d\n", family, labels, 12.25*float64(r+1), family, labels, 100*(r+1)*(v+1)*len(bounds))
			}
		}
	}
	return b.Bytes()
}

// TestParseScrapeAgrees compares with the parser of Prometheus itself.
func TestParseScrapeAgrees(t *testing.T) {
	text := bigScrape(3)
	got := mustScrape(t, string(text))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range all[sliFamily].GetMetric() {
		n++
		label := map[string]string{}
		for _, l := range m.GetLabel() {
			label[l.GetName()] = l.GetValue()
		}
		k := metricKey{sliFamily, [maxLabels]string{label["verb"], "", label["resource"], "", "resource"}}
		want := &buckets{sum: m.GetHistogram().GetSampleSum()}
		for _, b := range m.GetHistogram().GetBucket() {
			want.bounds = append(want.bounds, b.GetUpperBound())
			want.counts = append(want.counts, float64(b.GetCumulativeCount()))
		}
		if diff := cmp.Diff(want, got.histograms[k], cmp.AllowUnexported(buckets{})); diff != "" {
			t.Errorf("%v (-Prometheus +ours):\n%s", k, diff)
		}
	}
	if n != 18 {
		t.Errorf("compared %d histograms, want 18", n)
	}
}

func FuzzParseScrape(f *testing.F) {
	f.Add([]byte(smallScrape))
	f.Add([]byte(`etcd_request_duration_seconds_bucket{operation="\\`))
	f.Add([]byte(`etcd_request_duration_seconds_bucket{operation="get",le="+Inf"} 1`))
	f.Add([]byte("process_start_time_seconds NaN\nscheduler_pending_pods{} 1 2 3"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseScrape(text)
		if err != nil {
			return
		}
		// Whatever is accepted can be worked with.
		figuresOf(Delta(map[string]*Scrape{"a": s}, map[string]*Scrape{"a": s, "b": s}))
	})
}

func BenchmarkParseScrape(b *testing.B) {
	text := bigScrape(100)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseScrape(text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseScrapeExpfmt is why there is a parser of our own.
func BenchmarkParseScrapeExpfmt(b *testing.B) {
	text := bigScrape(100)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		parser := expfmt.NewTextParser(model.LegacyValidation)
		if _, err := parser.TextToMetricFamilies(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
