package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const (
	protobuf      = "application/vnd.kubernetes.protobuf"
	protobufWatch = "application/vnd.kubernetes.protobuf;stream=watch"
	jsonType      = "application/json"
	userAgent     = "planecheck"
)

// methods of the verbs. A verb that is not here cannot be sent.
func method(verb string) string {
	switch verb {
	case "get", "list", "watch":
		return http.MethodGet
	case "create":
		return http.MethodPost
	case "update":
		return http.MethodPut
	case "patch":
		return http.MethodPatch
	case "delete", "deletecollection":
		return http.MethodDelete
	}
	return ""
}

// check finds requests that would go somewhere else than they were meant to: a
// delete without a name would be a deletecollection.
func (r *Request) check() error {
	switch {
	case r.Resource.Version == "" || r.Resource.Plural == "":
		return errors.New("resource has no version or no plural")
	case method(r.Verb) == "":
		return fmt.Errorf("unknown verb %q", r.Verb)
	case r.Verb == "watch" && r.Subresource != "":
		return errors.New("watch of a subresource")
	case r.Name == "" && (r.named() || r.Subresource != ""):
		return errors.New("no name given")
	case r.Verb == "patch" && r.ContentType == "":
		return errors.New("patch without a content type")
	}
	return nil
}

// named says whether the verb acts on one object that exists.
func (r *Request) named() bool {
	switch r.Verb {
	case "get", "update", "patch", "delete":
		return true
	}
	return false
}

// path is the URL path of the request
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris).
func (r *Request) path() string {
	b := make([]byte, 0, 160)
	if r.Resource.Group == "" {
		b = append(b, "/api/"...)
	} else {
		b = append(append(b, "/apis/"...), r.Resource.Group...)
		b = append(b, '/')
	}
	b = append(b, r.Resource.Version...)
	if r.Namespace != "" {
		b = append(append(b, "/namespaces/"...), r.Namespace...)
	}
	b = append(append(b, '/'), r.Resource.Plural...)
	if r.named() || r.Subresource != "" {
		b = append(append(b, '/'), r.Name...)
	}
	if r.Subresource != "" {
		b = append(append(b, '/'), r.Subresource...)
	}
	return string(b)
}

// query is the URL query of the request. A watch of one object is a watch of
// the collection with a field selector; the Node authorizer reads the name
// from there, too.
func (r *Request) query() string {
	if r.Verb != "watch" {
		return r.Query.Encode()
	}
	q := make([]string, 1, 3)
	q[0] = "watch=true"
	if r.Name != "" && !r.Query.Has("fieldSelector") {
		q = append(q, "fieldSelector="+url.QueryEscape("metadata.name="+r.Name))
	}
	if len(r.Query) > 0 {
		q = append(q, r.Query.Encode())
	}
	return strings.Join(q, "&")
}

// body is a request body in memory.
type body struct{ bytes.Reader }

func (*body) Close() error { return nil }

// request is r as net/http sends it to the server at addr.
func (c *Client) request(ctx context.Context, r *Request, addr string) *http.Request {
	header := make(http.Header, 4)
	header["User-Agent"] = []string{userAgent}
	header["Accept"] = []string{r.accept()}
	if c.authorization != nil {
		header["Authorization"] = c.authorization
	}
	req := &http.Request{
		Method: method(r.Verb),
		URL:    &url.URL{Scheme: "https", Host: addr, Path: r.path(), RawQuery: r.query()},
		Host:   addr,
		Header: header,
	}
	if r.Body != nil {
		contentType := r.ContentType
		if contentType == "" {
			contentType = protobuf
		}
		header["Content-Type"] = []string{contentType}
		b := new(body)
		b.Reset(r.Body)
		req.Body = b
		req.ContentLength = int64(len(r.Body))
	}
	return req.WithContext(ctx)
}

func (r *Request) accept() string {
	switch {
	case r.Verb == "watch" && r.Accept != jsonType:
		return protobufWatch
	case r.Accept == "":
		return protobuf
	}
	return r.Accept
}
