// Package power measures what the checkers of the storage history see. It tells
// lies in valid histories, one in each, and counts how many of them the checkers
// catch, guarantee by guarantee.
//
// The catalogue was written from the guarantees and the records alone, without
// a look at how the checkers judge. A lie is told consistently: a stale read has
// the header and the body of the past, a lost write is missing from all later
// answers, events and hashes.
//
// Not every lie makes a history wrong: a read that is moved back over a write
// that ran beside it is still right. So a mutant counts only if a model rejects
// it that shares no code with the checkers: it replays all calls by revision with
// plain maps, compares real time pair by pair and walks each watch along the
// plain list of changes. Its cost is quadratic, and its histories are small. What
// it accepts is listed as equivalent.
//
// The lies are told in generated histories, many in each guarantee, and once each in
// the histories that the stores of recorded runs left, faults among them. What an
// API server never does, such as a write of two keys, finds no place there.
//
// A mutant is caught if the guarantee fails that it breaks; what another one catches
// alone is counted apart and is no kill. So a lie is aimed at what that guarantee can
// see. Lies that the checkers are known to miss are in the catalogue too, marked as
// such, count as survivors and are printed.
//
// What the model accepts is judged, too: where a checker fails it, one of the two is
// wrong, unless the lie says why the model knows less there.
package power
