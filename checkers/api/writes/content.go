package writes

import "github.com/planecheck/planecheck/checkers/history"

// content judges an answer of success by whether it holds what was asked for. It
// belongs to ErrorHonest, which is about what status codes say, of every verb: what
// such an answer shows of the state, which others judge, nobody knows. Where nothing
// of a resource is stored, as of reviews, and of subresources such as binding and
// scale, answers hold something else; that of a deletion may hold a Status.
func (c *Checker) content(call *history.APICall) {
	if call.Status/100 != 2 || call.Resource == "" || call.Subresource != "" && call.Subresource != "status" {
		return
	}
	why := "it cannot be read"
	if call.Error == "" {
		if c.table.Known(call.Group, call.Resource) == nil {
			return
		}
		why = lacks(call)
	}
	if why == "" {
		c.counts.held++
		return
	}
	c.fail(ErrorHonest, func() *evidence {
		return because("an answer says that the request has been carried out, but does not hold what was asked for: %s (%s, %s)",
			why, conventions+"#http-status-codes", conventions+"#metadata").call(call)
	})
}

// lacks says what an answer lacks that every object and every list of Kubernetes has,
// "": nothing. What a dry run would have created has no version.
func lacks(call *history.APICall) string {
	switch call.Verb {
	case "list":
		if call.ListVersion == 0 {
			return "the list has no resourceVersion"
		}
	case "get", "create", "update", "patch":
		switch {
		case call.Object.UID == "":
			return "there is no object with a uid"
		case call.Object.Version == 0 && !call.DryRun:
			return "the object has no resourceVersion"
		}
	}
	return ""
}
