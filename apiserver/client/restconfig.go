package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"k8s.io/client-go/rest"

	"github.com/planecheck/planecheck/checkers/history"
)

// RESTConfig returns a configuration with which client-go speaks as this
// identity, on the same connections and told to the same observer. client-go
// itself retries (a 429 with Retry-After, for one); each of its attempts is a
// record. The events of its watches are not told, only start and end of the
// stream and its bytes. There is no client-side rate limit. Protocol upgrades
// (exec, port-forward) do not work over it.
func (c *Client) RESTConfig() *rest.Config {
	return &rest.Config{
		Host:      "https://" + c.layer.cfg.Servers[c.server.Load()],
		Transport: roundTripper{c},
		UserAgent: userAgent,
		QPS:       -1,
		ContentConfig: rest.ContentConfig{
			ContentType:        protobuf,
			AcceptContentTypes: protobuf + ",application/json",
		},
	}
}

// roundTripper carries the requests of client-go.
type roundTripper struct{ client *Client }

func (t roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	c := t.client
	r := parseRequest(req.Method, req.URL)
	record := c.record(&r)
	record.Opaque = true
	record.RequestBytes = int(max(req.ContentLength, 0))
	answer, err := c.forward(req, &record)
	if err != nil {
		c.tell(&record, err)
		return nil, err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return c.forwardError(answer, &record)
	}
	body := answer.Body.(*streamed)
	body.record = &record
	if r.Verb == "watch" {
		body.watch = true
		record.Returned = history.Now()
		c.tell(&record, nil)
	}
	return answer, nil
}

// forward sends req to the server that the client is at. It leaves req as it
// is, as the contract of http.RoundTripper asks, save for closing its body.
func (c *Client) forward(req *http.Request, record *history.Request) (*http.Response, error) {
	watch := record.Verb == "watch"
	cn, err := c.connect(req.Context(), watch)
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	record.Server = cn.instance
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host, out.Host = "https", cn.pool.addr, cn.pool.addr
	if c.authorization != nil {
		out.Header["Authorization"] = c.authorization
	}
	answer, err := cn.http.RoundTrip(out)
	if err != nil {
		cn.pool.release(cn)
		return nil, err
	}
	record.Status = answer.StatusCode
	answer.Request = req
	answer.Body = &streamed{ReadCloser: answer.Body, client: c, conn: cn}
	return answer, nil
}

// forwardError reads the body of a failed request for the sake of its reason,
// and puts it back.
func (c *Client) forwardError(answer *http.Response, record *history.Request) (*http.Response, error) {
	content, err := readBody(answer)
	answer.Body.Close()
	if err != nil {
		err = fmt.Errorf("read response: %w", err)
		record.Status = 0
		c.tell(record, err)
		return nil, err
	}
	record.ResponseBytes = len(content)
	c.tell(record, newStatusError(answer.StatusCode, answer.Header, content))
	answer.Body = io.NopCloser(bytes.NewReader(content))
	return answer, nil
}

// streamed is a response body on its way to client-go. Its end is the end of
// the request.
type streamed struct {
	io.ReadCloser
	client *Client
	conn   *conn
	record *history.Request // nil while only forwardError reads
	watch  bool
	bytes  atomic.Int64
	ended  atomic.Bool
}

func (s *streamed) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	s.bytes.Add(int64(n))
	if err != nil {
		s.end(err)
	}
	return n, err
}

func (s *streamed) Close() error {
	err := s.ReadCloser.Close()
	s.end(nil)
	return err
}

func (s *streamed) end(err error) {
	if s.ended.Swap(true) {
		return
	}
	s.conn.pool.release(s.conn)
	if s.record == nil {
		return
	}
	if !s.watch {
		s.endRequest(err)
		return
	}
	if o := s.client.layer.cfg.Observer; o != nil {
		o.WatchEvent(&history.WatchEvent{
			Request:  s.record.ID,
			Class:    s.record.Class,
			Identity: s.record.Identity,
			Resource: s.record.Resource,
			Arrived:  history.Now(),
			Bytes:    int(s.bytes.Load()),
		})
	}
}

func (s *streamed) endRequest(err error) {
	s.record.ResponseBytes = int(s.bytes.Load())
	if err == io.EOF {
		err = nil
	}
	if err != nil {
		s.record.Status = 0 // as in Do: half an answer is none
	}
	s.client.tell(s.record, err)
}

// parseRequest reads verb, resource and name out of a request of client-go.
// Paths that name no resource (/version, /openapi/v3) give the verb alone. The
// rules are those of RequestInfoFactory in
// k8s.io/apiserver/pkg/endpoints/request/requestinfo.go.
func parseRequest(method string, u *url.URL) Request {
	var r Request
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	switch {
	case parts[0] == "api" && len(parts) >= 3:
		r.Resource.Version, parts = parts[1], parts[2:]
	case parts[0] == "apis" && len(parts) >= 4:
		r.Resource.Group, r.Resource.Version, parts = parts[1], parts[2], parts[3:]
	default:
		r.Verb = strings.ToLower(method)
		return r
	}
	// namespaces/NAME is an object, namespaces/NAME/pods a collection in it;
	// status and finalize are the subresources of namespaces.
	if parts[0] == "namespaces" && len(parts) >= 3 && parts[2] != "status" && parts[2] != "finalize" {
		r.Namespace, parts = parts[1], parts[2:]
	}
	r.Resource.Plural = parts[0]
	if len(parts) > 1 {
		r.Name = parts[1]
	}
	if len(parts) > 2 {
		r.Subresource = strings.Join(parts[2:], "/")
	}
	r.Verb = verb(method, r.Name != "", u)
	return r
}

func verb(method string, named bool, u *url.URL) string {
	switch method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if named {
			return "delete"
		}
		return "deletecollection"
	}
	// Values that strconv.ParseBool knows as false are no watch; client-go
	// says true or 1.
	switch w := u.Query().Get("watch"); {
	case w == "true" || w == "1":
		return "watch"
	case named:
		return "get"
	}
	return "list"
}
