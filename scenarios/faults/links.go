package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/link"
)

// storeDelay is how much later bytes arrive, one way, at the store and back: as
// from another continent.
const storeDelay = 50 * time.Millisecond

// readyzBound is how long an API server may take to say whether it is ready: its
// check of the store gives up after 2 s (k8s.io/apiserver/pkg/server/options/etcd.go,
// --etcd-readycheck-timeout).
const readyzBound = 5 * time.Second

// readBound is how long a read may take until it counts as one without an answer.
const readBound = 2 * time.Second

// linkFaults act on what one API server and the store tell each other.
func linkFaults() []Fault {
	return []Fault{
		{
			Name: "apiserver-store-delay", Area: APIServer, For: 5 * time.Second,
			Does:    "an API server is far from the store: 50 ms one way",
			targets: storeLinked, inject: delayStore,
		},
		{
			Name: "apiserver-store-cut", Area: APIServer, For: 5 * time.Second,
			Does:    "an API server loses the store: its connections are reset and new ones refused",
			targets: storeLinked, inject: cutStore,
		},
		{
			Name: "apiserver-store-blackhole", Area: APIServer, For: 8 * time.Second,
			Does:    "an API server and the store no longer hear each other, while their connections stay open",
			targets: storeLinked, inject: holdStore,
		},
	}
}

// storeLinked are the API servers with links to the store, where one can be
// spared.
func storeLinked(s Shape) []string {
	if !s.StoreLinks {
		return nil
	}
	return apiServers(s)
}

// storeLinks are those of one API server, one for each endpoint of the store.
type storeLinks []*link.Link

func (l storeLinks) set(c link.Condition) {
	for _, one := range l {
		one.Set(link.Up, c)
		one.Set(link.Down, c)
	}
}

// heal ends every fault and returns how many bytes had been waiting.
func (l storeLinks) heal() (waited int64) {
	for _, one := range l {
		healed := one.Heal()
		waited += healed.Up + healed.Down
	}
	return waited
}

// stats are the sums over all links that serve as evidence.
func (l storeLinks) stats() (sum link.Stats) {
	for _, one := range l {
		s := one.Stats()
		sum.Refused += s.Refused
		sum.Reset += s.Reset
		sum.Up.Delayed += s.Up.Delayed
		sum.Down.Delayed += s.Down.Delayed
		sum.Up.Held += s.Up.Held
		sum.Down.Held += s.Down.Held
	}
	return sum
}

// linked is an API server with its links to the store.
type linked struct {
	name   string
	links  storeLinks
	before link.Stats
	env    *Env
}

func linkedServer(e *Env, name string) (*linked, error) {
	links := storeLinks(e.Plane.StoreLinks(name))
	if len(links) == 0 {
		return nil, fmt.Errorf("%s has no links to the store", name)
	}
	return &linked{name: name, links: links, before: links.stats(), env: e}, nil
}

// active is a fault of the links that ends when the server reads from the store
// again within a time; 0: however long it takes.
func (l *linked) active(within time.Duration) *Active {
	return &Active{heal: func(ctx context.Context) (evidence string, err error) {
		waited := l.links.heal()
		err = await(ctx, l.name+" to reach the store again", func(ctx context.Context) error {
			if err := l.ready(ctx); err != nil {
				return err
			}
			took, err := l.read(ctx)
			if err == nil && within > 0 && took >= within {
				err = fmt.Errorf("a read takes %v", took)
			}
			evidence = fmt.Sprintf("%d bytes go on, %s is ready, a read of the store takes %v", waited, l.name, took.Round(time.Microsecond))
			return err
		})
		return evidence, err
	}}
}

// ready asks the server whether it is.
func (l *linked) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyzBound)
	defer cancel()
	_, err := l.env.Plane.Get(ctx, l.name, "/readyz")
	return err
}

// unready fails unless the server answers that it is not ready, and returns what it
// answers. One that says nothing has not said that.
func (l *linked) unready(ctx context.Context) (answer string, err error) {
	err = l.ready(ctx)
	status, ok := errors.AsType[*apiserver.AnswerError](err)
	switch {
	case err == nil:
		return "", fmt.Errorf("%s is still ready", l.name)
	case !ok:
		return "", err
	}
	return status.Status, nil
}

// read reads through the server from the store's quorum, and returns how long
// that took.
func (l *linked) read(ctx context.Context) (time.Duration, error) {
	api, err := clientOf(l.env, l.name)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	began := time.Now()
	// Without a resource version a GET passes by the watch cache
	// (k8s.io/apiserver/pkg/storage/cacher/delegator.go, Get).
	_, err = api.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
	return time.Since(began), err
}

// others fails unless every other API server takes a write and shows it.
func (l *linked) others(ctx context.Context) (string, error) {
	var serve []string
	for _, name := range servers(l.env.Plane) {
		if name == l.name {
			continue
		}
		api, err := clientOf(l.env, name)
		if err == nil {
			err = Fresh(ctx, api, name)
		}
		if err != nil {
			return "", fmt.Errorf("%s does not serve either: %w", name, err)
		}
		serve = append(serve, name)
	}
	return strings.Join(serve, ", ") + " takes writes and shows them", nil
}

// servers are the names of the API servers.
func servers(p Plane) (names []string) {
	for _, c := range ofKind(p, apiserver.KubeAPIServer) {
		names = append(names, c.Name)
	}
	return names
}

// clientOf opens the administrator's client of one API server.
func clientOf(e *Env, name string) (kubernetes.Interface, error) {
	c, err := component(e.Plane, name)
	if err != nil {
		return nil, err
	}
	return e.Client(c.Addr)
}

// delayStore delays both ways. The evidence is what the links delayed and how
// long a read takes.
func delayStore(ctx context.Context, e *Env, target string) (*Active, error) {
	l, err := linkedServer(e, target)
	if err != nil {
		return nil, err
	}
	const least = 2 * storeDelay // there and back
	l.links.set(link.Condition{Delay: storeDelay})
	a := l.active(least)
	return shown(ctx, a, target+" to be slow", func(ctx context.Context) error {
		took, err := l.read(ctx)
		if err != nil {
			return err
		}
		s := l.links.stats()
		up, down := s.Up.Delayed-l.before.Up.Delayed, s.Down.Delayed-l.before.Down.Delayed
		if took < least || up == 0 || down == 0 {
			return fmt.Errorf("a read takes %v, %d bytes up and %d down were delayed", took, up, down)
		}
		serve, err := l.others(ctx)
		a.Evidence = fmt.Sprintf("a read through %s takes %v, %d bytes up and %d down were delayed; %s",
			target, took.Round(time.Microsecond), up, down, serve)
		return err
	})
}

// cutStore cuts the links. The evidence is the connections that they have reset
// and refused, and a server that is not ready and cannot read.
func cutStore(ctx context.Context, e *Env, target string) (*Active, error) {
	l, err := linkedServer(e, target)
	if err != nil {
		return nil, err
	}
	for _, one := range l.links {
		one.Cut()
	}
	a := l.active(0)
	return shown(ctx, a, target+" to miss the store", func(ctx context.Context) error {
		s := l.links.stats()
		resets, refused := s.Reset-l.before.Reset, s.Refused-l.before.Refused
		if resets == 0 || refused == 0 {
			return fmt.Errorf("%d connections were reset and %d refused", resets, refused)
		}
		failure, err := l.fails(ctx)
		if err != nil {
			return err
		}
		answer, err := l.unready(ctx)
		if err != nil {
			return err
		}
		serve, err := l.others(ctx)
		a.Evidence = fmt.Sprintf("%d connections were reset and %d refused, %s is not ready, it says %s, a read fails: %v; %s", resets, refused, target, answer, failure, serve)
		return err
	})
}

// holdStore holds both ways. The evidence is what the links hold, and a read
// that is never answered.
func holdStore(ctx context.Context, e *Env, target string) (*Active, error) {
	l, err := linkedServer(e, target)
	if err != nil {
		return nil, err
	}
	l.links.set(link.Condition{Hold: true})
	a := l.active(0)
	return shown(ctx, a, target+" to miss the store", func(ctx context.Context) error {
		failure, err := l.fails(ctx)
		if err != nil {
			return err
		}
		if timeout := net.Error(nil); !errors.Is(failure, context.DeadlineExceeded) && (!errors.As(failure, &timeout) || !timeout.Timeout()) {
			return fmt.Errorf("a read is answered: %w", failure)
		}
		s := l.links.stats()
		up, down := s.Up.Held-l.before.Up.Held, s.Down.Held-l.before.Down.Held
		if up == 0 || down == 0 {
			return fmt.Errorf("%d bytes up and %d down were held", up, down)
		}
		serve, err := l.others(ctx)
		a.Evidence = fmt.Sprintf("%d bytes up and %d down were held, a read through %s times out; %s", up, down, target, serve)
		return err
	})
}

// fails returns why a read fails; that it does not is the error.
func (l *linked) fails(ctx context.Context) (failure, err error) {
	took, failure := l.read(ctx)
	if failure == nil {
		return nil, fmt.Errorf("%s still reads from the store, in %v", l.name, took)
	}
	return failure, nil
}
