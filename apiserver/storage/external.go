package storage

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/planecheck/planecheck/apiserver/storage/namespace"
	"github.com/planecheck/planecheck/apiserver/storage/proxy"
	"github.com/planecheck/planecheck/apiserver/storage/record"
	"github.com/planecheck/planecheck/checkers/history"
)

const externalName = "external"

// External is a store that a person runs, for the backend of that name.
type External struct {
	// Endpoints of its members: all http://host:port, or all https://host:port.
	Endpoints []string `json:"endpoints,omitempty"`
	// Files in PEM, of https: the authorities that the members' certificates are
	// of (default: the machine's), and our own certificate with its key.
	CACert string `json:"ca_cert,omitempty"`
	Cert   string `json:"cert,omitempty"`
	Key    string `json:"key,omitempty"`
}

// Checker is implemented by backends of which it can be said before anything is
// started that they cannot be had.
type Checker interface {
	// Check takes some seconds at most.
	Check(ctx context.Context) error
}

// externalBound is how long a member of a store may take for an answer at the
// beginning, and how long each step of the cleaning at the end may take.
const (
	externalBound = 5 * time.Second
	cleanBound    = 30 * time.Second
	cleanBatch    = 1000 // keys that are removed at once
	// askPause is between two questions whether it still answers, and silentBound is
	// for how long none of its members may before it counts as dead.
	askPause    = time.Second
	silentBound = 30 * time.Second
)

// external is a store that somebody else runs and that others may use meanwhile.
// Clients reach it through a proxy for each member, which records and lets
// nothing through but to keys below a prefix of this run (package namespace).
// It takes no fault, is neither compacted nor defragmented by us, and Stop removes
// what is below the prefix: there is no second start.
type external struct {
	opt     Options
	store   External
	tls     *tls.Config // nil: plain text
	prefix  string
	numbers record.Numbers // of the history
	deaths  chan error
	silent  time.Duration // silentBound but in tests

	op        sync.Mutex // held during Start and Stop
	unwatch   func()     // guarded by op; nil: nobody watches over it
	begun     bool       // guarded by op
	part      *namespace.Namespace
	proxies   []*proxy.Proxy
	recorders []*record.Recorder

	mu        sync.Mutex
	endpoints []string // guarded by mu
	version   string   // guarded by mu; of the oldest member, "" before Check or Start
}

func newExternal(opt Options) (*external, error) {
	e := &external{opt: opt, store: opt.External, deaths: make(chan error, 1), silent: silentBound}
	random := make([]byte, 8)
	_, _ = rand.Read(random) // it never fails; two runs of one seed may share a store
	e.prefix = "/planecheck-" + hex.EncodeToString(random) + "/"
	if err := e.configure(); err != nil {
		return nil, fmt.Errorf("storage backend %s: %w", externalName, err)
	}
	return e, nil
}

// configure reads what the person has given.
func (e *external) configure() error {
	if len(e.store.Endpoints) == 0 {
		return errors.New("it needs the endpoints of a store")
	}
	var schemes []string
	for _, endpoint := range e.store.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Port() == "" || u.Path != "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("endpoint %q is not of the form http://host:port or https://host:port", endpoint)
		}
		schemes = append(schemes, u.Scheme)
	}
	if slices.Sort(schemes); len(slices.Compact(schemes)) > 1 {
		return fmt.Errorf("the endpoints %s are not all http or all https", strings.Join(e.store.Endpoints, ","))
	}
	files := e.store.CACert + e.store.Cert + e.store.Key
	if schemes[0] == "http" {
		if files != "" {
			return errors.New("certificates are given, but the endpoints are http")
		}
		return nil
	}
	return e.readFiles()
}

func (e *external) readFiles() error {
	e.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if e.store.CACert != "" {
		pem, err := os.ReadFile(e.store.CACert)
		if err != nil {
			return err
		}
		e.tls.RootCAs = x509.NewCertPool()
		if !e.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s holds no certificate", e.store.CACert)
		}
	}
	if (e.store.Cert == "") != (e.store.Key == "") {
		return errors.New("a certificate and its key go together: one of them is missing")
	}
	if e.store.Cert != "" {
		pair, err := tls.LoadX509KeyPair(e.store.Cert, e.store.Key)
		if err != nil {
			return fmt.Errorf("load %s and %s: %w", e.store.Cert, e.store.Key, err)
		}
		e.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// client is one of our own, past the proxies.
func (e *external) client() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: e.store.Endpoints, TLS: e.tls, Logger: zap.NewNop(),
		DialOptions: []grpc.DialOption{grpc.WithNoProxy()},
	})
}

// Check implements Checker: every member answers and is of a version that
// kube-apiserver can work with.
func (e *external) Check(ctx context.Context) error {
	var oldest *version.Version
	for _, endpoint := range e.store.Endpoints {
		text, err := e.versionOf(ctx, endpoint)
		if err != nil {
			return fmt.Errorf("the external store at %s: %w", endpoint, err)
		}
		v, err := version.ParseSemantic(text)
		if err != nil {
			return fmt.Errorf("the external store at %s says that its version is %q: %w", endpoint, text, err)
		}
		if !progresses(v) {
			return fmt.Errorf("the external store at %s is etcd %s, which lacks progress of watches on request: kube-apiserver needs 3.4.31, 3.5.13 or newer", endpoint, text)
		}
		if oldest == nil || v.LessThan(oldest) {
			oldest = v
		}
	}
	e.mu.Lock()
	e.version = oldest.String()
	e.mu.Unlock()
	return nil
}

// progresses says whether kube-apiserver takes a version for one that tells
// progress right (k8s.io/apiserver, pkg/storage/feature).
func progresses(v *version.Version) bool {
	gap := v.AtLeast(version.MustParseSemantic("3.5.0")) && v.LessThan(version.MustParseSemantic("3.5.13"))
	return v.AtLeast(version.MustParseSemantic("3.4.31")) && !gap
}

// versionOf asks one member. It gives up at the first attempt to connect that
// fails, and says why.
func (e *external) versionOf(ctx context.Context, endpoint string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, externalBound)
	defer cancel()
	_, address, _ := strings.Cut(endpoint, "://")
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(e.credentials()), grpc.WithNoProxy())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	resp, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		// A server that wants a certificate may be gone before it has said so.
		hint := ""
		if e.tls != nil && len(e.tls.Certificates) == 0 {
			hint = " (no certificate of ours is given)"
		}
		return "", errors.New(status.Convert(err).Message() + hint)
	}
	return resp.Version, nil
}

func (e *external) credentials() credentials.TransportCredentials {
	if e.tls == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(e.tls)
}

// Name implements Backend.
func (e *external) Name() string { return externalName }

// Start implements Backend.
func (e *external) Start(ctx context.Context) (err error) {
	e.op.Lock()
	defer e.op.Unlock()
	if e.begun {
		return errors.New("start external: what it held has been removed, or it is started already")
	}
	if err := e.Check(ctx); err != nil {
		return err
	}
	revision, err := e.lookAt(ctx)
	if err != nil {
		return fmt.Errorf("start external: %w", err)
	}
	e.begun, e.part = true, namespace.New(e.prefix, revision)
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	var endpoints []string
	for i, endpoint := range e.store.Endpoints {
		p, err := e.stand(fmt.Sprintf("external-%d", i), endpoint)
		if err != nil {
			return fmt.Errorf("start external: %w", err)
		}
		endpoints = append(endpoints, p.Endpoint())
	}
	e.mu.Lock()
	e.endpoints = endpoints
	e.mu.Unlock()
	e.unwatch = e.watchOver()
	e.opt.Log.Info("external is up", "endpoints", endpoints, "of", e.store.Endpoints, "prefix", e.prefix, "revision", revision)
	return nil
}

// lookAt returns the store's revision, through its quorum. Nothing may be below
// the prefix.
func (e *external) lookAt(ctx context.Context) (int64, error) {
	client, err := e.client()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, externalBound, fmt.Errorf("no answer within %v", externalBound))
	defer cancel()
	resp, err := client.Get(ctx, e.prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	if resp.Count > 0 {
		return 0, fmt.Errorf("there are keys below %s already", e.prefix)
	}
	return resp.Header.Revision, nil
}

// stand puts a proxy before a member.
func (e *external) stand(name, endpoint string) (*proxy.Proxy, error) {
	recorder := record.New(record.Options{
		Member: name, Sink: e.opt.History, Numbers: &e.numbers, Inside: recorderLabels, Outside: recorderLabels,
	})
	e.recorders = append(e.recorders, recorder)
	opt := proxy.Options{Upstream: endpoint, TLS: e.credentials(), Recorder: recorder}
	if e.opt.OnCommit != nil {
		opt.Interference = append(opt.Interference, commitObserver(e.opt.OnCommit))
	}
	opt.Interference = append(opt.Interference, e.part)
	p, err := startProxy(opt)
	if err == nil {
		e.proxies = append(e.proxies, p)
	}
	return p, err
}

// watchOver asks the store all the time whether it is there, until the function
// that it returns is called: nobody else says so of a process that is not ours.
func (e *external) watchOver() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var asking sync.WaitGroup
	asking.Go(func() {
		pause := time.NewTicker(askPause)
		defer pause.Stop()
		for heard := history.Now(); ctx.Err() == nil; {
			if err := e.ask(ctx); err == nil {
				heard = history.Now()
			} else if silent := history.Since(heard); silent >= e.silent && ctx.Err() == nil {
				e.deaths <- fmt.Errorf("the external store has not answered for %v: %w", silent.Round(time.Second), err)
				return
			}
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
	})
	return func() {
		cancel()
		asking.Wait()
	}
}

// ask returns an error if no member answers: that of the last.
func (e *external) ask(ctx context.Context) (err error) {
	for _, endpoint := range e.store.Endpoints {
		if _, err = e.versionOf(ctx, endpoint); err == nil {
			return nil
		}
		err = fmt.Errorf("%s: %w", endpoint, err)
	}
	return err
}

// Died implements DeathNotifier.
func (e *external) Died() <-chan error { return e.deaths }

// Stop implements Backend. It removes all keys below the prefix, and the leases.
func (e *external) Stop() error {
	e.op.Lock()
	defer e.op.Unlock()
	return e.stop()
}

func (e *external) stop() error {
	if e.part == nil {
		return nil
	}
	if e.unwatch != nil {
		e.unwatch()
		e.unwatch = nil
	}
	var err error
	for _, p := range e.proxies {
		err = errors.Join(err, p.Close())
	}
	for _, r := range e.recorders {
		r.Close()
	}
	if cleanErr := e.clean(); cleanErr != nil {
		err = errors.Join(err, fmt.Errorf("remove the keys below %s from the external store: %w", e.prefix, cleanErr))
	}
	e.part, e.proxies, e.recorders = nil, nil, nil
	return err
}

func (e *external) clean() error {
	client, err := e.client()
	if err != nil {
		return err
	}
	defer client.Close()
	within := func(f func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(context.Background(), cleanBound)
		defer cancel()
		return f(ctx)
	}
	end := clientv3.GetPrefixRangeEnd(e.prefix)
	for more := true; more; {
		err := within(func(ctx context.Context) error {
			some, err := client.Get(ctx, e.prefix, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(cleanBatch))
			if err != nil || len(some.Kvs) == 0 {
				more = false
				return err
			}
			more = some.More
			_, err = client.Delete(ctx, e.prefix, clientv3.WithRange(string(some.Kvs[len(some.Kvs)-1].Key)+"\x00"))
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, id := range e.part.Leases() {
		err := within(func(ctx context.Context) error {
			_, err := client.Revoke(ctx, clientv3.LeaseID(id))
			return err
		})
		if err != nil && !strings.Contains(err.Error(), "lease not found") { // it has expired
			return err
		}
	}
	return nil
}

// Endpoints implements Backend: those of the proxies.
func (e *external) Endpoints() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.endpoints)
}

// Members implements Backend. Their data is somebody else's.
func (e *external) Members() []Member {
	endpoints := e.Endpoints()
	var members []Member
	for i := range e.store.Endpoints {
		m := Member{Name: fmt.Sprintf("external-%d", i), Proxied: true}
		if i < len(endpoints) {
			m.Endpoint = endpoints[i]
		}
		members = append(members, m)
	}
	return members
}

// Faults implements Backend: there are none.
func (e *external) Faults() []string { return nil }

// DiskBytes implements Backend: what is on its disks is not only ours.
func (e *external) DiskBytes() (int64, error) { return 0, nil }

// Settings implements Describer.
func (e *external) Settings() map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return map[string]string{
		"members": fmt.Sprint(len(e.store.Endpoints)), "version": e.version, "prefix": e.prefix,
		"endpoints": strings.Join(e.store.Endpoints, ","), "tls": fmt.Sprint(e.tls != nil),
	}
}
