package apiserver

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage"
	storageerrors "k8s.io/apiserver/pkg/storage/errors"
)

// docs/findings/0002: a LIST with a malformed resourceVersion is a bad request, while of
// the same in a GET the API server makes no status, so that it is answered 500. When
// this fails, Kubernetes was mended. Say so there, and strike the test.
func TestMalformedResourceVersion(t *testing.T) {
	const malformed = "1.5"
	var versions storage.APIObjectVersioner
	_, _, err := storage.ValidateListOptions("/configmaps/", versions, storage.ListOptions{ResourceVersion: malformed, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("of a LIST: %v, %q, want a bad request", err, apierrors.ReasonForError(err))
	}
	_, err = versions.ParseResourceVersion(malformed)
	err = storageerrors.InterpretGetError(err, schema.GroupResource{Resource: "configmaps"}, "one")
	if reason := apierrors.ReasonForError(err); err == nil || reason != metav1.StatusReasonUnknown {
		t.Errorf("of a GET: %v, %q; it used to have no reason", err, reason)
	}
}
