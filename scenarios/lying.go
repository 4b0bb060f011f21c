package scenarios

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/apiserver/lies"
	storelies "github.com/planecheck/planecheck/apiserver/storage/lies"
)

// lyingResources are what is lied about: objects of the contract traffic that
// nobody else depends on, so that the rest of the cluster lives on.
var lyingResources = []string{"configmaps", "widgets", "pods", "leases"}

// confined are those of them of which nodes and controllers live as well: they are lied
// about in the namespaces of the traffic alone, and never to who asks for all of them.
var confined = map[string]string{"pods": contractPrefix, "leases": contractPrefix}

// liars are the proxies before the API servers that tell the World's lie. They
// stand behind the recording, so that the checkers must find it.
type liars []*lies.Proxy

func findLie(name string) (lies.Lie, bool) {
	all := slices.Concat(lies.Catalogue(), lies.Elections())
	i := slices.IndexFunc(all, func(l lies.Lie) bool { return l.Name == name })
	if i < 0 {
		return lies.Lie{}, false
	}
	return all[i], true
}

// catalogued is before the names of the lies that any store can tell, which would
// else be taken for those of an API server.
const catalogued = "store/"

// storeLie is the lie of that name that is told before the members of the store.
func storeLie(name string) (storelies.Lie, bool) {
	all := storelies.Objects()
	name, any := strings.CutPrefix(name, catalogued)
	if any {
		all = storelies.Catalogue()
	}
	i := slices.IndexFunc(all, func(l storelies.Lie) bool { return l.Name == name })
	if i < 0 {
		return storelies.Lie{}, false
	}
	return all[i], true
}

// storeStream keeps the draws of a liar before the store apart from others of the
// same seed.
const storeStream = 0x5354_4f52_4500

// storeLiar is who tells the World's lie before the store; nil: nobody does.
func storeLiar(w World, seed uint64) *storelies.Liar {
	lie, ok := storeLie(w.Lie)
	if !ok {
		return nil
	}
	return lie.Begin(rand.New(rand.NewPCG(seed, storeStream)))
}

// told is the number of lies told so far, to whomever.
func (c *cluster) told() int {
	n := c.liars.told()
	if c.storeLiar != nil {
		n += c.storeLiar.Told()
	}
	return n
}

// electionLiar returns what puts a liar of its own before each process that takes
// part in an election; nil: the World tells no lie about that.
func (c *cluster) electionLiar() func(upstream string, ca []byte) (string, []byte, error) {
	lie, ok := findLie(c.world.Lie)
	if !ok || !lie.Elections {
		return nil
	}
	return func(upstream string, ca []byte) (string, []byte, error) {
		p, err := lies.New(lies.Config{Upstream: upstream, UpstreamCA: ca, Lie: lie, Seed: c.seed, Resources: []string{"leases"}})
		if err != nil {
			return "", nil, err
		}
		c.liars = append(c.liars, p)
		return p.Addr(), p.CA(), nil
	}
}

// startLiars starts a proxy before each of the servers, which tells the World's lie.
func startLiars(w World, servers []string, ca []byte, seed uint64) (l liars, err error) {
	lie, ok := findLie(w.Lie)
	if !ok {
		return nil, Usagef("--lie is %q; there is no such lie", w.Lie)
	}
	about := lyingResources
	if w.LieAbout != "" {
		about = []string{w.LieAbout}
	}
	for i, server := range servers {
		p, err := lies.New(lies.Config{
			Upstream: server, UpstreamCA: ca, Lie: lie, Seed: seed + uint64(i), Resources: about, Confined: confined,
		})
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l = append(l, p)
	}
	return l, nil
}

func (l liars) addrs() []string {
	var addrs []string
	for _, p := range l {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}

// ca signs all of them.
func (l liars) ca() []byte {
	var bundle [][]byte
	for _, p := range l {
		bundle = append(bundle, p.CA())
	}
	return bytes.Join(bundle, []byte("\n"))
}

// told is the number of lies told so far.
func (l liars) told() int {
	n := 0
	for _, p := range l {
		n += p.Told()
	}
	return n
}

func (l liars) close() error {
	var errs []error
	for _, p := range l {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}
