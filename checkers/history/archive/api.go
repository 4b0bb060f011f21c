package archive

import (
	"unsafe"

	"github.com/planecheck/planecheck/checkers/history"
)

// APICalls is the stream of the attempts of the API history.
var APICalls = Kind[history.APICall]{
	Name: "api-calls",
	Times: func(c *history.APICall) (first, last history.Time) {
		return c.Called, max(c.Called, c.Returned)
	},
	Size: sizeOfCall,
}

// APIWatches is the stream of the watch messages of the API history.
var APIWatches = Kind[history.APIWatch]{
	Name:  "api-watches",
	Times: func(w *history.APIWatch) (first, last history.Time) { return w.At, w.At },
	Size: func(w *history.APIWatch) int {
		return int(unsafe.Sizeof(*w)) + sizeOfObject(&w.Object) + len(w.Error)
	},
}

// Versions is the stream of the version table. It has no times: its order is
// that of the revisions.
var Versions = Kind[history.Version]{
	Name:  "versions",
	Times: func(*history.Version) (first, last history.Time) { return 0, 0 },
	Size:  sizeOfVersion,
}

const (
	callSize     = int(unsafe.Sizeof(history.APICall{}))
	objectSize   = int(unsafe.Sizeof(history.APIObject{}))
	apiChunkSize = int(unsafe.Sizeof(history.APIChunk{}))
	pairSize     = int(unsafe.Sizeof(history.Pair{}))
	versionSize  = int(unsafe.Sizeof(history.Version{}))
	ownerSize    = int(unsafe.Sizeof(history.Owner{}))
	stringSize   = int(unsafe.Sizeof(""))
)

// The sizes leave out the strings that many records share, as those of the
// storage history do.

func sizeOfObject(o *history.APIObject) int { return len(o.Namespace) + len(o.Name) + len(o.UID) }

func sizeOfCall(c *history.APICall) int {
	n := callSize + sizeOfObject(&c.Object) + len(c.Name) + len(c.Message) + len(c.LabelSelector) + len(c.FieldSelector) +
		len(c.NeedUID) + len(c.NeedVersion) + len(c.ResourceVersion) + len(c.Error) + sizeOfPairs(c.Sets)
	for _, name := range c.Removes {
		n += stringSize + len(name)
	}
	for i := range c.Items {
		n += objectSize + sizeOfObject(&c.Items[i])
	}
	for i := range c.Chunks {
		n += apiChunkSize + len(c.Chunks[i].First) + len(c.Chunks[i].Last)
	}
	return n
}

func sizeOfPairs(pairs []history.Pair) int {
	n := len(pairs) * pairSize
	for i := range pairs {
		n += len(pairs[i].Name) + len(pairs[i].Value)
	}
	return n
}

func sizeOfVersion(v *history.Version) int {
	n := versionSize + len(v.Key) + len(v.Name) + len(v.UID) + sizeOfPairs(v.Labels) + sizeOfPairs(v.Marks) + sizeOfPairs(v.Fields)
	for _, f := range v.Finalizers {
		n += stringSize + len(f)
	}
	for i := range v.Owners {
		n += ownerSize + len(v.Owners[i].Name) + len(v.Owners[i].UID)
	}
	return n
}

// APIWriter is the history.APISink and the history.VersionSink that write to an
// archive. Its methods may be called concurrently and never wait for the disk.
type APIWriter struct {
	calls    *Stream[history.APICall]
	watches  *Stream[history.APIWatch]
	versions *Stream[history.Version]
}

var (
	_ history.APISink     = (*APIWriter)(nil)
	_ history.VersionSink = (*APIWriter)(nil)
)

// NewAPIWriter adds the streams of the API history and of the version table to
// w. The records are on disk after w.Close.
func NewAPIWriter(w *Writer) (*APIWriter, error) {
	calls, err := NewStream(w, APICalls)
	if err != nil {
		return nil, err
	}
	watches, err := NewStream(w, APIWatches)
	if err != nil {
		return nil, err
	}
	versions, err := NewStream(w, Versions)
	if err != nil {
		return nil, err
	}
	return &APIWriter{calls, watches, versions}, nil
}

// APICall takes an attempt.
func (a *APIWriter) APICall(c *history.APICall) { a.calls.Append(c) }

// APIWatch takes a watch message.
func (a *APIWriter) APIWatch(w *history.APIWatch) { a.watches.Append(w) }

// Version takes a row of the version table.
func (a *APIWriter) Version(v *history.Version) { a.versions.Append(v) }

// Lost is the number of records that were lost so far.
func (a *APIWriter) Lost() uint64 { return a.calls.Lost() + a.watches.Lost() + a.versions.Lost() }

// Has says whether the history has a stream of that name: a storage history
// need not have the others.
func (r *Reader) Has(stream string) bool {
	_, listed := r.manifest.segments(stream)
	return listed
}
