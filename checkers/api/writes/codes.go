package writes

import (
	"strconv"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// codes is the status code of each reason: the constructors of
// k8s.io/apimachinery pkg/api/errors/errors.go and the documentation of
// StatusReason in pkg/apis/meta/v1/types.go.
var codes = map[string]int32{
	"BadRequest": 400, "Unauthorized": 401, "Forbidden": 403, "NotFound": 404, "MethodNotAllowed": 405,
	"NotAcceptable": 406, "AlreadyExists": 409, "Conflict": 409, "Gone": 410, "Expired": 410,
	"RequestEntityTooLarge": 413, "UnsupportedMediaType": 415, "Invalid": 422, "TooManyRequests": 429,
	"InternalError": 500, "ServerTimeout": 500, "StorageReadError": 500, "ServiceUnavailable": 503, "Timeout": 504,
}

// reasoned are the status codes that never come without a reason, because they
// are only made by those constructors. Others are also sent as plain text: by
// the limits of requests in flight, by a server that is not ready, or for a
// path that is not served.
var reasoned = map[int32]bool{409: true, 410: true, 415: true, 422: true}

// code judges the status code of an answer by its reason.
func (c *Checker) code(call *history.APICall) {
	if why := c.badPair(call.Status, call.Reason, call.Error != ""); why != "" {
		c.fail(ErrorHonest, func() *evidence { return because("%s", why).call(call) })
	}
}

// watchCode judges an error in the stream of a watch in the same way.
func (c *Checker) watchCode(w *history.APIWatch) {
	why := c.badPair(w.Status, w.Reason, w.Error != "")
	if why == "" {
		return
	}
	c.fail(ErrorHonest, func() *evidence {
		e := because("%s", why)
		e.rows = append(e.rows, row{From: w.At, What: "watch #" + utoa(w.Call), Text: "ERROR " + strconv.Itoa(int(w.Status)) + " " + w.Reason})
		return e
	})
}

// badPair says what is wrong with a status code and a reason.
func (c *Checker) badPair(status int32, reason string, broken bool) string {
	if status == 0 || broken || status < 400 && reason == "" {
		return ""
	}
	c.judged[ErrorHonest]++
	code, known := codes[reason]
	switch {
	case reason == "" && reasoned[status]:
		return "an error of status " + strconv.Itoa(int(status)) + " came without a reason"
	case reason == "":
		return ""
	case !known:
		c.counts.oddReasons++ // a reason of an extension
		return ""
	case code != status:
		return "an error of reason " + reason + " came with status " + strconv.Itoa(int(status)) + ", not " + strconv.Itoa(int(code))
	}
	return ""
}

// illegal is the documented answer to a call with illegal options.
type illegal struct {
	status int32 // 0: an error, of whatever code
	reason string
	why    string
}

func invalid(why string) *illegal    { return &illegal{422, "Invalid", why} }
func badRequest(why string) *illegal { return &illegal{400, "BadRequest", why} }

// options judges the answer to a call with illegal options: the documented
// error, or one of those that a server decides before it looks at options.
func (c *Checker) options(call *history.APICall) {
	want := judgeOptions(call)
	if want == nil || call.Status == 0 {
		return
	}
	c.counts.illegal++
	if call.Status == want.status && call.Reason == want.reason || c.earlier(call) ||
		want.status == 0 && call.Status >= 400 {
		return
	}
	c.fail(ErrorHonest, func() *evidence {
		if want.status == 0 {
			return because("%s: the documented answer is an error", want.why).call(call)
		}
		return because("%s: the documented answer is %d %s", want.why, want.status, want.reason).call(call)
	})
}

// earlier says whether an error is one that comes before options are looked
// at: of authentication, authorization, fair queueing, a resource that is not
// served, negotiation, or any failure of the server.
func (c *Checker) earlier(call *history.APICall) bool {
	switch call.Status {
	case 401, 403, 406, 429:
		return true
	case 404:
		return c.table.Kind(call.Group, call.Resource) == nil
	}
	return call.Status >= 500
}

// judgeOptions returns what the options of a call have to be answered with, nil
// where they are legal as far as the record tells.
func judgeOptions(call *history.APICall) *illegal {
	switch call.Verb {
	case "list", "deletecollection":
		return judgeList(call)
	case "watch":
		return judgeWatch(call)
	case "get":
		if !isVersion(call.ResourceVersion) {
			return &illegal{why: "resourceVersion is no version"}
		}
	case "create":
		// AS storage/etcd3/store.go Create; a dry run does not come there.
		if n := needs(call); call.Subresource == "" && !call.DryRun && n.version > 0 {
			return &illegal{why: "resourceVersion must not be set on an object to be created"}
		}
	case "patch":
		return judgePatch(call)
	case "delete":
		return judgePropagation(call)
	}
	return nil
}

// judgeList is ValidateListOptions of k8s.io/apimachinery pkg/apis/meta/
// internalversion/validation, and after it that of AS storage/interfaces.go.
func judgeList(call *history.APICall) *illegal {
	if call.Match != "" {
		switch {
		case call.ResourceVersion == "":
			return invalid("resourceVersionMatch is forbidden unless resourceVersion is provided")
		case call.Continue != 0:
			return invalid("resourceVersionMatch is forbidden when continue is provided")
		case call.Match != "Exact" && call.Match != "NotOlderThan":
			return invalid("resourceVersionMatch has an unsupported value")
		case call.Match == "Exact" && call.ResourceVersion == "0":
			return invalid("resourceVersionMatch Exact is forbidden for resourceVersion 0")
		}
	}
	if call.InitialEvents != "" {
		return invalid("sendInitialEvents is forbidden for list")
	}
	// The options of a deletion are validated before anything is listed.
	if call.Verb == "deletecollection" {
		return judgePropagation(call)
	}
	// A list of a single name is a read of one key, which has no pages.
	single := call.Name != "" || strings.Contains(call.FieldSelector, "metadata.name=")
	switch {
	case call.Continue != 0 && !single && call.ResourceVersion != "" && call.ResourceVersion != "0":
		return badRequest("resourceVersion is not allowed when using continue")
	case call.Continue == 0 && !isVersion(call.ResourceVersion):
		return badRequest("resourceVersion is no version")
	}
	return nil
}

// judgeWatch is validateWatchOptions of the same file, after SetListOptionsDefaults
// of pkg/apis/meta/internalversion: a watch from "" or "0" is one with initial
// events. That a version is none shows later, as an error without a reason (AS
// storage/cacher/cacher.go Watch).
func judgeWatch(call *history.APICall) *illegal {
	legacy := call.InitialEvents == "" && call.Match == "" && (call.ResourceVersion == "" || call.ResourceVersion == "0")
	switch {
	case call.InitialEvents != "" && call.Match != "NotOlderThan":
		return invalid("sendInitialEvents requires resourceVersionMatch NotOlderThan")
	case call.Match != "" && call.InitialEvents == "":
		return invalid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
	case (call.Match != "" || legacy) && call.Continue != 0:
		return invalid("resourceVersionMatch is forbidden when continue is provided")
	case !isVersion(call.ResourceVersion):
		return &illegal{why: "resourceVersion is no version"}
	}
	return nil
}

// judgePatch is the beginning of AS endpoints/handlers/patch.go PatchResource
// and ValidatePatchOptions of apimachinery pkg/apis/meta/v1/validation.
func judgePatch(call *history.APICall) *illegal {
	media, _, _ := strings.Cut(call.ContentType, ";")
	switch media {
	case "application/apply-patch+yaml":
		if call.FieldManager == "" {
			return invalid("fieldManager is required for apply patch")
		}
		return nil
	case "application/json-patch+json", "application/merge-patch+json":
	case "application/strategic-merge-patch+json":
		if custom(call.Group) {
			return &illegal{415, "UnsupportedMediaType", "custom resources have no strategic merge patch"}
		}
	case "", "application/apply-patch+cbor":
		return nil // not recorded, or behind a feature gate
	default:
		return &illegal{415, "UnsupportedMediaType", "the type of the patch is unknown"}
	}
	if call.Force {
		return invalid("force may not be specified for non-apply patch")
	}
	return nil
}

// judgePropagation is ValidateDeleteOptions, also there.
func judgePropagation(call *history.APICall) *illegal {
	switch call.Propagation {
	case "", "Foreground", "Background", "Orphan":
		return nil
	}
	return invalid("propagationPolicy has an unsupported value")
}

// isVersion says whether a resourceVersion can be parsed (AS storage/
// api_object_versioner.go ParseResourceVersion).
func isVersion(v string) bool {
	if v == "" {
		return true
	}
	_, err := strconv.ParseUint(v, 10, 64)
	return err == nil
}
