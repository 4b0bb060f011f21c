package lies

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// object is one object in the encoding in which it came: protobuf without the
// envelope, or JSON.
type object struct {
	json             bool
	apiVersion, kind string // of protobuf, for the envelope
	raw              []byte
}

func readObject(body []byte) (object, bool) {
	if len(body) > 0 && body[0] == '{' {
		return object{json: true, raw: body}, true
	}
	apiVersion, kind, raw, err := wire.Unwrap(body)
	return object{apiVersion: apiVersion, kind: kind, raw: raw}, err == nil
}

// body is the object as the body of an answer or a part of an event.
func (o object) body() []byte {
	if o.json {
		return o.raw
	}
	return wire.Wrap(o.apiVersion, o.kind, o.raw)
}

// meta reads the metadata, with which every object begins.
func (o object) meta() (*metav1.ObjectMeta, bool) {
	if o.json {
		var read struct {
			Metadata metav1.ObjectMeta `json:"metadata"`
		}
		err := json.Unmarshal(o.raw, &read)
		return &read.Metadata, err == nil
	}
	m := &metav1.ObjectMeta{}
	list, ok := fields(o.raw)
	for _, f := range list {
		if f.number == 1 {
			return m, m.Unmarshal(f.content) == nil
		}
	}
	return m, ok
}

// version is the resourceVersion, 0 if it is none.
func (o object) version() int64 {
	m, ok := o.meta()
	if !ok {
		return 0
	}
	return number(m.ResourceVersion)
}

func number(version string) int64 {
	n, err := strconv.ParseInt(version, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func text(version int64) string { return strconv.FormatInt(version, 10) }

// metaField is a string of the metadata.
type metaField struct {
	number protowire.Number
	name   string
}

var (
	uidField     = metaField{5, "uid"}
	versionField = metaField{6, "resourceVersion"}
)

// with returns the object with another value of a field.
func (o object) with(f metaField, value string) (object, bool) {
	var ok bool
	if !o.json {
		o.raw, ok = replace(o.raw, []byte(value), 1, f.number)
		return o, ok
	}
	o.raw, ok = replaceJSON(o.raw, value, "metadata", f.name)
	return o, ok
}

func (o object) at(version int64) (object, bool) { return o.with(versionField, text(version)) }

// replaceJSON returns a JSON object with another value at a path. Of a nil value
// the field is removed.
func replaceJSON(raw []byte, value any, path ...string) ([]byte, bool) {
	m := map[string]json.RawMessage{}
	if len(raw) > 0 && json.Unmarshal(raw, &m) != nil {
		return nil, false
	}
	switch {
	case len(path) > 1:
		inner, ok := replaceJSON(m[path[0]], value, path[1:]...)
		if !ok {
			return nil, false
		}
		m[path[0]] = inner
	case value == nil:
		delete(m, path[0])
	default:
		b, err := json.Marshal(value)
		if err != nil {
			return nil, false
		}
		m[path[0]] = b
	}
	b, err := json.Marshal(m)
	return b, err == nil
}

// content is what of an object is not its version and who manages it: by it two
// versions differ for whoever reads them.
func (o object) content() string {
	if o.json {
		return o.contentJSON()
	}
	list, _ := fields(o.raw)
	var b []byte
	for _, f := range list {
		if f.number != 1 {
			b = append(b, f.raw...)
		} else if meta, ok := without(f.content, 4, 6, 17); ok {
			b = appendField(b, 1, meta)
		}
	}
	return string(b)
}

func (o object) contentJSON() string {
	var m map[string]any
	if json.Unmarshal(o.raw, &m) != nil {
		return string(o.raw)
	}
	if meta, ok := m["metadata"].(map[string]any); ok {
		for _, name := range []string{"selfLink", "resourceVersion", "managedFields"} {
			delete(meta, name)
		}
	}
	b, err := json.Marshal(m) // keys sorted
	if err != nil {
		return string(o.raw)
	}
	return string(b)
}

// marks are the annotations by which the workload's writes are told apart.
func marks(m *metav1.ObjectMeta) map[string]string {
	found := map[string]string{}
	for k, v := range m.Annotations {
		if name, ok := strings.CutPrefix(k, history.MarkPrefix); ok {
			found[name] = v
		}
	}
	return found
}

// setsMarks says whether a body is one that sets or removes marks.
func setsMarks(body []byte) bool {
	prefix, _, _ := strings.Cut(history.MarkPrefix, "/") // a JSON patch writes ~1 for the slash
	return bytes.Contains(body, []byte(prefix))
}

// list is a list in the encoding in which it came.
type list struct {
	json             bool
	apiVersion, kind string
	rest             []byte // of protobuf: all but the items; of JSON: all
	meta             metav1.ListMeta
	items            []object
}

func readList(body []byte) (*list, bool) {
	if len(body) > 0 && body[0] == '{' {
		return readListJSON(body)
	}
	apiVersion, kind, raw, err := wire.Unwrap(body)
	if err != nil || !strings.HasSuffix(kind, "List") {
		return nil, false
	}
	l := &list{apiVersion: apiVersion, kind: kind}
	split, ok := fields(raw)
	for _, f := range split {
		switch f.number {
		case 1:
			ok = ok && l.meta.Unmarshal(f.content) == nil
			l.rest = append(l.rest, f.raw...)
		case 2:
			l.items = append(l.items, object{apiVersion: apiVersion, kind: strings.TrimSuffix(kind, "List"), raw: f.content})
		default:
			l.rest = append(l.rest, f.raw...)
		}
	}
	return l, ok
}

func readListJSON(body []byte) (*list, bool) {
	var read struct {
		Kind     string            `json:"kind"`
		Metadata metav1.ListMeta   `json:"metadata"`
		Items    []json.RawMessage `json:"items"`
	}
	if json.Unmarshal(body, &read) != nil || !strings.HasSuffix(read.Kind, "List") {
		return nil, false
	}
	l := &list{json: true, meta: read.Metadata, rest: body}
	for _, item := range read.Items {
		l.items = append(l.items, object{json: true, raw: item})
	}
	return l, true
}

func (l *list) version() int64 { return number(l.meta.ResourceVersion) }

// body is the list as the body of an answer.
func (l *list) body() ([]byte, bool) {
	if l.json {
		items := make([]json.RawMessage, len(l.items))
		for i, o := range l.items {
			items[i] = o.raw
		}
		return replaceJSON(l.rest, items, "items")
	}
	raw := bytes.Clone(l.rest)
	for _, o := range l.items {
		raw = appendField(raw, 2, o.raw)
	}
	return wire.Wrap(l.apiVersion, l.kind, raw), true
}
