package lies

import (
	"fmt"
	"net/http"
)

// writeLies are those that change what is written, or say that it was.
func writeLies() []Lie {
	return []Lie{
		{Name: "precondition-ignored", Breaks: []string{preconditionHonest}, Every: 1, call: preconditionIgnored},
		{Name: "update-overwrites", Breaks: []string{conflictHonest, noLostUpdate}, Every: 1, call: updateOverwrites},
		{Name: "write-not-done", Breaks: []string{noLostUpdate}, Every: 40, call: writeNotDone},
		{Name: "delete-not-done", Breaks: []string{noLostUpdate}, Every: 5, call: deleteNotDone},
		{Name: "dry-run-done", Breaks: []string{dryRunInert}, Every: 2, call: dryRunDone},
	}
}

// doneLies are those in the answers to writes that were done.
func doneLies() []Lie {
	return []Lie{
		{Name: "done-as-conflict", Breaks: []string{noLostUpdate}, Every: 40, call: doneAsConflict},
		{Name: "answer-with-other-uid", Breaks: []string{identityStable}, Every: 40, call: answerOtherUID},
		{Name: "write-answered-lower", Breaks: []string{rvMonotonic}, Every: 30, call: answerLower},
	}
}

// preconditionIgnored carries out a delete whose precondition does not hold.
func preconditionIgnored(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "delete" || !q.need().any() || q.dryRun() || !l.turn() {
		return next(q)
	}
	body, ok := withoutPreconditions(q.body)
	m, _, known := q.current(next, q.name)
	if !ok || !known || m == nil || q.need().meets(m) {
		return next(q)
	}
	a, err := next(q.sending(body))
	if err == nil && a.ok() {
		l.tell()
	}
	return a, err
}

// updateOverwrites lets an update of an old version take the place of the newest
// one, and with it what others had written since.
func updateOverwrites(l *liar, q *call, next sender) (*answer, error) {
	need := q.need()
	if q.verb != "update" || need.version == "" || q.dryRun() || !l.turn() {
		return next(q)
	}
	sent, ok := readObject(q.body)
	m, _, known := q.current(next, q.name)
	if !ok || !known || m == nil || need.version == m.ResourceVersion || need.uid != "" && need.uid != string(m.UID) {
		return next(q)
	}
	theirs, ok := sent.meta()
	// A write sets two marks at most.
	if !ok || different(marks(m), marks(theirs)) < 3 {
		return next(q)
	}
	if sent, ok = sent.with(versionField, m.ResourceVersion); !ok {
		return next(q)
	}
	a, err := next(q.sending(sent.body()))
	if err == nil && a.ok() {
		l.tell()
	}
	return a, err
}

// different is the number of names that two maps do not agree on.
func different(a, b map[string]string) int {
	n := 0
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			n++
		}
	}
	for k := range b {
		if _, ok := a[k]; !ok {
			n++
		}
	}
	return n
}

// writing says whether a call is an update or a patch that is no dry run.
func (q *call) writing() bool { return (q.verb == "update" || q.verb == "patch") && !q.dryRun() }

// writeNotDone acknowledges a write that is only tried, with the next version
// that there may be.
func writeNotDone(l *liar, q *call, next sender) (*answer, error) {
	if !q.writing() || !l.turn() {
		return next(q)
	}
	dry, ok := q.rehearsed()
	if !ok {
		return next(q)
	}
	a, err := next(dry)
	if err != nil || !a.ok() {
		return next(q)
	}
	o, ok := readObject(a.body)
	now, known := q.now(next)
	if !ok || !known {
		return next(q)
	}
	if o, ok = o.at(now + 1); !ok {
		return next(q)
	}
	l.tell()
	return a.holding(o.body()), nil
}

// now is a revision that the store has reached since the call was sent.
func (q *call) now(next sender) (int64, bool) {
	a, err := next(q.read("", map[string]string{"limit": "1"}))
	if err != nil {
		return 0, false
	}
	read, ok := a.list()
	if !ok {
		return 0, false
	}
	return read.version(), read.version() > 0
}

// deleteNotDone acknowledges a delete that is only tried.
func deleteNotDone(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "delete" || q.dryRun() || !l.turn() {
		return next(q)
	}
	dry, ok := q.rehearsed()
	m, _, known := q.current(next, q.name)
	if !ok || !known || m == nil || m.DeletionTimestamp != nil {
		return next(q)
	}
	a, err := next(dry)
	if err != nil || !a.ok() {
		return next(q)
	}
	l.tell()
	return a, nil
}

// dryRunDone carries out what was only to be tried.
func dryRunDone(l *liar, q *call, next sender) (*answer, error) {
	create := q.verb == "create"
	if !q.dryRun() || !create && q.verb != "update" && q.verb != "patch" || !setsMarks(q.body) || !l.turn() {
		return next(q)
	}
	before := int64(0)
	if !create {
		_, o, ok := q.current(next, q.name)
		if !ok {
			return next(q)
		}
		before = o.versionIfAny()
	}
	a, err := next(q.with(map[string]string{"dryRun": ""}))
	if err != nil {
		return nil, err
	}
	if o, ok := a.object(); ok && o.version() > before {
		l.tell()
	}
	return a, nil
}

// versionIfAny is the version of an object that may be none.
func (o object) versionIfAny() int64 {
	if len(o.raw) == 0 {
		return 0
	}
	return o.version()
}

// doneAsConflict refuses a write that was done.
func doneAsConflict(l *liar, q *call, next sender) (*answer, error) {
	if !q.writing() || q.apply() || !setsMarks(q.body) || !l.turn() {
		return next(q)
	}
	_, before, ok := q.current(next, q.name)
	a, err := next(q)
	if err != nil || !ok {
		return a, err
	}
	if o, done := a.object(); !done || o.version() <= before.versionIfAny() {
		return a, nil
	}
	l.tell()
	return conflict(q), nil
}

// changeDone tells a lie in the object that the answer to a write shows.
func changeDone(l *liar, q *call, next sender, change func(object) (object, bool)) (*answer, error) {
	a, err := next(q)
	if err != nil || !q.writing() && (q.verb != "create" || q.dryRun()) {
		return a, err
	}
	o, ok := a.object()
	if !ok || a.status != http.StatusOK && a.status != http.StatusCreated || !l.turn() {
		return a, nil
	}
	if o, ok = change(o); !ok {
		return a, nil
	}
	l.tell()
	return a.holding(o.body()), nil
}

func answerOtherUID(l *liar, q *call, next sender) (*answer, error) {
	return changeDone(l, q, next, func(o object) (object, bool) {
		return o.with(uidField, fmt.Sprintf("00000000-0000-4000-8000-%012x", l.pick(1<<40)))
	})
}

// answerLower answers a write with a version that had long been replaced.
func answerLower(l *liar, q *call, next sender) (*answer, error) {
	return changeDone(l, q, next, func(o object) (object, bool) {
		old, ok := l.memory.replaced(q, o)
		if !ok || q.verb == "create" {
			return object{}, false
		}
		return o.at(old.version())
	})
}
