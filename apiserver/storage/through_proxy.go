package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/planecheck/planecheck/apiserver/link"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
)

// throughProxy is a backend that lives in this process with a recording proxy
// before each member, as backends with processes of their own have, in the place
// of the interceptors in its servers: beside the backend itself it shows what the
// proxy costs, and beside one with processes nothing but the store is another. It
// takes no faults.
type throughProxy struct {
	Backend // it records nothing itself
	opt     Options
	numbers record.Numbers // of the history

	op    sync.Mutex // held during Start and Stop
	doors []*door    // guarded by op

	mu        sync.Mutex
	endpoints []string // guarded by mu; nil before the first start
}

// door is what stands before a member. The port stays the same over restarts.
type door struct {
	port     *link.Port
	proxy    *proxy.Proxy
	recorder *record.Recorder
}

// orThroughProxy is a kind whose backend may be behind proxies.
func orThroughProxy(k kind) kind {
	open := k.open
	k.options = append(slices.Clip(k.options), option{key: "proxy", values: []string{"off", "on"}})
	k.open = func(values map[string]string, opt Options) (Backend, error) {
		if values["proxy"] == "off" {
			return open(values, opt)
		}
		inner := opt
		inner.History, inner.OnCommit, inner.Interference = nil, nil, nil
		b, err := open(values, inner)
		if err != nil {
			return nil, err
		}
		return &throughProxy{Backend: b, opt: opt}, nil
	}
	return k
}

// Start implements Backend.
func (t *throughProxy) Start(ctx context.Context) (err error) {
	t.op.Lock()
	defer t.op.Unlock()
	if err := t.Backend.Start(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.stop())
		}
	}()
	members := t.Backend.Members()
	for len(t.doors) < len(members) {
		t.doors = append(t.doors, &door{})
	}
	var endpoints []string
	for i, m := range members {
		if err := t.stand(t.doors[i], m); err != nil {
			return fmt.Errorf("start the proxy of %s: %w", m.Name, err)
		}
		endpoints = append(endpoints, t.doors[i].proxy.Endpoint())
	}
	t.mu.Lock()
	t.endpoints = endpoints
	t.mu.Unlock()
	return nil
}

// stand puts a proxy before a member, at the port that it had before, or at any.
func (t *throughProxy) stand(d *door, m Member) error {
	number := 0
	if d.port != nil {
		number = d.port.Number
	}
	port, err := link.ReservePort(number)
	if err != nil {
		return err
	}
	d.port = port
	d.recorder = record.New(record.Options{
		Member: m.Name, Sink: t.opt.History, Numbers: &t.numbers, Inside: recorderLabels, Outside: recorderLabels,
	})
	opt := proxy.Options{Upstream: m.Endpoint, Listen: d.port.Addr(), Recorder: d.recorder}
	if t.opt.OnCommit != nil {
		opt.Interference = append(opt.Interference, commitObserver(t.opt.OnCommit))
	}
	if t.opt.Interference != nil {
		opt.Interference = append(opt.Interference, t.opt.Interference)
	}
	d.proxy, err = startProxy(opt)
	return err
}

// Stop implements Backend.
func (t *throughProxy) Stop() error {
	t.op.Lock()
	defer t.op.Unlock()
	return t.stop()
}

func (t *throughProxy) stop() error {
	var err error
	for _, d := range t.doors {
		if d.proxy != nil {
			err = errors.Join(err, d.proxy.Close())
		}
		d.recorder.Close()
		if d.port != nil {
			d.port.Release()
		}
		d.proxy, d.recorder = nil, nil // another start is another part of the history
	}
	return errors.Join(err, t.Backend.Stop())
}

// Endpoints implements Backend: those of the proxies.
func (t *throughProxy) Endpoints() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.endpoints)
}

// Members implements Backend.
func (t *throughProxy) Members() []Member {
	endpoints := t.Endpoints()
	members := t.Backend.Members()
	for i := range members {
		members[i].Proxied, members[i].Endpoint = true, ""
		if i < len(endpoints) {
			members[i].Endpoint = endpoints[i]
		}
	}
	return members
}

// Faults implements Backend: there are none.
func (t *throughProxy) Faults() []string { return nil }

// Settings implements Describer.
func (t *throughProxy) Settings() map[string]string {
	settings := map[string]string{}
	if d, ok := t.Backend.(Describer); ok {
		settings = maps.Clone(d.Settings())
	}
	settings["proxy"] = "true"
	return settings
}

// Died implements DeathNotifier.
func (t *throughProxy) Died() <-chan error {
	if d, ok := t.Backend.(DeathNotifier); ok {
		return d.Died()
	}
	return nil // it cannot die
}
