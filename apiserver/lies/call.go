package lies

import (
	"context"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// call is one request of a client, read down to what a lie is about.
type call struct {
	ctx      context.Context
	method   string
	path     string
	rawQuery string
	header   http.Header
	body     []byte

	// verb is get, list, watch, create, update, patch, delete or
	// deletecollection; "" of what is no request for a resource.
	verb                      string
	group, resource           string
	namespace, name, sub      string
	query                     url.Values
	collection                string // path of the collection
	resourceVersion, matching string
}

// newCall reads a request, but for its body.
func newCall(r *http.Request) *call {
	q := &call{
		ctx: r.Context(), method: r.Method, path: r.URL.EscapedPath(), rawQuery: r.URL.RawQuery, header: r.Header.Clone(),
	}
	query, err := url.ParseQuery(q.rawQuery)
	if err != nil {
		return q
	}
	q.asks(query)
	if q.locate(r.URL.Path) {
		q.verb = q.verbOf()
	}
	return q
}

func (q *call) asks(query url.Values) {
	q.query, q.resourceVersion, q.matching = query, query.Get("resourceVersion"), query.Get("resourceVersionMatch")
}

// locate reads the path
// (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris).
func (q *call) locate(path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	base := 2
	switch {
	case len(parts) > 2 && parts[0] == "api":
	case len(parts) > 3 && parts[0] == "apis":
		q.group, base = parts[1], 3
	default:
		return false
	}
	rest := parts[base:]
	if rest[0] == "watch" || rest[0] == "proxy" {
		return false // long deprecated
	}
	if rest[0] == "namespaces" && len(rest) > 2 && rest[2] != "status" && rest[2] != "finalize" {
		q.namespace, rest = rest[1], rest[2:]
	}
	q.resource = rest[0]
	q.collection = "/" + strings.Join(parts[:len(parts)-len(rest)+1], "/")
	if len(rest) > 1 {
		q.name = rest[1]
	}
	if len(rest) > 2 {
		q.sub = strings.Join(rest[2:], "/")
	}
	return true
}

func (q *call) verbOf() string {
	watch := q.query.Get("watch")
	switch {
	case q.method == http.MethodGet && (watch == "true" || watch == "1"):
		if q.name != "" {
			return "" // deprecated
		}
		return "watch"
	case q.method == http.MethodGet && q.name == "":
		return "list"
	case q.method == http.MethodGet:
		return "get"
	case q.method == http.MethodPost:
		return "create"
	case q.method == http.MethodPut:
		return "update"
	case q.method == http.MethodPatch:
		return "patch"
	case q.method == http.MethodDelete && q.name == "":
		return "deletecollection"
	case q.method == http.MethodDelete:
		return "delete"
	}
	return ""
}

// otherForm says whether what is asked for is no plain object: a table, or
// metadata only.
func (q *call) otherForm() bool { return strings.Contains(q.header.Get("Accept"), ";as=") }

// with returns a call with other options; the value "" removes one.
func (q *call) with(options map[string]string) *call {
	c := *q
	query := maps.Clone(q.query)
	for name, value := range options {
		query.Del(name)
		if value != "" {
			query.Set(name, value)
		}
	}
	c.rawQuery = query.Encode()
	c.asks(query)
	return &c
}

// sending returns a call with another body.
func (q *call) sending(body []byte) *call {
	c := *q
	c.body = body
	return &c
}

// read returns a read by the same client of the object that a call is about, or
// of its collection, with options.
func (q *call) read(name string, options map[string]string) *call {
	c := *q
	c.method, c.body, c.verb, c.name = http.MethodGet, nil, "get", name
	c.header = q.header.Clone()
	c.header.Del("Content-Type")
	c.path = q.collection + "/" + url.PathEscape(name)
	if name == "" {
		c.verb, c.path = "list", q.collection
	}
	c.query = url.Values{}
	return c.with(options)
}

func (q *call) dryRun() bool { return q.query.Get("dryRun") != "" || q.deletion().DryRun != nil }

// legalVersion says whether the resourceVersion is none or a version.
func (q *call) legalVersion() bool {
	return q.resourceVersion == "" || q.resourceVersion == "0" || number(q.resourceVersion) > 0
}

// apply says whether a call is a server-side apply.
func (q *call) apply() bool {
	return strings.HasPrefix(q.header.Get("Content-Type"), "application/apply-patch")
}

// oneName says whether a list is one of a single name, which is read otherwise
// than others.
func (q *call) oneName() bool {
	return strings.Contains(q.query.Get("fieldSelector"), "metadata.name=")
}

// deletion is what a lie needs of metav1.DeleteOptions.
type deletion struct {
	Preconditions struct{ UID, ResourceVersion *string }
	DryRun        []string
}

// deletion reads the options of a delete that has them in JSON.
func (q *call) deletion() deletion {
	var d deletion
	if q.verb == "delete" && len(q.body) > 0 && q.body[0] == '{' && json.Unmarshal(q.body, &d) != nil {
		return deletion{}
	}
	return d
}

// need is what a write asks of the object as it is.
type need struct{ uid, version string }

func (n need) any() bool { return n != need{} }

// need reads the precondition of a write: fields of what is sent, or of the
// options of a delete.
func (q *call) need() need {
	switch {
	case q.verb == "delete":
		p := q.deletion().Preconditions
		var n need
		if p.UID != nil {
			n.uid = *p.UID
		}
		if p.ResourceVersion != nil {
			n.version = *p.ResourceVersion
		}
		return n
	case q.verb == "patch" && (len(q.body) == 0 || q.body[0] != '{'):
		return need{} // a list of steps
	}
	if o, ok := readObject(q.body); ok {
		if m, ok := o.meta(); ok {
			return need{string(m.UID), m.ResourceVersion}
		}
	}
	return need{}
}

// answer is the answer to a call, its body fully read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ok says whether an answer is one of success, and plain.
func (a *answer) ok() bool { return a.status/100 == 2 && a.plain() }

// plain says whether the body can be read.
func (a *answer) plain() bool {
	t, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	return err == nil && (t == jsonType || t == protobufType) && a.header.Get("Content-Encoding") == ""
}

// holding returns an answer with another body.
func (a *answer) holding(body []byte) *answer {
	h := a.header.Clone()
	h.Del("Content-Length")
	return &answer{status: a.status, header: h, body: body}
}

// object is the object that an answer shows.
func (a *answer) object() (object, bool) {
	if !a.ok() {
		return object{}, false
	}
	o, ok := readObject(a.body)
	if !ok || o.kind == "Status" {
		return object{}, false
	}
	m, ok := o.meta()
	return o, ok && m.UID != "" && m.ResourceVersion != ""
}

func (a *answer) list() (*list, bool) {
	if a.status != http.StatusOK || !a.plain() {
		return nil, false
	}
	return readList(a.body)
}
