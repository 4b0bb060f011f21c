package compare

import (
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
	output := &output{}
	state, err := c.start(limited, base, v, output)
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
	case t.Outcome == "": // it could not even save its verdict, or came to none
		t.Cause = cmp.Or(output.lastWords(), t.Cause, state.String())
	case !judged(t.Status):
		t.Cause = cmp.Or(t.Cause, output.lastWords(), state.String())
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
func (c *comparison) start(ctx context.Context, base string, v compare.Variant, out *output) (*os.ProcessState, error) {
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, err
	}
	file, err := os.Create(filepath.Join(base, outputFile))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	out.file = file
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

// output is what a trial says: all of it goes to a file for as long as the disk
// takes it, and the end is kept here, because a full disk is what it may tell of.
type output struct {
	file io.Writer
	tail []byte
}

// Write never fails, or the trial would write into a broken pipe.
func (o *output) Write(b []byte) (int, error) {
	_, _ = o.file.Write(b)
	o.tail = append(o.tail, b...)
	if len(o.tail) > 2*tailBytes {
		o.tail = slices.Clone(o.tail[len(o.tail)-tailBytes:])
	}
	return len(b), nil
}

// lastWords are the program's own last line.
func (o *output) lastWords() (words string) {
	for line := range strings.Lines(string(o.tail)) {
		if text, ok := strings.CutPrefix(line, "planecheck: "); ok {
			words = strings.TrimSuffix(text, "\n")
		}
	}
	return words
}
