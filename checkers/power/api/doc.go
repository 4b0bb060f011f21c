// Package apipower measures what the checkers of the API history see. It tells
// lies in histories that were recorded from live runs, one in each, and counts
// how many of them the checkers catch, guarantee by guarantee.
//
// The catalogue was written from the words of the guarantees and the records
// alone; of the checkers their exported names, options and package comments
// were known. Their code was read when there were survivors to explain: then the
// model learned to acquit what has an honest explanation, and no lie was
// dropped. A lie is told consistently: a stale list has the header and
// the body of the past, a uid that changes does so in the version table and in
// every answer to a GET, a LIST or a write that shows it. Lies about reads and
// writes are in the calls, lies about watches in their messages, lies about
// identities and about the cluster in the version table.
//
// Not every lie makes a history wrong: a GET that shows an older version is
// right if that was replaced while the GET ran. So a mutant counts only if a
// model rejects it that shares no code with the checkers: plain maps of all
// versions, a search over all revisions that the store may have been at, the
// list of everything that a watch owes. It judges what the lie changed, because
// the rest was valid before, and says nothing of selectors other than equality,
// nor of lists that a field selector narrows to one name; no lies are told
// there. What it accepts is listed as acquitted.
//
// Where a run has no material for the guarantees of controllers, a workload is
// added to its version table, whole and right, before the lie: revisions are
// doubled to make room for it.
//
// A mutant is caught if the guarantee fails that it breaks; what another one catches
// alone is counted apart and is no kill. Each mutant is shown, whole, to the one
// checker that judges its guarantee. Lies that the checkers are known to miss are
// marked as such, count as escaped and are printed.
//
// What the model acquits is judged, too: where a checker fails it, one of the two is
// wrong, unless the lie says why the model knows less there.
//
// What is published is regenerated from recorded runs by
//
//	PLANECHECK_POWER_RUNS=dir:dir... PLANECHECK_POWER=200 go test -count=1 -v -timeout 60m ./checkers/power/api -run TestPower
package apipower
