package record

import (
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// options reads the query.
func options(c *history.APICall, q url.Values) {
	if c.Verb == "watch" && c.Name != "" && !q.Has("fieldSelector") {
		c.FieldSelector = "metadata.name=" + c.Name // as the client sends it
	}
	if len(q) == 0 {
		return
	}
	c.ResourceVersion = q.Get("resourceVersion")
	c.Match = q.Get("resourceVersionMatch")
	c.Limit, _ = strconv.ParseInt(q.Get("limit"), 10, 64) // 0 is what the server makes of nonsense, with a 400
	c.Continue = token(q.Get("continue"))
	c.LabelSelector = q.Get("labelSelector")
	if q.Has("fieldSelector") {
		c.FieldSelector = q.Get("fieldSelector")
	}
	c.Bookmarks, _ = strconv.ParseBool(q.Get("allowWatchBookmarks"))
	c.InitialEvents = q.Get("sendInitialEvents")
	c.DryRun = q.Get("dryRun") != ""
	c.FieldManager = q.Get("fieldManager")
	c.Force, _ = strconv.ParseBool(q.Get("force"))
	c.Propagation = q.Get("propagationPolicy")
	if n, err := strconv.ParseInt(q.Get("gracePeriodSeconds"), 10, 64); err == nil {
		c.Grace = n + 1
	}
}

// token is how a history keeps a continue token.
func token(s string) uint64 {
	if s == "" {
		return 0
	}
	return history.HashValue([]byte(s))
}

// sent reads the body of the request.
func sent(c *history.APICall, body []byte) {
	if len(body) == 0 {
		return
	}
	switch c.Verb {
	case "create", "update":
		o, err := object.Served(body)
		if err != nil {
			return
		}
		if c.Name == "" {
			c.Name, c.GenerateName = o.Name, o.Name == ""
		}
		if c.Verb == "update" {
			c.NeedUID = o.UID
			if o.Version != 0 {
				c.NeedVersion = strconv.FormatInt(o.Version, 10)
			}
		}
	case "patch":
		patch(c, body)
	case "delete", "deletecollection":
		deletion(c, body)
	}
}

// patch reads the preconditions that a patch holds among the fields it sets. A
// JSON patch is a list of steps and has none.
func patch(c *history.APICall, body []byte) {
	var p struct {
		Metadata struct{ UID, ResourceVersion string }
	}
	if body[0] == '{' && json.Unmarshal(body, &p) == nil {
		c.NeedUID, c.NeedVersion = p.Metadata.UID, p.Metadata.ResourceVersion
	}
}

// deletion reads metav1.DeleteOptions, whose fields overrule the query.
func deletion(c *history.APICall, body []byte) {
	if body[0] == '{' {
		deletionJSON(c, body)
		return
	}
	_, _, raw, err := wire.Unwrap(body)
	if err != nil {
		return
	}
	f := wire.Walk(raw)
	for f.Next() {
		switch f.Number() {
		case 1:
			c.Grace = int64(f.Integer()) + 1
		case 2:
			preconditions(c, f.Bytes())
		case 4:
			c.Propagation = string(f.Bytes())
		case 5:
			f.Bytes()
			c.DryRun = true
		}
	}
}

func preconditions(c *history.APICall, message []byte) {
	f := wire.Walk(message)
	for f.Next() {
		switch f.Number() {
		case 1:
			c.NeedUID = string(f.Bytes())
		case 2:
			c.NeedVersion = string(f.Bytes())
		}
	}
}

func deletionJSON(c *history.APICall, body []byte) {
	var d struct {
		GracePeriodSeconds *int64
		Preconditions      struct{ UID, ResourceVersion string }
		PropagationPolicy  string
		DryRun             []string
	}
	if json.Unmarshal(body, &d) != nil {
		return
	}
	c.NeedUID, c.NeedVersion = d.Preconditions.UID, d.Preconditions.ResourceVersion
	if d.GracePeriodSeconds != nil {
		c.Grace = *d.GracePeriodSeconds + 1
	}
	if d.PropagationPolicy != "" {
		c.Propagation = d.PropagationPolicy
	}
	c.DryRun = c.DryRun || len(d.DryRun) > 0
}
