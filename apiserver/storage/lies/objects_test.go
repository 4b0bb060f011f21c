package lies

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// TestObjects writes objects through each lie, and wants some stored otherwise,
// counted, and all others as they were sent.
func TestObjects(t *testing.T) {
	cases := map[string]struct {
		key     string
		value   func(i, version int) string
		changed func(version int, sent, stored string) bool
	}{
		"pod-rebound": {"/registry/pods/default/pod-%d",
			func(i, version int) string {
				node := ""
				if version > 0 {
					node = fmt.Sprintf("node-%03d", i)
				}
				raw, _ := (&corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", i), Namespace: "default", UID: types.UID(fmt.Sprintf("uid-%03d", i))},
					Spec:       corev1.PodSpec{NodeName: node},
				}).Marshal()
				return string(wire.Wrap("v1", "Pod", raw))
			},
			func(version int, sent, stored string) bool {
				a, b := object.Stored("/registry/pods/default/p", []byte(sent)), object.Stored("/registry/pods/default/p", []byte(stored))
				return version > 1 && !b.Unread && a.UID == b.UID && a.Field("spec.nodeName") != b.Field("spec.nodeName")
			}},
		"uid-again": {"/registry/configmaps/contract-0/object-%d",
			func(i, version int) string {
				return fmt.Sprintf(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"object-%d","namespace":"contract-0","uid":"uid-%03d"},"data":{"version":"%d"}}`, i, i, version)
			},
			func(version int, sent, stored string) bool {
				return version == 0 && len(sent) == len(stored)
			}},
	}
	for _, lie := range Objects() {
		test, ok := cases[lie.Name]
		if !ok {
			t.Errorf("%s is not tested", lie.Name)
			continue
		}
		t.Run(lie.Name, func(t *testing.T) {
			lie.every = 2
			liar := lie.Begin(rand.New(rand.NewPCG(1, 1)))
			others := 0
			for version := range 4 {
				for i := range 20 {
					sent := test.value(i, version)
					stored := write(t, liar, fmt.Sprintf(test.key, i), sent, int64(version))
					if stored == sent {
						continue
					}
					if others++; !test.changed(version, sent, stored) {
						t.Errorf("version %d, %q, is stored as %q", version, sent, stored)
					}
				}
			}
			if others == 0 || others != liar.Told() {
				t.Errorf("%d objects are stored otherwise, %d lies told", others, liar.Told())
			}
			elsewhere := write(t, liar, "/registry/secrets/default/pod-1", test.value(1, 1), 0)
			if elsewhere != test.value(1, 1) {
				t.Errorf("%s was changed, too", elsewhere)
			}
		})
	}
}

// write is an update of an API server; it returns what the store was given.
func write(t *testing.T, liar *Liar, key, value string, version int64) (stored string) {
	t.Helper()
	req := &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte(key), Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: version}}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte(key), Value: []byte(value)}}}},
	}
	sent := proto.Clone(req)
	resp, err := liar.how.(proxy.Unary)(t.Context(), pb.KV_Txn_FullMethodName, req, func(_ context.Context, m proto.Message) (proto.Message, error) {
		stored = string(m.(*pb.TxnRequest).Success[0].GetRequestPut().Value)
		return &pb.TxnResponse{Succeeded: true}, nil
	})
	if err != nil || !resp.(*pb.TxnResponse).Succeeded {
		t.Fatal(resp, err)
	}
	if !proto.Equal(sent, req) {
		t.Error("the request of the client was changed")
	}
	return stored
}
