package scenarios_test

import (
	"context"
	"sync"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
)

// docs/findings/0019. Nothing is broken here: the API server's watches of its store
// are interrupted for a moment, and the store is compacted meanwhile. When this
// fails, Kubernetes has mended it. Say so there, let workloads.Turnover make
// Deployments anew at once again, and strike the spec.
var _ = Describe("The garbage collector", Ordered, func() {
	const again, alone = "again", "alone"
	var (
		b      behind
		deaf   = &deafWatches{}
		before = map[string]types.UID{} // the Deployments as they were
	)
	BeforeAll(func(ctx SpecContext) {
		b = startBehind(ctx, deaf)
		for _, name := range []string{again, alone} {
			before[name] = deploy(ctx, b, name)
			Eventually(ctx, func() ([]string, error) { return b.owned(ctx, name, before[name]) }).Should(HaveLen(2), "%s has a ReplicaSet and a pod", name)
		}
	})

	It("never learns that an owner is gone whose name is taken again before it looks", func(ctx SpecContext) {
		deaf.set(true)
		background := metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}
		deployments := b.clients.AppsV1().Deployments(metav1.NamespaceDefault)
		for _, name := range []string{again, alone} {
			Expect(deployments.Delete(ctx, name, background)).To(Succeed())
		}
		after := deploy(ctx, b, again)
		Expect(after).NotTo(Equal(before[again]))
		compact(ctx, b.store)
		deaf.set(false)

		By("seeing that the controller manager has looked again")
		Eventually(ctx, func() ([]string, error) { return b.owned(ctx, again, after) }).Should(HaveLen(2), "the new Deployment has a ReplicaSet and a pod")
		Eventually(ctx, func() ([]string, error) { return b.owned(ctx, alone, before[alone]) }).Should(BeEmpty(), "what belonged to the other one is collected")

		By("seeing that it collects what is deleted from now on, and not what is left of the old Deployment")
		Expect(deployments.Delete(ctx, again, background)).To(Succeed())
		Eventually(ctx, func() ([]string, error) { return b.owned(ctx, again, after) }).Should(BeEmpty())
		Expect(b.owned(ctx, again, before[again])).To(HaveLen(2), "there is neither a Deployment of this name nor one of this uid")
	})

	It("finds it when it is started anew", func(ctx SpecContext) {
		Expect(b.plane.Restart(ctx, "kube-controller-manager-0", syscall.SIGTERM)).To(Succeed())
		Eventually(ctx, func() ([]string, error) { return b.owned(ctx, again, before[again]) }).Should(BeEmpty())
	})
})

// deploy creates a Deployment of one pod, which no node will run.
func deploy(ctx context.Context, b behind, name string) types.UID {
	GinkgoHelper()
	labels := map[string]string{"app": name}
	made, err := b.clients.AppsV1().Deployments(metav1.NamespaceDefault).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.invalid/app:1"}}},
			},
		},
	}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return made.UID
}

// owned are the ReplicaSets of a Deployment, and their pods.
func (b behind) owned(ctx context.Context, name string, owner types.UID) ([]string, error) {
	of := metav1.ListOptions{LabelSelector: "app=" + name}
	sets, err := b.clients.AppsV1().ReplicaSets(metav1.NamespaceDefault).List(ctx, of)
	if err != nil {
		return nil, err
	}
	pods, err := b.clients.CoreV1().Pods(metav1.NamespaceDefault).List(ctx, of)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, set := range sets.Items {
		if ref := metav1.GetControllerOfNoCopy(&set); ref == nil || ref.UID != owner {
			continue
		}
		names = append(names, "replicaset "+set.Name)
		for _, pod := range pods.Items {
			if metav1.IsControlledBy(&pod, &set) {
				names = append(names, "pod "+pod.Name)
			}
		}
	}
	return names, nil
}

// compact leaves nothing in a store but what is there now.
func compact(ctx context.Context, endpoint string) {
	GinkgoHelper()
	store, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}})
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(store.Close()).To(Succeed()) }()
	now, err := store.Get(ctx, "/")
	Expect(err).NotTo(HaveOccurred())
	_, err = store.Compact(ctx, now.Header.Revision)
	Expect(err).NotTo(HaveOccurred())
}

// deafWatches breaks the watch streams of a store, and lets none be opened.
type deafWatches struct {
	mu   sync.Mutex
	deaf bool
	open map[int]context.CancelFunc
	next int
}

func (d *deafWatches) set(deaf bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deaf = deaf; deaf {
		for _, end := range d.open {
			end()
		}
	}
}

var errDeaf = status.Error(codes.Unavailable, "the connection is interrupted")

// Open implements proxy.Interference.
func (d *deafWatches) Open(ctx context.Context, method string, next proxy.Opener) (proxy.Stream, error) {
	if method != pb.Watch_Watch_FullMethodName {
		return next(ctx)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deaf {
		return nil, errDeaf
	}
	inner, end := context.WithCancel(ctx)
	stream, err := next(inner)
	if err != nil {
		end()
		return nil, err
	}
	if d.open == nil {
		d.open = map[int]context.CancelFunc{}
	}
	d.next++
	id := d.next
	d.open[id] = end
	context.AfterFunc(ctx, func() {
		end()
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.open, id)
	})
	return &deafStream{stream, inner}, nil
}

type deafStream struct {
	proxy.Stream
	ctx context.Context
}

func (s *deafStream) Recv() (any, error) {
	m, err := s.Stream.Recv()
	if err != nil && s.ctx.Err() != nil {
		return nil, errDeaf
	}
	return m, err
}
