package lies

import (
	"slices"
	"sync"
)

const (
	// settled is after how many answers a version counts as surely replaced for
	// every call that comes now: more than the workload has in flight, so that
	// no such call was sent before.
	settled = 64
	// recent is within how many answers a revision counts as surely not
	// compacted: some seconds, when compaction keeps what is younger than its
	// interval.
	recent = 256

	mostObjects  = 1024 // that are remembered
	mostVersions = 16   // of each
)

// memory is what the server has truthfully said.
type memory struct {
	mu      sync.Mutex
	answers int64
	newest  int64             // the highest revision that an answer showed
	was     [recent + 1]int64 // newest as it was after each answer
	objects map[objectKey][]known
}

type objectKey struct {
	group, resource, namespace, name string
	json                             bool
}

// known is a version of an object, and how many answers there had been when it
// was first seen.
type known struct {
	version int64
	at      int64
	object  object
}

func newMemory() *memory { return &memory{objects: map[objectKey][]known{}} }

// observe takes note of an answer of the server.
func (m *memory) observe(q *call, a *answer) {
	version := int64(0)
	switch {
	case !a.ok() || q.dryRun():
	case q.verb == "get":
		if o, ok := a.object(); ok {
			m.remember(q, o)
			version = o.version()
		}
	case q.verb == "list":
		if l, ok := a.list(); ok {
			for _, o := range l.items {
				m.remember(q, o)
			}
			version = l.version()
		}
	case q.verb == "create", q.verb == "update", q.verb == "patch":
		if o, ok := a.object(); ok {
			version = o.version()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.newest = max(m.newest, version)
	m.was[m.answers%int64(len(m.was))] = m.newest
	m.answers++
}

// remember keeps an object that was shown as it was committed.
func (m *memory) remember(q *call, o object) {
	meta, ok := o.meta()
	version := number(meta.ResourceVersion)
	if !ok || version == 0 {
		return
	}
	key := objectKey{q.group, q.resource, meta.Namespace, meta.Name, o.json}
	m.mu.Lock()
	defer m.mu.Unlock()
	past, have := m.objects[key]
	if !have && len(m.objects) >= mostObjects {
		return
	}
	i, found := slices.BinarySearchFunc(past, version, func(k known, v int64) int { return int(k.version - v) })
	if found {
		return
	}
	o.raw = slices.Clone(o.raw) // it may be a part of something large
	past = slices.Insert(past, i, known{version, m.answers + 1, o})
	if len(past) > mostVersions {
		past = slices.Delete(past, 0, 1)
	}
	m.objects[key] = past
}

func (m *memory) past(q *call, o object) []known {
	meta, ok := o.meta()
	if !ok {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.objects[objectKey{q.group, q.resource, meta.Namespace, meta.Name, o.json}])
}

// replaced returns the latest version of an object that had surely been replaced
// before any call of now was sent.
func (m *memory) replaced(q *call, o object) (object, bool) {
	m.mu.Lock()
	now := m.answers
	m.mu.Unlock()
	return m.last(q, o, func(_, next known) bool { return next.at+settled <= now })
}

// replacedBy returns the latest version that had been replaced at a revision.
func (m *memory) replacedBy(q *call, o object, revision int64) (object, bool) {
	return m.last(q, o, func(_, next known) bool { return next.version <= revision })
}

// different returns the latest earlier version of an object with another content.
func (m *memory) different(q *call, o object) (object, bool) {
	content, version := o.content(), o.version()
	past := m.past(q, o)
	for _, k := range slices.Backward(past) {
		if k.version < version && k.object.content() != content {
			return k.object, true
		}
	}
	return object{}, false
}

// last returns the latest version, but the last, that fits with the next known.
func (m *memory) last(q *call, o object, fit func(k, next known) bool) (object, bool) {
	past := m.past(q, o)
	for i := len(past) - 2; i >= 0; i-- {
		if fit(past[i], past[i+1]) {
			return past[i].object, true
		}
	}
	return object{}, false
}

// revision returns a revision that the store had surely reached before any call
// of now was sent, 0 if none is known.
func (m *memory) revision() int64 { return m.before(settled) }

// fresh says whether a revision is surely too young to have been compacted.
func (m *memory) fresh(revision int64) bool { return revision > 0 && revision >= m.before(recent) }

// latest is the highest revision that an answer has shown.
func (m *memory) latest() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newest
}

// before is the highest revision as of n answers ago.
func (m *memory) before(n int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers <= n {
		return 0
	}
	return m.was[(m.answers-n-1)%int64(len(m.was))]
}
