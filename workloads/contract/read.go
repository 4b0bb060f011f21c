package contract

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

const (
	mostPages = 40 // of one list that is followed to its end
	// pagePause is how long a client takes over a page, at most.
	pagePause = 300 * time.Millisecond
)

// awaited is resourceVersion of a GET or LIST, for which a server waits until it has
// come that far. Gentle traffic asks for what may be of any age instead, of which there
// is little, unless that would make a legal request illegal, or the other way round.
func (t *turn) awaited(v version, anyIsLegal bool) string {
	if t.w.plan.Gentle && v == future {
		v = now
		if anyIsLegal {
			v = zero
		}
	}
	return t.resourceVersion(v)
}

// resourceVersion turns a choice into what is sent.
func (t *turn) resourceVersion(v version) string {
	if t.w.plan.Gentle && v == malformed {
		v = now
	}
	switch v {
	case now:
		return t.w.board.now()
	case past:
		return t.w.board.before(t.rng)
	case compacted:
		return t.w.board.oldest(t.rng)
	case future:
		return t.w.board.ahead()
	case malformed:
		return pick(t.rng, []string{"abc", "-1", "1.5"})
	}
	return string(v)
}

// get reads one object: mostly at the most recent version, at 0 or at one that
// was seen.
func get(ctx context.Context, t *turn) {
	t.other(4)
	v := pick(t.rng, []version{unset, unset, unset, zero, zero, now, now, past, past, compacted})
	if t.chance(20) {
		v = pick(t.rng, []version{future, malformed})
	}
	r := t.about("get")
	setIf(r.Query, "resourceVersion", t.awaited(v, true))
	resp, err := t.send(ctx, r)
	if err == nil {
		t.remember(resp.Body)
	}
}

// scope limits a request for many objects: to a namespace or not, and by
// selectors. byName says that metadata.name may be one of them: a list of one
// name reads one key, and takes no notice of a continue token.
func (t *turn) scope(r *client.Request, byName bool) {
	r.Name = ""
	if t.everywhere() {
		r.Namespace = ""
	}
	label, field := t.labelSelector(), t.fieldSelector(byName)
	if r.Namespace == "" && t.w.plan.Crowded {
		label = strings.TrimSuffix(partLabel+"="+partValue+","+label, ",")
	}
	setIf(r.Query, "labelSelector", label)
	setIf(r.Query, "fieldSelector", field)
}

// everywhere says whether a request for many objects is for all namespaces: every
// second one, but among others' pods one of twenty. There a list costs an API server a
// look at each of them, and one of a version that its cache has not the decoding of
// each: beside a fill to 140,000 pods they took 1.8 s on average, when every second one
// was such.
func (t *turn) everywhere() bool {
	if t.w.plan.Crowded && t.object.kind.pod() {
		return t.chance(20)
	}
	return t.chance(2)
}

func (t *turn) labelSelector() string { return pick(t.rng, labelSelectors(pick(t.rng, colors))) }

// labelSelectors are those of lists and watches, each as often as it is chosen.
func labelSelectors(color string) []string {
	return []string{
		"", "", "", "",
		colorLabel + "=" + color,
		colorLabel + "=" + color,
		colorLabel + "!=" + color,
		colorLabel + " in (" + color + ",red)",
		colorLabel + " notin (" + color + ",red)," + partLabel,
		"!" + contestedLabel,
		originLabel + "=generated," + colorLabel + "=" + color,
	}
}

func (t *turn) fieldSelector(byName bool) string {
	return pick(t.rng, fieldSelectors(t.object, byName))
}

// fieldSelectors are those of lists and watches about an object.
func fieldSelectors(o object, byName bool) []string {
	choices := []string{"", "", "", "", "", "metadata.namespace=" + o.namespace, "metadata.namespace!=" + o.namespace}
	if byName {
		choices = append(choices, "metadata.name="+o.name, "metadata.name!="+o.name)
	}
	if o.kind.pod() {
		choices = append(choices, "spec.nodeName=", "spec.nodeName="+nodeName, "spec.nodeName!=",
			"status.phase=Pending", "status.phase!=Pending,spec.restartPolicy=Always", "spec.schedulerName="+schedulerName)
	}
	return choices
}

// Selections are watches with the selectors that are legal, each at least once: who
// judges them has to know these fields.
func Selections() []client.Request {
	var all []client.Request
	for _, k := range kinds {
		fields := fieldSelectors(object{kind: k, namespace: "ns", name: "name"}, true)
		for i, labels := range labelSelectors(colors[0]) {
			r := client.Request{Verb: "watch", Resource: k.resource, Query: url.Values{}}
			setIf(r.Query, "labelSelector", labels)
			setIf(r.Query, "fieldSelector", fields[i%len(fields)])
			all = append(all, r)
		}
		for _, field := range fields {
			all = append(all, client.Request{Verb: "watch", Resource: k.resource, Query: url.Values{"fieldSelector": {field}}})
		}
	}
	return all
}

func listLegal(ctx context.Context, t *turn)   { t.list(ctx, pick(t.rng, legalLists)) }
func listIllegal(ctx context.Context, t *turn) { t.list(ctx, pick(t.rng, illegalLists)) }

// list sends one list.
func (t *turn) list(ctx context.Context, o listOptions) {
	r := t.about("list")
	t.scope(&r, o.place == fromStart)
	limit := o.limit
	switch o.place {
	case fromToken:
		k, ok := t.w.board.token(t.object.kind, t.rng)
		if !ok {
			// Nobody was given a token yet. A list that can be continued, to
			// get one.
			o, limit = listOptions{}, "1"
			break
		}
		r.Namespace, r.Query = k.namespace, maps.Clone(k.query)
		r.Query.Set("continue", k.value)
	case fromJunk:
		r.Query.Set("continue", "bm90IGEgdG9rZW4")
		r.Illegal = history.MalformedContinue
	}
	setIf(r.Query, "resourceVersion", t.listVersion(o))
	setIf(r.Query, "resourceVersionMatch", o.match)
	setIf(r.Query, "sendInitialEvents", o.initial)
	setIf(r.Query, "limit", limit)
	_, _ = t.page(ctx, r)
}

// listVersion is awaited of a list: there is none of exactly 0, and beside a token 0 is
// legal where no other version is.
func (t *turn) listVersion(o listOptions) string {
	return t.awaited(o.version, o.match != exact && o.place == fromStart)
}

// page sends a list, remembers what it shows and returns the token of the next
// page, "" if there is none.
func (t *turn) page(ctx context.Context, r client.Request) (next string, err error) {
	resp, err := t.send(ctx, r)
	if err != nil {
		return expiredToken(resp), err
	}
	version, next, items, err := t.object.kind.listMeta(resp.Body)
	if err != nil {
		t.w.deps.Log.Error("Cannot decode a list", "kind", t.object.kind.name, "error", err)
		return "", err
	}
	t.w.board.version(version)
	for _, m := range items {
		t.w.board.version(m.version)
	}
	if next != "" {
		t.w.board.keepToken(t.object.kind, token{
			namespace: r.Namespace, query: selectors(r.Query), value: next,
		})
	}
	return next, nil
}

// selectors are what all pages of one list have in common.
func selectors(q url.Values) url.Values {
	kept := url.Values{}
	for _, name := range []string{"labelSelector", "fieldSelector"} {
		setIf(kept, name, q.Get(name))
	}
	return kept
}

// expiredToken is the token that a 410 offers, with which the list can go on
// at the most recent version
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks).
func expiredToken(resp *client.Response) string {
	if resp == nil || resp.Status != http.StatusGone {
		return ""
	}
	var s metav1.Status
	_, _, raw, err := wire.Unwrap(resp.Body)
	if err == nil {
		err = s.Unmarshal(raw)
	} else {
		err = json.Unmarshal(resp.Body, &s)
	}
	if err != nil {
		return ""
	}
	return s.Continue
}

// pages reads a list page by page, to its end.
func pages(ctx context.Context, t *turn) {
	r := t.about("list")
	t.scope(&r, false)
	r.Query.Set("limit", pick(t.rng, []string{"1", "2", "3", "5"}))
	first := pick(t.rng, []listOptions{{}, {}, {}, {version: zero}, {version: now}, {version: now, match: exact}, {version: past, match: exact}, {version: past, match: notOlderThan}})
	setIf(r.Query, "resourceVersion", t.resourceVersion(first.version))
	setIf(r.Query, "resourceVersionMatch", first.match)
	for range mostPages {
		next, _ := t.page(ctx, r)
		if next == "" {
			return
		}
		// Time for others to write between the pages.
		if !sleep(ctx, t.w.ending, time.Duration(t.rng.Int64N(int64(t.w.pagePause)))) {
			return
		}
		r.Query.Del("resourceVersion")
		r.Query.Del("resourceVersionMatch")
		r.Query.Set("continue", next)
	}
}

// sleep waits for d. It is false if the end came first.
func sleep(ctx context.Context, ending <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-ending:
	}
	return false
}
