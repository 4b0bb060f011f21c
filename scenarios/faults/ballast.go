package faults

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	apiclient "github.com/planecheck/planecheck/apiserver/client"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

const (
	ballastName = "planecheck-ballast"
	// ballastBytes is the size of what is written. An API server stops to write
	// to a watch whose client has not read 256 KiB (the HTTP/2 window of our
	// clients), and gives the watcher up when two channels of 10 to 100 events
	// behind that are full, too.
	ballastBytes = 8 << 10
	ballastMost  = 1500 // writes
	// ballastLook is after how many writes it is looked whether it is enough.
	ballastLook = 20
	// removeBound is how long its removal may take.
	removeBound = 20 * time.Second
)

var configMaps = apiclient.Resource{Version: "v1", Plural: "configmaps"}

// ballast is one object that is written again and again, and watches of it. The
// writes and the watches are recorded like those of any client.
type ballast struct {
	writer   *apiclient.Client
	readers  []*ballastReader
	written  int
	last     int64 // resource version
	stop     context.CancelFunc
	watching sync.WaitGroup
}

// newBallast writes the object once and lets each of the strangers watch it, who
// are spread over the API servers.
func newBallast(ctx context.Context, e *Env) (*ballast, error) {
	b := &ballast{writer: e.Layer.Client(e.Strangers[0])}
	if err := b.put(ctx, "create"); err != nil { // it may have come about all the same
		return nil, errors.Join(err, b.remove(context.WithoutCancel(ctx)))
	}
	// They outlive the injection.
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	for _, id := range e.Strangers {
		r := &ballastReader{client: e.Layer.Client(id), seen: b.last}
		b.readers = append(b.readers, r)
		b.watching.Go(func() { r.run(watching) })
	}
	return b, nil
}

// put creates or replaces the object, whatever version it has.
func (b *ballast) put(ctx context.Context, verb string) error {
	data := strings.Repeat(string(rune('a'+b.written%26)), ballastBytes)
	answer, err := b.writer.Do(ctx, &apiclient.Request{
		Verb: verb, Resource: configMaps, Namespace: metav1.NamespaceDefault, Name: ballastName, ContentType: "application/json",
		Body: fmt.Appendf(nil, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q},"data":{"ballast":"%d %s"}}`,
			ballastName, b.written, data),
	})
	if err != nil {
		return fmt.Errorf("write ballast: %w", err)
	}
	b.written++
	b.last, err = versionOf(answer.Body)
	return err
}

func versionOf(object []byte) (int64, error) {
	_, _, raw, err := wire.Unwrap(object)
	if err != nil {
		return 0, fmt.Errorf("read an object: %w", err)
	}
	m, err := wire.ScanMeta(raw)
	if err != nil {
		return 0, fmt.Errorf("read the version of an object: %w", err)
	}
	return strconv.ParseInt(m.ResourceVersion, 10, 64)
}

// write writes until it is enough.
func (b *ballast) write(ctx context.Context, enough func() error) error {
	err := enough()
	for err != nil && b.written < ballastMost && ctx.Err() == nil {
		for range ballastLook {
			if err := b.put(ctx, "update"); err != nil {
				return err
			}
		}
		err = enough()
	}
	if err != nil {
		err = fmt.Errorf("after %d writes: %w", b.written, err)
	}
	return err
}

// end waits until every watch has come to the last write, and takes the object
// away. That none skipped or repeated a write is looked at here, too.
func (b *ballast) end(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
	defer cancel()
	err := await(ctx, "slow readers to have read everything", func(context.Context) error {
		for _, r := range b.readers {
			if err := r.reached(b.last, b.written-1); err != nil {
				return err
			}
		}
		return nil
	})
	b.stop()
	b.watching.Wait()
	resumed := 0
	for _, r := range b.readers {
		resumed += r.opened - 1
	}
	err = errors.Join(err, b.remove(context.WithoutCancel(ctx))) // the wait may have used up all its time
	return fmt.Sprintf("%d readers have read all %d writes once, in order, and resumed %d times", len(b.readers), b.written-1, resumed), err
}

// remove takes the object away, if it is there.
func (b *ballast) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, removeBound, fmt.Errorf("it had %v", removeBound))
	defer cancel()
	_, err := b.writer.Do(ctx, &apiclient.Request{
		Verb: "delete", Resource: configMaps, Namespace: metav1.NamespaceDefault, Name: ballastName,
	})
	if err != nil && !apiclient.IsNotFound(err) {
		return fmt.Errorf("take ballast away: %w", err)
	}
	return nil
}

// ballastReader keeps a watch open and resumes it from the last version that it
// has seen whenever it ends.
type ballastReader struct {
	client *apiclient.Client

	mu     sync.Mutex
	seen   int64
	events int
	wrong  error
	opened int
}

func (r *ballastReader) run(ctx context.Context) {
	for ctx.Err() == nil {
		r.watch(ctx)
		select {
		case <-time.After(poll):
		case <-ctx.Done():
		}
	}
}

func (r *ballastReader) watch(ctx context.Context) {
	r.mu.Lock()
	from := r.seen
	r.mu.Unlock()
	w, err := r.client.Watch(ctx, &apiclient.Request{
		Resource: configMaps, Namespace: metav1.NamespaceDefault, Name: ballastName,
		Query: url.Values{"resourceVersion": {strconv.FormatInt(from, 10)}},
	})
	if err != nil {
		return // the next one may open
	}
	defer w.Close()
	r.mu.Lock()
	r.opened++
	r.mu.Unlock()
	for {
		event, err := w.Next()
		if err != nil || !r.take(event) {
			return
		}
	}
}

// take keeps an event. It is false if the watch is of no use any more.
func (r *ballastReader) take(event apiclient.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := event.Err(); err != nil {
		// A reader that was away for longer than a version lives could not resume.
		r.wrong = errors.Join(r.wrong, err)
		return false
	}
	version, err := versionOf(event.Object)
	if err == nil && version <= r.seen {
		err = fmt.Errorf("version %d came after %d", version, r.seen)
	}
	r.wrong = errors.Join(r.wrong, err)
	r.seen, r.events = version, r.events+1
	return true
}

// reached fails until the reader has seen the last version, after n events.
func (r *ballastReader) reached(last int64, n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.wrong != nil:
		return fmt.Errorf("a slow reader: %w", r.wrong)
	case r.seen < last:
		return fmt.Errorf("a slow reader is at version %d of %d", r.seen, last)
	case r.events != n:
		return fmt.Errorf("a slow reader has seen %d of %d writes", r.events, n)
	}
	return nil
}
