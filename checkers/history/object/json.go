package object

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/planecheck/planecheck/checkers/history"
)

// document is an object in JSON.
type document map[string]any

func parse(b []byte) (document, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // or large integers would lose digits, and hashes with them
	var doc document
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("read JSON object: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || doc == nil {
		return nil, errors.New("read JSON object: not one object")
	}
	return doc, nil
}

func (d document) text(name string) string {
	s, _ := d[name].(string)
	return s
}

func (d document) number(name string) int64 {
	n, _ := d[name].(json.Number)
	i, _ := n.Int64()
	return i
}

func (d document) nested(name string) document {
	m, _ := d[name].(map[string]any)
	return m
}

// content takes away what is not hashed, and hashes the rest with its names
// sorted, as encoding/json writes maps.
func (d document) content() (uint64, error) {
	delete(d, "apiVersion")
	delete(d, "kind")
	meta := d.nested("metadata")
	for _, name := range []string{"resourceVersion", "managedFields", "selfLink"} {
		delete(meta, name)
	}
	// Of the metadata of a custom resource an API server keeps empty maps and
	// lists as they came, and leaves them out when it reads them again.
	for name, value := range meta {
		switch v := value.(type) {
		case nil:
			delete(meta, name)
		case map[string]any:
			if len(v) == 0 {
				delete(meta, name)
			}
		case []any:
			if len(v) == 0 {
				delete(meta, name)
			}
		}
	}
	b, err := json.Marshal(d)
	if err != nil {
		return 0, fmt.Errorf("hash object: %w", err)
	}
	return xxhash.Sum64(b), nil
}

// served reads an object; the document is spent afterwards.
func (d document) served() (history.APIObject, error) {
	if kind := d.text("kind"); kind == "Status" || strings.HasSuffix(kind, "List") {
		return history.APIObject{}, fmt.Errorf("read %s: %w", kind, ErrNoObject)
	}
	return d.item()
}

func (d document) item() (history.APIObject, error) {
	meta := d.nested("metadata")
	o := history.APIObject{
		Namespace: meta.text("namespace"), Name: meta.text("name"), UID: meta.text("uid"),
		Version: number(meta.text("resourceVersion")), Deleting: meta["deletionTimestamp"] != nil,
	}
	var err error
	o.Content, err = d.content()
	return o, err
}

func servedJSONList(body []byte) (items []history.APIObject, version int64, cont string, err error) {
	doc, err := parse(body)
	if err != nil {
		return nil, 0, "", err
	}
	list, isList := doc["items"].([]any)
	if !strings.HasSuffix(doc.text("kind"), "List") || doc["items"] != nil && !isList {
		return nil, 0, "", fmt.Errorf("read list: the answer is a %s", doc.text("kind"))
	}
	for _, element := range list {
		item, _ := element.(map[string]any)
		o, err := document(item).item()
		if err != nil {
			return nil, 0, "", err
		}
		items = append(items, o)
	}
	meta := doc.nested("metadata")
	return items, number(meta.text("resourceVersion")), meta.text("continue"), nil
}

// read fills a version; the document is spent afterwards.
func (d document) read(v *history.Version) (err error) {
	v.Kind = d.text("kind")
	meta := d.nested("metadata")
	v.Namespace, v.Name, v.UID = meta.text("namespace"), meta.text("name"), meta.text("uid")
	v.Generation, v.Grace = meta.number("generation"), meta.number("deletionGracePeriodSeconds")
	v.Deleting = meta["deletionTimestamp"] != nil
	if t, err := time.Parse(time.RFC3339, meta.text("creationTimestamp")); err == nil {
		v.Created = t.Unix()
	}
	for name, value := range meta.nested("labels") {
		s, _ := value.(string)
		v.Labels = put(v.Labels, name, s)
	}
	for name, value := range meta.nested("annotations") {
		s, _ := value.(string)
		if mark, is := strings.CutPrefix(name, history.MarkPrefix); is {
			v.Marks = put(v.Marks, mark, s)
		}
	}
	finalizers, _ := meta["finalizers"].([]any)
	for _, f := range finalizers {
		s, _ := f.(string)
		v.Finalizers = append(v.Finalizers, s)
	}
	owners, _ := meta["ownerReferences"].([]any)
	for _, o := range owners {
		v.Owners = append(v.Owners, owner(o))
	}
	v.Finalizers = slices.Clip(v.Finalizers)
	v.Content, err = d.content()
	return err
}

func owner(o any) history.Owner {
	m, _ := o.(map[string]any)
	d := document(m)
	controller, _ := m["controller"].(bool)
	return history.Owner{Kind: d.text("kind"), Name: d.text("name"), UID: d.text("uid"), Controller: controller}
}
