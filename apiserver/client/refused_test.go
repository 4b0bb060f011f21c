package client_test

import (
	"sync"
	"testing"
)

// TestRefusedAmidRequests has many ask at once for the connections to a server
// that refuses all: a dial may fail at any moment while somebody chooses among
// them.
func TestRefusedAmidRequests(t *testing.T) {
	a := newAuthority(t)
	gone := a.serve(t, 0, 100, nil)
	l, _ := a.layer(t, 8, gone)
	gone.kill()
	var asking sync.WaitGroup
	for _, c := range users(l, 64) {
		asking.Go(func() {
			for range 600 {
				if _, err := c.Do(bounded(t), getPod("p")); err == nil {
					t.Error("a server that is gone has answered")
					return
				}
			}
		})
	}
	asking.Wait()
}
