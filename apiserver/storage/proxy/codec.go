package proxy

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// frame is one message as it is on the wire.
type frame struct{ bytes []byte }

// rawCodec passes messages through as they are.
type rawCodec struct{}

// Name is that of the codec which wrote the messages. The client sends it on
// as part of the content type.
func (rawCodec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("the proxy sends frames, not %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f.bytes)}, nil
}

// Unmarshal implements encoding.CodecV2. It copies, because gRPC takes its
// buffers back.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("the proxy receives frames, not %T", v)
	}
	f.bytes = data.Materialize()
	return nil
}
