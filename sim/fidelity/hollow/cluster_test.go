package hollow

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/apiserver/component"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/sim"
	"github.com/planecheck/planecheck/sim/fidelity"
)

// This test binary is also the control plane's components and the hollow node.
func TestMain(m *testing.M) {
	component.Hook()
	if len(os.Args) == 3 && os.Args[1] == nodeCommand {
		if err := runNode(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const nodeCommand = "hollow-node"

func runNode(encoded string) error {
	var n Node
	if err := json.Unmarshal([]byte(encoded), &n); err != nil {
		return fmt.Errorf("read the description of the hollow node: %w", err)
	}
	return Run(context.Background(), n)
}

const (
	seed             = 1
	hollowName       = "hollow-node"
	hollowToken      = "hollow-node-token"
	hollowProxyToken = "hollow-proxy-token"
)

// cluster is a control plane with an audit log and a client for the test.
type cluster struct {
	dir   string
	plane *apiserver.ControlPlane
	admin *clientset.Clientset
}

func startCluster(ctx context.Context, t *testing.T) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir()}
	store, err := storage.Open("etcd:members=1", storage.Options{Dir: c.dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Stop() })
	c.plane, err = apiserver.Start(ctx, apiserver.Config{
		Dir: c.dir, Etcd: store.Endpoints(), Servers: 1, Schedulers: 1, ControllerManagers: 1,
		Tokens: tokens(), AuditLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.plane.Stop() })
	c.admin, err = clientset.NewForConfig(&rest.Config{
		Host: "https://" + c.plane.Addr(), BearerToken: c.plane.AdminToken(),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.plane.CA()}, QPS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tokens() []apiserver.Identity {
	list := []apiserver.Identity{
		{Token: hollowToken, User: "system:node:" + hollowName, Groups: []string{"system:nodes"}},
		{Token: hollowProxyToken, User: "system:kube-proxy"},
	}
	for _, id := range sim.Identities(1, seed) {
		list = append(list, apiserver.Identity(id))
	}
	return list
}

// tap starts a wiretap in front of the API server.
func (c *cluster) tap(t *testing.T) *fidelity.Wiretap {
	t.Helper()
	w, err := fidelity.NewWiretap(c.plane.Addr(), c.plane.CA())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// startHollow starts a hollow node in a process of its own.
func (c *cluster) startHollow(t *testing.T) fidelity.Side {
	t.Helper()
	tap := c.tap(t)
	dir := filepath.Join(c.dir, "hollow")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, tap.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	node, err := json.Marshal(Node{
		Name: hollowName, Dir: dir, Server: "https://" + tap.Addr(), CAFile: ca,
		Token: hollowToken, ProxyToken: hollowProxyToken,
	})
	if err != nil {
		t.Fatal(err)
	}
	logFile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = logFile.Close() })
	cmd := exec.Command(os.Args[0], nodeCommand, string(node))
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close() // ends it
		_ = cmd.Wait()
		if text, err := os.ReadFile(logFile.Name()); err == nil && t.Failed() {
			t.Logf("the hollow node's log ends with:\n%s", text[max(0, len(text)-3000):])
		}
	})
	return fidelity.Side{Node: hollowName, Namespace: "fidelity-hollow", Wiretap: tap}
}

// startSim starts one simulated node. It is Ready when startSim returns.
func (c *cluster) startSim(ctx context.Context, t *testing.T, profile sim.Profile) (fidelity.Side, *sim.Cluster) {
	t.Helper()
	tap := c.tap(t)
	layer, err := client.New(client.Config{Servers: []string{tap.Addr()}, CA: tap.CA()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(layer.Close)
	nodes := sim.New(sim.Config{
		Nodes: 1, Profile: profile, Layer: layer, Seed: seed, ObserverToken: c.plane.AdminToken(),
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err := nodes.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nodes.Stop)
	return fidelity.Side{Node: sim.NodeName(0), Namespace: "fidelity-" + string(profile), Wiretap: tap}, nodes
}

// poll waits until done says so, at most a minute.
func poll(ctx context.Context, t *testing.T, what string, done wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, done); err != nil {
		t.Fatalf("wait for %s: %v", what, err)
	}
}

func (c *cluster) nodeReady(node string) wait.ConditionWithContextFunc {
	return func(ctx context.Context) (bool, error) {
		n, err := c.admin.CoreV1().Nodes().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return false, ignoreNotFound(err)
		}
		for _, condition := range n.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return condition.Status == corev1.ConditionTrue, nil
			}
		}
		return false, nil
	}
}

// leaseRenewed waits for a renewal after the first.
func (c *cluster) leaseRenewed(node string) wait.ConditionWithContextFunc {
	return func(ctx context.Context) (bool, error) {
		lease, err := c.admin.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return false, ignoreNotFound(err)
		}
		return lease.Spec.RenewTime.Sub(lease.CreationTimestamp.Time) > 15*time.Second, nil
	}
}

func (c *cluster) podRunning(namespace, name string) wait.ConditionWithContextFunc {
	return func(ctx context.Context) (bool, error) {
		pod, err := c.admin.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return pod.Status.Phase == corev1.PodRunning, nil
	}
}

func (c *cluster) podGone(namespace, name string) wait.ConditionWithContextFunc {
	return func(ctx context.Context) (bool, error) {
		_, err := c.admin.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	}
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// requests reads what the node sent so far.
func (c *cluster) requests(t *testing.T, side fidelity.Side) []fidelity.Request {
	t.Helper()
	file, err := os.Open(filepath.Join(c.dir, "logs", "audit-0.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	events, err := fidelity.ReadAudit(file)
	if err != nil {
		t.Fatal(err)
	}
	return side.Requests(events)
}
