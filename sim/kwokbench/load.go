package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
	"github.com/planecheck/planecheck/sim"
)

var (
	podsResource  = client.Resource{Version: "v1", Plural: "pods"}
	nodesResource = client.Resource{Version: "v1", Plural: "nodes"}
)

// workers is how many creations are under way at a time.
const workers = 64

// each calls do for 0..n-1 on several goroutines, and stops at the first error.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// createNodes creates nodes as `kwokctl scale node` does: named, and else empty.
func (p *plane) createNodes(ctx context.Context, n int) error {
	return each(ctx, n, func(ctx context.Context, i int) error {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name:        sim.NodeName(i),
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
			Labels:      map[string]string{"kubernetes.io/hostname": sim.NodeName(i), "type": "kwok"},
		}}
		if _, err := p.admin.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create node: %w", err)
		}
		return nil
	})
}

func podName(i int) string { return fmt.Sprintf("pod-%06d", i) }

// newPod is bound to its node already, so that no scheduler takes part.
func newPod(i, nodes int) *corev1.Pod {
	no, grace := false, int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName(i), Namespace: namespace(i), Labels: map[string]string{"app": "bench"}},
		Spec: corev1.PodSpec{
			NodeName:                      sim.NodeName(i % nodes),
			AutomountServiceAccountToken:  &no,
			EnableServiceLinks:            &no,
			TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{
				{Name: "main", Image: "registry.example/main:1"},
				{Name: "sidecar", Image: "registry.example/sidecar:1"},
			},
		},
	}
}

// follow calls event for everything on a watch until ctx ends. The API server
// closes a watch that falls behind; follow resumes it where it ended, or, if
// that is too long ago, from the present state.
func (p *plane) follow(ctx context.Context, r client.Resource, event func(raw []byte, at history.Time) error) error {
	last := ""
	for {
		err := p.followOnce(ctx, r, &last, event)
		switch {
		case ctx.Err() != nil:
			return nil
		case client.IsGone(err):
			last = ""
		case !errors.Is(err, io.EOF):
			return fmt.Errorf("watch %s: %w", r.Plural, err)
		}
	}
}

// followOnce follows one watch to its end; last is the version of the last event.
func (p *plane) followOnce(ctx context.Context, r client.Resource, last *string, event func(raw []byte, at history.Time) error) error {
	query := url.Values{}
	if *last != "" {
		query.Set("resourceVersion", *last)
	}
	w, err := p.watcher.Watch(ctx, &client.Request{Resource: r, Query: query})
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		e, err := w.Next()
		if err == nil {
			err = e.Err()
		}
		if err != nil {
			return err
		}
		_, _, raw, err := wire.Unwrap(e.Object)
		if err != nil {
			return err
		}
		meta, err := wire.ScanMeta(raw)
		if err != nil {
			return err
		}
		if err := event(raw, e.Arrived); err != nil {
			return err
		}
		*last = meta.ResourceVersion
	}
}

// awaitAll follows a watch until seen has counted n different objects. seen
// returns the object's name if it is as it should be.
func (p *plane) awaitAll(ctx context.Context, a *arm, r client.Resource, n int, limit time.Duration, seen func(raw []byte, at history.Time) (string, error)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("not within %s", limit)) })
	defer timer.Stop()
	go func() {
		select {
		case <-a.exited:
			cancel(a.alive())
		case <-ctx.Done():
		}
	}()
	errAll := errors.New("all seen")
	names := make(map[string]struct{}, n)
	err := p.follow(ctx, r, func(raw []byte, at history.Time) error {
		name, err := seen(raw, at)
		if err == nil && name != "" {
			names[name] = struct{}{}
		}
		if len(names) == n {
			return errAll
		}
		return err
	})
	switch {
	case errors.Is(err, errAll):
		return nil
	case err == nil:
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%d of %d %s: %w", len(names), n, r.Plural, err)
}

// fill creates the pods and returns when all of them were seen Running.
func (p *plane) fill(ctx context.Context, a *arm, o options) (fillTimes, error) {
	bodies, err := encodePods(o)
	if err != nil {
		return fillTimes{}, err
	}
	created := make([]history.Time, o.pods)
	running := make([]history.Time, o.pods)
	done := make(chan error, 1)
	begin := history.Now()
	go func() {
		done <- p.awaitAll(ctx, a, podsResource, o.pods, 30*time.Minute, func(raw []byte, at history.Time) (string, error) {
			pod, err := wire.ScanPod(raw)
			if err != nil || pod.Phase != "Running" {
				return "", err
			}
			var i int
			if _, err := fmt.Sscanf(pod.Name, "pod-%06d", &i); err != nil || i >= o.pods {
				return "", fmt.Errorf("unexpected pod %s", pod.Name)
			}
			if running[i] == 0 {
				running[i] = at
			}
			return pod.Name, nil
		})
	}()
	err = each(ctx, o.pods, func(ctx context.Context, i int) error {
		created[i] = history.Now()
		_, err := p.watcher.Do(ctx, &client.Request{Verb: "create", Resource: podsResource, Namespace: namespace(i), Body: bodies[i]})
		return err
	})
	if err != nil {
		return fillTimes{}, fmt.Errorf("create pods: %w", err)
	}
	if err := <-done; err != nil {
		return fillTimes{}, err
	}
	return newFillTimes(begin, created, running), nil
}

func encodePods(o options) ([][]byte, error) {
	bodies := make([][]byte, o.pods)
	for i := range bodies {
		raw, err := newPod(i, o.nodes).Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode pod: %w", err)
		}
		bodies[i] = wire.Wrap("v1", "Pod", raw)
	}
	return bodies, nil
}
