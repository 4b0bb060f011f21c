package scenarios

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

func unreadyOptions() Options {
	o := DefaultOptions()
	o.World.Nodes, o.Pods, o.World.UnreadyEvery = 10, 100, seconds(30)
	return o
}

// What is not given is filled in, said, and saved with the plan.
func TestUnreadyIsPlanned(t *testing.T) {
	o := unreadyOptions()
	p := mustPlan(t, Scenario{Name: "t"}, o)
	saved, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	if want := `"unreadyEvery":"30s","unreadyFor":"10s","unreadyShare":1,`; !strings.Contains(string(saved), want) {
		t.Errorf("no %s in %s", want, saved)
	}
	if want := "  100 of 100 pods are not ready for 10s every 30s\n"; !strings.Contains(p.String(), want) {
		t.Errorf("no %q in\n%s", want, p)
	}
	o.World.UnreadyFor, o.World.UnreadyShare = seconds(5), 0.25
	if p := mustPlan(t, Scenario{Name: "t"}, o); p.World.UnreadyFor != seconds(5) || p.World.UnreadyShare != 0.25 {
		t.Errorf("%+v", p.World)
	}
	o.World.UnreadyEvery, o.World.UnreadyFor, o.World.UnreadyShare = 0, 0, 0
	if saved, err := mustPlan(t, Scenario{Name: "t"}, o).encode(); err != nil || strings.Contains(string(saved), "unready") {
		t.Errorf("a plan without: %s, %v", saved, err)
	}
	o = unreadyOptions()
	o.Pods, o.Idle, o.Hold = 0, true, 0
	mustPlan(t, Scenario{Name: "up"}, o)
	o.Idle, o.Hold, o.Manifest = false, seconds(9), "testdata/shop.yaml"
	mustPlan(t, Scenario{Name: "t"}, o)
}

// What cannot work together is refused in one line.
func TestUnreadyIsRefused(t *testing.T) {
	f := func(scenario, want string, adjust func(*Options)) {
		t.Helper()
		o, s := unreadyOptions(), Scenario{Name: scenario}
		if found, err := Find(scenario); err == nil {
			s = found[0]
		}
		adjust(&o)
		_, err := NewPlan(s, o, testHost())
		var usage *UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", scenario, err, want)
		}
	}
	unchanged := func(*Options) {}
	f("faults/apiserver-kill", "--unready-every is not for it", unchanged)
	f("scale/frozen-scheduler", "--unready-every is not for it", unchanged)
	f("broken/controllers-gone", "--unready-every is not for it", unchanged)
	f("none", "there is none: give it a --hold", func(o *Options) { o.Hold = 0 })
	f("none", "none plans none", func(o *Options) { o.Pods, o.NoPods = 0, true })
	f("none", "--unready-for says nothing without --unready-every", func(o *Options) { o.World.UnreadyEvery, o.World.UnreadyFor = 0, 1 })
	f("none", "--unready-share says nothing without --unready-every", func(o *Options) { o.World.UnreadyEvery, o.World.UnreadyShare = 0, 1 })
	f("none", "--unready-share is 1.5; it must be from 0 to 1", func(o *Options) { o.World.UnreadyShare = 1.5 })
}

// A manifest that is not ready again after the hold fails the run, however ready it was.
// Nobody waits for one whose pods go their own way.
func TestManifestReadyAgain(t *testing.T) {
	x := &execution{run: &results.Run{Phases: []results.Phase{{Name: phaseManifest}, {Name: phaseHold}}}}
	if v := x.judgeManifest(); v.Outcome != checkers.Pass {
		t.Error(v)
	}
	x.lapsed = errors.New("Deployment default/web is InProgress")
	if v := x.judgeManifest(); v.Outcome != checkers.Fail || v.Detail != x.lapsed.Error() {
		t.Error(v)
	}
	f := func(want bool, annotations string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "app.yaml")
		pod := "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {" + annotations + "}}\nspec: {containers: [{name: a, image: a}]}\n"
		if err := os.WriteFile(file, []byte(pod), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := planManifest(Options{Manifest: file, Copies: 1})
		if err != nil {
			t.Fatal(err)
		}
		if p.steady() != want {
			t.Errorf("%s: steady is %v", annotations, !want)
		}
	}
	f(true, "example.com/owner: me")
	f(false, "planecheck.dev/unready-after: 1m, planecheck.dev/unready-for: 5s")
	f(false, "planecheck.dev/run-for: 1m")
}
