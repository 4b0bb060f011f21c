package lies

import (
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// getLies are those in the answers to reads of one object.
func getLies() []Lie {
	return []Lie{
		{Name: "get-earlier", Breaks: []string{mostRecent}, Every: 30, call: getEarlier},
		{Name: "get-not-there", Breaks: []string{mostRecent}, Every: 30, call: getNotThere},
		{Name: "get-older-than-asked", Breaks: []string{notOlderThan}, Every: 5, call: getOlder},
		{Name: "get-other-content", Breaks: []string{anyVersion}, Every: 4, call: getOther},
		{Name: "get-expired", Breaks: []string{expiredHonest}, Every: 40, call: getExpired},
		{Name: "get-too-new", Breaks: []string{tooNewHonest}, Every: 30, call: getTooNew},
		{Name: "future-answered", Breaks: []string{tooNewHonest}, Every: 3, call: futureAnswered},
	}
}

// changeGet tells a lie in a true answer to a read of one object. What it shows
// instead is returned, or false where it cannot lie.
func changeGet(l *liar, q *call, next sender, fit bool, change func(truth object) (object, bool)) (*answer, error) {
	a, err := next(q)
	if err != nil || q.verb != "get" || !fit {
		return a, err
	}
	truth, ok := a.object()
	if !ok || !l.turn() {
		return a, nil
	}
	lie, ok := change(truth)
	if !ok {
		return a, nil
	}
	l.tell()
	return a.holding(lie.body()), nil
}

// getEarlier answers with a version that had long been replaced.
func getEarlier(l *liar, q *call, next sender) (*answer, error) {
	return changeGet(l, q, next, q.resourceVersion == "", func(truth object) (object, bool) {
		return l.memory.replaced(q, truth)
	})
}

// getNotThere says of an object that there is none.
func getNotThere(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	if err != nil || q.verb != "get" || q.resourceVersion != "" {
		return a, err
	}
	if _, ok := a.object(); !ok || !l.turn() {
		return a, nil
	}
	l.tell()
	return notFound(q), nil
}

// getOlder answers with a version that had been replaced at the revision that
// was asked for.
func getOlder(l *liar, q *call, next sender) (*answer, error) {
	n := number(q.resourceVersion)
	return changeGet(l, q, next, n > 0, func(truth object) (object, bool) {
		return l.memory.replacedBy(q, truth, n)
	})
}

// getOther shows the content of one version under the number of another.
func getOther(l *liar, q *call, next sender) (*answer, error) {
	return changeGet(l, q, next, q.resourceVersion == "0", func(truth object) (object, bool) {
		return l.otherContent(q, truth)
	})
}

// otherContent returns what an object held before, as if it held it now.
func (l *liar) otherContent(q *call, truth object) (object, bool) {
	other, ok := l.memory.different(q, truth)
	if !ok {
		return object{}, false
	}
	return other.at(truth.version())
}

// getExpired says of an object, which needs no history, that it is too old.
func getExpired(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "get" || !q.legalVersion() || !l.turn() {
		return next(q)
	}
	l.tell()
	return refusal(q, http.StatusGone, metav1.StatusReasonExpired, "The provided resource version is too old."), nil
}

// getTooNew refuses a revision that nobody asked for.
func getTooNew(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "get" || q.resourceVersion != "" || !l.turn() {
		return next(q)
	}
	l.tell()
	return tooLarge(q), nil
}

// far is how much greater a revision is that the store surely does not reach
// while a call runs.
const far = 1000

// fromFuture says whether a call asks for such a revision.
func (l *liar) fromFuture(q *call) bool {
	latest := l.memory.latest()
	return latest > 0 && number(q.resourceVersion) > latest+far
}

// futureAnswered answers a read at a revision that is not there yet with what is
// there now.
func futureAnswered(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	if err != nil || q.verb != "get" && q.verb != "list" || !tooLargeSaid(a) || !l.fromFuture(q) || !l.turn() {
		return a, err
	}
	now, err := next(q.with(map[string]string{"resourceVersion": "", "resourceVersionMatch": ""}))
	if err != nil || !now.ok() {
		return a, nil
	}
	l.tell()
	return now, nil
}
