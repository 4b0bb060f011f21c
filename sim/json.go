package sim

import (
	"encoding/json"
	"strconv"
	"time"
)

// The writers of JSON below append to a buffer and allocate nothing for what
// names, images and times of Kubernetes objects look like.

// appendString appends s as a JSON string.
func appendString(b []byte, s string) []byte {
	return append(escape(append(b, '"'), s), '"')
}

func appendBytes(b, s []byte) []byte { return appendString(b, string(s)) }

// escape appends what stands between the quotes of s as a JSON string.
func escape(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted[1:len(quoted)-1]...)
		}
	}
	return append(b, s...)
}

// appendTime appends a metav1.Time: whole seconds, in UTC.
func appendTime(b []byte, seconds int64) []byte {
	b = append(b, '"')
	b = time.Unix(seconds, 0).UTC().AppendFormat(b, time.RFC3339)
	return append(b, '"')
}

// appendTimeOrNull appends null for 0, a time that is not known.
func appendTimeOrNull(b []byte, seconds int64) []byte {
	if seconds == 0 {
		return append(b, "null"...)
	}
	return appendTime(b, seconds)
}

func appendInt(b []byte, v int64) []byte { return strconv.AppendInt(b, v, 10) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}

// appendDigest appends 64 hexadecimal digits that depend on s only: an FNV-1a
// hash, drawn out by SplitMix64. They stand for SHA-256 digests whose input
// does not exist here.
func appendDigest(b []byte, s string) []byte {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	const digits = "0123456789abcdef"
	for range 4 {
		h += 0x9e3779b97f4a7c15
		z := (h ^ h>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		for shift := 60; shift >= 0; shift -= 4 {
			b = append(b, digits[z>>shift&0xf])
		}
	}
	return b
}
