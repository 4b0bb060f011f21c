package writes

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/planecheck/planecheck/checkers/history"
)

// What is illegal of lists and watches by their options.
const (
	malformedVersion  = "malformed resourceVersion"
	matchNoVersion    = "resourceVersionMatch without a resourceVersion"
	matchContinue     = "resourceVersionMatch with a continue token"
	unknownMatch      = "unknown resourceVersionMatch"
	exactZero         = "resourceVersionMatch Exact of 0"
	initialList       = "sendInitialEvents of a list"
	versionContinue   = "resourceVersion with a continue token"
	initialNoMatch    = "sendInitialEvents without NotOlderThan"
	matchNoInitial    = "resourceVersionMatch of a watch without sendInitialEvents"
	badFieldSelector  = "field selector that is none"
	metadataName      = "metadata.name"
	metadataNamespace = "metadata.namespace"
)

// plainResources are namespaced resources whose names are DNS subdomains, with
// the fields that they can be selected by beside those of every resource
// (k8s.io/kubernetes pkg/apis/core/v1/conversion.go addFieldLabelConversionFuncs,
// AM runtime/conversion.go DefaultMetaV1FieldSelectorConversion). Of others the
// record does not tell.
var plainResources = map[[2]string][]string{
	{"", "configmaps"}:                {},
	{"coordination.k8s.io", "leases"}: {},
	{"", "pods"}: {"spec.nodeName", "spec.host", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
		"spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName"},
}

// judgeMany goes through what a server looks at of a request for many objects, in
// its order: the route, the selectors, the options, the fields of the selector
// (AS endpoints/handlers/get.go listOpts, delete.go DeleteCollection).
func judgeMany(call *history.APICall) *illegal {
	selectable, known := plainResources[[2]string{call.Group, call.Resource}]
	if known && call.Verb == "deletecollection" && call.Namespace == "" {
		return declared(call, history.CollectionEverywhere)
	}
	if call.LabelSelector != "" {
		if _, err := labels.Parse(call.LabelSelector); err != nil {
			return badRequest(history.BadLabelSelector, ofSelectors)
		}
	}
	field, err := fields.ParseSelector(call.FieldSelector)
	if err != nil {
		return badRequest(badFieldSelector, ofSelectors)
	}
	validate := validateList
	if call.Verb == "watch" {
		validate = validateWatch
	}
	if want := validate(call); want != nil {
		return want
	}
	if known && slices.ContainsFunc(field.Requirements(), func(r fields.Requirement) bool {
		return r.Field != metadataName && r.Field != metadataNamespace && !slices.Contains(selectable, r.Field)
	}) {
		return badRequest(history.UnknownFieldSelector, ofSelectors)
	}
	return judgeVersions(call)
}

// validateList is ValidateListOptions of AM apis/meta/internalversion/validation.
func validateList(call *history.APICall) *illegal {
	switch {
	case call.Match != "" && call.ResourceVersion == "" && call.Verb == "deletecollection":
		return invalid(history.CollectionWithoutVersion, ofList)
	case call.Match != "" && call.ResourceVersion == "":
		return invalid(matchNoVersion, ofList)
	case call.Match != "" && call.Continue != 0:
		return invalid(matchContinue, ofList)
	case call.Match != "" && call.Match != "Exact" && call.Match != "NotOlderThan":
		return invalid(unknownMatch, ofList)
	case call.Match == "Exact" && call.ResourceVersion == "0":
		return invalid(exactZero, ofList)
	case call.InitialEvents != "":
		return invalid(initialList, ofList)
	}
	return nil
}

// validateWatch is validateWatchOptions of the same file, after SetListOptionsDefaults
// of AM apis/meta/internalversion: a watch from "" or "0" is one with initial
// events.
func validateWatch(call *history.APICall) *illegal {
	legacy := call.InitialEvents == "" && call.Match == "" && (call.ResourceVersion == "" || call.ResourceVersion == "0")
	switch {
	case call.InitialEvents != "" && call.Match != "NotOlderThan":
		return invalid(initialNoMatch, ofWatch)
	case call.Match != "" && call.InitialEvents == "":
		return invalid(matchNoInitial, ofWatch)
	case (call.Match != "" || legacy) && call.Continue != 0:
		return invalid(matchContinue, ofWatch)
	}
	return nil
}

// judgeVersions is what the storage layer refuses: AS storage/interfaces.go
// ValidateListOptions, storage/cacher/cacher.go Watch. The options of a deletion
// are validated before that.
func judgeVersions(call *history.APICall) *illegal {
	if call.Verb == "deletecollection" {
		return judgePropagation(call)
	}
	// A list of a single name is a read of one key, which has no pages.
	single := call.Name != "" || strings.Contains(call.FieldSelector, metadataName+"=")
	token := call.Verb == "list" && call.Continue != 0
	switch {
	case token && !single && call.ResourceVersion != "" && call.ResourceVersion != "0":
		return badRequest(versionContinue, ofStorage)
	case !token && !isVersion(call.ResourceVersion):
		return badRequest(malformedVersion, ofVersion)
	}
	return nil
}
