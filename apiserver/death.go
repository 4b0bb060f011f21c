package apiserver

import (
	"context"
	"errors"
	"time"
)

// causeBound is how long the end of a client of API servers is kept back for the end of
// one of these. The kernel takes some time to take a large process down, and meanwhile
// a controller manager that is just starting has ended with "unexpected EOF".
const causeBound = 250 * time.Millisecond

// watch reports the end of a component that was ready, unless it was expected.
func (c *ControlPlane) watch(p *process, kind string) {
	<-p.exited
	if p.wasExpected() {
		return
	}
	failure := p.failure(true)
	may, err := c.succeed(p, kind)
	var again *ComponentError
	switch {
	case may && err == nil:
		return
	case errors.As(err, &again):
		failure = again
	}
	if server := c.diedFirst(kind); server != nil { // which is told of beside this
		c.log.Error("component died after an API server", "component", p.name, "state", failure.State, "server", server.name)
		return
	}
	c.log.Error("component died", "component", p.name, "state", failure.State, "startedAgain", err)
	c.abort(failure)
	select {
	case c.died <- failure: // has room for every component
	default: // one that died after it had been started again; the first tells enough
	}
}

// diedFirst returns the API server of whose unexpected end a component has died, nil:
// none has ended by now, nor does within causeBound.
func (c *ControlPlane) diedFirst(kind string) *process {
	if kind == KubeAPIServer {
		return nil
	}
	c.mu.Lock()
	var servers []*process
	for _, started := range c.children {
		if started.Kind == KubeAPIServer && !started.process.wasExpected() {
			servers = append(servers, started.process)
		}
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), causeBound)
	defer cancel()
	ended := make(chan *process, len(servers))
	for _, server := range servers {
		go func() {
			select {
			case <-server.exited:
				ended <- server
			case <-ctx.Done():
			}
		}()
	}
	for {
		select {
		case server := <-ended:
			if !server.wasExpected() {
				return server
			}
		case <-ctx.Done():
			return nil
		}
	}
}
