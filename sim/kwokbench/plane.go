package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/sim"
)

const (
	seed      = 1
	kwokUser  = "kwok"
	kwokToken = "kwok-token"
	// namespaces that the pods are spread over.
	namespaces = 10
)

// auditPolicy logs one line for each write of the simulators and for nothing
// else: by these lines their writes are counted, so that it is the server that
// counts, for all arms alike.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ["system:nodes"], verbs: [create, update, patch, delete]}
- {level: Metadata, users: ["kwok", "system:kube-proxy"], verbs: [create, update, patch, delete]}
- {level: None}
`

// plane is the control plane that all arms have in common.
type plane struct {
	store   storage.Backend
	control *apiserver.ControlPlane
	admin   *kubernetes.Clientset
	layer   *client.Layer
	watcher *client.Client
	audit   *os.File
}

func startPlane(ctx context.Context, o options) (_ *plane, err error) {
	p := &plane{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	if p.store, err = storage.Open(o.backend, storage.Options{Dir: o.dir}); err != nil {
		return nil, err
	}
	if err := p.store.Start(ctx); err != nil {
		return nil, err
	}
	policy, log := filepath.Join(o.dir, "audit-policy.yaml"), filepath.Join(o.dir, "audit.log")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, fmt.Errorf("write audit policy: %w", err)
	}
	p.control, err = apiserver.Start(ctx, apiserver.Config{
		Dir: o.dir, Etcd: p.store.Endpoints(), Servers: 1, Schedulers: 1, ControllerManagers: 1, Program: o.planecheck,
		Tokens: tokens(o.nodes),
		APIServerArgs: []string{
			"--audit-policy-file=" + policy, "--audit-log-path=" + log,
			"--audit-log-maxsize=100000", // MB: never rotate
		},
	})
	if err != nil {
		return nil, err
	}
	if p.audit, err = os.Open(log); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	if err := p.connect(); err != nil {
		return nil, err
	}
	return p, p.makeNamespaces(ctx)
}

func tokens(nodes int) []apiserver.Identity {
	// system:masters is exempt from priority and fairness: nothing holds KWOK
	// back but itself.
	list := []apiserver.Identity{{Token: kwokToken, User: kwokUser, Groups: []string{"system:masters"}}}
	for _, id := range sim.Identities(nodes, seed) {
		list = append(list, apiserver.Identity(id))
	}
	return list
}

func (p *plane) connect() (err error) {
	p.admin, err = kubernetes.NewForConfig(&rest.Config{
		Host: "https://" + p.control.Addr(), BearerToken: p.control.AdminToken(), QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: p.control.CA()},
		ContentConfig:   rest.ContentConfig{ContentType: "application/vnd.kubernetes.protobuf"},
	})
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	if p.layer, err = client.New(client.Config{Servers: []string{p.control.Addr()}, CA: p.control.CA()}); err != nil {
		return err
	}
	p.watcher = p.layer.Client(client.Identity{User: "bench", Class: history.ClassObserver, Token: p.control.AdminToken()})
	return nil
}

func (p *plane) stop() error {
	var errs []error
	if p.layer != nil {
		p.layer.Close()
	}
	if p.audit != nil {
		errs = append(errs, p.audit.Close())
	}
	if p.control != nil {
		errs = append(errs, p.control.Stop())
	}
	if p.store != nil {
		errs = append(errs, p.store.Stop())
	}
	return errors.Join(errs...)
}

func namespace(i int) string { return fmt.Sprintf("bench-%d", i%namespaces) }

// makeNamespaces returns when the controller manager has given each namespace
// the service account that pods need.
func (p *plane) makeNamespaces(ctx context.Context) error {
	for i := range namespaces {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace(i)}}
		if _, err := p.admin.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create namespace: %w", err)
		}
	}
	for i := range namespaces {
		err := poll(ctx, time.Minute, "the service account of "+namespace(i), func() (bool, error) {
			_, err := p.admin.CoreV1().ServiceAccounts(namespace(i)).Get(ctx, "default", metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// poll waits until done says so.
func poll(ctx context.Context, limit time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}

// clear removes what an arm leaves behind. Pods go before nodes: while their
// nodes exist, the controller manager takes no pod for an orphan.
func (p *plane) clear(ctx context.Context) error {
	now := int64(0)
	all, force := metav1.ListOptions{}, metav1.DeleteOptions{GracePeriodSeconds: &now}
	for i := range namespaces {
		if err := p.admin.CoreV1().Pods(namespace(i)).DeleteCollection(ctx, force, all); err != nil {
			return fmt.Errorf("delete pods: %w", err)
		}
	}
	if err := p.admin.CoreV1().Nodes().DeleteCollection(ctx, force, all); err != nil {
		return fmt.Errorf("delete nodes: %w", err)
	}
	leases := p.admin.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	if err := leases.DeleteCollection(ctx, force, all); err != nil {
		return fmt.Errorf("delete leases: %w", err)
	}
	return poll(ctx, 5*time.Minute, "an empty cluster", func() (bool, error) {
		few := metav1.ListOptions{Limit: 1}
		pods, err := p.admin.CoreV1().Pods("").List(ctx, few)
		if err != nil || len(pods.Items) > 0 {
			return false, err
		}
		nodes, err := p.admin.CoreV1().Nodes().List(ctx, few)
		if err != nil || len(nodes.Items) > 0 {
			return false, err
		}
		left, err := leases.List(ctx, few)
		return err == nil && len(left.Items) == 0, err
	})
}
