package workloads

// inOrder lets operations on one Deployment run one after the other, in the order of
// their plan. A lock would not do: it goes to whoever comes first, and of operations
// that are due at once, or wait, that may be a later one.
type inOrder struct {
	before []int           // the operation before each on the same Deployment, -1: none
	ended  []chan struct{} // closed
}

func newInOrder(ops []ChurnOperation) *inOrder {
	o := &inOrder{before: make([]int, len(ops)), ended: make([]chan struct{}, len(ops))}
	last := map[int]int{}
	for i, op := range ops {
		o.ended[i], o.before[i] = make(chan struct{}), -1
		if before, ok := last[op.Deployment]; ok {
			o.before[i] = before
		}
		last[op.Deployment] = i
	}
	return o
}

// run does the i-th operation once the one before it has ended, which must have been
// begun, and ends when its context does.
func (o *inOrder) run(i int, operation func() error) error {
	if before := o.before[i]; before >= 0 {
		<-o.ended[before]
	}
	defer close(o.ended[i])
	return operation()
}
