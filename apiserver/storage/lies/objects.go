package lies

import (
	"bytes"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
)

// Objects returns the lies of a store that knows what it holds: it stores an
// object of Kubernetes otherwise than it was written. Rules of the store break as
// well, as the value is another one. What is changed has the length of what was
// there, so that the encoding stays valid.
func Objects() []Lie {
	return []Lie{
		{Name: "pod-rebound", Breaks: []string{"NoDoubleBind"}, every: 20, tell: podRebound},
		{Name: "uid-again", Breaks: []string{"UIDUnique"}, every: 5, tell: uidAgain},
	}
}

// rewrite is an Interference that stores some objects with other bytes: change is
// asked for each that is written, one at a time, and returns what is to be
// replaced by what; nil: nothing.
func rewrite(l *Liar, prefix string, change func(v *history.Version, created bool) (old, other string)) proxy.Interference {
	var mu sync.Mutex
	return on(func(req *pb.TxnRequest, next doTxn) (*pb.TxnResponse, error) {
		put := putOf(req)
		if put == nil || !strings.HasPrefix(string(put.Key), prefix) {
			return next(req)
		}
		v := object.Stored(string(put.Key), put.Value)
		if v.Unread {
			return next(req)
		}
		mu.Lock()
		old, other := change(&v, req.Compare[0].GetModRevision() == 0)
		mu.Unlock()
		if len(old) != len(other) || old == other {
			return next(req)
		}
		req = copyOf(req)
		put = putOf(req)
		put.Value = bytes.ReplaceAll(put.Value, []byte(old), []byte(other))
		resp, err := next(req)
		if err == nil && resp.Succeeded {
			l.tell()
		}
		return resp, err
	})
}

// podRebound stores a pod that has its node with another one's name.
func podRebound(l *Liar) proxy.Interference {
	bound, other := map[string]bool{}, ""
	return rewrite(l, "/registry/pods/", func(v *history.Version, _ bool) (string, string) {
		node, was := v.Field("spec.nodeName"), other
		if node == "" {
			return "", ""
		}
		known := bound[v.UID]
		bound[v.UID], other = true, node
		if !known || !l.turn() {
			return "", ""
		}
		return node, was
	})
}

// uidAgain stores a new ConfigMap of the contract traffic with the uid of another
// one.
func uidAgain(l *Liar) proxy.Interference {
	last := ""
	return rewrite(l, "/registry/configmaps/contract", func(v *history.Version, created bool) (string, string) {
		was := last
		if !created || was == "" || !l.turn() {
			if created {
				last = v.UID
			}
			return "", ""
		}
		return v.UID, was
	})
}
