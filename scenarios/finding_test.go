package scenarios_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	clientv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
)

// docs/findings/0004 and 0006. Nothing is broken here: at most one transaction of
// an API server is a little longer under way than the others, as on a busy
// network. When one of these fails, Kubernetes has mended it. Say so there, and
// strike the spec.
var _ = Describe("The removal of a last finalizer", Ordered, func() {
	var (
		maps clientv1.ConfigMapInterface
		late *lateDelete
	)
	BeforeAll(func(ctx SpecContext) {
		late = &lateDelete{}
		maps = startBehind(ctx, proxy.Unary(late.call)).clients.CoreV1().ConfigMaps(metav1.NamespaceDefault)
	})

	It("by PATCH deletes the next object of that name, finalizers and all", func(ctx SpecContext) {
		deleting(ctx, maps, "patched")
		release := late.hold("/registry/configmaps/default/patched")
		first := make(chan error, 1)
		go func() { first <- removeFinalizers(ctx, maps, "patched") }()
		Eventually(ctx, late.held).Should(BeClosed(), "the first removal is on its way to the store")

		By("removing it a second time, which ends the object's life, and making another one")
		Expect(removeFinalizers(ctx, maps, "patched")).To(Succeed())
		second, err := maps.Create(ctx, withFinalizer("patched"), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())

		release()
		Eventually(ctx, first).Should(Receive(BeNil()), "the first removal succeeds")
		_, err = maps.Get(ctx, second.Name, metav1.GetOptions{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "the second object, which nobody deleted and a finalizer holds, is gone: %v", err)
	})

	It("by PUT at one resourceVersion deletes a later version", func(ctx SpecContext) {
		object := deleting(ctx, maps, "put")
		release := late.hold("/registry/configmaps/default/put")
		first := make(chan error, 1)
		go func() {
			object := object.DeepCopy()
			object.Finalizers = nil
			_, err := maps.Update(ctx, object, metav1.UpdateOptions{})
			first <- err
		}()
		Eventually(ctx, late.held).Should(BeClosed(), "the removal is on its way to the store")

		By("changing the object meanwhile")
		changed, err := maps.Patch(ctx, "put", types.MergePatchType, []byte(`{"data":{"later":"yes"}}`), metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(changed.ResourceVersion).NotTo(Equal(object.ResourceVersion))

		release()
		Eventually(ctx, first).Should(Receive(BeNil()), "the removal succeeds, though its resourceVersion is no longer the object's")
		_, err = maps.Get(ctx, "put", metav1.GetOptions{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
	})

	It("by DELETE at the object's resourceVersion is refused", func(ctx SpecContext) {
		object := withFinalizer("orphaning")
		object.Finalizers = []string{metav1.FinalizerOrphanDependents}
		object, err := maps.Create(ctx, object, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		options := metav1.DeleteOptions{
			Preconditions:     &metav1.Preconditions{ResourceVersion: &object.ResourceVersion},
			PropagationPolicy: new(metav1.DeletePropagationBackground),
		}
		err = maps.Delete(ctx, object.Name, options)
		Expect(apierrors.IsConflict(err)).To(BeTrue(), "nobody has changed the object, and its version is said to be another: %v", err)
		Expect(err).To(MatchError(ContainSubstring("ResourceVersion in precondition: , ResourceVersion in object meta: " + object.ResourceVersion)))

		By("asking for its uid only")
		options.Preconditions = &metav1.Preconditions{UID: &object.UID}
		Expect(maps.Delete(ctx, object.Name, options)).To(Succeed())
		_, err = maps.Get(ctx, object.Name, metav1.GetOptions{})
		Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
	})
})

// behind is a control plane that reaches its store through a proxy.
type behind struct {
	store   string // the store's own endpoint
	plane   *apiserver.ControlPlane
	clients *kubernetes.Clientset
}

func startBehind(ctx SpecContext, between proxy.Interference) behind {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	backend, err := storage.Open("etcd:members=1", storage.Options{Dir: dir})
	Expect(err).NotTo(HaveOccurred())
	Expect(backend.Start(ctx)).To(Succeed())
	DeferCleanup(backend.Stop)
	p, err := proxy.Start(proxy.Options{Upstream: backend.Endpoints()[0], Interference: []proxy.Interference{between}})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	plane, err := apiserver.Start(ctx, apiserver.Config{
		Dir: dir, Etcd: []string{p.Endpoint()}, Servers: 1, Schedulers: 1, ControllerManagers: 1, Program: program(),
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(plane.Stop)
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig"))
	Expect(err).NotTo(HaveOccurred())
	clients, err := kubernetes.NewForConfig(config)
	Expect(err).NotTo(HaveOccurred())
	return behind{backend.Endpoints()[0], plane, clients}
}

func withFinalizer(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{"planecheck.example.com/hold"}}}
}

// deleting makes an object that only its finalizer keeps.
func deleting(ctx context.Context, maps clientv1.ConfigMapInterface, name string) *corev1.ConfigMap {
	GinkgoHelper()
	_, err := maps.Create(ctx, withFinalizer(name), metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	Expect(maps.Delete(ctx, name, metav1.DeleteOptions{})).To(Succeed())
	object, err := maps.Get(ctx, name, metav1.GetOptions{})
	Expect(err).NotTo(HaveOccurred())
	Expect(object.DeletionTimestamp).NotTo(BeNil())
	return object
}

func removeFinalizers(ctx context.Context, maps clientv1.ConfigMapInterface, name string) error {
	_, err := maps.Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	return err
}

// lateDelete holds one deletion of a key up on its way to the store.
type lateDelete struct {
	order atomic.Pointer[order]
	held  chan struct{} // closed once the deletion has come
}

type order struct {
	key     string
	held    chan struct{}
	release chan struct{}
}

// hold holds up the next deletion of a key, until the function it returns is called.
func (l *lateDelete) hold(key string) (release func()) {
	o := &order{key: key, held: make(chan struct{}), release: make(chan struct{})}
	l.held = o.held
	l.order.Store(o)
	return func() { close(o.release) }
}

func (l *lateDelete) call(ctx context.Context, _ string, request proto.Message, next proxy.Invoke) (proto.Message, error) {
	txn, ok := request.(*pb.TxnRequest)
	o := l.order.Load()
	if ok && o != nil && deletes(txn, o.key) && l.order.CompareAndSwap(o, nil) {
		close(o.held)
		select {
		case <-o.release:
		case <-ctx.Done():
		}
	}
	return next(ctx, request)
}

func deletes(txn *pb.TxnRequest, key string) bool {
	return slices.ContainsFunc(txn.Success, func(op *pb.RequestOp) bool {
		return string(op.GetRequestDeleteRange().GetKey()) == key
	})
}
