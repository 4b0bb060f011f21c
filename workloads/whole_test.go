package workloads

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// A wait lasts as long as less and less is missing. It is given up when nothing has
// come nearer for a while, also where something comes and goes.
func TestApproach(t *testing.T) {
	const patience = 10 * time.Second
	f := func(what string, least time.Duration, want string, left func(since time.Duration) int64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errors.New("it had an hour"))
			defer cancel()
			began := time.Now()
			err := approach(ctx, patience, func(context.Context) (int64, error) {
				n := left(time.Since(began))
				if n == 0 {
					return 0, nil
				}
				return n, fmt.Errorf("%d are missing", n)
			})
			if (err == nil) != (want == "") || err != nil && err.Error() != want {
				t.Errorf("%s: %v, want %q", what, err, want)
			}
			var stall *StallError
			if got := errors.As(err, &stall); got != strings.HasPrefix(want, "no progress") {
				t.Errorf("%s: a stall: %v", what, got)
			}
			if took := time.Since(began); took < least || took > least+patience {
				t.Errorf("%s: it took %v", what, took)
			}
		})
	}
	f("all there", 0, "", func(time.Duration) int64 { return 0 })
	f("37,500 at 200 a second", 187*time.Second, "", func(since time.Duration) int64 { return max(0, 37_500-int64(200*since.Seconds())) })
	f("none comes", patience, "no progress for 10s: 3 are missing", func(time.Duration) int64 { return 3 })
	f("one comes and goes", patience, "no progress for 10s: 2 are missing", func(since time.Duration) int64 { return 2 + int64(since/time.Second)%2 })
	f("it stops half way", time.Minute, "no progress for 10s: 40 are missing", func(since time.Duration) int64 { return 100 - min(60, int64(since.Seconds())) })
	f("it never ends", time.Hour, "1400 are missing (it had an hour)", func(since time.Duration) int64 { return 5000 - int64(since.Seconds()) })
}

// What is missing is counted, so that a wait can see it become less.
func TestMissing(t *testing.T) {
	a, d := turning(t)
	f := func(want int64) {
		t.Helper()
		if left, err := d.missing(t.Context()); left != want || (err == nil) != (want == 0) {
			t.Errorf("%d are missing (%v), want %d", left, err, want)
		}
	}
	f(0)
	if err := d.Rest(t.Context()); err != nil {
		t.Error(err)
	}
	behind := func(i int) {
		a.locked(func() {
			p := d.plan.Deployments[i]
			o := a.objects["deployments"][p.Namespace+"/"+p.Name].(*appsv1.Deployment).DeepCopy()
			o.Status.AvailableReplicas--
			a.put("deployments", "MODIFIED", o)
		})
	}
	behind(0)
	f(1)
	behind(2)
	f(2)
	first := d.plan.Deployments[0]
	a.locked(func() { a.put("pods", "ADDED", a.pod(first.Namespace, "one-more", first.Name, "Running")) })
	waitCounts(t, d.deps.Pods, func(c Counts) bool { return c.Running == 41 })
	f(1 + 1 + 4)
	d.plan.Config.Patience = time.Nanosecond
	var stall *StallError
	if err := d.Rest(t.Context()); !errors.As(err, &stall) || !strings.Contains(err.Error(), "41 of 40 pods are Running") {
		t.Errorf("a pod too many: %v", err)
	}
}
