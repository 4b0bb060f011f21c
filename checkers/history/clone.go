package history

import "slices"

// Clone returns a copy that shares nothing with op but strings.
func (op *StoreOp) Clone() *StoreOp {
	c := *op
	c.Compares, c.Then, c.Else = slices.Clone(op.Compares), slices.Clone(op.Then), slices.Clone(op.Else)
	c.Results = slices.Clone(op.Results)
	for i := range c.Results {
		r := &c.Results[i]
		r.KVs, r.Chunks = slices.Clone(r.KVs), slices.Clone(r.Chunks)
	}
	return &c
}

// Clone returns a copy that shares nothing with w but strings.
func (w *StoreWatch) Clone() *StoreWatch {
	c := *w
	c.Events = slices.Clone(w.Events)
	return &c
}
