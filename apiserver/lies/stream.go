package lies

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// maxFrame bounds one event. etcd refuses objects above 1.5 MiB.
const maxFrame = 16 << 20

// event is one event of a watch.
type event struct {
	typ    string
	object object
	frame  []byte // as it came; nil: to be made
}

// as returns an event of another type with the same object.
func (e *event) as(typ string) *event { return &event{typ: typ, object: e.object} }

// showing returns an event of the same type with another object.
func (e *event) showing(o object) *event { return &event{typ: e.typ, object: o} }

// is says whether there is an event and it is of one of the types.
func (e *event) is(types ...string) bool { return e != nil && slices.Contains(types, e.typ) }

func (e *event) change() bool { return e.is("ADDED", "MODIFIED", "DELETED") }

func (e *event) key() (string, bool) {
	m, ok := e.object.meta()
	return m.Namespace + "/" + m.Name, ok
}

// initialEnd says whether an event is the bookmark at the end of the initial
// events.
func (e *event) initialEnd() bool {
	if !e.is("BOOKMARK") {
		return false
	}
	m, ok := e.object.meta()
	return ok && m.Annotations[metav1.InitialEventsAnnotationKey] == "true"
}

// encode is the event as a part of the stream.
func (e *event) encode() ([]byte, error) {
	if e.frame != nil {
		return e.frame, nil
	}
	if e.object.json {
		b, err := json.Marshal(map[string]any{"type": e.typ, "object": json.RawMessage(e.object.raw)})
		if err != nil {
			return nil, fmt.Errorf("encode event: %w", err)
		}
		return append(b, '\n'), nil
	}
	w := metav1.WatchEvent{Type: e.typ, Object: runtime.RawExtension{Raw: e.object.body()}}
	b, err := w.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...), nil
}

// events reads the events of a stream.
type events struct {
	json   bool
	reader *bufio.Reader
}

// next returns io.EOF after the last event.
func (s *events) next() (*event, error) {
	if s.json {
		return s.nextJSON()
	}
	head, err := s.reader.Peek(4)
	if err != nil {
		if errors.Is(err, io.EOF) && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n > maxFrame {
		return nil, fmt.Errorf("event of %d bytes, more than %d", n, maxFrame)
	}
	frame := make([]byte, 4+n)
	if _, err := io.ReadFull(s.reader, frame); err != nil {
		return nil, err
	}
	var w metav1.WatchEvent
	if err := w.Unmarshal(frame[4:]); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	o, ok := readObject(w.Object.Raw)
	if !ok {
		return nil, errors.New("decode event: its object has no envelope")
	}
	return &event{typ: w.Type, object: o, frame: frame}, nil
}

func (s *events) nextJSON() (*event, error) {
	line, err := s.reader.ReadBytes('\n')
	if err != nil {
		if errors.Is(err, io.EOF) && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	var w struct {
		Type   string          `json:"type"`
		Object json.RawMessage `json:"object"`
	}
	if err := json.Unmarshal(line, &w); err != nil {
		return nil, fmt.Errorf("decode event: %w", err)
	}
	return &event{typ: w.Type, object: object{json: true, raw: w.Object}, frame: line}, nil
}
