package results

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A cache that differed from the store is told by its server, its resource and the
// counters; one that another server found equal is not.
func TestCacheDifferences(t *testing.T) {
	scrape := func(start int, counts ...int) *Scrape {
		text := fmt.Sprintf("process_start_time_seconds %d\n", start)
		for i, series := range []string{
			`status="success",group="",resource="pods"`, `status="failure",group="",resource="pods"`,
			`status="success",group="apps",resource="deployments"`, `status="failure",group="apps",resource="deployments"`,
		} {
			text += fmt.Sprintf("%s{%s} %d\n", consistencyFamily, series, counts[i])
		}
		return mustScrape(t, text)
	}
	before := map[string]*Scrape{"kube-apiserver-0": scrape(1, 3, 1, 5, 0), "kube-apiserver-1": scrape(1, 3, 0, 5, 0)}
	after := map[string]*Scrape{
		"kube-apiserver-0": scrape(1, 4, 1, 6, 2), // of pods it was before
		"kube-apiserver-1": scrape(2, 7, 1, 1, 0), // started anew
		"kube-apiserver-2": scrape(2, 1, 0, 1, 0),
	}
	want := []CacheDifference{
		{"kube-apiserver-0", "deployments.apps", map[string]int64{"success": 5, "failure": 0}, map[string]int64{"success": 6, "failure": 2}},
		{"kube-apiserver-1", "pods", nil, map[string]int64{"success": 7, "failure": 1}},
	}
	if diff := cmp.Diff(want, cacheDifferences(before, after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, want := want[0].String(), consistencyFamily+" of deployments.apps: success 5 -> 6, failure 0 -> 2, error 0 -> 0"; got != want {
		t.Errorf("%q, want %q", got, want)
	}

	var s Servers
	s.Begin(before)
	if f := s.End(Seconds(1), after); len(f.CacheDifferences) != 2 {
		t.Errorf("a phase has %+v", f.CacheDifferences)
	}
}
