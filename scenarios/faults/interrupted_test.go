package faults

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestInterrupted has Ctrl-C come as soon as a fault has begun to do something: it
// ends, and has undone all of it. What is done while it acts is for the suite (label
// interrupt), which interrupts every fault of a real control plane.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for _, one := range aimedAt(t, idleShape, notOfMembers(t)...) {
		switch one.Name {
		case "apiserver-rolling-restart": // goes on with the one that it has begun
			continue
		case "controllers-overruled": // asks the API only, and nothing undoes it
			continue
		}
		e, o := idleEnv(t)
		all.Go(func() { interrupted(t, one, e, o) })
	}
	all.Wait()
}

// interrupted ends a fault at the first that it does, or, where that is to links, at
// once.
func interrupted(t *testing.T, f aimed, e *Env, o *told) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	defer cancel()
	began := false
	o.acts = sync.OnceFunc(func() { began = true; cancel() })
	if f.Area == Clients || strings.HasPrefix(f.Name, "apiserver-store-") {
		began = true
		time.AfterFunc(poll, cancel)
	}
	if a, err := f.Inject(ctx, e, f.target); err == nil {
		t.Errorf("%s of %s: interrupted, and the evidence is %q", f.Name, f.target, a.Evidence)
	}
	if !began {
		t.Errorf("%s of %s has done nothing", f.Name, f.target)
	}
	if left := o.left(); len(left) > 0 {
		t.Errorf("%s of %s leaves %q", f.Name, f.target, left)
	}
	ways := e.Plane.StoreLinks("")
	for _, l := range e.Links {
		ways = append(ways, l.Requests, l.Watches)
	}
	for _, l := range ways {
		if refuses(t.Context(), l.Addr()) == nil {
			t.Errorf("%s of %s leaves a link that turns clients away", f.Name, f.target)
		}
	}
}
