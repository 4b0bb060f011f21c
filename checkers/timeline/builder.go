package timeline

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// patience is how long a revision that all watches passed over may still turn
// out to be an acknowledged write whose event is missing.
const patience = 30 * time.Second

// holeLimit bounds the search for the authors of missing revisions: a header
// that lies by a billion must not cost a billion steps.
const holeLimit = 1 << 12

// shown is what a watch of the whole key space says of a revision.
type shown struct {
	changes []Change
	at      history.Time
	member  string
}

// Builder makes a Timeline from the records of a history: from acknowledged
// writes and, for revisions that nobody acknowledged, from watches of the whole
// key space. Where both exist and disagree the write counts.
//
// Calls may come in any order; a watch's messages are sorted by their time.
// A Builder is not safe for concurrent use. Use NewBuilder.
type Builder struct {
	opts    Options
	t       *Timeline
	head    *Sweep
	started bool
	early   []*history.StoreOp
	low     int64 // lowest revision known before the start

	writes  map[int64][]*history.StoreOp
	revokes map[int64][]*history.StoreOp
	events  map[int64]*shown
	highest int64 // of all headers

	messages  []*history.StoreWatch
	creates   map[uint64][]*history.StoreWatch
	followers map[watchKey]*follower
	members   map[string]bool // that have a watch of the whole key space
	voids     []void
	passed    int64

	watermark history.Time
	blocked   history.Time // since when the next revision is missing
	attached  map[int64]map[string]bool
	blind     bool // keys that nobody knew may have been deleted unseen
}

// NewBuilder returns a Builder of an empty timeline.
func NewBuilder(opts Options) *Builder {
	t := opts.Initial
	if t == nil {
		t = New(opts.Start)
		t.uncounted = opts.Uncounted
	}
	b := &Builder{
		opts: opts, t: t, head: t.Sweep(), started: opts.Start > 0 || opts.Initial != nil,
		writes: map[int64][]*history.StoreOp{}, revokes: map[int64][]*history.StoreOp{},
		events: map[int64]*shown{}, creates: map[uint64][]*history.StoreWatch{},
		followers: map[watchKey]*follower{}, members: map[string]bool{}, attached: map[int64]map[string]bool{},
	}
	b.attachInitial()
	return b
}

// Build returns the timeline of a whole history.
func Build(ops []*history.StoreOp, watches []*history.StoreWatch, opts Options) *Timeline {
	b := NewBuilder(opts)
	for _, op := range ops {
		b.Op(op)
	}
	for _, w := range watches {
		b.Watch(w)
	}
	b.Finish()
	return b.Timeline()
}

// Timeline returns the timeline, which grows with every Advance.
func (b *Builder) Timeline() *Timeline { return b.t }

// Attached returns how many keys hold a lease at the end of the timeline.
func (b *Builder) Attached(lease int64) int { return len(b.attached[lease]) }

// Keys returns the keys that hold a lease at the end of the timeline, in order.
func (b *Builder) Keys(lease int64) []string { return slices.Sorted(maps.Keys(b.attached[lease])) }

// Passed returns the revision up to which a watch of the whole key space has
// shown everything.
func (b *Builder) Passed() int64 { return b.passed }

// Members returns the members whose whole key space was watched.
func (b *Builder) Members() []string { return slices.Sorted(maps.Keys(b.members)) }

// Op takes a call into account.
func (b *Builder) Op(op *history.StoreOp) {
	if op.Error.Kind != history.ErrorNone || op.Header <= 0 || op.Returned == 0 {
		return
	}
	if !b.started {
		b.early = append(b.early, op)
		rev := op.Header
		if Changed(op) || op.Method == history.MethodLeaseRevoke {
			rev--
		}
		b.lower(rev)
		return
	}
	b.place(op)
}

func (b *Builder) lower(rev int64) {
	if b.low == 0 || rev < b.low {
		b.low = rev
	}
}

// start decides where the timeline begins if nobody has said so.
func (b *Builder) start() {
	b.started = true
	if b.low > 1 {
		*b.t = *New(b.low)
		b.head = b.t.Sweep()
	}
	for _, op := range b.early {
		b.place(op)
	}
	b.early = nil
}

// place puts a call's write where its revision is sealed.
func (b *Builder) place(op *history.StoreOp) {
	b.learn(op)
	b.highest = max(b.highest, op.Header)
	if op.Header <= b.t.base {
		return
	}
	into := b.writes
	switch {
	case op.Method == history.MethodLeaseRevoke:
		into = b.revokes
	case !Changed(op):
		return
	}
	if op.Header > b.t.last {
		into[op.Header] = append(into[op.Header], op)
	} else if b.t.Next(op.Header-1) != op.Header && op.Method != history.MethodLeaseRevoke {
		b.conflict(Conflict{Kind: Late, Rev: op.Header, Op: op})
	}
}

func (b *Builder) conflict(c Conflict) {
	if b.opts.Conflict != nil {
		b.opts.Conflict(c)
	}
}

// Advance says that all calls that returned and all messages that were sent
// before a moment have been handed over, and seals what can be sealed.
func (b *Builder) Advance(watermark history.Time) {
	b.watermark = max(b.watermark, watermark)
	if !b.started && len(b.early)+len(b.messages) > 0 {
		for _, w := range b.messages {
			b.lowerWatch(w)
		}
		b.start()
	}
	b.read(b.watermark)
	b.seal(false)
}

// Finish seals everything.
func (b *Builder) Finish() {
	b.Advance(history.Time(1<<63 - 1))
	for _, key := range slices.SortedFunc(maps.Keys(b.followers), watchKey.compare) {
		b.end(b.followers[key])
	}
	b.seal(true)
	b.checkVoids()
}

// seal appends revisions as long as the next one is settled. In the end every
// one is.
func (b *Builder) seal(final bool) {
	for _, rev := range b.candidates(final) {
		if !b.opts.Gaps && rev > b.t.last+1 && !b.fill(rev-1, final) {
			return
		}
		if !b.sealOne(rev, final) {
			return
		}
	}
	if final && !b.opts.Gaps && b.highest > b.t.last {
		b.fill(b.highest, true)
	}
	b.checkVoids()
}

// candidates returns the revisions that somebody is known to have written and
// that are not sealed, in order.
func (b *Builder) candidates(final bool) []int64 {
	known := map[int64]bool{}
	for rev := range b.writes {
		known[rev] = true
	}
	for rev := range b.events {
		known[rev] = true
	}
	if final {
		for rev := range b.revokes {
			known[rev] = true
		}
	}
	revs := slices.Sorted(maps.Keys(known))
	if b.opts.Gaps && !final {
		// What lies between is only settled where a watch has passed.
		n, _ := slices.BinarySearch(revs, b.passed+1)
		revs = revs[:n]
	}
	return revs
}

// fill settles the revisions up to one that are not known at all, and says
// whether it could.
func (b *Builder) fill(to int64, final bool) bool {
	if !final {
		if b.passed < b.t.last+1 {
			b.blocked = 0
			return false
		}
		if b.blocked == 0 {
			b.blocked = b.watermark
		}
		if b.watermark.Sub(b.blocked) < patience {
			return false
		}
		b.blocked = 0
		b.hole(b.t.last+1, min(to, b.passed))
		return b.t.last == to
	}
	for n := 0; b.t.last < to; n++ {
		rev := b.t.last + 1
		var changes []Change
		if b.opts.Hole != nil && n < holeLimit {
			b.head.MoveTo(b.t.last)
			changes = b.opts.Hole(rev, b.head)
		}
		if len(changes) == 0 {
			last := rev
			if n >= holeLimit || b.opts.Hole == nil {
				last = to
			}
			b.hole(rev, last)
			continue
		}
		b.append(Sealed{Rev: rev, Changes: changes})
	}
	return true
}

func (b *Builder) hole(from, to int64) {
	b.conflict(Conflict{Kind: Hole, Rev: from, To: to})
	// The first revision stands for all: none of them changes anything.
	_ = b.t.Append(to, nil)
}

// sealOne settles a revision that somebody is known to have written.
func (b *Builder) sealOne(rev int64, final bool) bool {
	ops, seen := b.writes[rev], b.events[rev]
	b.head.MoveTo(b.t.last)
	sealed := Sealed{Rev: rev}
	if seen != nil {
		sealed.Seen = seen.at
		b.learnFrom(seen.changes)
		sealed.Changes = seen.changes
	}
	switch {
	case len(ops) > 0 && seen == nil && b.mustSee(final):
		return false
	case len(ops) > 0:
		slices.SortStableFunc(ops, func(a, c *history.StoreOp) int { return cmp.Compare(a.Called, c.Called) })
		sealed.Op = ops[0]
		sealed.Changes = b.effect(ops[0], rev, seen)
		for _, other := range ops[1:] {
			b.conflict(Conflict{Kind: Duplicate, Rev: rev, Op: ops[0], Other: other})
		}
	case seen == nil:
		changes := b.revoked(rev)
		if len(changes) == 0 {
			return b.opts.Gaps || rev <= b.t.last || b.fill(rev, final)
		}
		sealed.Changes = changes
	}
	b.append(sealed)
	return true
}

// effect returns what an acknowledged write did.
func (b *Builder) effect(op *history.StoreOp, rev int64, seen *shown) []Change {
	b.learnAbsent(op)
	changes := Effect(Branch(op), b.head, rev)
	if seen == nil {
		return b.unseen(op, rev, changes)
	}
	if len(changes) == 0 {
		return seen.changes
	}
	for i := range changes {
		Adopt(&changes[i], seen.changes)
	}
	if Same(changes, Known(seen.changes, b.head)) {
		return seen.changes
	}
	if !Same(changes, seen.changes) {
		b.conflict(Conflict{
			Kind: EffectDiffers, Rev: rev, Op: op, Want: changes, Got: seen.changes, Member: seen.member, At: seen.at,
		})
	}
	return changes
}

// revoked returns what the revocation of a lease did, if it did anything.
func (b *Builder) revoked(rev int64) []Change {
	for _, op := range b.revokes[rev] {
		if changes := b.Revocation(op.Lease, rev, b.head); len(changes) > 0 {
			return changes
		}
	}
	return nil
}

// Revocation returns the changes that the end of a lease makes at the end of the
// timeline, its keys in order (lease/lessor.go, Revoke).
func (b *Builder) Revocation(lease, rev int64, view View) []Change {
	x := Begin(view, rev)
	for _, key := range b.Keys(lease) {
		x.Delete(key, "")
	}
	return x.Changes()
}

func (b *Builder) append(s Sealed) {
	b.head.MoveTo(b.t.last)
	for i := range s.Changes {
		// An event may come without the version before, or lie about it.
		s.Changes[i].Prev, _ = b.head.Get(s.Changes[i].Key)
	}
	if err := b.t.Append(s.Rev, s.Changes); err != nil {
		b.conflict(Conflict{Kind: Late, Rev: s.Rev, Op: s.Op})
		return
	}
	delete(b.writes, s.Rev)
	delete(b.events, s.Rev)
	delete(b.revokes, s.Rev)
	b.blocked = 0
	for i := range s.Changes {
		c := &s.Changes[i]
		b.attach(c.Key, c.Prev.Lease, c.KV.Lease)
	}
	if b.opts.Sealed != nil {
		b.opts.Sealed(s)
	}
}

func (b *Builder) attach(key string, old, now int64) {
	if keys := b.attached[old]; old != 0 && keys != nil {
		delete(keys, key)
		if len(keys) == 0 {
			delete(b.attached, old)
		}
	}
	if now == 0 {
		return
	}
	if b.attached[now] == nil {
		b.attached[now] = map[string]bool{}
	}
	b.attached[now][key] = true
}
