package controllers

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/planecheck/planecheck/checkers/history"
)

// The leader election of controller-runtime.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// replica is one process of an operator.
type replica struct {
	controllers *Controllers
	name        string // of the operator's lease and of its ConfigMaps
	identity    string
	api         kubernetes.Interface
	leads       func() // told when the replica leads and has listed the pods

	ledger *ledger
	term   atomic.Pointer[term] // nil: it does not lead
}

func newReplica(c *Controllers, operator, number int, api kubernetes.Interface, leads func()) *replica {
	name := strings.ReplaceAll(operatorName(operator), ":", "-")
	return &replica{
		controllers: c, name: name, identity: fmt.Sprintf("%s-%d", name, number), api: api, leads: leads,
		ledger: newLedger(operator, c.cfg.Operators),
	}
}

// run watches all pods and stands for election until ctx ends.
func (r *replica) run(ctx context.Context) {
	informer, handler, err := r.informer()
	if err != nil {
		r.controllers.cfg.Log.Error("operator cannot watch pods", "replica", r.identity, "error", err)
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { informer.RunWithContext(ctx) })
	for ctx.Err() == nil {
		if err := r.stand(ctx, handler.HasSynced); err != nil {
			r.controllers.cfg.Log.Error("operator cannot stand for election", "replica", r.identity, "error", err)
			return
		}
	}
}

func (r *replica) informer() (cache.SharedIndexInformer, cache.ResourceEventHandlerRegistration, error) {
	informer := coreinformers.NewPodInformer(r.api, metav1.NamespaceAll, 0, nil)
	if err := informer.SetTransform(strip); err != nil {
		return nil, nil, err
	}
	handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { r.note(nil, obj) },
		UpdateFunc: func(from, to any) { r.note(from, to) },
		DeleteFunc: func(obj any) { r.note(obj, nil) },
	})
	return informer, handler, err
}

// note takes note of a change of a pod, as the informer reports it.
func (r *replica) note(from, to any) {
	now := history.Now()
	old, latest := asSummary(from), asSummary(to)
	is := latest
	if latest == nil {
		latest = old
	}
	r.controllers.stats.events.Add(1)
	if latest == nil || !r.ledger.owns(latest.namespace) {
		return
	}
	changed := r.ledger.change(old, is)
	t := r.term.Load()
	if t == nil {
		return
	}
	// The last state of a deleted pod has the version of its deletion, unless
	// the informer had to infer that it is gone.
	if seen := r.controllers.cfg.Seen; seen != nil {
		seen(latest.namespace, latest.name, latest.version, now)
	}
	if changed {
		t.queue.Add(latest.namespace)
	}
}

func asSummary(obj any) *summary {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	s, _ := obj.(*summary)
	return s
}

// stand takes part in one election, and leads if it wins, until it loses the
// lease or ctx ends.
func (r *replica) stand(ctx context.Context, synced cache.InformerSynced) error {
	won := make(chan context.Context, 1)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: lockNamespace, Name: r.name},
			Client:     r.api.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: r.identity},
		},
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { won <- ctx },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return err
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		elector.Run(ctx)
	}()
	select {
	case ctx := <-won:
		r.lead(ctx, synced)
	case <-over:
	}
	<-over
	return nil
}

// lead writes statuses until ctx, which is the leader's term, ends.
func (r *replica) lead(ctx context.Context, synced cache.InformerSynced) {
	if !cache.WaitForCacheSync(ctx.Done(), synced) {
		return
	}
	t := newTerm(r)
	r.term.Store(t)
	r.controllers.stats.leaders.Add(1)
	// What changed before the term was stored was queued by nobody.
	for _, namespace := range r.ledger.namespaces() {
		t.queue.Add(namespace)
	}
	if err := t.inherit(ctx); err != nil {
		t.count(err) // statuses of namespaces without pods may stay as they are
	}
	r.leads()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { t.work(ctx) })
	}
	<-ctx.Done()
	r.term.Store(nil)
	r.controllers.stats.leaders.Add(-1)
	t.queue.ShutDown()
	wg.Wait()
}
