package apipower

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/api/window"
	"github.com/planecheck/planecheck/checkers/history"
)

// plainRead says that nothing is wrong with a read, whatever a server may look at.
func plainRead(c *history.APICall) bool {
	_, numbered := number(c.ResourceVersion)
	version := c.ResourceVersion == "" || c.ResourceVersion == "0" || numbered
	return (c.Verb == "get" || c.Verb == "list" || c.Verb == "watch") && version &&
		c.Match == "" && c.InitialEvents == "" && c.Continue == 0 && c.LabelSelector == "" && c.FieldSelector == ""
}

// fromTraffic says that a call is one of the contract traffic, which says what is
// illegal of its requests.
func (f *facts) fromTraffic(c *history.APICall) bool {
	return c.Class == history.ClassContract && !f.undeclared && c.Illegal == "" && c.Error == "" && c.Subresource == "" && c.Resource != ""
}

// legalWrong says what is wrong with the refusal of a request of the contract traffic
// that was legal, "": nothing, or it cannot be told.
func (f *facts) legalWrong(w *window.Window, calls []*history.APICall, c *history.APICall) string {
	if c.Status < 400 || c.Status >= 500 || !f.fromTraffic(c) {
		return ""
	}
	refused := fmt.Sprintf("a legal %s was answered %d", c.Verb, c.Status)
	// before says that the server had carried out the like for the same user.
	before := func(like func(*history.APICall) bool) bool {
		for _, o := range calls {
			if success(o) && o.Server == c.Server && o.Server != "" && o.Returned <= c.Called && kindOf(o) == kindOf(c) && like(o) {
				return true
			}
		}
		return false
	}
	switch {
	case plainRead(c) && (c.Status == 400 || c.Status == 405 || c.Status == 409 || c.Status == 422):
		return refused
	case plainRead(c) && c.Status == 404 && c.DetailsName == "" && f.stays(w, c):
		if before(func(*history.APICall) bool { return true }) {
			return refused + ", though its server serves the resource"
		}
	case plainRead(c) && c.Status == 403 && f.calm != 0 && c.Called >= f.calm:
		if before(func(o *history.APICall) bool {
			return o.Identity == c.Identity && o.Class == c.Class && o.Verb == c.Verb && o.Subresource == ""
		}) {
			return refused + ", though the user had been let do that"
		}
	case c.Verb == "create" && c.NeedVersion == "" && (c.Status == 400 || c.Status == 422):
		return refused
	case c.Verb == "patch" && c.Status == 422 && (strings.HasPrefix(c.ContentType, "application/merge-patch") || c.FieldManager != ""):
		if !f.sometimes(w, c, func(v *history.Version) bool {
			return v != nil && (v.Deleting || c.NeedUID != "" && v.UID != c.NeedUID)
		}) {
			return refused
		}
	}
	return ""
}

// stays says that a resource is served for good once it is, up to the end of a call: a
// custom one goes with its definition.
func (f *facts) stays(w *window.Window, c *history.APICall) bool {
	if c.Group == "" || strings.HasSuffix(c.Group, ".k8s.io") {
		return true
	}
	vs := f.objects[name{kind{"apiextensions.k8s.io", "customresourcedefinitions"}, "", c.Resource + "." + c.Group}]
	return len(vs) > 0 && !slices.ContainsFunc(vs, func(v *history.Version) bool {
		return v.Revision <= w.Hi(c.Returned) && (v.Delete || v.Deleting)
	})
}

// legalLies are about requests with which nothing is wrong.
func legalLies() []Lie {
	read := func(verb string) func(*teller, *history.APICall) bool {
		return func(_ *teller, c *history.APICall) bool { return c.Verb == verb && plainRead(c) }
	}
	patch := func(t *teller, c *history.APICall) bool {
		return c.Verb == "patch" && !c.Object.Deleting && (strings.HasPrefix(c.ContentType, "application/merge-patch") || c.FieldManager != "")
	}
	create := func(_ *teller, c *history.APICall) bool { return c.Verb == "create" }
	return []Lie{
		{Name: "a legal LIST is invalid", Breaks: "ErrorHonest", Tell: legalAs(422, "Invalid", read("list"))},
		{Name: "a legal LIST is of what is not served", Breaks: "ErrorHonest", Tell: legalAs(404, "NotFound", read("list"))},
		{Name: "a legal GET is forbidden", Breaks: "ErrorHonest", Tell: legalAs(403, "Forbidden", read("get"))},
		{Name: "a legal GET is a bad request", Breaks: "ErrorHonest", Tell: legalAs(400, "BadRequest", read("get"))},
		{Name: "a legal watch is not allowed", Breaks: "ErrorHonest", Tell: legalAs(405, "MethodNotAllowed", read("watch"))},
		{Name: "a legal create is invalid", Breaks: "ErrorHonest", Tell: legalAs(422, "Invalid", create)},
		{Name: "a legal patch is invalid", Breaks: "ErrorHonest", Tell: legalAs(422, "Invalid", patch)},
	}
}

// legalAs refuses a request that had been carried out.
func legalAs(status int32, reason string, fits func(*teller, *history.APICall) bool) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.edit(func(c *history.APICall) bool {
			return success(c) && t.f.fromTraffic(c) && (t.b.Calm == 0 || c.Called >= t.b.Calm) && fits(t, c)
		})
		if ok {
			forget(c)
			c.Status, c.Reason = status, reason
		}
		return ok
	}
}
