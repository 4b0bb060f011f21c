package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestDrawnTimes(t *testing.T) {
	const mean = 1000 * time.Second
	low, high := mean, mean
	for _, uid := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
		d := drawn(mean, 1, uid)
		if d != drawn(mean, 1, uid) || d == drawn(mean, 2, uid) || d < 750*time.Second || d > 1250*time.Second {
			t.Errorf("pod %s runs for %v", uid, d)
		}
		low, high = min(low, d), max(high, d)
	}
	if low > 850*time.Second || high < 1150*time.Second {
		t.Errorf("all times are between %v and %v", low, high)
	}
}

func TestAnnotatedPlans(t *testing.T) {
	n := newNode(New(Config{JobTime: 4 * time.Second}), 0)
	f := func(policy corev1.RestartPolicy, annotations map[string]string, want podPlan, wrong int) {
		t.Helper()
		p := &corev1.Pod{}
		p.Annotations, p.Spec.RestartPolicy = annotations, policy
		var v podView
		if err := v.scan(encode(t, p)); err != nil {
			t.Fatal(err)
		}
		n.cluster.wrong.Clear()
		got, said := n.plan("u", &v), 0
		n.cluster.wrong.Range(func(any, any) bool { said++; return true })
		if got != want || said != wrong {
			t.Errorf("%s %v: %+v, %d complaints; want %+v, %d", policy, annotations, got, said, want, wrong)
		}
		checked := CheckAnnotations(annotations, string(policy))
		if (checked != nil) != (wrong > 0) || wrong > 0 && strings.Count(checked.Error(), "annotation planecheck.dev/") != wrong {
			t.Errorf("%s %v: checked before the run: %v, want %d complaints", policy, annotations, checked, wrong)
		}
	}
	runFor := drawn(4*time.Second, 0, "u")
	const never, onFailure, always = corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure, corev1.RestartPolicyAlways
	f(never, nil, podPlan{runFor: runFor}, 0)
	f(always, map[string]string{"app.example.com/run-for": "1s", "planecheck.developer/exit-code": "x"}, podPlan{}, 0)
	f(always, map[string]string{"planecheck.dev/revision": "7"}, podPlan{}, 0) // of our own load
	f(never, map[string]string{"planecheck.dev/run-for": "1m30s", "planecheck.dev/exit-code": "255"}, podPlan{runFor: 90 * time.Second, exit: 255}, 0)
	f(onFailure, map[string]string{"planecheck.dev/run-for": "1s", "planecheck.dev/exit-code": "0"}, podPlan{runFor: time.Second}, 0)
	f(never, map[string]string{"planecheck.dev/run-for": "0s", "planecheck.dev/exit-code": "3"}, podPlan{exit: 3}, 0)
	f(always, map[string]string{"planecheck.dev/run-for": "0s"}, podPlan{}, 0)
	// Those that are started again.
	f(always, map[string]string{"planecheck.dev/run-for": "1s"}, podPlan{runFor: time.Second, again: true}, 0)
	f("", map[string]string{"planecheck.dev/run-for": "1s", "planecheck.dev/exit-code": "9"}, podPlan{runFor: time.Second, exit: 9, again: true}, 0)
	f(onFailure, map[string]string{"planecheck.dev/exit-code": "1"}, podPlan{runFor: runFor, exit: 1, again: true}, 0)
	// Those that are not ready now and then.
	flips := podPlan{unreadyAfter: time.Minute, unreadyFor: 5 * time.Second}
	f(always, map[string]string{"planecheck.dev/unready-after": "1m", "planecheck.dev/unready-for": "5s"}, flips, 0)
	f(always, map[string]string{"planecheck.dev/unready-after": "0s"}, podPlan{}, 0)
	// What is wrong is left aside.
	f(always, map[string]string{"planecheck.dev/exit-code": "1"}, podPlan{}, 1) // they never exit
	f("", map[string]string{"planecheck.dev/exit-code": "1"}, podPlan{}, 1)     // Always is the default
	f(never, map[string]string{"planecheck.dev/exit-code": "256", "planecheck.dev/run-for": "soon", "planecheck.dev/exitcode": "1"}, podPlan{runFor: runFor}, 3)
	f(never, map[string]string{"planecheck.dev/exit-code": "-1", "planecheck.dev/run-for": "-1s"}, podPlan{runFor: runFor}, 2)
	f(always, map[string]string{"planecheck.dev/unready-after": "1m"}, podPlan{}, 1)
	f(always, map[string]string{"planecheck.dev/unready-for": "1m"}, podPlan{}, 1)
	f(always, map[string]string{"planecheck.dev/unready-after": "1m", "planecheck.dev/unready-for": "0s"}, podPlan{}, 2)
}

// TestSharedPlans gives the pods that say nothing themselves a plan.
func TestSharedPlans(t *testing.T) {
	u := Unready{Every: time.Minute, For: time.Second, Share: 0.25}
	n := newNode(New(Config{JobTime: time.Hour, Unready: u}), 0)
	planOf := func(uid string, policy corev1.RestartPolicy, annotations map[string]string) podPlan {
		p := &corev1.Pod{}
		p.Annotations, p.Spec.RestartPolicy = annotations, policy
		var v podView
		if err := v.scan(encode(t, p)); err != nil {
			t.Fatal(err)
		}
		return n.plan(uid, &v)
	}
	shared, picked := podPlan{unreadyAfter: u.Every, unreadyFor: u.For, shared: true}, ""
	count := 0
	for i := range 1000 {
		uid := fmt.Sprint("u", i)
		if planOf(uid, corev1.RestartPolicyAlways, nil) == shared {
			count, picked = count+1, uid
		}
		if p := planOf(uid, corev1.RestartPolicyNever, nil); p.flips() {
			t.Fatalf("a pod of a Job becomes unready: %+v", p)
		}
	}
	if count < 200 || count > 300 {
		t.Errorf("%d of 1000 pods become unready, want a quarter", count)
	}
	own := map[string]string{"planecheck.dev/unready-after": "2m", "planecheck.dev/unready-for": "2s"}
	if got := planOf(picked, corev1.RestartPolicyAlways, own); got != (podPlan{unreadyAfter: 2 * time.Minute, unreadyFor: 2 * time.Second}) {
		t.Errorf("a pod that says so itself: %+v", got)
	}
	if got := planOf(picked, corev1.RestartPolicyAlways, map[string]string{"planecheck.dev/unready-after": "0s"}); got.flips() {
		t.Errorf("a pod that is to be ready for ever: %+v", got)
	}
	if got := planOf(picked, corev1.RestartPolicyAlways, map[string]string{"planecheck.dev/unready-for": "9s"}); got != shared {
		t.Errorf("a pod with half of an instruction: %+v", got)
	}
}

// Who asks how much room pods take has to know which of them end.
func TestEnds(t *testing.T) {
	f := func(want bool, policy string, jobTime time.Duration, annotations ...string) {
		t.Helper()
		said := map[string]string{}
		for i := 0; i < len(annotations); i += 2 {
			said["planecheck.dev/"+annotations[i]] = annotations[i+1]
		}
		if got := Ends(said, policy, jobTime); got != want {
			t.Errorf("%q after %v with %v: %v, want %v", policy, jobTime, said, got, want)
		}
	}
	f(true, "Never", time.Second)
	f(true, "OnFailure", time.Second)
	f(false, "Always", time.Second)
	f(false, "", time.Second)
	f(false, "Never", 0)
	f(true, "Never", 0, "run-for", "1s")
	f(false, "Never", time.Second, "run-for", "0s")
	f(true, "Never", time.Second, "exit-code", "1")
	f(false, "OnFailure", time.Second, "exit-code", "1")
	f(false, "Always", time.Second, "run-for", "1s")
	f(true, "Never", time.Second, "run-for", "soon") // which is left aside
}

func TestCheckAnnotations(t *testing.T) {
	f := func(policy, key, value, want string) {
		t.Helper()
		got := ""
		if err := CheckAnnotations(map[string]string{key: value}, policy); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s %s=%s: %q, want %q", policy, key, value, got, want)
		}
	}
	f("Never", "planecheck.dev/run-for", "5s", "")
	f("Never", "example.com/run-for", "soon", "")
	f("Never", "planecheck.dev/run-for", "soon", `annotation planecheck.dev/run-for is "soon": want a duration, such as 1m30s`)
	f("Never", "planecheck.dev/run-for", "-5s", `annotation planecheck.dev/run-for is "-5s": want a duration of at least 0s`)
	f("Never", "planecheck.dev/exit-code", "x", `annotation planecheck.dev/exit-code is "x": want a number from 0 to 255`)
	f("Always", "planecheck.dev/exit-code", "1", `annotation planecheck.dev/exit-code is "1": says nothing without planecheck.dev/run-for`)
	f("Always", "planecheck.dev/runfor", "1s", `annotation planecheck.dev/runfor is "1s": no such annotation`)
	f("Always", "planecheck.dev/unready-for", "0s", `annotation planecheck.dev/unready-for is "0s": want a duration above 0s`)
	f("Always", "planecheck.dev/unready-for", "1s", `annotation planecheck.dev/unready-for is "1s": says nothing without planecheck.dev/unready-after`)
	const want = "annotation planecheck.dev/run-for says nothing here: it is for pods and their templates"
	if err := CheckNoAnnotations(map[string]string{"planecheck.dev/run-for": "1s", "planecheck.dev/revision": "1"}); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if err := CheckNoAnnotations(map[string]string{"planecheck.dev/revision": "1", "example.com/run-for": "1s"}); err != nil {
		t.Error(err)
	}
}
