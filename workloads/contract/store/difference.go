package store

import (
	"bytes"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Difference is an answer that is not the model's.
type Difference struct {
	Shape Shape
	// Request, Want and Got are for a person to read. Revisions are the model's.
	Request, Want, Got string
	// Before are the requests that lead to it, with what both answered.
	Before []string
	asked  int // requests of its round until it was seen
}

func (d *Difference) Error() string {
	var b strings.Builder
	if len(d.Before) > 0 {
		b.WriteString("after\n")
		for _, line := range d.Before {
			b.WriteString("  " + line + "\n")
		}
	}
	fmt.Fprintf(&b, "%s\n  the model: %s\n  the store: %s", d.Request, d.Want, d.Got)
	return b.String()
}

// GoneError says that a store does not answer any more, or not in time.
type GoneError struct {
	Server, Doing string
	Cause         error
}

func (e *GoneError) Error() string {
	return fmt.Sprintf("%s does not answer any more, to %s: %v", e.Server, e.Doing, e.Cause)
}

func (e *GoneError) Unwrap() error { return e.Cause }

// ErrorOf is what an error of a store says, code and words.
func ErrorOf(err error) string {
	s := status.Convert(err)
	return s.Code().String() + ": " + s.Message()
}

// Answer is what has a header.
type Answer interface {
	proto.Message
	GetHeader() *pb.ResponseHeader
}

// Equal compares two answers, without who gave them, and says what they are where
// they differ.
func Equal(a, b Answer) (want, got string, equal bool) {
	for _, answer := range []Answer{a, b} {
		if h := answer.GetHeader(); h != nil {
			h.ClusterId, h.MemberId, h.RaftTerm = 0, 0, 0
		}
	}
	if proto.Equal(a, b) {
		return "", "", true
	}
	if want, got = describe(a), describe(b); want == got { // in what is left out there
		want, got = shorten(fmt.Sprint(a)), shorten(fmt.Sprint(b))
	}
	return want, got, false
}

// shorten bounds what is shown of a message: values may be long.
func shorten(text string) string {
	const most = 2000
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// describe says in short what a request or an answer is.
func describe(m proto.Message) string {
	switch m := m.(type) {
	case *pb.RangeRequest:
		return describeRange(m)
	case *pb.TxnRequest:
		return describeTxn(m)
	case *pb.CompactionRequest:
		return fmt.Sprintf("compact to %d", m.GetRevision())
	case *pb.LeaseGrantRequest:
		return fmt.Sprintf("grant a lease of %d s", m.GetTTL())
	case *pb.WatchProgressRequest:
		return "ask for progress"
	case *pb.StatusRequest:
		return "ask for the status"
	case *pb.WatchCreateRequest:
		return fmt.Sprintf("watch %s from %s", span(m.GetKey(), m.GetRangeEnd()), from(m.GetStartRevision()))
	case *pb.RangeResponse:
		return at(m.GetHeader()) + describeRead(m)
	case *pb.TxnResponse:
		return at(m.GetHeader()) + describeDone(m)
	case *pb.CompactionResponse:
		return at(m.GetHeader()) + "done"
	case *pb.WatchResponse:
		return at(m.GetHeader()) + describeWatched(m)
	}
	return shorten(fmt.Sprint(m))
}

func at(h *pb.ResponseHeader) string {
	if h == nil {
		return ""
	}
	return fmt.Sprintf("revision %d; ", h.GetRevision())
}

func from(revision int64) string {
	if revision == 0 {
		return "now on"
	}
	return fmt.Sprint(revision)
}

func span(key, end []byte) string {
	switch {
	case len(end) == 0:
		return fmt.Sprintf("%q", key)
	case len(key) > 0 && bytes.Equal(end, after(string(key))):
		return fmt.Sprintf("%q*", key)
	}
	return fmt.Sprintf("[%q, %q)", key, end)
}

func describeRange(r *pb.RangeRequest) string {
	text := "get "
	switch {
	case r.GetCountOnly():
		text = "count "
	case r.GetKeysOnly():
		text = "list keys of "
	case len(r.GetRangeEnd()) > 0:
		text = "list "
	}
	text += span(r.GetKey(), r.GetRangeEnd())
	if r.GetRevision() != 0 {
		text += fmt.Sprintf(" at %d", r.GetRevision())
	}
	if r.GetLimit() != 0 && len(r.GetRangeEnd()) > 0 {
		text += fmt.Sprintf(", at most %d", r.GetLimit())
	}
	return text
}

func describeTxn(r *pb.TxnRequest) string {
	var parts []string
	for _, c := range r.GetCompare() {
		switch u := c.GetTargetUnion().(type) {
		case *pb.Compare_ModRevision:
			parts = append(parts, fmt.Sprintf("if mod(%q) = %d", c.GetKey(), u.ModRevision))
		case *pb.Compare_Version:
			parts = append(parts, fmt.Sprintf("if version(%q) = %d", c.GetKey(), u.Version))
		default:
			parts = append(parts, fmt.Sprintf("if %v", c))
		}
	}
	parts = append(parts, "then "+describeOps(r.GetSuccess()))
	if len(r.GetFailure()) > 0 {
		parts = append(parts, "else "+describeOps(r.GetFailure()))
	}
	return shorten(strings.Join(parts, " "))
}

func describeOps(ops []*pb.RequestOp) string {
	var parts []string
	for _, op := range ops {
		switch {
		case op.GetRequestPut() != nil:
			put := op.GetRequestPut()
			text := fmt.Sprintf("put %q", put.GetValue())
			if put.GetLease() != 0 {
				text += fmt.Sprintf(" under lease %d", put.GetLease())
			}
			parts = append(parts, text)
		case op.GetRequestDeleteRange() != nil:
			parts = append(parts, "delete")
		case op.GetRequestRange() != nil:
			parts = append(parts, "get")
		default:
			parts = append(parts, fmt.Sprint(op))
		}
	}
	return strings.Join(parts, ", ")
}

func describeRead(r *pb.RangeResponse) string {
	text := describeKeys(r.GetKvs())
	if r.GetCount() != int64(len(r.GetKvs())) {
		text += fmt.Sprintf(", count %d", r.GetCount())
	}
	if r.GetMore() {
		text += ", more"
	}
	return text
}

func describeKeys(kvs []*mvccpb.KeyValue) string {
	if len(kvs) == 0 {
		return "no key"
	}
	var parts []string
	for _, kv := range kvs {
		parts = append(parts, describeKey(kv))
	}
	return strings.Join(parts, ", ")
}

func describeKey(kv *mvccpb.KeyValue) string {
	text := fmt.Sprintf("%q mod %d create %d", kv.GetKey(), kv.GetModRevision(), kv.GetCreateRevision())
	if kv.GetVersion() != 0 {
		text += fmt.Sprintf(" version %d", kv.GetVersion())
	}
	if kv.GetLease() != 0 {
		text += fmt.Sprintf(" lease %d", kv.GetLease())
	}
	return text + fmt.Sprintf(" = %q", kv.GetValue())
}

func describeDone(r *pb.TxnResponse) string {
	text := "succeeded"
	if !r.GetSucceeded() {
		text = "failed"
	}
	for _, op := range r.GetResponses() {
		switch {
		case op.GetResponsePut() != nil:
			text += ", put"
		case op.GetResponseDeleteRange() != nil:
			text += fmt.Sprintf(", deleted %d", op.GetResponseDeleteRange().GetDeleted())
		case op.GetResponseRange() != nil:
			text += ", " + describeRead(op.GetResponseRange())
		}
	}
	return text
}

func describeWatched(r *pb.WatchResponse) string {
	var parts []string
	if r.GetCreated() {
		parts = append(parts, "created")
	}
	if r.GetCanceled() {
		parts = append(parts, fmt.Sprintf("canceled (%s)", r.GetCancelReason()))
	}
	if r.GetCompactRevision() != 0 {
		parts = append(parts, fmt.Sprintf("compacted to %d", r.GetCompactRevision()))
	}
	for _, e := range r.GetEvents() {
		text := fmt.Sprintf("%s %s", e.GetType(), describeKey(e.GetKv()))
		if p := e.GetPrevKv(); p != nil {
			text += fmt.Sprintf(" (was mod %d = %q)", p.GetModRevision(), p.GetValue())
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
