package power

import (
	"slices"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/storage"
)

func isPut(a history.StoreAction) bool { return a.Kind == history.ActionPut && !a.IgnoreValue }

func phantomLies() []Lie {
	return []Lie{
		{Name: "a write that nobody asked for", Breaks: storage.NoPhantom, Tell: func(t *teller) bool {
			op, ok := t.op(wrote)
			if ok {
				t.h.Ops = slices.DeleteFunc(t.h.Ops, func(o *history.StoreOp) bool { return o == op })
			}
			return ok
		}},
		{Name: "a phantom revision at the end", Breaks: storage.NoPhantom, Tell: func(t *teller) bool {
			key := t.key()
			return t.append("", []history.StoreEvent{put(t, key, t.rng.Uint64())})
		}},
		{Name: "an unknown write takes effect twice", Breaks: storage.NoPhantom, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool {
				return unknown(op) && t.f.used[op] != 0 && len(op.Then) == 1 && isPut(op.Then[0])
			})
			return ok && t.append("", []history.StoreEvent{put(t, op.Then[0].Key, op.Then[0].Value)})
		}},
		{Name: "the end of a lease takes a foreign key", Breaks: storage.NoPhantom, Tell: func(t *teller) bool {
			rev, ok := t.expiry(1)
			return ok && t.rewrite("", func(r int64, before state, changes []history.StoreEvent) []history.StoreEvent {
				keys := before.keys("/registry/", "\x00")
				if r != rev || len(keys) == 0 {
					return changes
				}
				key := keys[t.rng.IntN(len(keys))]
				if slices.ContainsFunc(changes, func(e history.StoreEvent) bool { return e.KV.Key == key }) {
					return changes
				}
				return append(slices.Clone(changes), history.StoreEvent{Delete: true, KV: history.StoreKV{Key: key, Mod: r}})
			})
		}},
	}
}

// put is an event of a put behind the last revision.
func put(t *teller, key string, value uint64) history.StoreEvent {
	return history.StoreEvent{KV: history.StoreKV{Key: key, Mod: t.f.last + 1, Value: value}}
}

// done is an event of a put that was asked for, behind the last revision.
func done(t *teller, a history.StoreAction) history.StoreEvent {
	e := put(t, a.Key, a.Value)
	e.KV.Lease = a.Lease
	return e
}

// key draws a key that was there at some revision. There is one.
func (t *teller) key() string {
	for {
		if keys := t.f.states[t.rng.Int64N(t.f.last+1)].keys("/registry/", "\x00"); len(keys) > 0 {
			return keys[t.rng.IntN(len(keys))]
		}
	}
}

// member draws one of those that were called.
func (t *teller) member() string {
	var names []string
	for _, op := range t.h.Ops {
		if !slices.Contains(names, op.Member) {
			names = append(names, op.Member)
		}
	}
	slices.Sort(names)
	return names[t.rng.IntN(len(names))]
}

// expiry draws a revision at which a lease with so many keys ended by itself.
func (t *teller) expiry(keys int) (int64, bool) {
	var revs []int64
	for rev := int64(firstRevision + 1); rev <= t.f.last; rev++ {
		if _, whole := ofLease(t.f.states[rev-1], t.f.changes[rev]); whole && t.f.cause[rev] == nil && len(t.f.changes[rev]) >= keys {
			revs = append(revs, rev)
		}
	}
	return draw(t, revs, func(int64) bool { return true })
}

func inertLies() []Lie {
	refusals := []history.StoreErrorKind{
		history.ErrorInvalid, history.ErrorTooLarge, history.ErrorTooManyRequests, history.ErrorLeaseNotFound,
	}
	return []Lie{
		{Name: "an unknown write was refused and took effect", Breaks: storage.DefiniteFailureInert,
			Tell: func(t *teller) bool {
				op, ok := t.op(func(op *history.StoreOp) bool {
					return unknown(op) && op.Returned != 0 && t.f.used[op] != 0 && op.Method != history.MethodLeaseRevoke
				})
				if ok {
					refuse(op, refusals[t.rng.IntN(len(refusals))])
				}
				return ok
			}},
		{Name: "a write was refused and took effect", Breaks: storage.DefiniteFailureInert,
			Tell: func(t *teller) bool {
				op, ok := t.op(func(op *history.StoreOp) bool { return wrote(op) && op.Method != history.MethodLeaseRevoke })
				if ok {
					refuse(op, refusals[t.rng.IntN(len(refusals))])
				}
				return ok
			}},
		{Name: "a refused write takes effect late", Breaks: storage.DefiniteFailureInert,
			Tell: func(t *teller) bool {
				op, ok := t.op(refusedPut)
				return ok && t.append("", []history.StoreEvent{done(t, op.Then[0])})
			}},
		{Name: "a refused write takes effect on one member", Breaks: storage.DefiniteFailureInert,
			Tell: func(t *teller) bool {
				op, ok := t.op(refusedPut)
				return ok && t.append(op.Member, []history.StoreEvent{done(t, op.Then[0])})
			}},
	}
}

func refusedPut(op *history.StoreOp) bool {
	return op.Error.Definite() && len(op.Then) == 1 && isPut(op.Then[0])
}

func leaseLies() []Lie {
	return []Lie{
		{Name: "early lease death", Breaks: storage.LeaseHonest, Tell: func(t *teller) bool {
			lease, ok := t.deadLease()
			for _, op := range t.h.Ops {
				if ok && op.Method == history.MethodLeaseGrant && op.GrantedLease == lease {
					op.TTL += 60
					op.GrantedTTL += 60
				}
			}
			return ok
		}},
		{Name: "a renewed lease dies", Breaks: storage.LeaseHonest, Tell: func(t *teller) bool {
			lease, ok := t.deadLease()
			if !ok {
				return false
			}
			op, ok := t.op(func(op *history.StoreOp) bool {
				return op.Method == history.MethodLeaseKeepAlive && op.Lease == lease && op.GrantedTTL > 0
			})
			if ok {
				op.GrantedTTL += 60
			}
			return ok
		}},
		{Name: "leases outlive a pause", Breaks: storage.LeaseHonest, Tell: func(t *teller) bool {
			return t.outlive() && t.outlived()
		}},
		{Name: "a key survives its lease", Breaks: storage.LeaseHonest, Tell: func(t *teller) bool {
			rev, ok := t.expiry(2)
			return ok && t.rewrite("", func(r int64, before state, changes []history.StoreEvent) []history.StoreEvent {
				if r != rev {
					return changes
				}
				return changes[1:]
			})
		}},
	}
}

// outlive lets everything after a moment come so late that a lease which ends
// after it has lasted too long. The lease was not renewed.
func (t *teller) outlive() bool {
	rev, ok := t.expiry(1)
	if !ok {
		return false
	}
	lease, _ := ofLease(t.f.states[rev-1], t.f.changes[rev])
	got := t.f.known[t.f.states[rev-1][t.f.changes[rev][0].KV.Key].Mod]
	if t.f.known[rev] <= got {
		return false
	}
	at := got + history.Time(t.rng.Int64N(int64(t.f.known[rev]-got)))
	t.h.Ops = slices.DeleteFunc(t.h.Ops, func(op *history.StoreOp) bool {
		return op.Method == history.MethodLeaseKeepAlive && op.Lease == lease && op.Returned >= at
	})
	t.pause(at, 35*time.Second)
	return true
}

// outlived says that the history shows it.
// A pause breaks other promises as well, which are not what this lie is about.
func (t *teller) outlived() bool {
	f := learnSince(t.h, t.was, false)
	f.bad = nil
	f.checkLeases(etcdBounds())
	return len(f.bad) > 0
}

// deadLease draws a lease that ended by itself and took keys with it.
func (t *teller) deadLease() (int64, bool) {
	rev, ok := t.expiry(1)
	if !ok {
		return 0, false
	}
	return t.f.states[rev-1][t.f.changes[rev][0].KV.Key].Lease, true
}

// pause lets everything after a moment come later.
func (t *teller) pause(at history.Time, by time.Duration) {
	shift := func(n *history.Time) {
		if *n > at {
			*n = n.Add(by)
		}
	}
	for _, op := range t.h.Ops {
		shift(&op.Called)
		shift(&op.Returned)
	}
	for _, w := range t.h.Watches {
		shift(&w.At)
	}
}

func memberLies() []Lie {
	return []Lie{
		{Name: "one member's hash differs", Breaks: storage.MembersAgree, Tell: func(t *teller) bool {
			op, ok := t.op(func(op *history.StoreOp) bool { return op.Method == history.MethodHashKV && acked(op) })
			if ok {
				op.Hash ^= 1 << t.rng.IntN(32)
			}
			return ok
		}},
		{Name: "one member reads another key space at the end", Breaks: storage.MembersAgree, Tell: func(t *teller) bool {
			calls := t.closing()
			if len(calls) == 0 {
				return false
			}
			r := &calls[t.rng.IntN(len(calls))].Results[0]
			if len(r.KVs) == 0 {
				return false
			}
			i := t.rng.IntN(len(r.KVs))
			if t.rng.IntN(2) == 0 {
				r.KVs[i].Value++
				return true
			}
			r.KVs = slices.Delete(r.KVs, i, i+1)
			r.Count--
			return true
		}},
		{Name: "one member missed a write", Breaks: storage.MembersAgree, Tell: func(t *teller) bool {
			member := t.member()
			tells := t.tells(member)
			op, ok := t.op(func(op *history.StoreOp) bool { return wrote(op) && tells(op) })
			return ok && t.rewrite(member, func(r int64, _ state, changes []history.StoreEvent) []history.StoreEvent {
				if r == op.Header {
					return nil
				}
				return changes
			})
		}},
		{Name: "one member holds another value", Breaks: storage.MembersAgree, Tell: func(t *teller) bool {
			member := t.member()
			tells := t.tells(member)
			op, ok := t.op(func(op *history.StoreOp) bool { return wrote(op) && isPut(executed(op)[0]) && tells(op) })
			return ok && t.rewrite(member, func(r int64, _ state, changes []history.StoreEvent) []history.StoreEvent {
				if r != op.Header {
					return changes
				}
				changes = slices.Clone(changes)
				changes[0].KV.Value++
				return changes
			})
		}},
		{Name: "one member's watch shows another value", Breaks: storage.MembersAgree, Tell: func(t *teller) bool {
			isPut := func(e history.StoreEvent) bool { return !e.Delete }
			several := len(t.watched()) > 1
			_, m, ok := t.message(func(r *request, m *history.StoreWatch) bool {
				return several && r.create.Key == "\x00" && slices.ContainsFunc(m.Events, isPut)
			})
			if ok {
				m.Events[slices.IndexFunc(m.Events, isPut)].KV.Value++
			}
			return ok
		}},
	}
}

// watched are the members with a watch of everything.
func (t *teller) watched() map[string]bool {
	members := map[string]bool{}
	for _, r := range requests(t.h.Watches) {
		if r.created != nil && r.create.Key == "\x00" && r.create.End == "\x00" {
			members[r.create.Member] = true
		}
	}
	return members
}

// tells says of a write which a member alone holds otherwise that it shows as a
// difference of members: in watches of everything, if this one has one and others too,
// or in the closing reads, if it still holds then. Elsewhere it is a wrong answer and no
// more.
func (t *teller) tells(member string) func(*history.StoreOp) bool {
	watched := t.watched()
	if len(watched) > 1 && watched[member] {
		return func(*history.StoreOp) bool { return true }
	}
	read := slices.ContainsFunc(t.closing(), func(c *history.StoreOp) bool { return c.Member == member })
	return func(op *history.StoreOp) bool {
		return read && slices.ContainsFunc(t.f.changes[op.Header], func(e history.StoreEvent) bool {
			return t.f.states[t.f.last][e.KV.Key].Mod == op.Header
		})
	}
}
