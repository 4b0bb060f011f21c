package contract

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
)

// requestBound is longer than the API server's own limit of 60 s, so that what
// ends a request is the server.
const requestBound = 70 * time.Second

// counterMark is the mark that all clients share.
const counterMark = "n"

// actor is one client at work.
type actor struct {
	w      *Workload
	mark   string // its mark; the one of its server-side apply is mark+".apply"
	client *client.Client
	memory memory
	values atomic.Uint64
}

func markOf(client int) string   { return fmt.Sprintf("c%02d", client) }
func (a *actor) applied() string { return a.mark + ".apply" }

// value makes a value that nobody ever wrote before. A request that has been
// built is sent once: there is no way to write a value again.
func (a *actor) value() string {
	return fmt.Sprintf("%s-%x-%d", a.mark, a.w.plan.Seed, a.values.Add(1))
}

// turn is one operation as it is carried out.
type turn struct {
	*actor
	object object
	rng    *rand.Rand
	due    history.Time // of the first request; zero after it
}

// chance is true once in n times.
func (t *turn) chance(n int) bool { return t.rng.IntN(n) == 0 }

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// send sends a request, once, and takes note of how it went.
func (t *turn) send(ctx context.Context, r client.Request) (*client.Response, error) {
	r.Due, t.due = t.due, 0
	ctx, cancel := context.WithTimeout(ctx, requestBound)
	defer cancel()
	resp, err := t.client.Do(ctx, &r)
	t.w.stats.request(r.Verb, err)
	return resp, err
}

// about makes a request for the object of the turn.
func (t *turn) about(verb string) client.Request {
	o := t.object
	r := client.Request{Verb: verb, Resource: o.kind.resource, Namespace: o.namespace, Name: o.name, Query: url.Values{}}
	if o.kind.custom {
		r.Accept = jsonType
	}
	return r
}

// write sends a write that declares its marks; one in ten is a dry run. What
// the answer shows is remembered.
func (t *turn) write(ctx context.Context, r client.Request, marks history.Marks) (*client.Response, error) {
	dry := t.chance(10)
	if dry {
		r.Query.Set("dryRun", metav1.DryRunAll)
	}
	return t.writeAs(ctx, r, marks, dry)
}

func (t *turn) writeAs(ctx context.Context, r client.Request, marks history.Marks, dry bool) (*client.Response, error) {
	r.Marks = &marks
	resp, err := t.send(ctx, r)
	switch {
	case client.IsNotFound(err):
		t.memory.forget(t.object)
	case err == nil && !dry && r.Subresource != "binding":
		t.remember(resp.Body)
	}
	return resp, err
}

// remember keeps the object of an answer. An answer that holds none, such as
// the Status of a delete, is let go.
func (t *turn) remember(body []byte) {
	m, err := t.object.kind.meta(body)
	if err != nil || m.uid == "" {
		return
	}
	t.memory.keep(t.object, seen{m, body})
	t.w.board.version(m.version)
}

// known is the object as this client last saw it, or, when it never did or
// when fresh is asked for, as it is now.
func (t *turn) known(ctx context.Context, fresh bool) (seen, bool) {
	if s, ok := t.memory.last(t.object); ok && !fresh {
		return s, true
	}
	resp, err := t.send(ctx, t.about("get"))
	if err != nil {
		if client.IsNotFound(err) {
			t.memory.forget(t.object)
		}
		return seen{}, false
	}
	t.remember(resp.Body)
	return t.memory.last(t.object)
}

// other moves one turn in n to an object whose name a server made up.
func (t *turn) other(n int) {
	if t.chance(n) {
		if o, ok := t.w.board.anyGenerated(t.object.kind, t.rng); ok {
			t.object = o
		}
	}
}

var colors = []string{"red", "green", "blue"}

// set puts a mark on o.
func set(o metav1.Object, name, value string) {
	notes := o.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	notes[history.MarkPrefix+name] = value
	o.SetAnnotations(notes)
}

// label gives o the labels of all the workload's objects, and a color.
func (t *turn) label(o metav1.Object, origin string) {
	o.SetLabels(map[string]string{
		partLabel: partValue, originLabel: origin, colorLabel: pick(t.rng, colors),
	})
}

// sets declares a write of one mark.
func sets(name, value string) history.Marks {
	return history.Marks{Sets: []history.Pair{{Name: name, Value: value}}}
}

// strip takes all marks off o and returns the names of all that there can be
// but those that are kept.
func (t *turn) strip(o metav1.Object, kept string) []string {
	notes := o.GetAnnotations()
	for name := range notes {
		if strings.HasPrefix(name, history.MarkPrefix) {
			delete(notes, name)
		}
	}
	o.SetAnnotations(notes) // of an unstructured object, notes is a copy
	removes := []string{counterMark}
	for i := range t.w.plan.Clients {
		for _, name := range []string{markOf(i), markOf(i) + ".apply"} {
			if name != kept {
				removes = append(removes, name)
			}
		}
	}
	return removes
}
