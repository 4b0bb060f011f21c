package scenarios

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/results"
)

// The files that a run is made from are in its directory, as they were when it began,
// and its record says which they are.
func TestGivenFilesAreKept(t *testing.T) {
	config := filepath.Join(t.TempDir(), "mine.yaml")
	text := []byte("kind: KubeSchedulerConfiguration\n")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	o.World.Nodes, o.Manifest, o.World.SchedulerConfigFile = 10, shop, config
	x := &execution{plan: mustPlan(t, Scenario{Name: "t"}, o), dir: &results.Dir{Path: t.TempDir()}}
	if err := x.keepFiles(); err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(shop)
	if err != nil {
		t.Fatal(err)
	}
	sum := func(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }
	want := []GivenFile{
		{Name: "manifest", Path: "config/manifest.yaml", SHA256: sum(own)},
		{Name: "scheduler-config", Path: "config/scheduler-config.yaml", SHA256: sum(text)},
	}
	encoded, err := x.plan.encode()
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct{ Files []GivenFile }
	if err := json.Unmarshal(encoded, &recorded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, recorded.Files); diff != "" {
		t.Errorf("the record names (-want +got):\n%s", diff)
	}
	for i, content := range [][]byte{own, text} {
		path := x.dir.File(want[i].Path)
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %q, %v", path, got, err)
		}
		for path, mode := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): 0o700 | fs.ModeDir} {
			if info, err := os.Stat(path); err != nil || info.Mode() != mode {
				t.Errorf("%s: %v, %v; it may hold secrets", path, info, err)
			}
		}
	}
	if got := x.world().SchedulerConfigFile; got != x.dir.File(want[1].Path) || x.plan.World.SchedulerConfigFile != config {
		t.Errorf("the scheduler reads %s, the plan says %s", got, x.plan.World.SchedulerConfigFile)
	}
}

func TestNoGivenFiles(t *testing.T) {
	o := DefaultOptions()
	o.World.Nodes, o.Pods = 10, 100
	x := &execution{plan: mustPlan(t, Scenario{Name: "t"}, o), dir: &results.Dir{Path: t.TempDir()}}
	if err := x.keepFiles(); err != nil || len(x.plan.Files) > 0 || x.world().SchedulerConfigFile != "" {
		t.Errorf("%v, %+v", err, x.plan.Files)
	}
	if left, err := os.ReadDir(x.dir.Path); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
}
