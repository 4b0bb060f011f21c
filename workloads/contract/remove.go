package contract

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/planecheck/planecheck/checkers/history"
)

// remove deletes the object, in one of the ways that there are.
func remove(ctx context.Context, t *turn) {
	t.other(4)
	if t.chance(3) {
		t.removePlainly(ctx)
		return
	}
	o := metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "DeleteOptions"}}
	if s, ok := t.known(ctx, t.chance(4)); ok {
		o.Preconditions = t.preconditions(s)
	}
	if g := t.grace(); g != "" {
		seconds, _ := strconv.ParseInt(g, 10, 64) // one of three constants
		o.GracePeriodSeconds = &seconds
	}
	if p := t.propagation(); p != "" {
		o.PropagationPolicy = new(metav1.DeletionPropagation(p))
	}
	dry := t.chance(10)
	if dry {
		o.DryRun = []string{metav1.DryRunAll}
	}
	r := t.about("delete")
	r.Body, _ = json.Marshal(o) // a struct of strings and numbers
	r.ContentType = jsonType
	_, _ = t.writeAs(ctx, r, history.Marks{}, dry)
}

// removePlainly gives the options in the query, where preconditions have no
// place. The server reads them there only if there is no body.
func (t *turn) removePlainly(ctx context.Context) {
	r := t.about("delete")
	setIf(r.Query, "gracePeriodSeconds", t.grace())
	setIf(r.Query, "propagationPolicy", t.propagation())
	_, _ = t.write(ctx, r, history.Marks{})
}

func setIf(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func (t *turn) grace() string { return pick(t.rng, []string{"", "", "0", "5"}) }

func (t *turn) propagation() string {
	return pick(t.rng, []string{"", "", "", "Background", "Foreground", "Orphan"})
}

// preconditions are those of what the client saw last, which may be true no
// longer, or of an object that never was.
func (t *turn) preconditions(s seen) *metav1.Preconditions {
	p := &metav1.Preconditions{}
	switch t.rng.IntN(6) {
	case 0:
		return nil
	case 1, 2:
		p.UID = new(types.UID(s.uid))
	case 3, 4:
		p.ResourceVersion = &s.version
	case 5:
		p.UID = new(types.UID("00000000-0000-0000-0000-000000000000"))
	}
	if t.chance(4) && p.ResourceVersion == nil {
		p.ResourceVersion = &s.version
	}
	return p
}

// removeCollection deletes what a selector matches in one namespace: the
// objects with generated names more often than the few with fixed ones.
func removeCollection(ctx context.Context, t *turn) {
	r := t.about("deletecollection")
	r.Name = ""
	selector := partLabel + "=" + partValue + "," + originLabel + "="
	if t.chance(4) {
		selector += "fixed," + colorLabel + "=" + pick(t.rng, colors)
	} else {
		selector += "generated"
	}
	r.Query.Set("labelSelector", selector)
	setIf(r.Query, "gracePeriodSeconds", t.grace())
	setIf(r.Query, "propagationPolicy", t.propagation())
	if t.chance(10) {
		r.Query.Set("dryRun", metav1.DryRunAll)
	}
	r.Marks = &history.Marks{}
	_, _ = t.send(ctx, r)
}
