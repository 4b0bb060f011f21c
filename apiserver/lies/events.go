package lies

import "encoding/json"

// eventLies are those in the changes that a watch shows.
func eventLies() []Lie {
	one := func(name, guarantee string, every int, change func(*liar, *watched, *event) []*event) Lie {
		return Lie{Name: name, Breaks: []string{guarantee}, Every: every, watch: onChanges(func(l *liar, w *watched, e *event) []*event {
			if !e.change() || !l.turn() {
				return []*event{e}
			}
			told := change(l, w, e)
			if told == nil {
				return []*event{e}
			}
			l.tell()
			return told
		})}
	}
	return []Lie{
		{Name: "event-dropped", Breaks: []string{delivered}, Every: 60, watch: onChanges(dropped)},
		one("event-with-other-content", delivered, 60, otherEvent),
		one("event-twice", unique, 60, func(_ *liar, _ *watched, e *event) []*event { return []*event{e, e} }),
		one("event-again-later", unique, 60, againLater),
		{Name: "events-swapped", Breaks: []string{ordered}, Every: 60, watch: onChanges(swapped)},
		one("added-as-modified", transitions, 20, retyped("ADDED", "MODIFIED")),
		one("modified-as-added", transitions, 60, retyped("MODIFIED", "ADDED")),
		one("deleted-as-modified", transitions, 15, retyped("DELETED", "MODIFIED")),
		one("deleted-with-old-version", transitions, 10, deletedBefore),
		one("deleted-with-other-content", transitions, 10, deletedOtherwise),
		one("bookmark-ahead", bookmarkNotAhead, 40, bookmarkAhead),
	}
}

// watched is a watch, as a liar knows it.
type watched struct {
	call *call
	// changes says that what comes are changes: the initial events have ended.
	changes bool
	last    map[string]int64 // version of each object that was shown last
	held    *event           // what the liar holds back
	kept    *event           // an event that went on
}

// onChanges is a lie on the changes of a watch. tell is given each of its events
// from the first change on, and nil at the end. Watches whose initial events
// have no end that shows are left alone, and so are those that begin nowhere in
// particular.
func onChanges(tell func(*liar, *watched, *event) []*event) func(*liar, *call) teller {
	return func(l *liar, q *call) teller {
		state := q.wantsState()
		if state && q.query.Get("allowWatchBookmarks") != "true" || !state && number(q.resourceVersion) == 0 {
			return nil
		}
		w := &watched{call: q, changes: !state, last: map[string]int64{}}
		return func(e *event) []*event {
			if e != nil && !w.changes {
				w.note(l, e)
				w.changes = e.initialEnd()
				return []*event{e}
			}
			told := tell(l, w, e)
			if e != nil {
				w.note(l, e)
			}
			return told
		}
	}
}

// note remembers what the server has shown.
func (w *watched) note(l *liar, e *event) {
	key, ok := e.key()
	if !ok || !e.change() {
		return
	}
	if e.typ == "DELETED" {
		delete(w.last, key)
		return
	}
	w.last[key] = e.object.version()
	l.memory.remember(w.call, e.object)
}

// dropped leaves out a change. It waits for what comes after it, without which
// nobody could tell.
func dropped(l *liar, w *watched, e *event) []*event {
	held := w.held
	w.held = nil
	switch {
	case held != nil && (e.change() || e.is("BOOKMARK")) && e.object.version() > held.object.version():
		l.tell()
		return []*event{e}
	case held != nil:
		return []*event{held, e}
	case e.change() && l.turn():
		w.held = e
		return nil
	}
	return []*event{e}
}

// swapped delivers a change after the one that follows it. Whatever else comes
// first finds it in its place.
func swapped(l *liar, w *watched, e *event) []*event {
	held := w.held
	w.held = nil
	switch {
	case held != nil && e.change() && e.object.version() > held.object.version():
		l.tell()
		return []*event{e, held}
	case held != nil:
		return []*event{held, e}
	case e.change() && l.turn():
		w.held = e
		return nil
	}
	return []*event{e}
}

// againLater repeats a change after the one that follows it.
func againLater(_ *liar, w *watched, e *event) []*event {
	if w.kept == nil {
		w.kept = e
		return nil
	}
	again := w.kept
	w.kept = nil
	return []*event{e, again}
}

// otherEvent shows what an object held before, as if it held it now.
func otherEvent(l *liar, w *watched, e *event) []*event {
	if e.typ == "DELETED" {
		return nil
	}
	return l.othered(w, e)
}

func (l *liar) othered(w *watched, e *event) []*event {
	other, ok := l.otherContent(w.call, e.object)
	if !ok {
		return nil
	}
	return []*event{e.showing(other)}
}

func retyped(from, to string) func(*liar, *watched, *event) []*event {
	return func(_ *liar, _ *watched, e *event) []*event {
		if e.typ != from {
			return nil
		}
		return []*event{e.as(to)}
	}
}

// deletedBefore gives the end of an object the version that it had last.
func deletedBefore(_ *liar, w *watched, e *event) []*event {
	key, ok := e.key()
	last := w.last[key]
	if !ok || e.typ != "DELETED" || last == 0 || last == e.object.version() {
		return nil
	}
	o, ok := e.object.at(last)
	if !ok {
		return nil
	}
	return []*event{e.showing(o)}
}

// deletedOtherwise shows at the end of an object what it held earlier.
func deletedOtherwise(l *liar, w *watched, e *event) []*event {
	if e.typ != "DELETED" {
		return nil
	}
	return l.othered(w, e)
}

// bookmarkAhead announces that a change was delivered which is still to come.
func bookmarkAhead(_ *liar, w *watched, e *event) []*event {
	if w.call.query.Get("allowWatchBookmarks") != "true" {
		return nil
	}
	o, ok := bookmarkLike(e.object)
	if !ok {
		return nil
	}
	return []*event{{typ: "BOOKMARK", object: o}, e}
}

// bookmarkLike is the object of a bookmark: its type and version, no more.
func bookmarkLike(o object) (object, bool) {
	version := text(o.version())
	if !o.json {
		o.raw = nil
		return o.with(versionField, version)
	}
	var like struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
	}
	if json.Unmarshal(o.raw, &like) != nil {
		return object{}, false
	}
	like.Metadata = map[string]any{"resourceVersion": version}
	b, err := json.Marshal(like)
	return object{json: true, raw: b}, err == nil
}
