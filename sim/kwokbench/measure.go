package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// usage is what a process has used.
type usage struct {
	CPU  float64 // seconds, user and system
	RSS  int64   // bytes
	Peak int64   // the most RSS so far
}

func readUsage(pid int) (usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return usage{}, fmt.Errorf("read usage: %w", err)
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return usage{}, fmt.Errorf("read usage: %w", err)
	}
	return parseUsage(stat, status)
}

// parseUsage reads proc_pid_stat(5) and proc_pid_status(5).
func parseUsage(stat, status []byte) (u usage, err error) {
	// The command, field 2, may hold blanks: count from its end. utime and
	// stime are fields 14 and 15, in ticks of 10 ms.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return u, fmt.Errorf("read usage: stat has %d fields after the command", len(fields))
	}
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return u, fmt.Errorf("read usage: CPU time %q", field)
		}
		u.CPU += float64(ticks) / 100
	}
	for line := range bytes.Lines(status) {
		switch words := bytes.Fields(line); {
		case len(words) < 2:
		case string(words[0]) == "VmRSS:":
			u.RSS, err = kilobytes(words[1])
		case string(words[0]) == "VmHWM:":
			u.Peak, err = kilobytes(words[1])
		}
		if err != nil {
			return u, err
		}
	}
	if u.RSS == 0 || u.Peak == 0 {
		return u, fmt.Errorf("read usage: the process has no memory any more")
	}
	return u, nil
}

func kilobytes(word []byte) (int64, error) {
	n, err := strconv.ParseInt(string(word), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read usage: %q kilobytes", word)
	}
	return n << 10, nil
}

// watches is how many watches the API server holds.
func (p *plane) watches(ctx context.Context) (int, error) {
	text, err := p.control.Metrics(ctx, "kube-apiserver-0")
	if err != nil {
		return 0, err
	}
	return parseWatches(text)
}

func parseWatches(text []byte) (int, error) {
	const name = "apiserver_longrunning_requests"
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	family := families[name]
	if family == nil {
		return 0, fmt.Errorf("the API server has no metric %s", name)
	}
	total := 0
	for _, metric := range family.Metric {
		for _, label := range metric.Label {
			if label.GetName() == "verb" && label.GetValue() == "WATCH" {
				total += int(metric.Gauge.GetValue())
			}
		}
	}
	return total, nil
}

// serverCPU is the CPU time of the API server so far, in seconds.
func (p *plane) serverCPU() (float64, error) {
	for _, c := range p.control.Components() {
		if c.Name == "kube-apiserver-0" {
			u, err := readUsage(c.PID)
			return u.CPU, err
		}
	}
	return 0, fmt.Errorf("there is no kube-apiserver-0")
}
