package client

import (
	"io"

	"github.com/planecheck/planecheck/checkers/history"
)

// NewWatch returns a watch that reads from a stream without a server.
func NewWatch(stream io.ReadCloser, o history.Observer) *Watch {
	return &Watch{observer: o, body: stream, conn: &conn{pool: &pool{}}}
}
