package apipower

import (
	"fmt"
	"slices"

	"github.com/planecheck/planecheck/checkers/history"
)

// objects are resources whose answers are objects and lists for sure.
var objects = []string{"configmaps", "pods", "leases", "secrets", "nodes", "widgets"}

// contentWrong says what an answer of success lacks, "": nothing, or it cannot be told.
func contentWrong(c *history.APICall) string {
	if !success(c) || c.Opaque || c.Subresource != "" || !slices.Contains(objects, c.Resource) {
		return ""
	}
	one := c.Verb == "get" || c.Verb == "create" || c.Verb == "update" || c.Verb == "patch"
	switch {
	case c.Error != "":
		return fmt.Sprintf("a %s that succeeded cannot be read", c.Verb)
	case c.Verb == "list" && c.ListVersion == 0:
		return "a list has no version"
	case one && c.Object.UID == "":
		return "an object has no uid"
	case one && c.Object.Version == 0 && !c.DryRun:
		return "an object has no version"
	}
	return ""
}

// contentLies are about answers of success.
func contentLies() []Lie {
	unread := func(c *history.APICall) {
		status := c.Status
		forget(c)
		c.Status, c.Error = status, "unexpected end of JSON input"
	}
	return []Lie{
		{Name: "a GET cannot be read", Breaks: "ErrorHonest", Tell: blanked("get", unread)},
		{Name: "a LIST cannot be read", Breaks: "ErrorHonest", Tell: blanked("list", unread)},
		{Name: "an update cannot be read", Breaks: "ErrorHonest", Tell: blanked("update", unread)},
		{Name: "a GET shows no uid", Breaks: "ErrorHonest", Tell: blanked("get", func(c *history.APICall) { c.Object.UID = "" })},
		{Name: "a create shows no version", Breaks: "ErrorHonest", Tell: blanked("create", func(c *history.APICall) { c.Object.Version = 0 })},
		{Name: "a LIST has no version", Breaks: "ErrorHonest", Tell: blanked("list", func(c *history.APICall) { c.ListVersion = 0 })},
	}
}

// blanked takes something away from an answer.
func blanked(verb string, how func(*history.APICall)) func(*teller) bool {
	return func(t *teller) bool {
		c, ok := t.edit(func(c *history.APICall) bool {
			return success(c) && c.Verb == verb && c.Illegal == "" && c.Subresource == "" && !c.DryRun && slices.Contains(objects, c.Resource)
		})
		if ok {
			how(c)
		}
		return ok
	}
}
