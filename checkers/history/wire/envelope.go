package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// magic opens every protobuf object of Kubernetes, on the network and in etcd
// (protoEncodingPrefix in apimachinery/pkg/runtime/serializer/protobuf).
const magic = "k8s\x00"

// ErrNoEnvelope is returned for bytes that do not begin with the magic number,
// such as an object in JSON or a secret encrypted at rest.
var ErrNoEnvelope = errors.New(`no protobuf envelope: bytes do not begin with "k8s\x00"`)

// Unwrap strips the envelope (magic number and runtime.Unknown) from an object.
// The raw object is a part of b, not a copy.
func Unwrap(b []byte) (apiVersion, kind string, raw []byte, err error) {
	if len(b) < len(magic) || string(b[:len(magic)]) != magic {
		return "", "", nil, ErrNoEnvelope
	}
	f := walk(b[len(magic):])
	for f.next() {
		switch f.num {
		case 1:
			apiVersion, kind, err = scanTypeMeta(f.bytes())
			f.nest(err)
		case 2:
			raw = f.bytes()
		}
	}
	if f.err != nil {
		return "", "", nil, fmt.Errorf("unwrap object: %w", f.err)
	}
	return apiVersion, kind, raw, nil
}

func scanTypeMeta(b []byte) (apiVersion, kind string, err error) {
	f := walk(b)
	for f.next() {
		switch f.num {
		case 1:
			apiVersion = intern(f.bytes())
		case 2:
			kind = intern(f.bytes())
		}
	}
	return apiVersion, kind, f.err
}

// Wrap puts an encoded object into the envelope that the API server expects
// in the body of a request.
func Wrap(apiVersion, kind string, raw []byte) []byte {
	typeMeta := protowire.SizeTag(1) + protowire.SizeBytes(len(apiVersion)) +
		protowire.SizeTag(2) + protowire.SizeBytes(len(kind))
	size := len(magic) + protowire.SizeTag(1) + protowire.SizeBytes(typeMeta) +
		protowire.SizeTag(2) + protowire.SizeBytes(len(raw))

	b := append(make([]byte, 0, size), magic...)
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(typeMeta))
	b = protowire.AppendTag(b, 1, protowire.BytesType)
	b = protowire.AppendString(b, apiVersion)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendString(b, kind)
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	return protowire.AppendBytes(b, raw)
}

// intern returns b as a string, without an allocation for the words that occur
// in nearly every object that we read.
func intern(b []byte) string {
	switch string(b) {
	case "v1":
		return "v1"
	case "coordination.k8s.io/v1":
		return "coordination.k8s.io/v1"
	case "Pod":
		return "Pod"
	case "PodList":
		return "PodList"
	case "Node":
		return "Node"
	case "NodeList":
		return "NodeList"
	case "Lease":
		return "Lease"
	case "Status":
		return "Status"
	case "Pending":
		return "Pending"
	case "Running":
		return "Running"
	case "Succeeded":
		return "Succeeded"
	case "Failed":
		return "Failed"
	}
	return string(b)
}
