package sim

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/planecheck/planecheck/apiserver/client"
)

// cursor is the memory of one watch: where it is, and how it goes on after an
// end. It makes the decisions of client-go's reflector (tools/cache/reflector.go
// of v0.37) with its defaults, so that the API server sees what it would see of
// a kubelet: a first list streamed over the watch (KEP-3157), a watch that is
// resumed from its last version as long as that is known, and a new list once
// it is not.
type cursor struct {
	version  uint64 // last one seen; 0: none, or none that the server still has
	complete bool   // the list is complete: the watch can be resumed
	expired  bool   // the server no longer had the version: list what is newest
	lists    bool   // the server does not stream lists: send LIST, then WATCH

	failures int
	failed   time.Time // the last failure
}

// The pauses of the reflector.
const (
	backoffFirst = 800 * time.Millisecond
	backoffMax   = 30 * time.Second
	backoffReset = 2 * time.Minute // without a failure
	// A watch that ends sooner than this without an event counts as failed.
	shortWatch = time.Second
)

// step is what has to be done next.
type step uint8

const (
	stepResume step = iota // WATCH from the version
	stepStream             // WATCH with the initial events
	stepList               // LIST
)

func (c *cursor) next() step {
	switch {
	case c.complete:
		return stepResume
	case c.lists:
		return stepList
	}
	return stepStream
}

// query adds the parameters of the next step. random is drawn from [0, 1).
func (c *cursor) query(q url.Values, random float64) {
	for _, key := range []string{"allowWatchBookmarks", "resourceVersion", "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds"} {
		q.Del(key)
	}
	if c.version != 0 {
		q.Set("resourceVersion", strconv.FormatUint(c.version, 10))
	}
	if c.next() == stepList {
		if c.version == 0 && !c.expired {
			q.Set("resourceVersion", "0") // whatever the server has in its cache
		}
		return
	}
	q.Set("allowWatchBookmarks", "true")
	q.Set("timeoutSeconds", strconv.Itoa(300+int(random*300)))
	if c.next() == stepStream {
		q.Set("sendInitialEvents", "true")
		q.Set("resourceVersionMatch", "NotOlderThan")
	}
}

// saw takes note of an event or bookmark. Initial events come in no order of
// versions: they do not move the cursor.
func (c *cursor) saw(version uint64) {
	if c.complete {
		c.version = version
	}
}

// listed takes note of the end of a list, streamed or not.
func (c *cursor) listed(version uint64) {
	c.version, c.complete, c.expired = version, true, false
}

// refused takes note that the server turned the next step down, or cut it
// short with an ERROR event, and returns how long to wait.
func (c *cursor) refused(err error, now time.Time, random float64) time.Duration {
	gone := client.IsGone(err) || tooLarge(err)
	switch {
	case gone && c.complete:
		c.complete = false // list again, no older than what is known
		return 0
	case gone && c.version != 0:
		c.version, c.expired = 0, true
		return 0
	case c.next() == stepStream && isCode(err, http.StatusBadRequest, http.StatusUnprocessableEntity):
		c.lists = true
		return 0
	}
	wait := c.backoff(now, random)
	if status, ok := errors.AsType[*client.StatusError](err); ok {
		wait = max(wait, status.RetryAfter)
	}
	return wait
}

// ended takes note of the end of a watch that had been open for that long and
// had brought that many events, and returns how long to wait.
func (c *cursor) ended(open time.Duration, events int, now time.Time, random float64) time.Duration {
	if open < shortWatch && events == 0 {
		return c.backoff(now, random)
	}
	return 0
}

func (c *cursor) backoff(now time.Time, random float64) time.Duration {
	if now.Sub(c.failed) > backoffReset {
		c.failures = 0
	}
	c.failed = now
	wait := backoffMax
	if c.failures < 6 {
		wait = min(backoffFirst<<c.failures, backoffMax)
	}
	c.failures++
	return wait + time.Duration(random*float64(wait))
}

// tooLarge says whether the server is behind the version that was asked for,
// as one can be that has just started.
func tooLarge(err error) bool {
	return isCode(err, http.StatusGatewayTimeout) && strings.Contains(err.Error(), "Too large resource version")
}

func isCode(err error, codes ...int) bool {
	status, ok := errors.AsType[*client.StatusError](err)
	return ok && slices.Contains(codes, status.Code)
}
