package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// configBound is how long a scheduler may take to read its configuration. Ours takes a
// second at most.
const configBound = 20 * time.Second

// nowhere is the address of no API server: nothing is asked of one.
const nowhere = "127.0.0.1:1"

// checkScheduler has the scheduler itself read a person's configuration, and end
// (--write-config-to): it knows best which fields and plugins there are. It asks no API
// server anything (Setup in cmd/kube-scheduler/app/server.go).
//
// A person's own scheduler may have plugins that do ask one, so it is believed only
// what it says of its fields. One that does not end says nothing.
func (cfg Config) checkScheduler(ctx context.Context, scheduler binary) error {
	if cfg.SchedulerConfigFile == "" {
		return nil
	}
	kubeconfig, err := kubeconfigOf(nowhere, nil, "system:"+KubeScheduler, map[string]any{"token": "none"})
	if err != nil {
		return err
	}
	access, err := inMemory("kubeconfig", kubeconfig)
	if err != nil {
		return err
	}
	defer access.Close()
	text, err := ownSchedulerFile(cfg.SchedulerConfigFile, pathOf(access))
	if err != nil {
		return err
	}
	config, err := inMemory("kube-scheduler.yaml", []byte(text))
	if err != nil {
		return err
	}
	defer config.Close()

	flags := []flag{{"config", pathOf(config)}, {"write-config-to", os.DevNull}, {"secure-port", "0"}}
	flags = append(flags, electionFlags(&cfg, cfg.Schedulers > 1 && !cfg.Leaderless)...)
	bounded, cancel := context.WithTimeout(ctx, configBound)
	defer cancel()
	output, err := scheduler.ask(bounded, flagArgs(appendGates(flags, &cfg))...)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("scheduler configuration %s: %w", cfg.SchedulerConfigFile, context.Cause(ctx))
	case err == nil || bounded.Err() != nil:
		return nil
	}
	complaint := complaintOf(output)
	if scheduler.prefix == nil && !strings.Contains(complaint, strictDecoding) {
		return nil
	}
	return fmt.Errorf("scheduler configuration %s: %s", cfg.SchedulerConfigFile, complaint)
}

// strictDecoding begins what Kubernetes' decoders say of fields that they do not know
// (NewStrictDecodingError in k8s.io/apimachinery/pkg/runtime/error.go).
const strictDecoding = "strict decoding error"

// commandFailed is how a component says why it ends, once it has a log: a quoted text,
// or several lines (k8s.io/component-base/cli/run.go, klog's writeStringValue).
var commandFailed = regexp.MustCompile(`(?s)"command failed" err=(?:("(?:[^"\\]|\\.)*")|<\n(.*?)\n >)`)

// complaintOf is why a component ended, on one line.
func complaintOf(output string) string {
	match := commandFailed.FindStringSubmatch(output)
	if match == nil {
		lines := strings.Split(strings.TrimSpace(output), "\n")
		return excerpt(lines[len(lines)-1])
	}
	text := match[2]
	if quoted, err := strconv.Unquote(match[1]); err == nil {
		text = quoted
	}
	return strings.Join(strings.Fields(text), " ")
}

// inMemory is a file that takes no place on a disk, and that nobody has to remove.
func inMemory(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(content); err != nil {
		return nil, errors.Join(fmt.Errorf("write a file in memory: %w", err), f.Close())
	}
	return f, nil
}

// pathOf is where other processes of ours find such a file.
func pathOf(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }
