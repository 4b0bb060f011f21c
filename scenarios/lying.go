package scenarios

import (
	"bytes"
	"errors"
	"slices"

	"github.com/planecheck/planecheck/apiserver/lies"
)

// lyingResources are what is lied about: objects of the contract traffic that
// nobody else depends on, so that the rest of the cluster lives on.
var lyingResources = []string{"configmaps", "widgets"}

// liars are the proxies before the API servers that tell the World's lie. They
// stand behind the recording, so that the checkers must find it.
type liars []*lies.Proxy

func findLie(name string) (lies.Lie, bool) {
	all := lies.Catalogue()
	i := slices.IndexFunc(all, func(l lies.Lie) bool { return l.Name == name })
	if i < 0 {
		return lies.Lie{}, false
	}
	return all[i], true
}

// startLiars starts a proxy before each of the servers.
func startLiars(name string, servers []string, ca []byte, seed uint64) (l liars, err error) {
	lie, ok := findLie(name)
	if !ok {
		return nil, Usagef("--lie is %q; there is no such lie", name)
	}
	for i, server := range servers {
		p, err := lies.New(lies.Config{
			Upstream: server, UpstreamCA: ca, Lie: lie, Seed: seed + uint64(i), Resources: lyingResources,
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
