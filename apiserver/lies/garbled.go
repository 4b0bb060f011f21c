package lies

import "google.golang.org/protobuf/encoding/protowire"

// garbledLies are answers of success that do not hold what was asked for.
func garbledLies() []Lie {
	return []Lie{
		{Name: "get-garbled", Breaks: []string{errorHonest}, Every: 30, call: getGarbled},
		{Name: "get-without-uid", Breaks: []string{errorHonest}, Every: 30, call: getWithoutUID},
		{Name: "list-without-version", Breaks: []string{errorHonest}, Every: 20, call: listWithoutVersion},
	}
}

// getGarbled answers with one half of an object.
func getGarbled(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	if err != nil || q.verb != "get" {
		return a, err
	}
	if _, ok := a.object(); !ok || !l.turn() {
		return a, nil
	}
	l.tell()
	return a.holding(a.body[:len(a.body)/2]), nil
}

func getWithoutUID(l *liar, q *call, next sender) (*answer, error) {
	return changeGet(l, q, next, true, func(truth object) (object, bool) { return truth.with(uidField, "") })
}

// listVersionField is resourceVersion in a protobuf list: the second field of its
// metadata.
var listVersionField = []protowire.Number{1, 2}

// listWithoutVersion lies about lists of a namespace: who asks for all of them
// watches from there.
func listWithoutVersion(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	if err != nil || q.verb != "list" || q.namespace == "" {
		return a, err
	}
	truth, ok := a.list()
	if !ok || truth.version() == 0 || !l.turn() {
		return a, nil
	}
	if truth.json {
		truth.rest, ok = replaceJSON(truth.rest, "", "metadata", "resourceVersion")
	} else {
		truth.rest, ok = replace(truth.rest, nil, listVersionField...)
	}
	body, whole := truth.body()
	if !ok || !whole {
		return a, nil
	}
	l.tell()
	return a.holding(body), nil
}
