// Package archive keeps histories on disk: one directory per history, in it
// closed segments of one Parquet stream per type of record, and a manifest that
// says which segments make up the history.
//
//	manifest.json                  the list, rewritten atomically
//	store-ops-00001.parquet        closed segments, numbered from 1 without gap
//	store-ops-00002.parquet
//	store-watches-00001.parquet
//	store-watches-00002.parquet.tmp  the segment that is being written
//
// A segment is an ordinary Parquet file (zstd, one column per field, the lists
// of a record as Parquet LISTs) that any tool can open. It is written under a
// temporary name and renamed when it is whole, after at most
// Options.SegmentBytes or Options.SegmentAge, so a run that is killed loses no
// more than that, and what was lost is seen: a history is whole only if its
// manifest says that it was closed, that no record was lost, and if the
// directory holds exactly the segments it lists, each with the size and the
// checksum it had. Everything else reads as ErrIncomplete.
//
// # Order
//
// A stream is read in the order in which its records were appended, as near as
// concurrent appends have one. A recorder appends when a call is complete or a
// message has been seen, so store operations come in the order of their
// completion, not of their call, and neighbours may be swapped: a record may be
// some milliseconds older than the one before it, and an operation without an
// answer comes when the recorder gave up on it, perhaps last of all. A checker
// that needs an order sorts.
//
// # Lists
//
// An empty list and a nil one are the same history; both read as nil.
//
// # Memory
//
// A writing stream holds at most Options.QueueBytes of records that wait and,
// for the row group in the making, at most 8 MiB of values (Kind.Size), about
// as much again while they are encoded, and some 10 MiB of the compressor. A
// reading stream holds one segment as it is on disk (at most 64 MiB unless
// Options said otherwise), one row group of decoded records (at most 8,192 of
// them) and a table of at most 65,536 short strings.
package archive
