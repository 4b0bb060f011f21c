package scenarios

import (
	"context"

	backends "github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/api/reads"
	"github.com/planecheck/planecheck/checkers/judge"
	"github.com/planecheck/planecheck/checkers/storage"
	"github.com/planecheck/planecheck/checkers/storage/watch"
)

// externalBackend is the one that others may use while we do, and memoryBackend the one
// that keeps nothing on a disk.
const (
	externalBackend = "external"
	memoryBackend   = "memory"
)

// leaveOthersAlone has the API servers not compact a store that is not ours. It
// goes after all other arguments, so that it is what they heed; the backend lets
// no compaction through anyway.
func (p *Plan) leaveOthersAlone(backend string) {
	if backend == externalBackend {
		p.World.APIServerArgs = append(p.World.APIServerArgs[:len(p.World.APIServerArgs):len(p.World.APIServerArgs)], "--etcd-compaction-interval=0")
	}
}

// uncompacted says that nobody compacts the store for the run.
func (p *Plan) uncompacted() bool { return p.World.Backend == externalBackend }

// ofCompaction says whether a claim can only be met where the store is compacted.
func ofCompaction(claim string) bool {
	switch claim {
	case storage.CompactionHonest, string(watch.CompactedCancel), judge.Claim(checkers.AreaAPI, string(reads.ExpiredHonest)):
		return true
	}
	return false
}

// checkStore refuses a store that cannot be had, before anything is started.
func (p *Plan) checkStore(ctx context.Context) error {
	b, err := backends.Open(p.World.Backend, backends.Options{Dir: ".", External: p.World.External})
	if err != nil {
		return Usagef("--backend: %v", err)
	}
	if c, ok := b.(backends.Checker); ok {
		if err := c.Check(ctx); err != nil {
			return Usagef("--backend %s: %v", p.World.Backend, err)
		}
	}
	return nil
}
