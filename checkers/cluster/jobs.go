package cluster

import (
	"fmt"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/object"
	"github.com/planecheck/planecheck/checkers/versions"
)

// jobController is what a Job says that is looked after by Kubernetes itself, where
// it says anything (JobControllerName in k8s.io/api/batch/v1).
const jobController = "kubernetes.io/job-controller"

// jobs compare what Jobs count with the pods that they had.
//
// The controller counts a pod as succeeded once, when it has seen it with the phase
// Succeeded, by uid or by index (trackJobStatusAndRemoveFinalizers in
// k8s.io/kubernetes/pkg/controller/job): so a Job never counts more than there have
// been, whatever its informers show. It writes the condition Complete with the
// resourceVersion of the Job by which it has decided that, so the number then is that of
// the completions or more. More there may be without an index, and is counted: a pod
// that was on its way out, and had been replaced, may succeed after all
// (TooManySucceededPods there).
//
// A controller that has not heard yet that a Job is Complete may make a pod of it: the
// next one to lead, say. So a pod is one too many only if it comes longer than Patience
// after that, and after Calm.
//
// Not judged are Jobs that somebody else looks after, whose status may say anything,
// those that a restored store had before, and of those that are Complete the ones with
// a success policy or whose completions were changed.
type jobs struct {
	j        *judge
	f        *finding
	nextJob  int
	nextPod  int
	unread   bool            // a pod that could not be read may have succeeded
	jobs     map[string]*job // by uid
	exempt   int             // Complete, and not judged by their number
	excess   int             // Complete, and more pods than that have succeeded
	followed int             // pods that came after their Job was Complete, soon enough
}

// job is a Job with what its pods came to.
type job struct {
	now       *history.Version // nil: it was not seen yet
	succeeded int64            // pods that were seen to succeed
	complete  int64            // the revision, 0: it is not
	judged    bool
	changed   bool // its completions were
}

func newJobs(j *judge) *jobs {
	return &jobs{j: j, f: &finding{what: "Jobs that are Complete", floor: j.opts.Floors.Jobs}, jobs: map[string]*job{}}
}

func (x *jobs) advance(upto int64) {
	if k := x.j.table.Kind("batch", "jobs"); k != nil {
		for c := range k.Since(x.nextJob, upto) {
			x.nextJob++
			x.podsTo(c.Now.Revision)
			x.job(c)
		}
	}
	x.podsTo(upto)
}

func (x *jobs) podsTo(upto int64) {
	for c := range x.j.pods(x.nextPod, upto) {
		x.nextPod++
		x.unread = x.unread || c.Now.Unread
		if uid := jobOf(c.Now); uid != "" {
			x.pod(uid, c)
		}
	}
}

// jobOf is the uid of the Job that controls a pod, "" for none.
func jobOf(pod *history.Version) string {
	if life(pod) == "" {
		return ""
	}
	if o := pod.Controller(); o != nil && o.Kind == "Job" {
		return o.UID
	}
	return ""
}

func (x *jobs) of(uid string) *job {
	b := x.jobs[uid]
	if b == nil {
		b = &job{}
		x.jobs[uid] = b
	}
	return b
}

// pod takes a version of a pod of a Job.
func (x *jobs) pod(uid string, c versions.Change) {
	const succeeded = "Succeeded"
	b, known := x.of(uid), life(c.Prev) == c.Now.UID
	before := known && jobOf(c.Prev) == uid && c.Prev.Field("status.phase") == succeeded
	if c.Now.Field("status.phase") == succeeded && !before {
		b.succeeded++
	}
	switch {
	case known || b.complete == 0:
	case x.j.overdue(b.complete, c.Now.Revision):
		e := because("%s was made more than %s after %s was Complete", name(c.Now), x.j.opts.Patience, name(b.now))
		x.j.row(e, b.at(x.j, b.complete), "Complete; uid "+uid)
		x.f.violated(x.j.row(e, c.Now, "created, and controlled by that; uid "+c.Now.UID))
	default:
		x.followed++
	}
}

// at is the Job as of a revision.
func (b *job) at(j *judge, rev int64) *history.Version {
	return j.table.Kind(b.now.Group, b.now.Resource).At(b.now.Namespace, b.now.Name, rev)
}

// job takes a version of a Job.
func (x *jobs) job(c versions.Change) {
	was, is := life(c.Prev), life(c.Now)
	if was != "" && was != is && !c.Now.Unread {
		delete(x.jobs, was)
	}
	if is == "" {
		return
	}
	b, v := x.of(is), c.Now
	if b.now == nil { // with a count at once it was there before, or is somebody else's
		by := v.Field(object.FieldManagedBy)
		b.judged = v.Field(object.FieldSucceeded) == "0" && (by == "" || by == jobController) && x.j.known(v.Revision)
	} else {
		b.changed = b.changed || b.now.Field(object.FieldCompletions) != v.Field(object.FieldCompletions)
	}
	before := b.now
	b.now = v
	if !b.judged {
		return
	}
	if before == nil || before.Field(object.FieldSucceeded) != v.Field(object.FieldSucceeded) {
		x.counted(b)
	}
	if b.complete == 0 && v.Field(object.FieldComplete) == "True" {
		b.complete = v.Revision
		x.f.judged++
		x.completed(b)
	}
}

// counted judges a new count.
func (x *jobs) counted(b *job) {
	if n := need(b.now, object.FieldSucceeded); n > b.succeeded && !x.unread {
		x.violated(b, fmt.Sprintf("counts %d pods that have succeeded, of %d that have", n, b.succeeded))
	}
}

// completed judges the number of a Job that has become Complete. Where it has no
// number one pod is enough.
func (x *jobs) completed(b *job) {
	n, want := need(b.now, object.FieldSucceeded), int64(1)
	text := b.now.Field(object.FieldCompletions)
	if text != "" {
		want = need(b.now, object.FieldCompletions)
	}
	switch {
	case b.changed || b.now.Field(object.FieldSuccessPolicy) != "":
		x.exempt++
	case n < want:
		x.violated(b, fmt.Sprintf("is Complete with %d pods that have succeeded, and completions are %q", n, text))
	case n == want || text == "":
	case b.now.Field(object.FieldIndexed) != "":
		x.violated(b, fmt.Sprintf("has an index for each of %d completions, and is Complete with %d", want, n))
	default:
		x.excess++
	}
}

func (x *jobs) violated(b *job, why string) {
	e := because("%s %s", name(b.now), why)
	k := x.j.table.Kind(b.now.Group, b.now.Resource)
	x.j.row(e, k.At(b.now.Namespace, b.now.Name, x.j.born(b.now)), "created; uid "+b.now.UID)
	if pods := x.j.table.Kind("", "pods"); pods != nil && x.f.count == 0 {
		for pod := range pods.List(b.now.Namespace, everything, b.now.Revision) {
			if jobOf(pod) == b.now.UID {
				x.j.row(e, pod, "phase "+pod.Field("status.phase"))
			}
			if len(e.rows) > most {
				break
			}
		}
	}
	x.f.violated(x.j.row(e, b.now, fmt.Sprintf("status.succeeded %s, completions %q, Complete %q", b.now.Field(object.FieldSucceeded),
		b.now.Field(object.FieldCompletions), b.now.Field(object.FieldComplete))))
}

// most is how many objects a counter-example lists that are alike.
const most = 8

func (x *jobs) finish() *finding {
	x.f.checked = fmt.Sprintf(", %d of them with more pods that have succeeded than their completions; not judged: the number of %d with a success policy "+
		"or whose completions were changed, %d pods made within %s of their Job's end", x.excess, x.exempt, x.followed, x.j.opts.Patience)
	return x.f
}
