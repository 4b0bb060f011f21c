package sim

import (
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// podPlan is what the containers of a pod do of themselves once they run. The
// zero value is that of a pod which no plan touches: they run on.
type podPlan struct {
	runFor time.Duration // after this they exit; 0: they do not
	exit   int           // with this code
}

// plan is that of a pod. What its annotations say wrongly is left aside, and said
// once for each wrong text.
func (n *node) plan(uid string, v *podView) podPlan {
	var p podPlan
	if v.mayEnd() {
		p.runFor = drawn(n.cluster.cfg.JobTime, n.cluster.cfg.Seed, uid)
	}
	for _, entry := range v.annotations {
		key, value := string(field(entry, 1)), string(field(entry, 2))
		if err := p.annotate(key, value, v); err != nil {
			if _, said := n.cluster.wrong.LoadOrStore(key+"="+value+" "+string(v.restart), true); !said {
				n.cluster.cfg.Log.Warn("an annotation of a pod is left aside", "uid", uid, "annotation", key, "value", value, "error", err)
			}
		}
	}
	return p
}

// The annotations by which a pod says itself how its containers end.
const (
	annotationPrefix   = "planecheck.dev/"
	runForAnnotation   = annotationPrefix + "run-for"   // a duration: so long they run; 0s: until they are deleted
	exitCodeAnnotation = annotationPrefix + "exit-code" // 0 to 255
)

// annotate takes what one annotation says into the plan.
func (p *podPlan) annotate(key, value string, v *podView) error {
	switch key {
	case runForAnnotation:
		d, err := time.ParseDuration(value)
		switch {
		case err != nil:
			return err
		case d < 0:
			return errors.New("want a duration of at least 0s")
		case d > 0 && !v.mayEnd():
			return errors.New("with restartPolicy Always containers that exit are started again, which is not simulated")
		}
		p.runFor = d
	case exitCodeAnnotation:
		code, err := strconv.ParseUint(value, 10, 8)
		switch {
		case err != nil:
			return errors.New("want a number from 0 to 255")
		case code != 0 && !v.neverRestarts():
			return errors.New("with a restartPolicy other than Never containers that fail are started again, which is not simulated")
		}
		p.exit = int(code)
	default:
		return errors.New("no such annotation")
	}
	return nil
}

// drawn is a time within a quarter of mean, always the same for the same pod.
func drawn(mean time.Duration, seed uint64, uid string) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(uid)) // never fails
	return time.Duration((0.75 + rand.New(rand.NewPCG(seed, h.Sum64())).Float64()/2) * float64(mean))
}

// course is how far a pod has come with its plan. Only pods that a plan
// touches have one.
type course struct {
	uid    string
	due    time.Time // of the next turn
	queued bool      // that turn is in the queue of writes
}

// courses are those of a node's pods: few, like the pods. One timer, of the
// next of all turns, serves them.
type courses []course

func (c courses) find(uid string) int {
	return slices.IndexFunc(c, func(c course) bool { return c.uid == uid })
}

func (c *courses) drop(uid string) {
	if i := c.find(uid); i >= 0 {
		*c = slices.Delete(*c, i, i+1)
	}
}

// begin sets a pod on its course, now that it is reported to run. One that is on
// it stays where it is. It is called with n.mu held.
func (n *node) begin(uid string, plan podPlan) {
	if plan.runFor == 0 || n.courses.find(uid) >= 0 {
		return
	}
	n.courses = append(n.courses, course{uid: uid, due: time.Now().Add(plan.runFor)})
	n.armCourses()
}

// resume is begin for a pod that an earlier process has started. It is called
// with n.mu held.
func (n *node) resume(uid string, raw []byte) {
	var v podView
	if v.scan(raw) == nil {
		n.begin(uid, n.plan(uid, &v))
	}
}

// armCourses sets the timer of the next turn. It is called with n.mu held.
func (n *node) armCourses() {
	if n.courseTimer != nil {
		n.courseTimer.Stop()
		n.courseTimer = nil
	}
	var next time.Time
	for i := range n.courses {
		if c := &n.courses[i]; !c.queued && (next.IsZero() || c.due.Before(next)) {
			next = c.due
		}
	}
	if !next.IsZero() {
		n.courseTimer = n.life.after(time.Until(next), func() {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.turn(time.Now())
		})
	}
}

// turn takes the turns that are due by now. It is called with n.mu held.
func (n *node) turn(now time.Time) {
	for i := range n.courses {
		c := &n.courses[i]
		if c.queued || c.due.After(now) {
			continue
		}
		c.queued = true
		p := n.pods.find(c.uid)
		if p == nil {
			continue
		}
		if p.state == podRunning {
			n.countRunning(podRunning, podExited)
			p.state = podExited
		}
		if p.state == podExited {
			n.enqueue(podJob{action: doEnd, uid: c.uid})
		}
	}
	n.armCourses()
}

// ended lets go of what a pod held that has come to its end. It is called with
// n.mu held.
func (n *node) ended(p *pod) {
	n.pods.release(p.slot) // its address: the sandbox is no more
	p.slot = 0
	n.courses.drop(p.uid)
}
