package results

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// consistencyFamily counts the comparisons of watch caches with the store that API
// servers make (KEP-4988), by status, group and resource.
const consistencyFamily = "apiserver_storage_consistency_checks_total"

// CacheDifference is a watch cache that its server found to differ from the store: what
// its counters read at the beginning and at the end of a phase, by status.
type CacheDifference struct {
	Server   string           `json:"server"`
	Resource string           `json:"resource"` // with its group, but for core
	Before   map[string]int64 `json:"before,omitempty"`
	After    map[string]int64 `json:"after"`
}

// cacheDifferences returns the caches whose count of failures rose between two scrapes.
// A server that started in between counts from zero.
func cacheDifferences(before, after map[string]*Scrape) []CacheDifference {
	var all []CacheDifference
	for _, server := range slices.Sorted(maps.Keys(after)) {
		now, old := after[server], before[server]
		if old == nil || old.start != now.start {
			old = newScrape()
		}
		for k, n := range now.values {
			if k.family == consistencyFamily && k.labels[0] == "failure" && n > old.values[k] {
				all = append(all, CacheDifference{
					Server: server, Resource: strings.TrimSuffix(k.labels[2]+"."+k.labels[1], "."),
					Before: old.checksOf(k), After: now.checksOf(k),
				})
			}
		}
	}
	slices.SortFunc(all, func(a, b CacheDifference) int {
		return cmp.Or(cmp.Compare(a.Server, b.Server), cmp.Compare(a.Resource, b.Resource))
	})
	return all
}

// checksOf returns the counts of the cache that a counter is about, by status.
func (s *Scrape) checksOf(cache metricKey) map[string]int64 {
	var counts map[string]int64
	for k, n := range s.values {
		if k.family != cache.family || k.labels[1] != cache.labels[1] || k.labels[2] != cache.labels[2] {
			continue
		}
		if counts == nil {
			counts = map[string]int64{}
		}
		counts[k.labels[0]] = int64(n)
	}
	return counts
}

// String is "apiserver_storage_consistency_checks_total of pods: error 0 -> 0, failure
// 0 -> 1, success 3 -> 4".
func (d CacheDifference) String() string {
	var counts []string
	for _, status := range []string{"success", "failure", "error"} {
		counts = append(counts, fmt.Sprintf("%s %d -> %d", status, d.Before[status], d.After[status]))
	}
	return fmt.Sprintf("%s of %s: %s", consistencyFamily, d.Resource, strings.Join(counts, ", "))
}
