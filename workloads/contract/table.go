package contract

import "context"

// operation is one line of the table of what clients do.
type operation struct {
	name   string
	weight int
	// cost is how many requests it takes, on the average; watches that are
	// resumed later are not counted.
	cost float64
	// on says which objects it can be tried on; nil: all.
	on  func(object) bool
	run func(context.Context, *turn)
}

// illegalName is the operation some of which oversizedName takes the place of, see
// Options.Oversized.
const (
	illegalName   = "illegal"
	oversizedName = "illegal-large"
)

// table is filled in by init because operations look themselves up in it.
var table []operation

func init() {
	pods := func(o object) bool { return o.kind.pod() }
	builtIn := func(o object) bool { return !o.kind.custom }
	counted := func(o object) bool { return !o.loose }
	loose := func(o object) bool { return o.loose }
	custom := func(o object) bool { return o.kind.custom }
	table = []operation{
		{"get", 8, 1, nil, get},
		{"list", 12, 1, nil, listLegal},
		{"list-illegal", 2, 1, nil, listIllegal},
		{"pages", 3, 4, nil, pages},
		{"watch", 4, 1, nil, watch},
		{"watch-illegal", 1, 1, nil, watchIllegal},
		{"create", 8, 1, nil, create},
		{"generate", 3, 1, nil, generate},
		{"update", 8, 1.5, nil, update},
		{"increment", 10, 2, counted, increment},
		{"overwrite", 2, 1, loose, overwrite},
		{"patch-json", 4, 1, nil, patchJSON},
		{"patch-merge", 4, 1, nil, patchMerge},
		{"patch-strategic", 4, 1, builtIn, patchStrategic},
		{"apply", 4, 1, nil, apply},
		{"apply-force", 3, 1, nil, applyForce},
		{"status", 2, 1, pods, status},
		{"bind", 2, 1, pods, bind},
		{"delete", 6, 1, nil, remove},
		{"deletecollection", 1, 1, nil, removeCollection},
		{"finalizer-add", 2, 1, nil, addFinalizer},
		{"finalizer-remove", 5, 1, nil, removeFinalizers},
		{illegalName, 2, 1, nil, illegal},
		{oversizedName, 0, 1, nil, oversized},
		{"watch-old", 0, 1, custom, watchOld},
		{"watch-events", 0, 2, nil, watchEvents},
	}
}

// Operations are the names of the kinds of operations that are drawn where the
// weights do not say otherwise.
func Operations() []string {
	var names []string
	for i := range table {
		if table[i].weight > 0 {
			names = append(names, table[i].name)
		}
	}
	return names
}

func operationNamed(name string) *operation {
	for i := range table {
		if table[i].name == name {
			return &table[i]
		}
	}
	return nil
}
