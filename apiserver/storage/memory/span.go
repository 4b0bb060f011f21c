package memory

import "bytes"

// span is a key, or the keys from one up to another, as requests write them.
type span struct {
	key []byte
	end []byte // exclusive; empty: see open
	// open: all keys from key on. Neither an end nor open: key alone.
	open bool
}

// spanOf reads a key and a range end of a request.
func spanOf(key, end []byte) span {
	if len(end) == 1 && end[0] == 0 {
		return span{key: key, open: true}
	}
	return span{key: key, end: end}
}

func (s span) point() bool { return !s.open && len(s.end) == 0 }

func (s span) contains(key []byte) bool {
	if s.point() {
		return bytes.Equal(key, s.key)
	}
	return bytes.Compare(key, s.key) >= 0 && !s.past(key)
}

// past says whether key lies behind the end of a span that is no point.
func (s span) past(key []byte) bool { return !s.open && bytes.Compare(key, s.end) >= 0 }
