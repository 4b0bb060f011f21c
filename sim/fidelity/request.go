package fidelity

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Subject is what a request is about. The order of requests is compared within
// a subject: a kubelet heartbeats, watches and runs pods side by side.
type Subject string

// The subjects.
const (
	SubjectNode  Subject = "node"
	SubjectLease Subject = "lease"
	SubjectPod   Subject = "pod"
	SubjectWatch Subject = "watch" // lists and watches, in no order
)

// Request is one request of a node in a form that two nodes can be compared by.
type Request struct {
	Subject Subject
	// Pod is the pod that the request is about, if any.
	Pod string
	// Key is the verb, resource and subresource, "patch pods/status"; of lists
	// and watches also the selectors.
	Key string
	// Fields are all else: "group", "response", "accept", "content type",
	// "query.<parameter>", "body.<path>". What differs by nature between two
	// nodes (names, UIDs, times, addresses) is a placeholder.
	Fields map[string]string
}

// Side is one node of a comparison.
type Side struct {
	Node      string // name of its Node object
	Namespace string // of its pods
	Wiretap   interface {
		Headers(auditID string) (Headers, bool)
	}
}

// proxyUser is the user of every kube-proxy.
const proxyUser = "system:kube-proxy"

// Requests picks out of an audit log what the node, and the kube-proxy beside
// it, sent through its wiretap.
func (s Side) Requests(events []Event) []Request {
	stored := map[string]map[string]string{}
	var requests []Request
	for _, e := range events {
		headers, ok := s.Wiretap.Headers(e.AuditID)
		if !ok || (e.User.Username != "system:node:"+s.Node && e.User.Username != proxyUser) {
			continue
		}
		r := s.request(e, headers)
		object := e.ObjectRef.Resource + "/" + e.ObjectRef.Namespace + "/" + e.ObjectRef.Name
		if e.Verb == "update" {
			keepChanges(r.Fields, stored[object])
		}
		if answer := s.body(e.ResponseObject); answer["body.kind"] != "Status" && len(answer) > 0 {
			stored[object] = answer
		}
		requests = append(requests, r)
	}
	return requests
}

func (s Side) request(e Event, h Headers) Request {
	r := Request{
		Subject: subjectOf(e),
		Key:     e.Verb + " " + e.ObjectRef.Resource,
		Fields:  s.body(e.RequestObject),
	}
	if r.Subject == SubjectPod {
		r.Pod = e.ObjectRef.Name
	}
	if e.ObjectRef.Subresource != "" {
		r.Key += "/" + e.ObjectRef.Subresource
	}
	set := func(field, value string) {
		if value != "" {
			r.Fields[field] = value
		}
	}
	set("group", e.ObjectRef.APIGroup)
	set("response", strconv.Itoa(e.ResponseStatus.Code))
	set("accept", h.Accept)
	set("content type", h.ContentType)
	uri, err := url.Parse(e.RequestURI)
	if err != nil {
		set("query", e.RequestURI) // an audit log shows what the server took, so this is a difference to see
		return r
	}
	query := uri.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) { // in order: the selectors become part of the key
		value := s.placeholders(name, strings.Join(query[name], " "))
		if strings.HasSuffix(name, "Selector") {
			r.Key += " " + value
			continue
		}
		set("query."+name, value)
	}
	return r
}

func subjectOf(e Event) Subject {
	switch {
	case e.Verb == "list" || e.Verb == "watch":
		return SubjectWatch
	case e.ObjectRef.Resource == "leases":
		return SubjectLease
	case e.ObjectRef.Resource == "pods":
		return SubjectPod
	default:
		return SubjectNode
	}
}

// keepChanges removes from an update the fields that are as they were stored,
// and notes those that it would remove: an update sends the whole object, but
// what counts is what it changes.
func keepChanges(fields, stored map[string]string) {
	for path, was := range stored {
		now, sent := fields[path]
		switch {
		case sent && now == was && path != "body.spec.renewTime":
			delete(fields, path)
		case !sent:
			fields[path] = absent
		}
	}
}

// absent stands for a field that one side does not send.
const absent = "absent"
