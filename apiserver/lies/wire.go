package lies

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a protobuf message, as it is encoded.
type field struct {
	number  protowire.Number
	raw     []byte // tag and all
	content []byte // of strings, bytes and messages
}

// fields splits a message; it is false of what is none.
func fields(message []byte) ([]field, bool) {
	var list []field
	for len(message) > 0 {
		n, typ, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return nil, false
		}
		size := protowire.ConsumeFieldValue(n, typ, message[tag:])
		if size < 0 {
			return nil, false
		}
		f := field{number: n, raw: message[:tag+size]}
		if typ == protowire.BytesType {
			f.content, _ = protowire.ConsumeBytes(message[tag:])
		}
		list, message = append(list, f), message[tag+size:]
	}
	return list, true
}

func appendField(b []byte, n protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), content)
}

// replace returns a message whose field at a path has another content; all the
// rest is as it was. A field that is not there is appended. Of one that is there
// several times the last is replaced, because that is the one that counts.
func replace(message []byte, content []byte, path ...protowire.Number) ([]byte, bool) {
	list, ok := fields(message)
	if !ok {
		return nil, false
	}
	at := len(list)
	for i, f := range list {
		if f.number == path[0] {
			at = i
		}
	}
	if at == len(list) {
		list = append(list, field{number: path[0]})
	}
	if len(path) > 1 {
		if content, ok = replace(list[at].content, content, path[1:]...); !ok {
			return nil, false
		}
	}
	list[at].raw = appendField(nil, path[0], content)
	var b []byte
	for _, f := range list {
		b = append(b, f.raw...)
	}
	return b, true
}

// without returns a message without some of its fields.
func without(message []byte, numbers ...protowire.Number) ([]byte, bool) {
	list, ok := fields(message)
	if !ok {
		return nil, false
	}
	var b []byte
next:
	for _, f := range list {
		for _, n := range numbers {
			if f.number == n {
				continue next
			}
		}
		b = append(b, f.raw...)
	}
	return b, true
}
