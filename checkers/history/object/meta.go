package object

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// meta reads metav1.ObjectMeta, field 1 of every object, and hashes the object
// on the way.
type meta struct {
	v       *history.Version
	brief   bool   // leave out what an APIObject does not have
	version []byte // resourceVersion, a part of the input

	hash xxhash.Digest
	kept uint64 // bytes of the metadata that went into the hash
}

// object reads an object without its envelope and returns its hash: of the
// metadata that counts, its length, and all other fields, byte by byte.
func (m *meta) object(raw []byte) (content uint64, err error) {
	m.hash.Reset()
	f := wire.Walk(raw)
	for f.Next() {
		if f.Number() == 1 {
			f.Nest(m.read(f.Bytes()))
		}
	}
	if f.Err() != nil {
		return 0, f.Err()
	}
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], m.kept)
	m.write(length[:])
	rest := wire.Walk(raw)
	for rest.Next() {
		if rest.Number() != 1 {
			m.write(rest.Raw())
		}
	}
	return m.hash.Sum64(), rest.Err()
}

func (m *meta) write(b []byte) { _, _ = m.hash.Write(b) } // a hash.Hash never fails

func (m *meta) read(b []byte) error {
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 4, 17: // selfLink, managedFields
			continue
		case 6:
			m.version = f.Bytes()
			continue
		}
		m.kept += uint64(len(f.Raw()))
		m.write(f.Raw())
		m.identity(&f)
		if !m.brief {
			m.more(&f)
		}
	}
	return f.Err()
}

func (m *meta) identity(f *wire.Fields) {
	switch f.Number() {
	case 1:
		m.v.Name = string(f.Bytes())
	case 3:
		m.v.Namespace = word(f.Bytes())
	case 5:
		m.v.UID = string(f.Bytes())
	case 9:
		f.Bytes()
		m.v.Deleting = true
	}
}

func (m *meta) more(f *wire.Fields) {
	switch f.Number() {
	case 7:
		m.v.Generation = int64(f.Integer())
	case 8:
		seconds, err := first(f.Bytes(), 1)
		f.Nest(err)
		m.v.Created = int64(seconds)
	case 10:
		m.v.Grace = int64(f.Integer())
	case 11:
		name, value, err := entry(f.Bytes())
		f.Nest(err)
		m.v.Labels = put(m.v.Labels, word(name), word(value))
	case 12:
		name, value, err := entry(f.Bytes())
		f.Nest(err)
		if mark, is := bytes.CutPrefix(name, []byte(history.MarkPrefix)); is {
			m.v.Marks = put(m.v.Marks, string(mark), string(value))
		}
	case 13:
		owner, err := readOwner(f.Bytes())
		f.Nest(err)
		m.v.Owners = append(m.v.Owners, owner)
	case 14:
		m.v.Finalizers = append(m.v.Finalizers, string(f.Bytes()))
	}
}

func readOwner(b []byte) (owner history.Owner, err error) {
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			owner.Kind = word(f.Bytes())
		case 3:
			owner.Name = string(f.Bytes())
		case 4:
			owner.UID = string(f.Bytes())
		case 6:
			owner.Controller = f.Integer() != 0
		}
	}
	return owner, f.Err()
}

// first returns the last value of an integer field, 0 if there is none.
func first(b []byte, number int32) (n uint64, err error) {
	f := wire.Walk(b)
	for f.Next() {
		if f.Number() == number {
			n = f.Integer()
		}
	}
	return n, f.Err()
}

// text returns the value of a string or message field, nil if there is none.
func text(b []byte, number int32) (s []byte, err error) {
	f := wire.Walk(b)
	for f.Next() {
		if f.Number() == number {
			s = f.Bytes()
		}
	}
	return s, f.Err()
}

// annotation returns the value of an annotation of an object without its envelope,
// "" if it has none of that name.
func annotation(raw []byte, name string) (value string, err error) {
	metadata, err := text(raw, 1)
	if err != nil {
		return "", err
	}
	f := wire.Walk(metadata)
	for f.Next() {
		if f.Number() != 12 {
			continue
		}
		key, text, err := entry(f.Bytes())
		f.Nest(err)
		if string(key) == name {
			value = string(text)
		}
	}
	return value, f.Err()
}

// entry splits an entry of a map, or takes the first two fields of a condition.
func entry(b []byte) (key, value []byte, err error) {
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			key = f.Bytes()
		case 2:
			value = f.Bytes()
		}
	}
	return key, value, f.Err()
}

// put sets a name in a list that is sorted by name. Maps are encoded sorted, so
// it is nearly always the last.
func put(list []history.Pair, name, value string) []history.Pair {
	i := len(list)
	if i > 0 && list[i-1].Name >= name {
		var found bool
		i, found = slices.BinarySearchFunc(list, name, func(p history.Pair, name string) int { return strings.Compare(p.Name, name) })
		if found {
			list[i].Value = value
			return list
		}
	}
	return slices.Insert(list, i, history.Pair{Name: name, Value: value})
}

// word returns b as a string, without an allocation for the words that occur in
// nearly every object.
func word(b []byte) string {
	switch string(b) {
	case "Pending":
		return "Pending"
	case "Running":
		return "Running"
	case "Succeeded":
		return "Succeeded"
	case "Failed":
		return "Failed"
	case "Always":
		return "Always"
	case "default":
		return "default"
	case "default-scheduler":
		return "default-scheduler"
	case "kube-node-lease":
		return "kube-node-lease"
	case "app":
		return "app"
	case "pod-template-hash":
		return "pod-template-hash"
	case "ReplicaSet":
		return "ReplicaSet"
	case "Node":
		return "Node"
	}
	return string(b)
}
