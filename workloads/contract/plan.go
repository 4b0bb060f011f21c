package contract

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Options say how much traffic there is. Zero fields take the defaults that
// are named.
type Options struct {
	Clients int `json:"clients"` // default 8
	// Kinds are plurals of the kinds that take part; default all four:
	// configmaps, pods, leases, widgets.
	Kinds []string `json:"kinds"`
	// ObjectsPerKind is how many objects of each kind have a fixed name, spread
	// over the namespaces; default 4. Few, so that clients meet on them.
	ObjectsPerKind int      `json:"objectsPerKind"`
	Namespaces     []string `json:"namespaces"` // default contract-0 and contract-1
	// Rate is how many requests are due in a second, over all clients; default
	// 100. An operation of several requests is due that much more rarely.
	Rate float64 `json:"rate"`
	// InFlight bounds the operations that run at once; default 64.
	InFlight int `json:"inFlight"`
	// Watches bounds the open watches of each client; default 4. A watch more
	// cuts the oldest.
	Watches int `json:"watches"`
	// Crowded says that others have objects of these kinds: requests for all
	// namespaces then always select the workload's own, by label, so that they
	// do not list the whole cluster.
	Crowded bool `json:"crowded"`
	// Gentle has no GET or LIST ask for a version that no revision has reached yet, for
	// which a server waits three seconds and then answers 504, and nothing for a
	// malformed one, for which it answers 500 (docs/findings/0002): beside a load they
	// would count in the servers' latency and availability. Watches from such a version
	// it keeps. They are answered 200 whatever comes of them, and no latency of a watch
	// is an objective; those that ask for initial events wait, one in half a minute.
	Gentle bool `json:"gentle"`
	// Oversized says that the store refuses a request of more than 1.5 MiB, as etcd
	// does by default (--max-request-bytes): then the first of the illegal requests of
	// each client, and every 25th after that, creates an object that is larger.
	Oversized bool `json:"oversized,omitempty"`
	// Weights change those of the table by the operation's name; 0 turns an
	// operation off.
	Weights map[string]int `json:"weights,omitempty"`
}

// Plan is the traffic of one run. It is made from options and a seed, and from
// nothing else: what each client draws does not depend on time or on answers.
type Plan struct {
	Seed uint64 `json:"seed"`
	Options
	// Table is the weighted table that operations are drawn from.
	Table []Weight `json:"table"`
}

// Weight is one line of the table.
type Weight struct {
	Name   string `json:"name"`
	Weight int    `json:"weight"`
}

// NewPlan makes the plan of a seed. Plan.Validate says whether it makes sense.
func NewPlan(seed uint64, o Options) Plan {
	setDefault(&o.Clients, 8)
	setDefault(&o.ObjectsPerKind, 4)
	setDefault(&o.Rate, 100)
	setDefault(&o.InFlight, 64)
	setDefault(&o.Watches, 4)
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{"contract-0", "contract-1"}
	}
	if len(o.Kinds) == 0 {
		for _, k := range kinds {
			o.Kinds = append(o.Kinds, k.resource.Plural)
		}
	}
	p := Plan{Seed: seed, Options: o}
	for _, op := range table {
		w, set := o.Weights[op.name]
		if !set {
			w = op.weight
		}
		p.Table = append(p.Table, Weight{op.name, w})
	}
	return p
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Validate returns what is wrong with the plan, all of it.
func (p Plan) Validate() error {
	var errs []error
	atLeast := func(name string, v, least float64) {
		if !(v >= least) {
			errs = append(errs, fmt.Errorf("%s is %g, want at least %g", name, v, least))
		}
	}
	atLeast("clients", float64(p.Clients), 1)
	atLeast("objects per kind", float64(p.ObjectsPerKind), 1)
	atLeast("rate", p.Rate, 0.001)
	atLeast("operations in flight", float64(p.InFlight), 1)
	atLeast("watches", float64(p.Watches), 1)
	atLeast("namespaces", float64(len(p.Namespaces)), 1)
	atLeast("kinds", float64(len(p.Kinds)), 1)
	for _, name := range p.Kinds {
		if kindNamed(name) == nil {
			errs = append(errs, fmt.Errorf("unknown kind %q", name))
		}
	}
	sum := 0
	for _, w := range p.Table {
		if operationNamed(w.Name) == nil {
			errs = append(errs, fmt.Errorf("unknown operation %q", w.Name))
		}
		atLeast("weight of "+w.Name, float64(w.Weight), 0)
		sum += w.Weight
	}
	for name := range p.Weights {
		if operationNamed(name) == nil {
			errs = append(errs, fmt.Errorf("unknown operation %q", name))
		}
	}
	atLeast("sum of all weights", float64(sum), 1)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if len(p.choices()) == 0 {
		return errors.New("no operation of the table fits any object")
	}
	return nil
}

// object is one object of the plan, by name; it exists or not.
type object struct {
	kind            *kind
	namespace, name string
	// loose objects are also overwritten without a resourceVersion, so they
	// bear no counter.
	loose bool
}

func (o object) key() string { return o.kind.resource.Plural + "/" + o.namespace + "/" + o.name }

// objects are those with a fixed name. Of each kind the last one is loose, and
// every fourth; a kind of one object has no loose one.
func (p Plan) objects() []object {
	var list []object
	for _, name := range p.Kinds {
		k := kindNamed(name)
		for i := range p.ObjectsPerKind {
			o := object{kind: k, namespace: p.Namespaces[i%len(p.Namespaces)], name: fmt.Sprintf("object-%d", i)}
			if i%4 == 3 || i > 0 && i == p.ObjectsPerKind-1 {
				o.name, o.loose = fmt.Sprintf("loose-%d", i), true
			}
			list = append(list, o)
		}
	}
	return list
}

// fitting are the objects of the list that an operation can be tried on.
func (op *operation) fitting(list []object) []object {
	if op.on == nil {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(o object) bool { return !op.on(o) })
}

// draw is one operation as a client's stream has it.
type draw struct {
	due       time.Duration // from the start of the run
	operation *operation
	object    object
	// seed is for all that the operation decides by itself: however many
	// decisions it takes, the stream goes on the same.
	seed uint64
}

func (d draw) rng() *rand.Rand { return rand.New(rand.NewPCG(d.seed, 0x636f6e7472616374)) } // "contract"

// stream is what one client draws, without end.
type stream struct {
	rng     *rand.Rand
	choices []choice
	sum     int
	gap     time.Duration // mean time between two operations of this client
	at      time.Duration
	// oversized says that some of the illegal requests, of which there were so many,
	// are too large.
	oversized bool
	illegal   int
}

// oversizedEvery is one in how many illegal requests is too large. Each of them
// moves 1.6 MiB, so that there are a dozen in a run of a minute, not hundreds.
const oversizedEvery = 25

// choice is a line of the table with what it can be tried on.
type choice struct {
	operation *operation
	weight    int
	objects   []object
}

// choices are the lines of the table that can be drawn.
func (p Plan) choices() []choice {
	var list []choice
	for _, w := range p.Table {
		c := choice{operation: operationNamed(w.Name), weight: w.Weight}
		c.objects = c.operation.fitting(p.objects())
		if w.Weight > 0 && len(c.objects) > 0 {
			list = append(list, c)
		}
	}
	return list
}

// stream returns the stream of the i-th client.
func (p Plan) stream(client int) *stream {
	s := &stream{rng: rand.New(rand.NewPCG(p.Seed, 1+uint64(client))), choices: p.choices(), oversized: p.Oversized}
	cost := 0.0
	for _, c := range s.choices {
		s.sum += c.weight
		cost += float64(c.weight) * c.operation.cost
	}
	perOperation := cost / float64(s.sum) // requests
	s.gap = time.Duration(float64(p.Clients) * perOperation / p.Rate * float64(time.Second))
	return s
}

// next draws an operation. Gaps are exponential: clients that act at random
// moments meet more often, and more variously, than clients that take turns.
func (s *stream) next() draw {
	s.at += time.Duration(s.rng.ExpFloat64() * float64(s.gap))
	n := s.rng.IntN(s.sum)
	i := 0
	for n -= s.choices[0].weight; n >= 0; n -= s.choices[i].weight {
		i++
	}
	c := s.choices[i]
	return draw{
		due:       s.at,
		operation: s.instead(c.operation),
		object:    c.objects[s.rng.IntN(len(c.objects))],
		seed:      s.rng.Uint64(),
	}
}

// instead is what takes the place of an operation that was drawn. It draws nothing,
// so that the seed gives the same traffic but for that.
func (s *stream) instead(o *operation) *operation {
	if !s.oversized || o.name != illegalName {
		return o
	}
	s.illegal++
	if (s.illegal-1)%oversizedEvery == 0 {
		return operationNamed(oversizedName)
	}
	return o
}
