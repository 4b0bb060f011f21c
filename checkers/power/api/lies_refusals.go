package apipower

import (
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
)

// refusalLies are about 410 and 504 of reads and watches.
func refusalLies() []Lie {
	list := func(c *history.APICall) bool { return c.Verb == "list" && c.Continue == 0 }
	return []Lie{
		{Name: "a LIST of a revision that nobody compacted is refused", Breaks: "ExpiredHonest",
			Tell: refused(func(c *history.APICall) bool { return list(c) && exact(c) }, expired)},
		{Name: "a page that nobody compacted is refused", Breaks: "ExpiredHonest",
			Tell: refused(func(c *history.APICall) bool { return c.Verb == "list" && c.Continue != 0 }, expired)},
		{Name: "a LIST of no certain revision is refused", Breaks: "ExpiredHonest",
			Tell: refused(func(c *history.APICall) bool { return list(c) && !exact(c) }, expired)},
		{Name: "the revision that was refused is a newer one", Breaks: "ExpiredHonest", Tell: newerExpired},

		{Name: "a GET of a revision that does not exist succeeds", Breaks: "TooNewHonest", Tell: fromFuture("get", "")},
		{Name: "a LIST not older than a revision that does not exist succeeds", Breaks: "TooNewHonest", Tell: fromFuture("list", "NotOlderThan")},
		{Name: "a LIST of exactly a revision that does not exist succeeds", Breaks: "TooNewHonest", Tell: fromFuture("list", "Exact")},
		{Name: "no revision at all is too large", Breaks: "TooNewHonest",
			Tell: refused(func(c *history.APICall) bool {
				return (c.Verb == "list" || c.Verb == "get") && c.ResourceVersion == "" && c.Continue == 0
			}, tooLarge)},
		{Name: "the revision 0 is too large", Breaks: "TooNewHonest",
			Tell: refused(func(c *history.APICall) bool {
				return (c.Verb == "list" || c.Verb == "get") && c.ResourceVersion == "0" && c.Continue == 0
			}, tooLarge)},
	}
}

func expired(c *history.APICall) {
	forget(c)
	c.Status, c.Reason = 410, "Expired"
	c.Message = "The provided continue parameter is too old"
	if c.Continue == 0 {
		c.Message = "The resourceVersion for the provided list is too old."
	}
}

func tooLarge(c *history.APICall) {
	forget(c)
	c.Status, c.Reason, c.Cause = 504, "Timeout", "ResourceVersionTooLarge"
	c.Message = "Timeout: Too large resource version: 0, current: 0"
}

func forget(c *history.APICall) {
	c.Object, c.Items, c.Chunks, c.ListVersion, c.NextPage = history.APIObject{}, nil, nil, 0, 0
	c.Status, c.Reason, c.Cause, c.DetailsKind, c.DetailsName, c.DetailsUID, c.Message = 0, "", "", "", "", "", ""
}

func refused(fits pick, how func(*history.APICall)) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.edit(func(c *history.APICall) bool {
			return c.Status == 200 && judged(c) && fits(c) && c.Subresource == "" && c.NextPage == 0
		})
		if ok {
			how(c)
		}
		return ok
	}
}

// newerExpired lets a refusal be one of a revision that stood.
func newerExpired(t *teller) bool {
	room := func(c *history.APICall) (int64, int64) {
		_, compacted := t.b.Window.Compacted(c.Returned)
		return compacted, t.b.Window.Lo(c.Called)
	}
	c, ok := t.edit(func(c *history.APICall) bool {
		from, to := room(c)
		return c.Verb == "list" && c.Status == 410 && c.Continue == 0 && exact(c) && judged(c) && from < to
	})
	if ok {
		from, to := room(c)
		c.ResourceVersion = strconv.FormatInt(from+t.rng.Int64N(to-from+1), 10)
	}
	return ok
}

// fromFuture lets a success be one of a revision that was still to come.
func fromFuture(verb, match string) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.edit(func(c *history.APICall) bool {
			_, numbered := number(c.ResourceVersion)
			return c.Verb == verb && c.Status == 200 && c.Subresource == "" && c.Continue == 0 && c.NextPage == 0 && numbered && judged(c)
		})
		if ok {
			c.Match = match
			c.ResourceVersion = strconv.FormatInt(t.b.Window.Hi(c.Returned)+t.upTo(1000), 10)
		}
		return ok
	}
}
