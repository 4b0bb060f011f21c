package history

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// HashValue is the hash that histories keep of a value: XXH64 of its bytes. The
// absent value is 0; no bytes at all have another hash.
func HashValue(value []byte) uint64 { return xxhash.Sum64(value) }

// Digest folds keys of a list into the digest of its StoreChunk.
func Digest(kvs []StoreKV) uint64 {
	d := xxhash.New()
	var buf [48]byte
	for _, kv := range kvs {
		b := binary.LittleEndian.AppendUint64(buf[:0], uint64(len(kv.Key)))
		for _, n := range [...]uint64{uint64(kv.Create), uint64(kv.Mod), uint64(kv.Version), uint64(kv.Lease), kv.Value} {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		_, _ = d.Write(b) // a hash.Hash never fails
		_, _ = d.WriteString(kv.Key)
	}
	return d.Sum64()
}

// Chunks cuts a list into the chunks that stand for it in a history.
func Chunks(kvs []StoreKV) []StoreChunk {
	var chunks []StoreChunk
	for len(kvs) > 0 {
		part := kvs[:min(len(kvs), MaxListed)]
		kvs = kvs[len(part):]
		chunks = append(chunks, StoreChunk{
			First: part[0].Key, Last: part[len(part)-1].Key,
			Count: int64(len(part)), Digest: Digest(part),
		})
	}
	return chunks
}
