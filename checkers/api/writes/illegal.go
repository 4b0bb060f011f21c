package writes

import (
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/planecheck/planecheck/checkers/history"
)

// illegal is the documented answer to a call that no server may carry out.
type illegal struct {
	kind   string // what is illegal, as the verdict counts it
	status int32  // 0: an error, of whatever code
	reason string
	source string
	// plain answers have no Status where no handler of the API takes the request.
	plain bool
}

// Where an answer is documented. AM stands for k8s.io/apimachinery@v0.37.1/pkg.
// 400, 404, 405, 415 and 422 mean what conventions#http-status-codes says.
const (
	ofCreate     = "AM apis/meta/v1/validation ValidateCreateOptions"
	ofUpdate     = "AM apis/meta/v1/validation ValidateUpdateOptions"
	ofPatch      = "AM apis/meta/v1/validation ValidatePatchOptions"
	ofDelete     = "AM apis/meta/v1/validation ValidateDeleteOptions"
	ofList       = "AM apis/meta/internalversion/validation ValidateListOptions"
	ofWatch      = "AM apis/meta/internalversion/validation validateWatchOptions"
	ofStorage    = "AS storage/interfaces.go ValidateListOptions"
	ofVersion    = concepts + "#resource-versions, AS storage/api_object_versioner.go ParseResourceVersion"
	ofSelectors  = "AM apis/meta/v1/conversion.go Convert_string_To_labels_Selector and _fields_Selector, AS endpoints/handlers/get.go listOpts"
	ofPatchTypes = "AS endpoints/handlers/patch.go PatchResource"
	ofPatchBody  = "AS endpoints/handlers/patch.go validateAndTranscodePatch"
	ofObjectName = "AS endpoints/handlers/rest.go checkName"
	ofName       = "https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names, AS registry/rest/create.go BeforeCreate"
	ofLifecycle  = "AS admission/plugin/namespace/lifecycle/admission.go Admit"
	ofRoutes     = concepts + "#resource-uris, AS endpoints/installer.go registerResourceHandlers"
	ofScope      = "k8s.io/apiextensions-apiserver pkg/apiserver/customresource_handler.go ServeHTTP"
	ofStore      = "AS storage/etcd3/store.go Create"
	ofSize       = "https://etcd.io/docs/v3.7/dev-guide/limit/#request-size-limit"
)

func invalid(kind, source string) *illegal {
	return &illegal{kind: kind, status: 422, reason: "Invalid", source: source}
}
func badRequest(kind, source string) *illegal {
	return &illegal{kind: kind, status: 400, reason: "BadRequest", source: source}
}
func unsupported(kind string) *illegal {
	return &illegal{kind: kind, status: 415, reason: "UnsupportedMediaType", source: ofPatchTypes}
}
func notServed(kind, source string) *illegal {
	return &illegal{kind: kind, status: 404, reason: "NotFound", source: source, plain: true}
}

// Documented returns the status code and the reason that are documented for a
// call which is illegal as far as its record tells; ok is false where it does not
// tell that. Whether a namespace is there it does not tell either.
func Documented(call *history.APICall) (status int32, reason string, ok bool) {
	if want := judgeOptions(call); want != nil {
		return want.status, want.reason, true
	}
	return 0, "", false
}

// AsDocumented says whether a call is illegal as far as its record tells, and was
// answered with the error that is documented for that.
func AsDocumented(call *history.APICall) bool {
	want := judgeOptions(call)
	return want != nil && want.answers(call)
}

// options judges the answer to an illegal call: the documented error, or one of
// those that a server decides before it looks at what is illegal. Others are legal.
func (c *Checker) options(call *history.APICall) {
	if call.Status == 0 {
		return
	}
	want := judgeOptions(call)
	if (want == nil || want.kind == history.BadName) && c.strayed(call) {
		want = declared(call, history.MissingNamespace)
	}
	switch {
	case want == nil && call.Illegal != "":
		c.counts.strange++
		return
	case want == nil:
		c.legal(call)
		return
	case want.answers(call):
	case deviates(call, want):
		c.counts.malformed++
	case c.earlier(call):
		c.counts.before++
		return
	default:
		c.fail(ErrorHonest, func() *evidence {
			if want.status == 0 {
				return because("%s: the documented answer is an error (%s)", want.kind, want.source).call(call)
			}
			return because("%s: the documented answer is %d %s (%s)", want.kind, want.status, want.reason, want.source).call(call)
		})
	}
	c.counts.illegal++
	c.kinds[want.kind]++
}

// answers says whether an answer is the documented one. Of one that was cut short,
// by a client that was told to stop, say, only the status code is known.
func (w *illegal) answers(call *history.APICall) bool {
	if w.status == 0 {
		return call.Status >= 400
	}
	return call.Status == w.status && (call.Reason == w.reason || call.Error != "" || w.plain && call.Reason == "")
}

// deviates says whether an answer is the 500 that v1.37 is known to give to a
// malformed resourceVersion (docs/findings/0002): a Status without a reason.
func deviates(call *history.APICall, want *illegal) bool {
	return want.kind == malformedVersion && call.Verb != "list" && call.Verb != "deletecollection" &&
		call.Status == 500 && call.Reason == "" && strings.HasPrefix(call.Message, "resourceVersion: Invalid value:")
}

// earlier says whether an error is one that comes before a server looks at what
// is illegal: of authentication, authorization, negotiation, fair queueing, of a
// resource that is not served, or of a namespace, which NotFoundHonest judges.
func (c *Checker) earlier(call *history.APICall) bool {
	switch call.Status {
	case 401, 403, 406, 429:
		return true
	case 404:
		return c.table.Kind(call.Group, call.Resource) == nil || call.Verb == "create" && call.DetailsKind == "namespaces"
	}
	return call.Status >= 500 && c.failed(call)
}

// patience is how long a call takes at least which its deadline ended: 34 s of a
// write (AS endpoints/handlers/rest.go requestTimeoutUpperBound), a minute of
// others.
const patience = 30 * time.Second

// failed says whether a 5xx may be a failure of the server that has nothing to do
// with the call: while faults were caused, where the call was ended by its
// deadline, and where the server says that its store failed.
func (c *Checker) failed(call *history.APICall) bool {
	if !c.quiet(call) || call.Returned.Sub(call.Called) >= patience {
		return true
	}
	for _, of := range []string{"etcdserver: ", "rpc error: ", "context deadline exceeded"} {
		if strings.Contains(call.Message, of) {
			return true
		}
	}
	return false
}

// quiet says whether no faults were caused while a call ran.
func (c *Checker) quiet(call *history.APICall) bool {
	return c.calm != 0 && call.Called >= c.calm || call.Returned < c.struck
}

// strayed says whether a call would create something in a namespace that there
// had never been. (Of one that was deleted, or that a store lost when it was
// restored, an informer of the server may still have a copy.)
func (c *Checker) strayed(call *history.APICall) bool {
	if call.Verb != "create" || call.Namespace == "" || call.Subresource != "" || call.Group == "authorization.k8s.io" {
		return false
	}
	namespaces, w := c.table.Kind("", "namespaces"), c.span(call)
	if namespaces == nil || c.first > 1 || c.from > 0 || !w.whole {
		return false
	}
	made := namespaces.Next("", call.Namespace, 0)
	return made == nil || made.Revision > w.hi
}

// judgeOptions returns what a call has to be answered with, nil where it is legal
// as far as the record tells. What the record shows goes before what its sender
// says; of several things that are illegal the one counts that is looked at first.
func judgeOptions(call *history.APICall) *illegal {
	var want *illegal
	switch call.Verb {
	case "list", "deletecollection", "watch":
		want = judgeMany(call)
	case "get":
		if !isVersion(call.ResourceVersion) && (call.Subresource == "" || call.Subresource == "status") {
			want = badRequest(malformedVersion, ofVersion)
		}
	case "create":
		want = judgeCreate(call)
	case "update":
		want = judgeManager(call, ofUpdate)
	case "patch":
		want = judgePatch(call)
	case "delete":
		want = judgePropagation(call)
	}
	if want == nil {
		want = declared(call, call.Illegal)
	}
	return want
}

// declared is what is documented for what the sender says that is illegal.
func declared(call *history.APICall, what string) *illegal {
	options := map[string]string{"create": ofCreate, "update": ofUpdate, "patch": ofPatch, "delete": ofDelete}[call.Verb]
	switch what {
	case history.ForceWithoutApply, history.ApplyWithoutManager, history.LongManager, history.UnknownDryRun,
		history.UnknownFieldValidation, history.UnknownPropagation, history.PropagationTwice:
		return invalid(what, options)
	case history.CollectionWithoutVersion:
		return invalid(what, ofList)
	case history.BadName:
		return invalid(what, ofName)
	case history.PatchNoJSON:
		return badRequest(what, ofPatchBody)
	case history.OtherName:
		return badRequest(what, ofObjectName)
	case history.UnknownFieldSelector, history.BadLabelSelector:
		return badRequest(what, ofSelectors)
	case history.MalformedContinue:
		return badRequest(what, ofStorage)
	case history.UnknownPatch, history.StrategicCustom:
		return unsupported(what)
	case history.UnknownResource:
		return notServed(what, ofRoutes)
	case history.MissingNamespace:
		return &illegal{kind: what, status: 404, reason: "NotFound", source: ofLifecycle}
	case history.TooLarge: // v1.37 hands the store's error on, as a 500 without a reason; no document says so
		return &illegal{kind: what, source: ofSize}
	case history.CollectionEverywhere:
		if custom(call.Group) {
			return notServed(what, ofScope)
		}
		return &illegal{kind: what, status: 405, reason: "MethodNotAllowed", source: ofRoutes}
	}
	return nil
}

// judgeCreate looks at the options, and at the name where its rule is known.
func judgeCreate(call *history.APICall) *illegal {
	if want := judgeManager(call, ofCreate); want != nil || call.Subresource != "" {
		return want
	}
	// AS storage/etcd3/store.go Create; a dry run does not come there.
	if n := needs(call); !call.DryRun && n.version > 0 {
		return &illegal{kind: "create with a resourceVersion", source: ofStore}
	}
	_, known := plainResources[[2]string{call.Group, call.Resource}]
	if known && call.Name != "" && len(validation.IsDNS1123Subdomain(call.Name)) > 0 {
		return invalid(history.BadName, ofName)
	}
	return nil
}

// judgePatch is the beginning of AS endpoints/handlers/patch.go PatchResource
// and ValidatePatchOptions.
func judgePatch(call *history.APICall) *illegal {
	media, _, _ := strings.Cut(call.ContentType, ";")
	switch media {
	case "application/apply-patch+yaml":
		if call.FieldManager == "" {
			return invalid(history.ApplyWithoutManager, ofPatch)
		}
	case "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json":
		if custom(call.Group) && media == "application/strategic-merge-patch+json" {
			return unsupported(history.StrategicCustom)
		}
		if call.Force {
			return invalid(history.ForceWithoutApply, ofPatch)
		}
	case "", "application/apply-patch+cbor":
		return nil // not recorded, or behind a feature gate
	default:
		return unsupported(history.UnknownPatch)
	}
	return judgeManager(call, ofPatch)
}

// judgeManager is the length in ValidateFieldManager, of the options of a write.
func judgeManager(call *history.APICall, options string) *illegal {
	if len(call.FieldManager) > 128 {
		return invalid(history.LongManager, options)
	}
	return nil
}

// judgePropagation is ValidateDeleteOptions.
func judgePropagation(call *history.APICall) *illegal {
	switch call.Propagation {
	case "", "Foreground", "Background", "Orphan":
		return nil
	}
	return invalid(history.UnknownPropagation, ofDelete)
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
