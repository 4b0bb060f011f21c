package lies

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The cases of lies about writes.
func init() {
	for name, run := range writeCases {
		requestCases[name] = run
	}
}

// wantGone wants that there is no such object.
func wantGone(r *rig, name string) {
	r.Helper()
	if r.now(name) != nil {
		r.Errorf("%s is still there", name)
	}
}

var writeCases = map[string]func(*rig){
	"conflict-made-up": func(r *rig) {
		rev := r.put("a")
		r.wantStatus(r.do("update", "a", r.body("a", text(rev), "new")), 409, metav1.StatusReasonConflict)
		unchanged(r, "a", rev)
		patch := `{"metadata":{"resourceVersion":"` + text(rev) + `"}}`
		r.wantStatus(r.do("patch", "a", []byte(patch)), 409, metav1.StatusReasonConflict)
		unchanged(r, "a", rev)
	},
	"exists-made-up": func(r *rig) {
		s := r.wantStatus(r.do("create", "a", r.body("a", "", "new")), 409, metav1.StatusReasonAlreadyExists)
		want(r, "the name", s.Details.Name, "a")
		if r.now("a") != nil {
			r.Error("the object was created")
		}
	},
	"not-found-made-up": func(r *rig) {
		rev := r.put("a")
		r.wantStatus(r.do("update", "a", r.body("a", text(rev), "new")), 404, metav1.StatusReasonNotFound)
		r.wantStatus(r.do("delete", "a", nil), 404, metav1.StatusReasonNotFound)
		unchanged(r, "a", rev)
	},
	"precondition-made-up": func(r *rig) {
		rev := r.put("a")
		r.wantStatus(r.do("delete", "a", deleteOptions("", text(rev))), 409, metav1.StatusReasonConflict)
		r.wantStatus(r.do("delete", "a", deleteOptions("uid-a", "")), 409, metav1.StatusReasonConflict)
		unchanged(r, "a", rev)
	},
	"precondition-ignored": func(r *rig) {
		r.put("a")
		want(r, "the status", r.do("delete", "a", deleteOptions("another", "")).status, 200)
		if r.now("a") != nil {
			r.Error("the object is still there")
		}
	},
	"update-overwrites": func(r *rig) {
		first := r.put("a", "c00=1")
		r.put("a", "c00=2", "c01=2")
		want(r, "the status", r.do("update", "a", r.body("a", text(first), "mine", "c00=1", "c02=3")).status, 200)
		o := r.now("a")
		want(r, "the content", o.Data["value"], "mine")
		if m := marks(&o.ObjectMeta); len(m) != 2 || m["c00"] != "1" || m["c02"] != "3" {
			r.Errorf("the marks are %v: nothing was lost", m)
		}
	},
	"write-not-done": func(r *rig) {
		rev := r.put("a")
		last := r.put("b")
		o := r.shown(r.do("update", "a", r.body("a", text(rev), "new")))
		want(r, "the version", o.ResourceVersion, text(last+1))
		want(r, "the content", o.Data["value"], "new")
		unchanged(r, "a", rev)
	},
	"delete-not-done": func(r *rig) {
		rev := r.put("a")
		want(r, "the status", r.do("delete", "a", nil).status, 200)
		want(r, "the status", r.do("delete", "a", deleteOptions("uid-a", "")).status, 200)
		unchanged(r, "a", rev)
	},
	"dry-run-done": func(r *rig) {
		rev := r.put("a")
		r.shown(r.do("update", "a", r.body("a", text(rev), "new"), "dryRun=All"))
		want(r, "the content", r.now("a").Data["value"], "new")
		r.do("create", "b", r.body("b", "", "new"), "dryRun=All")
		if r.now("b") == nil {
			r.Error("the object was not created")
		}
		want(r, "the number of lies", r.proxy.Told(), 2)
	},
	"removed-unasked": func(r *rig) {
		rev := r.put("a")
		want(r, "the version", r.shown(r.do("get", "a", nil)).ResourceVersion, text(rev))
		wantGone(r, "a")
	},
	"collection-too-wide": func(r *rig) {
		r.paint("a", "red")
		r.paint("b", "blue")
		r.wantList(r.do("deletecollection", "", nil, "labelSelector=part=test,color=red"), "a", "b")
		wantGone(r, "b")
		r.paint("c", "blue")
		r.do("deletecollection", "", nil, "labelSelector=color=red")
		wantGone(r, "c")
	},
	"collection-not-done": func(r *rig) {
		rev := r.paint("a", "red")
		r.wantList(r.do("deletecollection", "", nil, "labelSelector=color=red"), "a")
		unchanged(r, "a", rev)
	},
	"dry-run-deleted": func(r *rig) {
		r.put("a")
		want(r, "the status", r.do("delete", "a", nil, "dryRun=All").status, 200)
		wantGone(r, "a")
		r.put("b")
		body := []byte(`{"kind":"DeleteOptions","apiVersion":"meta.k8s.io/v1","dryRun":["All"]}`)
		want(r, "the status", r.do("delete", "b", body).status, 200)
		wantGone(r, "b")
	},
	"done-as-conflict": func(r *rig) {
		rev := r.put("a")
		r.wantStatus(r.do("update", "a", r.body("a", text(rev), "new")), 409, metav1.StatusReasonConflict)
		want(r, "the content", r.now("a").Data["value"], "new")
	},
	"answer-with-other-uid": func(r *rig) {
		rev := r.put("a")
		o := r.shown(r.do("update", "a", r.body("a", text(rev), "new")))
		want(r, "the version", o.ResourceVersion, r.now("a").ResourceVersion)
		if o.UID == r.now("a").UID || !strings.HasPrefix(string(o.UID), "00000000-") {
			r.Errorf("the uid is %s", o.UID)
		}
	},
	"write-answered-lower": func(r *rig) {
		first, second := twice(r, "a")
		r.settle()
		o := r.shown(r.do("update", "a", r.body("a", text(second), "new")))
		want(r, "the version", o.ResourceVersion, text(first))
		want(r, "the content", r.now("a").Data["value"], "new")
	},
}
