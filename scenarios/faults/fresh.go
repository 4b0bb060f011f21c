package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// canary names what is written to see whether watches are fresh.
const canary = "planecheck-canary"

const (
	// freshBound is how long a write may take to come out of a watch once it is
	// acknowledged. It leaves some of the two seconds that a client of Env.Client
	// keeps a watch open.
	freshBound = time.Second
	// askBound is how long the requests for that may take, and the watch live.
	askBound = 5 * time.Second
)

// errStale says that a watch was opened, that a write was acknowledged after
// that, and that nothing came out of the watch.
var errStale = errors.New("a write did not come out of the watch")

// Fresh writes a ConfigMap of its own through an API server, opens a watch there,
// deletes it, and waits for the event, which has to come within a second of the
// answer to that.
func Fresh(ctx context.Context, api kubernetes.Interface, server string) error {
	return configMap(canary+"-"+server).fresh(ctx, api)
}

// subject is an object that is written to see whether watches of its kind are
// fresh.
type subject struct {
	// prepare returns the version from which to watch. A watch that names none
	// would wait until the server's cache is as new as the store, which it never
	// is while the cache hears nothing (k8s.io/apimachinery/pkg/apis/meta/
	// internalversion/defaults.go, SetListOptionsDefaults).
	prepare func(context.Context, kubernetes.Interface) (version string, err error)
	watch   func(context.Context, kubernetes.Interface, metav1.ListOptions) (watch.Interface, error)
	// write is what has to come out of the watch. It undoes prepare.
	write func(context.Context, kubernetes.Interface) error
	name  string
}

// configMap is one that is there for no longer than it is looked for.
func configMap(name string) subject {
	return subject{
		name: name,
		prepare: func(ctx context.Context, api kubernetes.Interface) (string, error) {
			m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
			m, err := api.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx, m, metav1.CreateOptions{})
			if err != nil {
				return "", err
			}
			return m.ResourceVersion, nil
		},
		watch: func(ctx context.Context, api kubernetes.Interface, o metav1.ListOptions) (watch.Interface, error) {
			return api.CoreV1().ConfigMaps(metav1.NamespaceDefault).Watch(ctx, o)
		},
		write: func(ctx context.Context, api kubernetes.Interface) error {
			return api.CoreV1().ConfigMaps(metav1.NamespaceDefault).Delete(ctx, name, metav1.DeleteOptions{})
		},
	}
}

// fresh writes, opens a watch from there, writes again, and waits for an event for
// freshBound from the acknowledgement on. Only that wait, in full, makes a watch stale:
// neither a request that takes long, nor the end of ctx, nor that of the watch does. The
// last is a context.DeadlineExceeded, as of a request without an answer: a client keeps
// a watch open for less than askBound, so that on a busy machine it ends before the
// second write is acknowledged.
func (s subject) fresh(ctx context.Context, api kubernetes.Interface) error {
	written := false
	defer func() { // also after an attempt of unknown fate; what is left, the next look undoes
		if !written {
			_ = s.write(context.WithoutCancel(ctx), api) // the client has a bound of its own
		}
	}()
	asking, cancel := context.WithTimeoutCause(ctx, askBound, fmt.Errorf("it had %v: %w", askBound, context.DeadlineExceeded))
	defer cancel()
	version, err := s.prepare(asking, api)
	if apierrors.IsAlreadyExists(err) { // a DELETE of a pod is two writes, and may have been cut short between them
		return fmt.Errorf("write: %w: what an earlier look has left is taken away now (%w)", context.DeadlineExceeded, err)
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	w, err := s.watch(asking, api, metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, s.name).String(),
		ResourceVersion: version,
	})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer w.Stop()
	if err := s.write(asking, api); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	written = true
	err = comesOut(ctx, w)
	if err != nil && asking.Err() != nil && !errors.Is(err, errStale) { // the watch ended with it
		err = fmt.Errorf("watch: %w", context.Cause(asking))
	}
	return err
}

// comesOut waits for the first event of a watch.
func comesOut(ctx context.Context, w watch.Interface) error {
	timer := time.NewTimer(freshBound)
	defer timer.Stop()
	select {
	case e, open := <-w.ResultChan():
		switch {
		case !open: // by the client, which had its time, or by the server, which may end any watch: no answer, either way
			return fmt.Errorf("the watch was closed: %w", context.DeadlineExceeded)
		case e.Type == watch.Error:
			return fmt.Errorf("the watch ended: %w", apierrors.FromObject(e.Object))
		}
		return nil
	case <-timer.C:
		return fmt.Errorf("%w: it had %v", errStale, freshBound)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
