package results

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"

	"github.com/google/pprof/profile"
)

// The goroutines of a store in this process carry this pprof label, and those that
// record what a store is asked and answers.
const (
	componentLabel    = "component"
	etcdComponent     = "etcd"
	recorderComponent = "recorder"
)

// ProfileSplit tells for what the harness used its CPU time, in seconds, from
// a CPU profile of the phase.
type ProfileSplit struct {
	Etcd float64 `json:"etcd_seconds"`
	Ours float64 `json:"ours_seconds"`
	// Recording is the part of Ours that recorded: the proxies before the store, the
	// table of versions, and what writes the histories, but not what clients note of
	// their own requests. 0 in runs of before this was told apart.
	Recording float64 `json:"recording_seconds,omitempty"`
	// GC is the collector's own goroutines, which serve the heaps of both.
	GC float64 `json:"gc_seconds"`
	// Runtime is the Go scheduler and the rest of the runtime outside any
	// goroutine.
	Runtime float64 `json:"runtime_seconds"`
	File    string  `json:"file,omitempty"` // profile, within the run directory
}

// Total is all CPU time of the profile, in seconds.
func (s ProfileSplit) Total() float64 { return s.Etcd + s.Ours + s.GC + s.Runtime }

// OursShare is our part of the profile, from 0 to 1, with the part of
// collector and scheduler that falls to us if both serve etcd and us alike.
func (s ProfileSplit) OursShare() float64 {
	if s.Etcd+s.Ours == 0 {
		return 0
	}
	return s.Ours / (s.Etcd + s.Ours)
}

// RecordingShare is the part of the profile that recorded the store, from 0 to 1,
// with its part of collector and scheduler as in OursShare.
func (s ProfileSplit) RecordingShare() float64 {
	if s.Ours == 0 {
		return 0
	}
	return s.OursShare() * s.Recording / s.Ours
}

// StartCPUProfile profiles this process into dir/cpu-<phase>.pprof. The
// function that it returns ends the profile and splits it. A process has one
// profile at a time.
func StartCPUProfile(dir, phase string) (stop func() (ProfileSplit, error), err error) {
	name := "cpu-" + phase + ".pprof"
	f, err := os.Create(filepath.Join(dir, name))
	if err != nil {
		return nil, fmt.Errorf("start CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("start CPU profile: %w", err), f.Close(), os.Remove(f.Name()))
	}
	return func() (ProfileSplit, error) {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			return ProfileSplit{}, fmt.Errorf("write CPU profile: %w", err)
		}
		split, err := splitFile(f.Name())
		split.File = name
		return split, err
	}, nil
}

func splitFile(path string) (ProfileSplit, error) {
	f, err := os.Open(path)
	if err != nil {
		return ProfileSplit{}, fmt.Errorf("read CPU profile: %w", err)
	}
	defer f.Close()
	return SplitProfile(f)
}

// SplitProfile splits a CPU profile of the harness.
func SplitProfile(r io.Reader) (ProfileSplit, error) {
	var split ProfileSplit
	p, err := profile.Parse(r)
	if err != nil {
		return split, fmt.Errorf("read CPU profile: %w", err)
	}
	nanoseconds := -1
	for i, t := range p.SampleType {
		if t.Unit == "nanoseconds" {
			nanoseconds = i
		}
	}
	if nanoseconds < 0 {
		return split, errors.New("read CPU profile: it has no samples in nanoseconds")
	}
	for _, s := range p.Sample {
		seconds := float64(s.Value[nanoseconds]) / 1e9
		switch root := rootFunction(s); {
		case collectorRoots[root]:
			split.GC += seconds
		case s.HasLabel(componentLabel, etcdComponent):
			split.Etcd += seconds
		case schedulerRoot(root):
			split.Runtime += seconds
		default:
			split.Ours += seconds
			if s.HasLabel(componentLabel, recorderComponent) {
				split.Recording += seconds
			}
		}
	}
	return split, nil
}

// rootFunction is the function that the sampled goroutine was started with.
func rootFunction(s *profile.Sample) string {
	if len(s.Location) == 0 {
		return ""
	}
	lines := s.Location[len(s.Location)-1].Line
	if len(lines) == 0 || lines[len(lines)-1].Function == nil {
		return ""
	}
	return lines[len(lines)-1].Function.Name
}

// collectorRoots are the goroutines of the collector. Its assists run on the
// goroutines that allocate and stay on their account.
var collectorRoots = map[string]bool{
	"runtime.gcBgMarkWorker": true,
	"runtime.bgsweep":        true,
	"runtime.bgscavenge":     true,
	"runtime.runfinq":        true,
	"runtime.runFinalizers":  true,
	"runtime.runCleanups":    true,
	"runtime.forcegchelper":  true,
	"runtime._GC":            true,
}

// schedulerRoot tells stacks of the scheduler, which belong to no goroutine,
// from those of goroutines that the runtime starts in user code.
func schedulerRoot(root string) bool {
	return strings.HasPrefix(root, "runtime.") && root != "runtime.main"
}
