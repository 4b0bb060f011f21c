package scenarios

import (
	"errors"
	"fmt"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/scenarios/faults"
)

// clientLinks are the links between the client layer and the API servers, in the
// order of these; none unless the World has them. Scheduler and controller
// manager do not pass through them: they dial the load balancer.
type clientLinks []faults.ClientLink

// startClientLinks starts two links to each of the servers, since watches and
// short requests of the layer travel on connections of their own.
func startClientLinks(plane *apiserver.ControlPlane, servers []string) (l clientLinks, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start links to the API servers: %w", err), l.close())
		}
	}()
	var names []string
	for _, c := range plane.Components() {
		if c.Kind == apiserver.KubeAPIServer {
			names = append(names, c.Name)
		}
	}
	for i, addr := range servers {
		requests, err := link.New("127.0.0.1:0", addr)
		if err != nil {
			return l, err
		}
		l = append(l, faults.ClientLink{Server: names[i], Requests: requests})
		if l[i].Watches, err = link.New("127.0.0.1:0", addr); err != nil {
			return l, err
		}
	}
	return l, nil
}

// addrs are where the layer finds the servers.
func (l clientLinks) addrs() (requests, watches []string) {
	for _, c := range l {
		requests, watches = append(requests, c.Requests.Addr()), append(watches, c.Watches.Addr())
	}
	return requests, watches
}

func (l clientLinks) close() error {
	var errs []error
	for _, c := range l {
		errs = append(errs, c.Requests.Close())
		if c.Watches != nil {
			errs = append(errs, c.Watches.Close())
		}
	}
	return errors.Join(errs...)
}
