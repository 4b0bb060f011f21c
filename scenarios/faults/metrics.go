package faults

import (
	"strconv"
	"strings"
)

// sumOf adds up the samples of a metric, in Prometheus' text format, that carry
// all of the labels.
func sumOf(text, metric string, labels ...string) (sum float64) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, metric+"{")
		if !ok {
			continue
		}
		set, value, ok := strings.Cut(rest, "} ")
		for _, label := range labels {
			ok = ok && strings.Contains(","+set+",", ","+label+",")
		}
		if v, err := strconv.ParseFloat(strings.TrimSpace(value), 64); ok && err == nil {
			sum += v
		}
	}
	return sum
}
