package apiserver

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/planecheck/planecheck/apiserver/link"
)

// linkStore puts a link between each API server and each endpoint of the store,
// where the configuration asks for it.
func (c *ControlPlane) linkStore() error {
	if !c.cfg.StoreLinks {
		return nil
	}
	c.stores = map[string]store{}
	for _, name := range c.namesOf(KubeAPIServer) {
		s, err := newStore(c.cfg.Etcd)
		c.stores[name] = s // also a part of it: Stop finds it
		if err != nil {
			return fmt.Errorf("link %s with the store: %w", name, err)
		}
	}
	return nil
}

// StoreLinks are the links between an API server and the endpoints of the store,
// in the order of Config.Etcd: up leads to the store. They stay the same when
// the API server is started again. There are none without Config.StoreLinks.
func (c *ControlPlane) StoreLinks(component string) []*link.Link {
	return slices.Clone(c.stores[component].links)
}

// storeOf are the endpoints of the store as an API server is told them.
func (c *ControlPlane) storeOf(server string) []string {
	if s, ok := c.stores[server]; ok {
		return s.endpoints
	}
	return c.cfg.Etcd
}

// store is what one API server sees of the store.
type store struct {
	endpoints []string
	links     []*link.Link
}

func newStore(endpoints []string) (s store, err error) {
	for _, endpoint := range endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" {
			return s, errors.Join(fmt.Errorf("%q is no URL of an endpoint", endpoint), err)
		}
		l, err := link.New("127.0.0.1:0", u.Host)
		if err != nil {
			return s, err
		}
		u.Host = l.Addr()
		s.endpoints, s.links = append(s.endpoints, u.String()), append(s.links, l)
	}
	return s, nil
}

func (c *ControlPlane) unlinkStore() (err error) {
	for _, s := range c.stores {
		for _, l := range s.links {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}
