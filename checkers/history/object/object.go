// Package object reads Kubernetes objects down to what histories keep of them:
// from the values of the store into the version table, from the answers of the
// API servers into the API history. An object is protobuf in the envelope that
// begins with "k8s\0", or JSON, as custom resources are.
//
// The hash of the content is the same for one version in the store and at every
// observer, as long as it is asked for in the version and the encoding in which
// it is stored. It leaves out what the store does not have: resourceVersion,
// selfLink, apiVersion and kind; and managedFields, which clients may leave out
// when they write.
//
// Field numbers are those of generated.proto in k8s.io/api and
// k8s.io/apimachinery; Kubernetes never reuses them.
package object

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// ErrNoObject is returned for an answer that holds something else than one
// object: a Status, or a list.
var ErrNoObject = errors.New("no object")

// magic opens objects in protobuf.
var magic = []byte("k8s\x00")

// Stored reads a value of the store. Revision, Key and Delete are left to the
// caller. Of a key that Locate does not know nothing is read; where a value
// cannot be read, because it is encrypted, say, Unread is set and the rest is
// empty but for Group and Resource.
func Stored(key string, value []byte) history.Version {
	group, resource := Locate(key)
	if resource == "" {
		return history.Version{}
	}
	v := history.Version{Group: group, Resource: resource}
	err := read(&v, value)
	if err != nil || v.Name == "" {
		return history.Version{Group: group, Resource: resource, Unread: true}
	}
	return v
}

func read(v *history.Version, value []byte) error {
	if !bytes.HasPrefix(value, magic) {
		doc, err := parse(value)
		if err != nil {
			return err
		}
		return doc.read(v)
	}
	_, kind, raw, err := wire.Unwrap(value)
	if err != nil {
		return err
	}
	v.Kind = kind
	m := meta{v: v}
	if v.Content, err = m.object(raw); err != nil {
		return err
	}
	return readFields(v, raw)
}

// Served reads the one object of an answer or of a watch event.
func Served(body []byte) (history.APIObject, error) {
	if !bytes.HasPrefix(body, magic) {
		doc, err := parse(body)
		if err != nil {
			return history.APIObject{}, err
		}
		return doc.served()
	}
	_, kind, raw, err := wire.Unwrap(body)
	if err != nil {
		return history.APIObject{}, err
	}
	if kind == "Status" || strings.HasSuffix(kind, "List") {
		return history.APIObject{}, fmt.Errorf("read %s: %w", kind, ErrNoObject)
	}
	return servedRaw(raw)
}

func servedRaw(raw []byte) (history.APIObject, error) {
	var v history.Version
	m := meta{v: &v, brief: true}
	content, err := m.object(raw)
	if err != nil {
		return history.APIObject{}, fmt.Errorf("read object: %w", err)
	}
	return history.APIObject{
		Namespace: v.Namespace, Name: v.Name, UID: v.UID,
		Version: version(m.version), Content: content, Deleting: v.Deleting,
	}, nil
}

// ServedList reads a list: its items in order, its resourceVersion (0 if it is
// no number) and its continue token, "" on the last page.
func ServedList(body []byte) (items []history.APIObject, version int64, cont string, err error) {
	if !bytes.HasPrefix(body, magic) {
		return servedJSONList(body)
	}
	_, kind, raw, err := wire.Unwrap(body)
	if err != nil {
		return nil, 0, "", err
	}
	if !strings.HasSuffix(kind, "List") {
		return nil, 0, "", fmt.Errorf("read list: the answer is a %s", kind)
	}
	info, err := wire.ScanList(raw, func(raw []byte) error {
		o, err := servedRaw(raw)
		items = append(items, o)
		return err
	})
	if err != nil {
		return nil, 0, "", err
	}
	return items, number(info.ResourceVersion), info.Continue, nil
}

func version(b []byte) int64 { return number(string(b)) }

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
