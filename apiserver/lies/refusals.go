package lies

import (
	"encoding/json"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// errorLies are those in the errors that a server gives.
func errorLies() []Lie {
	return []Lie{
		{Name: "invalid-as-bad-request", Breaks: []string{errorHonest}, Every: 2, call: invalidAsBadRequest},
		{Name: "illegal-accepted", Breaks: []string{errorHonest}, Every: 2, call: illegalAccepted},
		{Name: "not-found-for-other-reason", Breaks: []string{errorHonest}, Every: 5, call: notFoundOtherwise},
		{Name: "list-invalid", Breaks: []string{errorHonest}, Every: 20, call: listInvalid},
		{Name: "get-forbidden", Breaks: []string{errorHonest}, Every: 30, call: getForbidden},
	}
}

// listInvalid says that a list is invalid whose options are legal. It leaves those of
// no version alone, with which the traffic looks whether its kinds are served: it
// would give up.
func listInvalid(l *liar, q *call, next sender) (*answer, error) {
	if q.asked() == forNothing || q.resourceVersion == "" || !l.turn() {
		return next(q)
	}
	l.tell()
	return refusal(q, http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "ListOptions is invalid"), nil
}

// getForbidden denies somebody a read that was allowed before.
func getForbidden(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "get" || !q.legalVersion() || !l.turn() {
		return next(q)
	}
	l.tell()
	return refusal(q, http.StatusForbidden, metav1.StatusReasonForbidden, q.resource+` "`+q.name+`" is forbidden`), nil
}

// illegalList says whether an answer refuses a list for its options.
func illegalList(q *call, a *answer) bool {
	return q.verb == "list" && a.status == http.StatusUnprocessableEntity && (q.matching != "" || q.query.Has("sendInitialEvents"))
}

// invalidAsBadRequest gives an error another code than is documented.
func invalidAsBadRequest(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	if err != nil || !illegalList(q, a) || !l.turn() {
		return a, err
	}
	s, asJSON, ok := a.statusOf()
	if !ok {
		return a, nil
	}
	l.tell()
	s.Code, s.Reason, s.Details = http.StatusBadRequest, metav1.StatusReasonBadRequest, nil
	return answerOf(s, asJSON), nil
}

// illegalAccepted takes no notice of illegal options.
func illegalAccepted(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	if err != nil || !illegalList(q, a) || !l.turn() {
		return a, err
	}
	legal, err := next(q.with(map[string]string{
		"resourceVersion": "", "resourceVersionMatch": "", "sendInitialEvents": "", "continue": "",
	}))
	if err != nil || !legal.ok() {
		return a, nil
	}
	l.tell()
	return legal, nil
}

// notFoundOtherwise gives a 404 the reason of another error.
func notFoundOtherwise(l *liar, q *call, next sender) (*answer, error) {
	a, err := next(q)
	if err != nil || a.status != http.StatusNotFound {
		return a, err
	}
	s, asJSON, ok := a.statusOf()
	if !ok || s.Reason != metav1.StatusReasonNotFound || !l.turn() {
		return a, nil
	}
	l.tell()
	s.Reason = metav1.StatusReasonInvalid
	return answerOf(s, asJSON), nil
}

// refusalLies are those about requests that a server refuses for no reason.
func refusalLies() []Lie {
	return []Lie{
		{Name: "watch-expired", Breaks: []string{watchExpiredHonest}, Every: 4, refuse: watchExpired},
		{Name: "watch-too-new", Breaks: []string{watchTooNewHonest}, Every: 4, refuse: watchTooNew},
		{Name: "conflict-made-up", Breaks: []string{conflictHonest}, Every: 25, call: conflictMadeUp},
		{Name: "exists-made-up", Breaks: []string{existsHonest}, Every: 4, call: existsMadeUp},
		{Name: "not-found-made-up", Breaks: []string{notFoundHonest}, Every: 40, call: notFoundMadeUp},
		{Name: "precondition-made-up", Breaks: []string{preconditionHonest}, Every: 2, call: preconditionMadeUp},
	}
}

// wantsState says whether a watch begins with the state
// (apimachinery, pkg/apis/meta/internalversion/defaults.go).
func (q *call) wantsState() bool {
	if q.query.Has("sendInitialEvents") || q.matching != "" {
		return q.query.Get("sendInitialEvents") == "true"
	}
	return q.resourceVersion == "" || q.resourceVersion == "0"
}

// legalWatch says whether a server has to take the options of a watch.
func (q *call) legalWatch() bool {
	if initial := q.query.Has("sendInitialEvents"); initial != (q.matching == "NotOlderThan") || !initial && q.matching != "" {
		return false
	}
	return q.legalVersion()
}

// watchExpired says that a revision is too old of one that needs no history, or
// that is still to come.
func watchExpired(l *liar, q *call) *answer {
	if !q.legalWatch() || !q.wantsState() && !l.fromFuture(q) || !l.turn() {
		return nil
	}
	l.tell()
	return expired(q)
}

// watchTooNew refuses a watch without initial events, which may begin anywhere.
func watchTooNew(l *liar, q *call) *answer {
	if !q.legalWatch() || q.wantsState() || !l.turn() {
		return nil
	}
	l.tell()
	return tooLarge(q)
}

// current reads the object that a write is about, as it is; nil: there is none.
// It is not ok if that cannot be told.
func (q *call) current(next sender, name string) (m *metav1.ObjectMeta, o object, ok bool) {
	a, err := next(q.read(name, nil))
	if err != nil {
		return nil, object{}, false
	}
	if a.status == http.StatusNotFound {
		return nil, object{}, true
	}
	if o, ok = a.object(); !ok {
		return nil, object{}, false
	}
	m, ok = o.meta()
	return m, o, ok
}

// meets says whether an object is what a write needs.
func (n need) meets(m *metav1.ObjectMeta) bool {
	return m != nil && (n.uid == "" || n.uid == string(m.UID)) && (n.version == "" || n.version == m.ResourceVersion)
}

// conflictMadeUp refuses a write of the version that is there.
func conflictMadeUp(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "update" && q.verb != "patch" || q.apply() || !q.need().any() || !l.turn() {
		return next(q)
	}
	m, _, ok := q.current(next, q.name)
	if !ok || !q.need().meets(m) {
		return next(q)
	}
	l.tell()
	return conflict(q), nil
}

// existsMadeUp refuses a create under a name that is free.
func existsMadeUp(l *liar, q *call, next sender) (*answer, error) {
	name := createdName(q)
	if q.verb != "create" || name == "" || !l.turn() {
		return next(q)
	}
	m, _, ok := q.current(next, name)
	if !ok || m != nil {
		return next(q)
	}
	l.tell()
	named := *q
	named.name = name
	return refusal(&named, http.StatusConflict, metav1.StatusReasonAlreadyExists, q.resource+` "`+name+`" already exists`), nil
}

// createdName is the name of the object that is sent.
func createdName(q *call) string {
	if o, ok := readObject(q.body); ok {
		if m, ok := o.meta(); ok {
			return m.Name
		}
	}
	return ""
}

// notFoundMadeUp says that an object is not there which is to be written.
func notFoundMadeUp(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "update" && q.verb != "patch" && q.verb != "delete" || q.apply() || !l.turn() {
		return next(q)
	}
	m, _, ok := q.current(next, q.name)
	if !ok || m == nil {
		return next(q)
	}
	l.tell()
	return notFound(q), nil
}

// preconditionMadeUp refuses a delete whose precondition holds.
func preconditionMadeUp(l *liar, q *call, next sender) (*answer, error) {
	if q.verb != "delete" || !q.need().any() || !l.turn() {
		return next(q)
	}
	m, _, ok := q.current(next, q.name)
	if !ok || !q.need().meets(m) {
		return next(q)
	}
	l.tell()
	return conflict(q), nil
}

// withoutPreconditions removes them from the options of a delete.
func withoutPreconditions(body []byte) ([]byte, bool) {
	return replaceJSON(body, nil, "preconditions")
}

// rehearsed returns a delete or a write as a dry run.
func (q *call) rehearsed() (*call, bool) {
	if q.verb != "delete" || len(q.body) == 0 {
		return q.with(map[string]string{"dryRun": metav1.DryRunAll}), true
	}
	if !json.Valid(q.body) {
		return nil, false
	}
	body, ok := replaceJSON(q.body, []string{metav1.DryRunAll}, "dryRun")
	return q.sending(body), ok
}
