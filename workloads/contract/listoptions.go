package contract

import "net/http"

// version says which resourceVersion a read asks for.
type version string

const (
	unset     version = ""
	zero      version = "0"
	now       version = "now"       // the last that anybody saw
	past      version = "past"      // one that somebody saw before
	compacted version = "compacted" // 1 or the first that anybody saw; compacted when compactions run
	future    version = "future"    // far from reached
	malformed version = "malformed" // not a number
)

var versions = []version{unset, zero, now, past, compacted, future, malformed}

// The values of resourceVersionMatch, one that the API does not have among
// them.
const (
	exact        = "Exact"
	notOlderThan = "NotOlderThan"
	notAMatch    = "NewerThan"
)

// place says which continue token a list carries.
type place string

const (
	fromStart place = ""
	fromToken place = "token"     // one that a server gave to somebody, at some time
	fromJunk  place = "malformed" // not a token
)

// listOptions is one combination of the options of a list that bear on its
// resourceVersion.
type listOptions struct {
	version version
	match   string
	limit   string
	place   place
	initial string // sendInitialEvents, which is for watches only
}

// legalLists and illegalLists are all combinations.
var legalLists, illegalLists = splitLists()

func splitLists() (legal, illegal []listOptions) {
	for _, o := range allLists() {
		if o.refusal() == 0 {
			legal = append(legal, o)
		} else {
			illegal = append(illegal, o)
		}
	}
	return legal, illegal
}

func allLists() []listOptions {
	var all []listOptions
	for _, v := range versions {
		for _, match := range []string{"", exact, notOlderThan, notAMatch} {
			for _, limit := range []string{"", "1", "3", "500", "-1"} {
				for _, p := range []place{fromStart, fromToken, fromJunk} {
					all = append(all, listOptions{version: v, match: match, limit: limit, place: p})
				}
			}
			all = append(all, listOptions{version: v, match: match, initial: "true"})
		}
	}
	return all
}

// refusal is the HTTP status that the API server documents for the
// combination, 0 if it is legal. A limit below zero is legal: it is none.
// resourceVersion 0 beside a token is legal, too, as old reflectors send it.
//
// Sources: k8s.io/apimachinery/pkg/apis/meta/internalversion/validation, and
// ValidateListOptions of k8s.io/apiserver/pkg/storage.
func (o listOptions) refusal() int {
	switch {
	case o.match != "" && (o.version == unset || o.place != fromStart),
		o.match == notAMatch,
		o.match == exact && o.version == zero,
		o.initial != "":
		return http.StatusUnprocessableEntity
	case o.place == fromJunk,
		o.place == fromToken && o.version != unset && o.version != zero,
		o.version == malformed:
		return http.StatusBadRequest
	}
	return 0
}

// watchOptions is one combination of those of a watch.
type watchOptions struct {
	version   version
	match     string
	initial   string // sendInitialEvents: "", true, false
	bookmarks bool
}

// legalWatches and illegalWatches are all combinations.
var legalWatches, illegalWatches = splitWatches()

func splitWatches() (legal, illegal []watchOptions) {
	for _, o := range allWatches() {
		if o.refusal() == 0 {
			legal = append(legal, o)
		} else {
			illegal = append(illegal, o)
		}
	}
	return legal, illegal
}

func allWatches() []watchOptions {
	var all []watchOptions
	for _, v := range versions {
		for _, match := range []string{"", exact, notOlderThan, notAMatch} {
			for _, initial := range []string{"", "true", "false"} {
				for _, bookmarks := range []bool{false, true} {
					all = append(all, watchOptions{v, match, initial, bookmarks})
				}
			}
		}
	}
	return all
}

// refusal is as that of listOptions. sendInitialEvents, be it false, goes with
// resourceVersionMatch NotOlderThan and with nothing else, and the other way
// round. (v1.37 answers a malformed version of a watch, and of a get, with 500 and no
// reason, see docs/findings/0002; the checker counts that as a known deviation.)
func (o watchOptions) refusal() int {
	switch {
	case (o.initial != "") != (o.match == notOlderThan), o.match != "" && o.match != notOlderThan:
		return http.StatusUnprocessableEntity
	case o.version == malformed:
		return http.StatusBadRequest
	}
	return 0
}
