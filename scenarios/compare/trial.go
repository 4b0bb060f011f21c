package compare

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/planecheck/planecheck/results"
	"github.com/planecheck/planecheck/results/compare"
	"github.com/planecheck/planecheck/scenarios"
)

const (
	// endBound is how long a trial that is told to end may take to do so in order:
	// faults are healed, processes stopped, what was measured written.
	endBound = 2 * time.Minute
	// outputFile is what a trial said, beside its run directory.
	outputFile = "output.txt"
)

// errTrialTooLong is why a trial was ended that took longer than it may.
var errTrialTooLong = errors.New("the trial took too long")

// trial makes one run in a process of its own, with everything that it starts
// below it, and takes its result from the run directory. It never fails: what
// went wrong is the trial's cause.
func (c *comparison) trial(ctx context.Context, round, turn int, v compare.Variant) compare.Trial {
	t := compare.Trial{Round: round, Variant: v.Name, Started: time.Now()}
	base := c.dir.File(place(round, turn, v.Name))
	limited, cancel := context.WithTimeoutCause(ctx, c.TrialTimeout, errTrialTooLong)
	defer cancel()
	state, err := c.start(limited, base, v)
	t.Took = results.Seconds(time.Since(t.Started))
	t.Status = -1
	if state != nil {
		t.Status = state.ExitCode()
	}
	run, dir := c.result(base)
	if run != nil {
		t.Dir = dir
		t.Take(run)
	}
	switch {
	case ctx.Err() != nil:
		t.Cause = scenarios.ErrInterrupted.Error()
	case limited.Err() != nil:
		t.Cause = fmt.Sprintf("it took longer than %s (--trial-timeout)", c.TrialTimeout)
	case state == nil:
		t.Cause = fmt.Sprintf("it could not be started: %v", err)
	case t.Status == -1:
		t.Cause = state.String() + ", and not by planecheck: by a person, or by the kernel for want of memory (see dmesg)"
	case !judged(t.Status) || run == nil:
		t.Cause = cmp.Or(t.Cause, lastWords(filepath.Join(base, outputFile)), state.String())
	}
	if t.Cause != "" {
		t.Figures = nil
	}
	return t
}

// judged says whether a run with that exit status came to its verdict.
func judged(status int) bool {
	return slices.Contains([]int{scenarios.ExitPass, scenarios.ExitFail, scenarios.ExitUndecided, scenarios.ExitSLOMissed}, status)
}

// start runs the program until it has ended. It leads a process group of its own,
// so that a Ctrl-C on the terminal reaches it once, from here, and it is killed,
// with all that it started, when this process is. The state is nil if it did not
// start.
func (c *comparison) start(ctx context.Context, base string, v compare.Variant) (*os.ProcessState, error) {
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(base, outputFile))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	args := slices.Concat([]string{"run", regexp.QuoteMeta(c.Workload)}, c.Flags, v.Flags, []string{"--runs=" + base})
	cmd := exec.CommandContext(ctx, c.Program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = endBound
	// The parent-death signal follows the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	return cmd.ProcessState, err
}

// result reads what the trial left behind. A scenario with a twin leaves two run
// directories; the one that bears its name is meant.
func (c *comparison) result(base string) (run *results.Run, dir string) {
	found, _ := filepath.Glob(filepath.Join(base, "*", "run.json")) // the pattern is no bad one
	for _, file := range found {
		run, err := results.Load(filepath.Dir(file))
		if err != nil || run.Name != c.Workload {
			continue
		}
		dir, err := filepath.Rel(c.dir.Path, filepath.Dir(file))
		if err == nil {
			return run, dir
		}
	}
	return nil, ""
}

// tailBytes is how much of a trial's output is searched for its last words.
const tailBytes = 64 << 10

// lastWords are the program's own last line in its output.
func lastWords(path string) (words string) {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "planecheck: "); ok {
			words = text
		}
	}
	return words
}
