package deposed

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/planecheck/planecheck/checkers"
)

// FuzzLog adds lines to the logs of a leader that goes on: what an API server may
// have half written neither ends the judgement nor acquits the leader.
func FuzzLog(f *testing.F) {
	f.Add([]byte(`{"stage":"ResponseComplete","verb":"create","user":{"username":"system:kube-scheduler"},"objectRef":{"resource":"pods"}}`))
	f.Add([]byte(`{"stage":"ResponseComplete","verb":"upda`))
	f.Add([]byte("\n\x00\n[]\nnull\n{}"))
	f.Add([]byte(`{"stage":"ResponseComplete","verb":"update","user":{"username":"system:kube-scheduler","extra":{"a":null}},` +
		`"objectRef":{"apiGroup":"coordination.k8s.io","resource":"leases","namespace":"kube-system","name":"kube-scheduler"},"requestObject":7}`))
	f.Fuzz(func(t *testing.T, more []byte) {
		s := deposed(t)
		s.leads(12000, "kube-scheduler-0", 0, 409)
		s.binds(24001, "kube-scheduler-0", 201)
		file := filepath.Join(t.TempDir(), "more.log")
		if err := os.WriteFile(file, more, 0o600); err != nil {
			t.Fatal(err)
		}
		v := Judge(Options{Logs: append(s.files(), file), Prefix: prefix})
		l, err := read([]string{file}, prefix)
		if err != nil {
			t.Fatal(err)
		}
		// Writes could tell of an election that explains everything.
		if len(l.writes) == 0 && v.Outcome != checkers.Fail {
			t.Errorf("%s", v)
		}
	})
}
