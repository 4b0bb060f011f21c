package deposed

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	// A service account's token is known by its id, and the log says who had it made
	// (KEP-4193, k8s.io/apiserver/pkg/authentication/serviceaccount): the controllers
	// of one manager write under many names, with tokens that it asked for.
	credentialID = "authentication.kubernetes.io/credential-id"
	issuedID     = "authentication.kubernetes.io/issued-credential-id"
	// closedEarly is what a server logs as a success although nobody was answered
	// (WithAudit in k8s.io/apiserver/pkg/endpoints/filters).
	closedEarly = "Connection closed early"

	systemNamespace = "kube-system"
)

// event is what is read of one line of an audit log.
type event struct {
	Stage, Verb string
	User        struct {
		Username string
		Groups   []string
		Extra    map[string][]string
	}
	ObjectRef      struct{ APIGroup, Resource, Namespace, Name, Subresource string }
	ResponseStatus struct {
		Code    int
		Message string
	}
	RequestReceivedTimestamp time.Time
	StageTimestamp           time.Time
	Annotations              map[string]string
	RequestObject            json.RawMessage
}

// write is a request of an instance that changes something.
type write struct {
	instance       string // "": nobody knows which
	received, done time.Time
	code           int
	kind           string // e.g. "create pods/binding"
	object         string // e.g. "default/a"
	lease          string // the election whose Lease it is about; "": none
	record         *record
	act            bool // neither a Lease of an election nor what is said of one
	credential     string
}

func (w *write) accepted() bool { return w.code/100 == 2 }

// record is what a write puts into the Lease of an election.
type record struct {
	HolderIdentity       string
	AcquireTime          time.Time
	LeaseTransitions     int
	LeaseDurationSeconds int
}

func (r *record) String() string {
	return fmt.Sprintf("holder %q, %d transitions, acquired %s", r.HolderIdentity, r.LeaseTransitions, r.AcquireTime.UTC().Format("15:04:05.000000"))
}

// logs is what all logs hold, by the time at which it was received.
type logs struct {
	writes []write
	issued map[string]string // instance by the id of a token
	unread int               // lines: a server that is killed does not end its last one
}

// read reads the logs. prefix is that of the groups which name instances.
func read(paths []string, prefix string) (*logs, error) {
	l := &logs{issued: map[string]string{}}
	for _, path := range paths {
		if err := l.readFile(path, prefix); err != nil {
			return nil, fmt.Errorf("read audit log: %w", err)
		}
	}
	for i := range l.writes {
		if w := &l.writes[i]; w.instance == "" {
			w.instance = l.issued[w.credential]
		}
	}
	slices.SortStableFunc(l.writes, func(a, b write) int { return a.received.Compare(b.received) })
	return l, nil
}

func (l *logs) readFile(path, prefix string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			l.line(line, prefix)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (l *logs) line(line []byte, prefix string) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		l.unread++
		return
	}
	if e.Stage != "ResponseComplete" || !e.changes() || e.ResponseStatus.Message == closedEarly {
		return
	}
	w := write{
		instance: e.instance(prefix), received: e.RequestReceivedTimestamp, done: e.StageTimestamp,
		code: e.ResponseStatus.Code, kind: e.kind(), object: strings.Trim(e.ObjectRef.Namespace+"/"+e.ObjectRef.Name, "/"), act: true,
	}
	if ids := e.User.Extra[credentialID]; len(ids) > 0 {
		w.credential = ids[0]
	}
	if id := e.Annotations[issuedID]; id != "" && w.instance != "" {
		l.issued[id] = w.instance
	}
	if e.elects() {
		w.lease, w.act = e.ObjectRef.Name, false
		var lease struct{ Spec record }
		if err := json.Unmarshal(e.RequestObject, &lease); err == nil {
			w.record = &lease.Spec
		}
	}
	l.writes = append(l.writes, w)
}

// changes says whether a request changes the cluster: reviews are questions, and
// events tell of what was done.
func (e *event) changes() bool {
	switch e.Verb {
	case "create", "update", "patch", "delete", "deletecollection":
	default:
		return false
	}
	switch e.ObjectRef.APIGroup {
	case "authentication.k8s.io", "authorization.k8s.io", "events.k8s.io":
		return false
	}
	return e.ObjectRef.Resource != "" && e.ObjectRef.Resource != "events" && e.ours()
}

// ours says whether a scheduler or a controller manager sent it.
func (e *event) ours() bool {
	switch name := e.User.Username; name {
	case "system:kube-scheduler", "system:kube-controller-manager":
		return true
	default:
		return strings.HasPrefix(name, "system:serviceaccount:"+systemNamespace+":")
	}
}

// elects says whether it is about the Lease of an election.
func (e *event) elects() bool {
	o := e.ObjectRef
	return o.APIGroup == "coordination.k8s.io" && o.Resource == "leases" && o.Namespace == systemNamespace &&
		e.User.Username == "system:"+o.Name
}

func (e *event) instance(prefix string) string {
	for _, g := range e.User.Groups {
		if name, ok := strings.CutPrefix(g, prefix); ok {
			return name
		}
	}
	return ""
}

func (e *event) kind() string {
	kind := e.Verb + " " + e.ObjectRef.Resource
	if e.ObjectRef.Subresource != "" {
		kind += "/" + e.ObjectRef.Subresource
	}
	return kind
}

// kind is the component of an instance, which is also the name of its Lease:
// kube-scheduler of kube-scheduler-0.
func kind(instance string) string {
	i := strings.LastIndexByte(instance, '-')
	return instance[:max(i, 0)]
}
