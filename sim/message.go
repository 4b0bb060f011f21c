package sim

import (
	"errors"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

var errMalformed = errors.New("malformed protobuf message")

// message walks the fields of one encoded protobuf message without an
// allocation. Package wire reads what every watcher needs; here are the parts
// of objects that only a kubelet looks at.
type message struct {
	rest      []byte
	malformed bool

	num   protowire.Number
	whole []byte // the field with its tag
	data  []byte // the value of a length-delimited field, else nil
	value uint64 // the value of a varint field, else 0
}

func (m *message) next() bool {
	if len(m.rest) == 0 || m.malformed {
		return false
	}
	num, typ, tag := protowire.ConsumeTag(m.rest)
	if tag < 0 {
		m.malformed = true
		return false
	}
	n := 0
	m.num, m.data, m.value = num, nil, 0
	switch body := m.rest[tag:]; typ {
	case protowire.BytesType:
		m.data, n = protowire.ConsumeBytes(body)
	case protowire.VarintType:
		m.value, n = protowire.ConsumeVarint(body)
	default:
		n = protowire.ConsumeFieldValue(num, typ, body)
	}
	if n < 0 {
		m.malformed = true
		return false
	}
	m.whole, m.rest = m.rest[:tag+n], m.rest[tag+n:]
	return true
}

// field returns the last value of a length-delimited field: nil if it is not
// there.
func field(b []byte, num protowire.Number) []byte {
	var found []byte
	m := message{rest: b}
	for m.next() {
		if m.num == num {
			found = m.data
		}
	}
	return found
}

// varint returns the last value of a varint field: 0 if it is not there.
func varint(b []byte, num protowire.Number) uint64 {
	var found uint64
	m := message{rest: b}
	for m.next() {
		if m.num == num {
			found = m.value
		}
	}
	return found
}

// objectVersion reads metadata.resourceVersion of any object. Versions are
// decimal numbers that grow (KEP-5504), so they are kept as such: a watch that
// only wants to know where it is needs no memory for that.
func objectVersion(raw []byte) (uint64, error) {
	return parseVersion(string(field(field(raw, 1), 6)))
}

func parseVersion(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }

// unixSeconds reads a metav1.Time; zero if it is not set.
func unixSeconds(b []byte) int64 {
	m := message{rest: b}
	for m.next() {
		if m.num == 1 {
			return int64(m.value)
		}
	}
	return 0
}
