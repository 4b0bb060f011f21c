package scenarios

import (
	"testing"

	"github.com/planecheck/planecheck/apiserver/storage"
)

// What is said of how a store was recorded is what stands before it.
func TestRecordedBy(t *testing.T) {
	const interceptors, proxy = "by interceptors in its gRPC servers, in the process of the harness", "by a gRPC proxy in the harness before each of its servers"
	for spec, want := range map[string]string{
		"etcd": interceptors, "etcd:members=1": interceptors, "memory": interceptors,
		"etcd:proxy=on": proxy, "memory:proxy=on": proxy, "etcd-process": proxy, "kine-sqlite": proxy, "kine-postgres": proxy, "kine-memory": proxy,
		"external": proxy + ", which also puts every key below a prefix",
	} {
		opt := storage.Options{Dir: t.TempDir()}
		if spec == externalBackend {
			opt.External.Endpoints = []string{"http://127.0.0.1:1"}
		}
		b, err := storage.Open(spec, opt)
		if err != nil {
			t.Fatal(err)
		}
		if got := recordedBy(b); got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}
