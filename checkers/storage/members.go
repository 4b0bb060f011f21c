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
	hashes   map[hashKey]*history.StoreOp
	compared int64 // hashes of two members at one revision
	wholes   map[string]int64
	called   map[string]bool
}

// hashKey is what makes two hashes comparable: members that are compacted
// differently keep different old revisions (storage/mvcc/hash.go).
type hashKey struct{ rev, compact int64 }

func (m *members) init() {
	m.hashes, m.wholes, m.called = map[hashKey]*history.StoreOp{}, map[string]int64{}, map[string]bool{}
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
	first := c.members.hashes[key]
	if first == nil {
		c.members.hashes[key] = op
		return
	}
	if first.Member != op.Member {
		c.members.compared++
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

// shortOfMembers says what is missing for a judgement of MembersAgree.
func (c *Checker) shortOfMembers() string {
	if f := c.opts.Floors; f.Members < 0 {
		if len(c.members.called) > 1 && int64(c.members.compared) < f.Hashes {
			return fmt.Sprintf("%d pairs of hashes, the floor is %d", c.members.compared, f.Hashes)
		}
		return ""
	}
	if len(c.members.called) > 1 && c.opts.Contract.HashKV && c.members.compared == 0 {
		return "no hashes of two members at one revision"
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
	return fmt.Sprintf("%d members, %d with a watch of everything, %d pairs of hashes, the whole read through %s",
		len(c.members.called), len(c.builder.Members()), c.members.compared,
		strings.Join(slices.Sorted(maps.Keys(c.members.wholes)), " "))
}
