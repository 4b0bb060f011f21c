package wire

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields walks the top-level fields of one encoded message, one per call of
// next. It is a value on the caller's stack: walking allocates nothing. The
// bytes it hands out are parts of the message, not copies.
type fields struct {
	rest []byte

	num    protowire.Number
	typ    protowire.Type
	data   []byte // of a length-delimited field
	varint uint64 // of a varint field

	err error
}

func walk(message []byte) fields { return fields{rest: message} }

// next advances to the next field. It returns false at the end of the message
// and at the first malformed byte; err tells which.
func (f *fields) next() bool {
	if f.err != nil || len(f.rest) == 0 {
		return false
	}
	num, typ, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		return f.fail(n)
	}
	f.num, f.typ, f.data, f.varint = num, typ, nil, 0
	f.rest = f.rest[n:]
	switch typ {
	case protowire.BytesType:
		f.data, n = protowire.ConsumeBytes(f.rest)
	case protowire.VarintType:
		f.varint, n = protowire.ConsumeVarint(f.rest)
	default:
		n = protowire.ConsumeFieldValue(num, typ, f.rest)
	}
	if n < 0 {
		return f.fail(n)
	}
	f.rest = f.rest[n:]
	return true
}

func (f *fields) fail(n int) bool {
	f.err = protowire.ParseError(n)
	return false
}

// bytes returns the value of a length-delimited field. A field of another wire
// type ends the walk with an error, as it does in the generated code: such
// bytes are not the message that we take them for.
func (f *fields) bytes() []byte {
	f.expect(protowire.BytesType)
	return f.data
}

func (f *fields) integer() uint64 {
	f.expect(protowire.VarintType)
	return f.varint
}

func (f *fields) expect(typ protowire.Type) {
	if f.typ != typ && f.err == nil {
		f.err = fmt.Errorf("field %d has wire type %d, want %d", f.num, f.typ, typ)
	}
}

// nest makes the error of a nested message that of the walk.
func (f *fields) nest(err error) {
	if f.err == nil {
		f.err = err
	}
}
