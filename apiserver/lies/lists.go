package lies

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"sync"
)

// listLies are those in the answers to lists.
func listLies() []Lie {
	items := func(name string, every int, change func(*liar, *call, *list) bool) Lie {
		return Lie{Name: name, Breaks: []string{snapshot}, Every: every, call: func(l *liar, q *call, next sender) (*answer, error) {
			return changeList(l, q, next, true, change)
		}}
	}
	return []Lie{
		{Name: "list-earlier", Breaks: []string{mostRecent}, Every: 3, call: listEarlier},
		{Name: "list-older-than-asked", Breaks: []string{notOlderThan}, Every: 3, call: listOlder},
		{Name: "exact-newest", Breaks: []string{exact}, Every: 2, call: exactNewest},
		items("list-without-an-item", 20, withoutItem),
		items("list-item-twice", 20, itemTwice),
		items("list-items-swapped", 20, itemsSwapped),
		items("list-item-older", 20, itemOlder),
		{Name: "list-expired", Breaks: []string{expiredHonest}, Every: 5, call: listExpired},
		{Name: "list-too-new", Breaks: []string{tooNewHonest}, Every: 5, call: listTooNew},
	}
}

// asking is what the options of a list ask for.
type asking int

const (
	forNothing asking = iota // not legal, or none of the following
	forMostRecent
	forAny
	forNotOlder
	forExact
	forPage
)

// asked reads the options of a list
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-get-and-list).
func (q *call) asked() asking {
	if q.verb != "list" || q.query.Has("sendInitialEvents") {
		return forNothing
	}
	n := number(q.resourceVersion)
	switch {
	case q.query.Get("continue") != "":
		if q.matching == "" && (q.resourceVersion == "" || q.resourceVersion == "0") {
			return forPage
		}
	case q.resourceVersion == "" && q.matching == "":
		return forMostRecent
	case q.resourceVersion == "0" && (q.matching == "" || q.matching == "NotOlderThan"):
		return forAny
	case n > 0 && q.matching == "Exact", n > 0 && q.matching == "" && number(q.query.Get("limit")) > 0:
		return forExact
	case n > 0 && (q.matching == "" || q.matching == "NotOlderThan"):
		return forNotOlder
	}
	return forNothing
}

// atExactly returns the answer to a list at another revision, if there is one.
func atExactly(q *call, next sender, revision int64) (*answer, bool) {
	a, err := next(q.with(map[string]string{"resourceVersion": text(revision), "resourceVersionMatch": "Exact"}))
	if err != nil {
		return nil, false
	}
	l, ok := a.list()
	return a, ok && l.version() == revision
}

// back is how many revisions an older list goes back, at most.
const back = 20

// listEarlier answers with a list of a revision before one that had long been
// reached.
func listEarlier(l *liar, q *call, next sender) (*answer, error) {
	old := l.memory.revision() - 1 - int64(l.pick(back))
	if q.asked() != forMostRecent || q.oneName() || old < 1 || !l.turn() {
		return next(q)
	}
	if a, ok := atExactly(q, next, old); ok {
		l.tell()
		return a, nil
	}
	return next(q)
}

// listOlder answers with a list of a revision before the one that was asked for.
func listOlder(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	old := number(q.resourceVersion) - 1 - int64(l.pick(back))
	if err != nil || !a.ok() || q.asked() != forNotOlder || q.oneName() || old < 1 || !l.turn() {
		return a, err
	}
	if older, ok := atExactly(q, next, old); ok {
		l.tell()
		return older, nil
	}
	return a, nil
}

// exactNewest answers a list at a revision with the newest.
func exactNewest(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	if err != nil || !a.ok() || q.asked() != forExact || q.oneName() || !l.turn() {
		return a, err
	}
	newest, err := next(q.with(map[string]string{"resourceVersion": "", "resourceVersionMatch": ""}))
	if err != nil {
		return a, nil
	}
	if read, ok := newest.list(); !ok || read.version() == number(q.resourceVersion) {
		return a, nil
	}
	l.tell()
	return newest, nil
}

// changeList tells a lie in the items of a true list; change returns false where
// it cannot.
func changeList(l *liar, q *call, next sender, fit bool, change func(*liar, *call, *list) bool) (*answer, error) {
	a, err := next(q)
	if err != nil || q.verb != "list" || !fit {
		return a, err
	}
	read, ok := a.list()
	if !ok || !l.turn() || !change(l, q, read) {
		return a, nil
	}
	body, ok := read.body()
	if !ok {
		return a, nil
	}
	l.tell()
	return a.holding(body), nil
}

// withoutItem leaves out an item, but the last: a page may end where it wants.
func withoutItem(l *liar, _ *call, read *list) bool {
	if len(read.items) < 2 {
		return false
	}
	i := l.pick(len(read.items) - 1)
	read.items = slices.Delete(read.items, i, i+1)
	return true
}

func itemTwice(l *liar, _ *call, read *list) bool {
	if len(read.items) == 0 {
		return false
	}
	i := l.pick(len(read.items))
	read.items = slices.Insert(read.items, i, read.items[i])
	return true
}

func itemsSwapped(l *liar, _ *call, read *list) bool {
	if len(read.items) < 2 {
		return false
	}
	i := l.pick(len(read.items) - 1)
	read.items[i], read.items[i+1] = read.items[i+1], read.items[i]
	return true
}

// itemOlder shows an item in an earlier version.
func itemOlder(l *liar, q *call, read *list) bool {
	for i, o := range read.items {
		if old, ok := l.memory.replacedBy(q, o, o.version()); ok {
			read.items[i] = old
			return true
		}
	}
	return false
}

// listExpired says that the newest is too old.
func listExpired(l *liar, q *call, next sender) (*answer, error) {
	if q.asked() != forMostRecent || !l.turn() {
		return next(q)
	}
	l.tell()
	return expired(q), nil
}

// listTooNew refuses a revision that nobody asked for.
func listTooNew(l *liar, q *call, next sender) (*answer, error) {
	if a := q.asked(); a != forMostRecent && a != forAny || !l.turn() {
		return next(q)
	}
	l.tell()
	return tooLarge(q), nil
}

// pageLies are those in the pages of a list behind the first.
func pageLies() []Lie {
	return []Lie{
		{Name: "page-without-first", Breaks: []string{paged, snapshot}, Every: 3, call: pageWithoutFirst},
		{Name: "page-again", Breaks: []string{paged, snapshot}, Every: 3, call: pageAgain},
		{Name: "page-of-newest", Breaks: []string{paged}, Every: 3, call: pageOfNewest},
		{Name: "page-expired", Breaks: []string{expiredHonest}, Every: 4, call: pageExpired},
	}
}

func pageWithoutFirst(l *liar, q *call, next sender) (*answer, error) {
	return changeList(l, q, next, q.asked() == forPage, func(_ *liar, _ *call, read *list) bool {
		if len(read.items) < 2 {
			return false // an empty page with a token may be
		}
		read.items = read.items[1:]
		return true
	})
}

// pages are the pages that came with a token.
type pages struct {
	mu      sync.Mutex
	byToken map[string]*answer
}

const mostPages = 256

// pageAgain answers with the page that gave the token.
func pageAgain(l *liar, q *call, next sender) (*answer, error) {
	p := &l.pages
	a, err := next(q)
	if err != nil || q.verb != "list" {
		return a, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if read, ok := a.list(); ok && read.meta.Continue != "" && len(read.items) > 0 {
		if p.byToken == nil || len(p.byToken) >= mostPages {
			p.byToken = map[string]*answer{}
		}
		p.byToken[q.collection+" "+read.meta.Continue] = a
	}
	again := p.byToken[q.collection+" "+q.query.Get("continue")]
	if !a.ok() || q.asked() != forPage || again == nil || !l.turn() {
		return a, nil
	}
	l.tell()
	return again, nil
}

// place is what a continue token holds (apiserver/pkg/storage/continue.go).
type place struct {
	Version  string `json:"v"`
	Revision int64  `json:"rv"`
	Start    string `json:"start"`
}

func readToken(token string) (place, bool) {
	var p place
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(b, &p) != nil {
		return place{}, false
	}
	return p, p.Revision != 0
}

func (p place) token() string {
	b, _ := json.Marshal(p) // strings and a number
	return base64.RawURLEncoding.EncodeToString(b)
}

// pageOfNewest goes on with a list at the newest revision, as is right only
// after a 410 that offers to.
func pageOfNewest(l *liar, q *call, next sender) (*answer, error) {
	p, ok := readToken(q.query.Get("continue"))
	if !ok || p.Revision < 0 || q.asked() != forPage || q.oneName() || !l.turn() {
		return next(q)
	}
	was := p.Revision
	p.Revision = -1
	a, err := next(q.with(map[string]string{"continue": p.token()}))
	if err != nil {
		return nil, err
	}
	if read, ok := a.list(); !ok || read.version() == was {
		return next(q)
	}
	l.tell()
	return a, nil
}

// pageExpired says of a list of a moment ago that it cannot go on.
func pageExpired(l *liar, q *call, next sender) (*answer, error) {
	p, ok := readToken(q.query.Get("continue"))
	if !ok || !l.memory.fresh(p.Revision) || q.asked() != forPage || !l.turn() {
		return next(q)
	}
	l.tell()
	return expired(q), nil
}
