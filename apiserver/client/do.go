package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/planecheck/planecheck/checkers/history"
)

// Do sends one request and reads the whole answer. If the answer is not 2xx
// the error is a *StatusError, and the Response is returned beside it. Without
// a whole answer the Response is nil, and it is not known whether the server
// carried the request out. Do takes as long as ctx lets it.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	if err := c.check(r); err != nil {
		return nil, err
	}
	record := c.record(r)
	res, err := c.exchange(ctx, r, &record)
	c.tell(&record, err)
	if res == nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	return res, err
}

func (c *Client) check(r *Request) error {
	err := r.check()
	if err == nil && r.Verb == "watch" {
		err = errors.New("watches are opened with Watch")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	return nil
}

// exchange sends r, reads the answer and fills in the rest of the record.
func (c *Client) exchange(ctx context.Context, r *Request, record *history.Request) (*Response, error) {
	cn, err := c.connect(ctx, false)
	if err != nil {
		return nil, err
	}
	defer cn.pool.release(cn)
	record.Server = cn.instance
	answer, err := cn.http.RoundTrip(c.request(ctx, r, cn.pool.addr))
	if err != nil {
		return nil, err
	}
	content, err := readBody(answer)
	answer.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read response: %w", err)
	}
	record.Returned = history.Now()
	record.Status = answer.StatusCode
	record.ResponseBytes = len(content)
	record.Answer = content
	res := &Response{
		Status:   answer.StatusCode,
		Body:     content,
		Called:   record.Called,
		Returned: record.Returned,
		Server:   cn.instance,
	}
	if answer.StatusCode/100 != 2 {
		return res, newStatusError(answer.StatusCode, answer.Header, content)
	}
	return res, nil
}

// record begins the record of r. The time is taken here.
func (c *Client) record(r *Request) history.Request {
	return history.Request{
		ID:           attempts.Add(1),
		Class:        c.id.Class,
		Identity:     c.id.User,
		Verb:         r.Verb,
		Group:        r.Resource.Group,
		Version:      r.Resource.Version,
		Resource:     r.Resource.Plural,
		Subresource:  r.Subresource,
		Namespace:    r.Namespace,
		Name:         r.Name,
		Due:          r.Due,
		RequestBytes: len(r.Body),
		Query:        r.Query,
		ContentType:  r.ContentType,
		Sent:         r.Body,
		Marks:        r.Marks,
		Illegal:      r.Illegal,
		Called:       history.Now(),
	}
}

// attempts numbers the attempts of all layers of this process.
var attempts atomic.Uint64

// tell completes the record with how the attempt ended and hands it to the
// observer.
func (c *Client) tell(record *history.Request, err error) {
	if record.Returned == 0 {
		record.Returned = history.Now()
	}
	if status, ok := errors.AsType[*StatusError](err); ok {
		record.Reason = status.Reason
	} else if err != nil {
		record.Err = err.Error()
	}
	if c.layer.cfg.Observer != nil {
		c.layer.cfg.Observer.Request(record)
	}
}

// String names the request in errors.
func (r *Request) String() string {
	s := r.Verb + " " + r.Resource.Plural
	if r.Subresource != "" {
		s += "/" + r.Subresource
	}
	switch {
	case r.Namespace != "" && r.Name != "":
		return s + " " + r.Namespace + "/" + r.Name
	case r.Namespace+r.Name != "":
		return s + " " + r.Namespace + r.Name
	}
	return s
}

// scratch is where bodies of unknown length are read before they are copied to
// a buffer of their size.
var scratch = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// maxTrusted bounds the memory that is set aside because of an announced
// length alone.
const maxTrusted = 64 << 20

// readBody reads the whole body into a buffer of its size, or, if it is large
// and its length was not announced, one that grew with it. It reads on to the
// end of the stream even where the length is known: a stream closed before its
// end is reset, which costs the server a frame.
func readBody(answer *http.Response) ([]byte, error) {
	if n := answer.ContentLength; n >= 0 {
		return readRest(answer.Body, make([]byte, 0, min(n, maxTrusted)+1))
	}
	s := scratch.Get().(*[16 << 10]byte)
	defer scratch.Put(s)
	b, err := fill(answer.Body, s[:0])
	switch err {
	case nil:
		return readRest(answer.Body, append(make([]byte, 0, 4*len(b)), b...))
	case io.EOF:
		return slices.Clone(b), nil
	}
	return nil, err
}

// readRest reads r to its end, appending to b.
func readRest(r io.Reader, b []byte) ([]byte, error) {
	for {
		var err error
		b, err = fill(r, b)
		switch err {
		case nil:
			b = slices.Grow(b, len(b))
		case io.EOF:
			return b, nil
		default:
			return nil, err
		}
	}
}

// fill reads until b is full or r fails or ends, which is io.EOF. io.ReadFull
// would not do: it says ErrUnexpectedEOF for the end, and so does net/http for
// a connection that broke, and a broken body must not pass for a whole one.
func fill(r io.Reader, b []byte) ([]byte, error) {
	for len(b) < cap(b) {
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil {
			return b, err
		}
	}
	return b, nil
}
