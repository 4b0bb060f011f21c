package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage"
)

// idlePlane says of each signal that it was sent, and of each component that it was
// ended or started, and does nothing. Its components are this process, and they
// take connections; its links to the store are on nobody's way.
type idlePlane struct {
	*told
	components []apiserver.Component
	off        *link.Link
	balancer   *link.Balancer
}

func (p *idlePlane) Components() []apiserver.Component     { return slices.Clone(p.components) }
func (p *idlePlane) Balancer() *link.Balancer              { return p.balancer }
func (p *idlePlane) StoreLinks(string) []*link.Link        { return []*link.Link{p.off} }
func (p *idlePlane) CA() []byte                            { return nil }
func (p *idlePlane) Resignations() []apiserver.Resignation { return nil }
func (p *idlePlane) Signal(name string, sig os.Signal) error {
	if sig == syscall.SIGCONT {
		return p.undo("stop", name)
	}
	return p.begin("stop", name)
}
func (p *idlePlane) End(name string, _ syscall.Signal) error             { return p.begin("end", name) }
func (p *idlePlane) ExitState(string) (string, error)                    { return "", errors.New("it runs") }
func (p *idlePlane) Begin(_ context.Context, name string) error          { return p.undo("end", name) }
func (p *idlePlane) Get(context.Context, string, string) ([]byte, error) { return []byte("ok"), nil }

// Metrics has the first of each kind lead, and counts what went before.
func (p *idlePlane) Metrics(_ context.Context, name string) ([]byte, error) {
	kind, first := strings.CutSuffix(name, "-0")
	leads := 0
	if first {
		leads = 1
	}
	return fmt.Appendf(nil, `leader_election_master_status{name=%q} %d
apiserver_request_total{resource="pods",verb="LIST"} 500
apiserver_flowcontrol_request_execution_seconds_count{flow_schema="system-nodes",type="watch"} 500
apiserver_flowcontrol_request_execution_seconds_count{flow_schema="system-nodes",type="regular"} 500
`, kind, leads), nil
}

// idleWatches is a store that says of watch streams that they stand still.
type idleWatches struct {
	storage.Backend
	*told
}

func (w idleWatches) FreezeWatches(string) { _ = w.begin("freeze", "watches") }
func (w idleWatches) ThawWatches()         { _ = w.undo("freeze", "watches") }
func (w idleWatches) HeldWatches() int     { return 99 }

// quietLink is one that nobody is connected by.
func quietLink(t *testing.T, addr string) *link.Link {
	t.Helper()
	l, err := link.New("127.0.0.1:0", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// idleEnv is a cluster of which all say that they did what they were told, and
// nothing happens.
func idleEnv(t *testing.T) (*Env, *told) {
	t.Helper()
	o := &told{open: map[string]bool{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	addr := listener.Addr().String()
	p := &idlePlane{told: o, off: quietLink(t, addr)}
	if p.balancer, err = link.NewBalancer("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.balancer.Close() })
	m, api := idleNodes(t, o, 20)
	holder := "first"
	var links []ClientLink
	for _, kind := range apiserver.Kinds() {
		for _, name := range instances(kind, 1, 2) {
			p.components = append(p.components, apiserver.Component{Kind: kind, Name: name, PID: os.Getpid(), Addr: addr})
			if kind == apiserver.KubeAPIServer {
				links = append(links, ClientLink{Server: name, Requests: quietLink(t, addr), Watches: quietLink(t, addr)})
			}
		}
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: kind, Namespace: metav1.NamespaceSystem}}
		lease.Spec.HolderIdentity = &holder
		add(t, api, lease)
	}
	add(t, api, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceDefault}})
	return &Env{
		Plane: p, Store: idleWatches{told: o}, Nodes: m, API: api, Links: links,
		Client:  func(string) (kubernetes.Interface, error) { return api, nil },
		Removed: func(types.UID) string { return "" },
		Lost:    func(string) Loss { return Loss{} },
	}, o
}

// idleShape is how many of everything idleEnv has.
var idleShape = Shape{Members: 3, APIServers: 2, Schedulers: 2, ControllerManagers: 2, Nodes: 20, ClientLinks: true, StoreLinks: true}

// slowlyDisbelieved names those whose wait has a bound of its own, of two minutes.
var slowlyDisbelieved = []string{"apiserver-rolling-restart"}

// wholePlane names the faults that are not tried idle, because they ask API servers
// themselves for what is to be seen: they take a flood of requests.
var wholePlane = []string{"slow-readers", "overload", "overload-node-high", "relist-storm"}

// TestPlaneFaultThatDoesNothing holds that a control plane, machines and links which
// only say that they did are not believed.
func TestPlaneFaultThatDoesNothing(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for _, one := range aimedAt(t, idleShape, notOfMembers(t)...) {
		if slices.Contains(slowlyDisbelieved, one.Name) && os.Getenv(allFaults) == "" {
			continue
		}
		e, _ := idleEnv(t)
		all.Go(func() { disbelieved(t, one, e) })
	}
	all.Wait()
}

// notOfMembers are all faults but those of etcd, which TestFaultThatDoesNothing
// tries, and those that take a whole control plane.
func notOfMembers(t *testing.T) (names []string) {
	t.Helper()
	for _, f := range Catalogue() {
		if f.Area != Etcd && !slices.Contains(wholePlane, f.Name) {
			names = append(names, f.Name)
		}
	}
	for _, name := range slices.Concat(wholePlane, slowlyDisbelieved) {
		if _, ok := Find(name); !ok {
			t.Errorf("there is no fault %s", name)
		}
	}
	return names
}

// add puts objects into a fake API.
func add(t *testing.T, api *fake.Clientset, objects ...runtime.Object) {
	t.Helper()
	for _, o := range objects {
		if err := api.Tracker().Add(o); err != nil {
			t.Fatal(err)
		}
	}
}
