package storage

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/timeline"
)

// members compares the members of a cluster.
type members struct {
	hashes map[hashKey]*hashes
	// compared is the most members whose hash at one revision was held against that
	// of the same other member: an audit asks all of them, so it is all but one.
	compared int64
	wholes   map[string]int64
	called   map[string]bool
}

// hashKey is what makes two hashes comparable: members that are compacted
// differently keep different old revisions (storage/mvcc/hash.go).
type hashKey struct{ rev, compact int64 }

// hashes are those that are comparable: the first, and of whom else there is one.
type hashes struct {
	first  *history.StoreOp
	others map[string]bool
}

func (m *members) init() {
	m.hashes, m.wholes, m.called = map[hashKey]*hashes{}, map[string]int64{}, map[string]bool{}
}

func (m *members) see(op *history.StoreOp) {
	if acknowledged(op) {
		m.called[op.Member] = true
	}
}

// whole says that a range holds all keys.
func (c *Checker) whole(a history.StoreAction) bool {
	return timeline.Whole(a.Key, a.End) || c.opts.Contract.ownWhole(a.Key, a.End)
}

// whole counts a linearizable read of everything through a member.
func (m *members) whole(op *history.StoreOp) { m.wholes[op.Member]++ }

func (c *Checker) judgeHash(op *history.StoreOp) {
	if !c.opts.Contract.HashKV {
		return
	}
	key := hashKey{op.Revision, op.CompactRevision}
	if key.rev <= 0 {
		key.rev = op.Header
	}
	known := c.members.hashes[key]
	if known == nil {
		c.members.hashes[key] = &hashes{op, map[string]bool{}}
		return
	}
	first := known.first
	if first.Member != op.Member {
		known.others[op.Member] = true
		c.members.compared = max(c.members.compared, int64(len(known.others)))
	}
	if first.Hash == op.Hash {
		return
	}
	// Of an empty store etcd hashes what a compaction has not removed yet
	// (storage/mvcc/hash.go, WriteKeyValue without anything to keep).
	c.sweep.MoveTo(key.rev)
	if c.sweep.Complete() && c.sweep.Count("\x00", "\x00") == 0 {
		return
	}
	c.fail(MembersAgree, because("members %s and %s have different hashes at revision %d", first.Member, op.Member, key.rev).op(first).op(op))
}

// points is how many revisions the hashes of several members are known at.
func (m *members) points() int {
	revs := map[int64]bool{}
	for key, h := range m.hashes {
		if len(h.others) > 0 {
			revs[key.rev] = true
		}
	}
	return len(revs)
}

// pairs is the floor of compared.
func (c *Checker) pairs() int64 {
	f := c.opts.Floors
	if f.Hashes != 0 || !c.opts.Contract.HashKV && f.Members >= 0 {
		return max(f.Hashes, 0)
	}
	return max(int64(len(c.members.called))-1, 0)
}

// alone says that there was nothing to compare: one member, of which the whole was
// not to be read either.
func (c *Checker) alone() bool {
	return c.opts.Floors.Members < 0 && c.opts.Floors.Hashes == 0 && len(c.members.called) < 2
}

// shortOfMembers says what is missing for a judgement of MembersAgree.
func (c *Checker) shortOfMembers() string {
	if pairs := c.pairs(); c.members.compared < pairs {
		return fmt.Sprintf("%d pairs of hashes at one revision, the floor is %d", c.members.compared, pairs)
	}
	want := c.opts.Floors.Members
	if want == 0 {
		want = int64(len(c.members.called))
	}
	if n := int64(len(c.members.wholes)); n < want {
		return fmt.Sprintf("the whole key space was read through %d members, the floor is %d", n, want)
	}
	return ""
}

// membersChecked says what MembersAgree rests on.
func (c *Checker) membersChecked() string {
	return fmt.Sprintf("%d members, %d with a watch of everything, %d pairs of hashes at one revision (floor %d), %d revisions with hashes of several members, %s",
		len(c.members.called), len(c.builder.Members()), c.members.compared, c.pairs(), c.members.points(), c.members.readThrough())
}

// readThrough says through whom everything was read.
func (m *members) readThrough() string {
	if len(m.wholes) == 0 {
		return "not read whole through any"
	}
	return "the whole read through " + strings.Join(slices.Sorted(maps.Keys(m.wholes)), " ")
}
