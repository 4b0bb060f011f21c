package apiserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The scheduler reads a configuration before anything is started, and what it says
// against it is told on one line.
func TestCheckScheduler(t *testing.T) {
	const head = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
	// It says what it says about the file that --config names, and not before it is asked.
	answers := func(then string) string {
		return "for a in \"$@\"; do case $a in --config=*) config=$(cat \"${a#--config=}\");; --write-config-to=/dev/null) asked=1;; esac; done\n" +
			"[ \"$asked\" ] || { echo 'Kubernetes v1.37.1'; exit 0; }\n" + then
	}
	complains := func(about string) string {
		return answers(`echo 'E1123 19:00:00.000000       7 run.go:72] "command failed" err="` + about + `"' >&2; exit 1` + "\n")
	}
	path := filepath.Join(t.TempDir(), "own.yaml")
	check := func(ctx context.Context, text, program string, own bool) error {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b := binary{path: script(t, program)}
		if !own {
			b.prefix = []string{}
		}
		cfg := *testConfig()
		cfg.SchedulerConfigFile = path
		return cfg.checkScheduler(ctx, b)
	}
	refused := func(want, text, program string, own bool) {
		t.Helper()
		err := check(t.Context(), text, program, own)
		if err == nil || err.Error() != "scheduler configuration "+path+": "+want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	taken := func(text, program string, own bool) {
		t.Helper()
		if err := check(t.Context(), text, program, own); err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	unknown := complains(`strict decoding error: unknown field \"parallelizm\"`)
	refused(`strict decoding error: unknown field "parallelizm"`, head+"parallelizm: 4\n", unknown, false)
	refused(`strict decoding error: unknown field "parallelizm"`, head+"parallelizm: 4\n", unknown, true)
	refused("parallelism: Invalid value: -1", head+"parallelism: -1\n", complains(`parallelism: Invalid value: -1`), false)
	refused(`"Error: it is wrong"`, head, answers("echo one; echo 'Error: it is wrong'; exit 1\n"), false)
	refused("kind is Deployment, want KubeSchedulerConfiguration", "kind: Deployment\n", answers("exit 1\n"), false)
	taken(head, answers("exit 0\n"), false)
	// Another's plugins may want an API server when they are made.
	taken(head, complains("initializing profiles: dial tcp 127.0.0.1:1: connect: connection refused"), true)

	// What it reads is the person's text with another way to the API servers.
	shows := answers(`case $config in *"parallelism: 7"*/proc/*|*/proc/*"parallelism: 7"*) exit 0;; esac; echo "$config"; exit 1` + "\n")
	taken(head+"parallelism: 7\nclientConnection: {kubeconfig: /home/me/k}\n", shows, false)

	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	cancel(interrupted)
	if err := check(ctx, head, answers("exit 1\n"), false); !errors.Is(err, interrupted) {
		t.Errorf("interrupted: %v", err)
	}
	if err := (Config{}).checkScheduler(t.Context(), binary{path: "/nowhere"}); err != nil {
		t.Errorf("no configuration: %v", err)
	}
}

// A component says why it ends in its log, on a line or on several.
func TestComplaintOf(t *testing.T) {
	f := func(want, output string) {
		t.Helper()
		if got := complaintOf(output); got != want {
			t.Errorf("%q says %q, want %q", output, got, want)
		}
	}
	f(`unknown field "a"`, "I1123 one\nE1123 19:00:00.0 7 run.go:72] \"command failed\" err=\"unknown field \\\"a\\\"\"\n")
	f("[a: Invalid value: 1, b: Required value]", "E1123 19:00:00.0 7 run.go:72] \"command failed\" err=<\n\t[a: Invalid value: 1,\n\tb: Required value]\n >\n")
	f(`"Error: unknown flag: --x"`, "Usage:\n  kube-scheduler\nError: unknown flag: --x\n")
	f(`""`, "")
}

// Check asks the scheduler, too.
func TestCheckReadsTheSchedulersConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.yaml")
	if err := os.WriteFile(file, []byte("kind: KubeSchedulerConfiguration\nparallelizm: 4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := *testConfig()
	cfg.SchedulerConfigFile = file
	cfg.Program = script(t, "case \"$*\" in *--version) echo 'Kubernetes v1.37.1';; *) echo 'strict decoding error: unknown field' >&2; exit 1;; esac\n")
	if err := Check(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "unknown field") {
		t.Errorf("it is taken: %v", err)
	}
}
