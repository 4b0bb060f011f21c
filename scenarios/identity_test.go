package scenarios

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// An API server that is ready and answers nothing fails the run, and does not keep it.
func TestGrantHasABound(t *testing.T) {
	over := make(chan struct{})
	layer := deafLayer(t, func() { <-over })
	t.Cleanup(func() { close(over) }) // before its server is closed
	c := &cluster{plane: &apiserver.ControlPlane{}, layer: layer}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := c.grantWorkload(ctx, time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "grant the load its rights: no answer for 1ms") {
		t.Errorf("it ends with %v", err)
	}
	x := &execution{plan: &Plan{}, run: &results.Run{}, cluster: c}
	if v := x.judgePlan(x.startFailed(ctx, err)); v.Outcome != checkers.Fail {
		t.Error(v)
	}
	ctx, interrupt := context.WithCancelCause(t.Context())
	interrupt(ErrInterrupted)
	if err := c.grantWorkload(ctx, time.Hour); !errors.Is(err, ErrInterrupted) {
		t.Errorf("interrupted it ends with %v", err)
	}
}
