package wire

// Fields walks the top-level fields of one encoded message, for readers of
// messages that this package does not know:
//
//	f := wire.Walk(message)
//	for f.Next() {
//		switch f.Number() { ... }
//	}
//	return f.Err()
//
// It allocates nothing. The bytes that it hands out are parts of the message.
type Fields struct {
	f    fields
	from []byte // the message from the current field on
}

// Walk begins a walk in front of the first field.
func Walk(message []byte) Fields { return Fields{f: walk(message)} }

// Next advances to the next field. It returns false at the end of the message
// and at the first error; Err tells which.
func (f *Fields) Next() bool {
	f.from = f.f.rest
	return f.f.next()
}

// Number returns the field's number.
func (f *Fields) Number() int32 { return int32(f.f.num) }

// Bytes returns the value of a string, bytes or message. A field of another
// wire type ends the walk with an error.
func (f *Fields) Bytes() []byte { return f.f.bytes() }

// Integer returns the value of an integer or boolean. A field of another wire
// type ends the walk with an error.
func (f *Fields) Integer() uint64 { return f.f.integer() }

// Raw returns the whole field, tag and length included.
func (f *Fields) Raw() []byte { return f.from[:len(f.from)-len(f.f.rest)] }

// Nest makes the error of a nested message, if it is one, that of the walk.
func (f *Fields) Nest(err error) { f.f.nest(err) }

// Err returns what ended the walk early, nil if nothing did.
func (f *Fields) Err() error { return f.f.err }
