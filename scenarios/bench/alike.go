package bench

import (
	"slices"

	"github.com/planecheck/planecheck/apiserver/storage"
)

// proxied says whether the clients of a backend reach it through a proxy.
func proxied(b storage.Backend) bool {
	return slices.ContainsFunc(b.Members(), func(m storage.Member) bool { return m.Proxied })
}

// alike puts all backends behind a proxy where one of them is behind one, so that
// nothing but the stores differs; moved are those that were not told to be there. A
// spec that chooses stays as it is, and one that is there in both ways, too: then the
// proxy itself is what is measured. open opens a backend that is
// not started; a spec that it refuses stays.
func alike(specs []string, open func(string, storage.Options) (storage.Backend, error)) (same, moved []string) {
	behind := func(spec string) bool {
		b, err := open(spec, storage.Options{Dir: "."})
		return err == nil && proxied(b)
	}
	if !slices.ContainsFunc(specs, behind) {
		return specs, nil
	}
	for _, spec := range specs {
		through := storage.ThroughProxy(spec)
		if through != spec && !slices.Contains(specs, through) {
			moved = append(moved, through)
			spec = through
		}
		same = append(same, spec)
	}
	return same, moved
}
