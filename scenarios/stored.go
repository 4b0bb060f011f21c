package scenarios

import (
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/planecheck/planecheck/checkers/history/wire"
)

// asServed returns a value of the store in the encoding in which clients of ours
// ask for it, by which the hashes of contents are compared: API servers that are
// told to store JSON (--storage-media-type=application/json) serve protobuf
// nonetheless. Custom resources are JSON everywhere and stay it, as does what
// cannot be read.
func asServed(value []byte) []byte {
	if len(value) == 0 || value[0] != '{' {
		return value
	}
	object, kind, err := scheme.Codecs.UniversalDeserializer().Decode(value, nil, nil)
	if err != nil {
		return value // of a kind that is not built in
	}
	message, ok := object.(interface{ Marshal() ([]byte, error) })
	if !ok {
		return value
	}
	raw, err := message.Marshal()
	if err != nil {
		return value
	}
	return wire.Wrap(kind.GroupVersion().String(), kind.Kind, raw)
}
