package watches

import (
	"time"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

// Options are what a Checker needs to know beside the records.
type Options struct {
	Versions *versions.Table // see Checker
	Window   *window.Window
	Floors   Floors
	// Calm is the moment from which on the run caused no faults: then an event is
	// owed although nothing passed it by. 0: unknown; none is.
	Calm history.Time
	// Bound is how long a delivery may take then, counted from the latest of the
	// commit, the opening of the watch and Calm. Default: 30 s, some thousand times
	// what it takes; negative: for ever.
	Bound time.Duration
	// Phase is the part of the run that a time belongs to, see Checker.PhaseDeliveries;
	// "": none. Nil: there are none.
	Phase func(history.Time) string
}

// Floors are how much a history must hold of what a guarantee is about before
// the guarantee can pass; below, its verdict is Invalid. A zero field means its
// default, a negative one no floor.
type Floors struct {
	Events    int64 // judged events: Ordered, Unique, Delivered; default 1000
	Initial   int64 // watches whose initial state was judged: InitialState; default 20
	Ends      int64 // ends of initial events: InitialEventsEnd; default 20
	Bookmarks int64 // other bookmarks and those: BookmarkNotAhead; default 20
	Deleted   int64 // DELETED events: Transitions; default 20
	Matching  int64 // objects that began to match, and as many that ceased to: Transitions; default 20
	Expired   int64 // watches refused as too old: ExpiredHonest; default 5
	Future    int64 // watches from the future: TooNewHonest; default 5
}

const defaultBound = 30 * time.Second

func (o Options) withDefaults() Options {
	if o.Versions == nil {
		o.Versions = versions.New()
	}
	if o.Window == nil {
		o.Window = window.New().Window()
	}
	if o.Bound == 0 {
		o.Bound = defaultBound
	}
	f := &o.Floors
	for _, d := range []struct {
		field *int64
		value int64
	}{
		{&f.Events, 1000}, {&f.Initial, 20}, {&f.Ends, 20}, {&f.Bookmarks, 20},
		{&f.Deleted, 20}, {&f.Matching, 20}, {&f.Expired, 5}, {&f.Future, 5},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return o
}
