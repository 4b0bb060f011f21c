package scenarios

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"k8s.io/klog/v2"

	"github.com/planecheck/planecheck/checkers/history/archive"
	"github.com/planecheck/planecheck/results"
)

// Of a run that cannot begin nothing is left: the next one may be made in this process.
func TestARunThatCannotBegin(t *testing.T) {
	before := klog.Background()
	given := filepath.Join(t.TempDir(), "scheduler.yaml")
	if err := os.WriteFile(given, []byte("kind: KubeSchedulerConfiguration\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// In the way of each file stands a directory, and of each directory a file.
	f := func(what, directory, file string) {
		t.Helper()
		dir, err := results.Create(t.TempDir(), "scale/density")
		if err != nil {
			t.Fatal(err)
		}
		if directory != "" {
			err = os.Mkdir(dir.File(directory), 0o700)
		} else {
			err = os.WriteFile(dir.File(file), nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		writers := historyWriters()
		x, err := newExecution(&Plan{World: World{SchedulerConfigFile: given}}, dir, &results.Run{})
		if x != nil || err == nil || !strings.Contains(err.Error(), directory+file) {
			t.Errorf("%s: it begins, or fails for another reason: %v", what, err)
		}
		if _, err := os.Stat(dir.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: its directory is left: %v", what, err)
		}
		if open := openBelow(t, dir.Path); len(open) > 0 {
			t.Errorf("%s: these files are open: %q", what, open)
		}
		if n := historyWriters(); n != writers {
			t.Errorf("%s: %d goroutines write a history, %d did before", what, n, writers)
		}
		if klog.Background() != before {
			t.Errorf("%s: libraries log into its directory", what)
		}
	}
	f("the log", "", "logs")
	f("a copy of a file", "", configDir)
	f("the history", "", historyDir)
	f("the time series", results.TimeSeries, "")
	f("the record", "run.json.tmp", "")
}

// historyWriters counts the goroutines that write histories in this process.
func historyWriters() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "created by "+reflect.TypeFor[archive.Writer]().PkgPath())
}

// openBelow are the files of a directory that this process has open.
func openBelow(t *testing.T, dir string) (paths []string) {
	t.Helper()
	const open = "/proc/self/fd"
	entries, err := os.ReadDir(open)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		// What cannot be read any more was the listing itself.
		if path, err := os.Readlink(filepath.Join(open, e.Name())); err == nil && strings.HasPrefix(path, dir) {
			paths = append(paths, path)
		}
	}
	return paths
}
