package workloads

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

const (
	// listPage is the objects of one page: of pods some 3 MB, which neither
	// side minds.
	listPage = 1000
	// followBackoff is the pause after a failed list or watch; it doubles up to
	// followBackoffMost. A watch that has lasted is resumed without a pause.
	followBackoff     = 100 * time.Millisecond
	followBackoffMost = 5 * time.Second
	// watchSeconds is how long one watch is asked to last. The server would
	// choose 30 to 60 minutes.
	watchSeconds = 3600
)

// follower lists and then watches one resource in all namespaces for ever. It
// resumes a watch that ends from the last version that it has seen, so that no
// event is lost, and lists again when that version is no longer kept.
type follower struct {
	client   *client.Client
	resource client.Resource
	log      *slog.Logger

	// begin is called before the objects of a list, done after the last of
	// them. A list that fails half-way begins again.
	begin func()
	item  func(raw []byte, arrived history.Time) error
	done  func(arrived history.Time)
	// event is given ADDED, MODIFIED and DELETED, the object without envelope.
	event func(typ string, raw []byte, arrived history.Time) error

	count   func(relist bool) // called at each list or watch after the first
	lists   int
	version string
}

// errRelist says that the version to watch from is gone.
var errRelist = errors.New("resource version expired")

// run follows until ctx ends. Every attempt that ended early is followed by a
// pause, whatever its end: a server that closes each watch at once must not
// be hammered.
func (f *follower) run(ctx context.Context) {
	pause := followBackoff
	for ctx.Err() == nil {
		started := history.Now()
		err := f.once(ctx)
		if errors.Is(err, errRelist) {
			f.version, err = "", nil
		}
		if history.Since(started) > time.Second {
			pause = followBackoff
			if err == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return
		}
		f.log.Debug("watch ended", "resource", f.resource.Plural, "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, followBackoffMost)
	}
}

// once lists if need be and watches until the watch ends.
func (f *follower) once(ctx context.Context) error {
	resumed := f.version != ""
	if !resumed {
		if err := f.list(ctx); err != nil {
			return err
		}
	}
	return f.watch(ctx, resumed)
}

func (f *follower) list(ctx context.Context) error {
	if f.lists++; f.lists > 1 {
		f.count(true)
	}
	f.begin()
	version, next := "", ""
	for {
		query := url.Values{"limit": {strconv.Itoa(listPage)}}
		if next != "" {
			query.Set("continue", next)
		}
		resp, err := f.client.Do(ctx, &client.Request{Verb: "list", Resource: f.resource, Query: query})
		if err != nil {
			return fmt.Errorf("list %s: %w", f.resource.Plural, err)
		}
		_, _, raw, err := wire.Unwrap(resp.Body)
		if err != nil {
			return fmt.Errorf("list %s: %w", f.resource.Plural, err)
		}
		info, err := wire.ScanList(raw, func(item []byte) error { return f.item(item, resp.Returned) })
		if err != nil {
			return fmt.Errorf("list %s: %w", f.resource.Plural, err)
		}
		version = info.ResourceVersion
		if next = info.Continue; next == "" {
			f.done(resp.Returned)
			f.version = version
			return nil
		}
	}
}

func (f *follower) watch(ctx context.Context, resumed bool) error {
	w, err := f.client.Watch(ctx, &client.Request{Verb: "watch", Resource: f.resource, Query: url.Values{
		"resourceVersion":     {f.version},
		"allowWatchBookmarks": {"true"},
		"timeoutSeconds":      {strconv.Itoa(watchSeconds)},
	}})
	if client.IsGone(err) {
		return errRelist
	}
	if err != nil {
		return fmt.Errorf("watch %s: %w", f.resource.Plural, err)
	}
	defer w.Close()
	if resumed {
		f.count(false)
	}
	for {
		e, err := w.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch %s: %w", f.resource.Plural, err)
		}
		if err := f.take(e); err != nil {
			return err
		}
	}
}

// take handles one event of the watch.
func (f *follower) take(e client.Event) error {
	_, _, raw, err := wire.Unwrap(e.Object)
	if err != nil {
		return fmt.Errorf("watch %s: %w", f.resource.Plural, err)
	}
	if e.Type == "ERROR" {
		status, err := wire.ScanStatus(raw)
		if err != nil {
			return fmt.Errorf("watch %s: %w", f.resource.Plural, err)
		}
		if status.Code == http.StatusGone {
			return errRelist
		}
		return fmt.Errorf("watch %s: server ended it: %s", f.resource.Plural, status.Message)
	}
	meta, err := wire.ScanMeta(raw)
	if err != nil {
		return fmt.Errorf("watch %s: %w", f.resource.Plural, err)
	}
	if e.Type != "BOOKMARK" {
		if err := f.event(e.Type, raw, e.Arrived); err != nil {
			return fmt.Errorf("watch %s: %w", f.resource.Plural, err)
		}
	}
	f.version = meta.ResourceVersion
	return nil
}
