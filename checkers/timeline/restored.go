package timeline

// Restored returns a timeline that begins after the revision bumped with the
// state of t at the revision kept: that of a store which was restored from a
// snapshot. What was known of every key then is known in it.
func (t *Timeline) Restored(kept, bumped int64) *Timeline {
	r := New(bumped)
	r.empty = t.empty
	for id, name := range t.names {
		if kv, known := t.state(uint32(id), t.find(uint32(id), kept)); known && kv.Version != 0 {
			to := r.id(name)
			kv.Key = r.names[to]
			r.initial[to] = kv
			r.learned = append(r.learned, to)
		}
	}
	return r
}

// attachInitial notes which leases the keys hold with which a timeline begins.
func (b *Builder) attachInitial() {
	for _, kv := range b.t.initial {
		b.attach(kv.Key, 0, kv.Lease)
	}
}
