package endstate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

const (
	defaultPageSize = 500
	// mostStarts bounds how often a list is begun whose pages expire. Each time
	// the pages are larger, so that fewer compactions fall into it, but never so
	// large that a page would fill the memory.
	mostStarts = 4
	pageGrowth = 2
)

// Options of a Capture.
type Options struct {
	// Exclude are namespaces whose objects are left out, such as those of random
	// traffic. The Namespaces themselves are compared.
	Exclude []string
	// PageSize is how many objects are asked for at once; default 500.
	PageSize int64
}

// Capture lists everything that the API server serves and reduces it to a
// State. It fails if anything cannot be listed: what was not seen must not count
// as equal. cfg needs the rights of an administrator.
func Capture(ctx context.Context, cfg *rest.Config, o Options) (*State, error) {
	c, err := newCapture(cfg, o)
	if err != nil {
		return nil, fmt.Errorf("capture end state: %w", err)
	}
	s, err := c.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("capture end state: %w", err)
	}
	return s, nil
}

type capture struct {
	discovery *discovery.DiscoveryClient
	dynamic   dynamic.Interface
	pageSize  int64
	builder   *builder
}

func newCapture(cfg *rest.Config, o Options) (*capture, error) {
	cfg = rest.CopyConfig(cfg)
	// Requests go out one after the other, which is limit enough.
	cfg.QPS = -1
	// Lists of deprecated versions are what is asked for; client-go would print
	// the server's warnings.
	cfg.WarningHandler, cfg.WarningHandlerWithContext = rest.NoWarnings{}, nil
	http, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	c := &capture{pageSize: o.PageSize, builder: newBuilder(rules(), o.Exclude)}
	if c.pageSize <= 0 {
		c.pageSize = defaultPageSize
	}
	if c.discovery, err = discovery.NewDiscoveryClientForConfigAndClient(cfg, http); err != nil {
		return nil, fmt.Errorf("discovery client: %w", err)
	}
	if c.dynamic, err = dynamic.NewForConfigAndClient(cfg, http); err != nil {
		return nil, fmt.Errorf("dynamic client: %w", err)
	}
	return c, nil
}

func (c *capture) run(ctx context.Context) (*State, error) {
	resources, err := c.resources(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range resources {
		names = append(names, r.GroupResource().String())
		if err := c.list(ctx, r); err != nil {
			return nil, err
		}
	}
	s := c.builder.state()
	s.Resources = names
	return s, nil
}

// resources returns what can be listed, each in the version that the server
// prefers, sorted by name.
func (c *capture) resources(ctx context.Context) ([]schema.GroupVersionResource, error) {
	lists, err := c.discovery.ServerPreferredResourcesWithContext(ctx)
	if err != nil {
		return nil, discoveryError(err)
	}
	var resources []schema.GroupVersionResource
	core := false
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("discover resources: %w", err)
		}
		for _, r := range list.APIResources {
			resource := gv.WithResource(r.Name)
			core = core || gv.Group == ""
			if slices.Contains(r.Verbs, "list") && !isIgnored(resource.GroupResource().String()) {
				resources = append(resources, resource)
			}
		}
	}
	if !core {
		// client-go takes a server that answers 404 for an aggregated one.
		return nil, errors.New("discover resources: the server shows none of the core group")
	}
	slices.SortFunc(resources, func(a, b schema.GroupVersionResource) int {
		return strings.Compare(a.GroupResource().String(), b.GroupResource().String())
	})
	return resources, nil
}

// discoveryError names every group that could not be discovered, in order.
func discoveryError(err error) error {
	groups, ok := discovery.GroupDiscoveryFailedErrorGroups(err)
	if !ok {
		return fmt.Errorf("discover resources: %w", err)
	}
	var failed []string
	for gv, reason := range groups {
		failed = append(failed, fmt.Sprintf("%s (%v)", gv, reason))
	}
	slices.Sort(failed)
	return fmt.Errorf("discover resources: the server does not show those of %s", strings.Join(failed, ", "))
}

// list takes in all objects of a resource, all of one snapshot.
func (c *capture) list(ctx context.Context, r schema.GroupVersionResource) error {
	limit := c.pageSize
	var err error
	for range mostStarts {
		part := c.builder.part()
		if err = c.pages(ctx, r, limit, part); err == nil {
			c.builder.absorb(part)
			return nil
		}
		if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
			return fmt.Errorf("list %s: %w", r.GroupResource(), err)
		}
		// The answer may carry a token to go on with, but in another snapshot:
		// the list would then be one of no moment at all.
		limit *= pageGrowth
	}
	return fmt.Errorf("list %s: begun %d times, expired in mid-list: %w", r.GroupResource(), mostStarts, err)
}

func (c *capture) pages(ctx context.Context, r schema.GroupVersionResource, limit int64, into *builder) error {
	o := metav1.ListOptions{Limit: limit}
	for {
		page, err := c.dynamic.Resource(r).List(ctx, o)
		if err != nil {
			return err
		}
		for i := range page.Items {
			if err := into.add(r.GroupResource().String(), page.Items[i].Object); err != nil {
				return err
			}
		}
		next := page.GetContinue()
		if next == "" {
			return nil
		}
		if next == o.Continue {
			return errors.New("the server answers the same page again and again")
		}
		o.Continue = next
	}
}
