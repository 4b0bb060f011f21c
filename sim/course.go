package sim

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// podPlan is what the containers of a pod do of themselves once they run. The
// zero value is that of a pod which no plan touches: they run on.
type podPlan struct {
	runFor time.Duration // after this they exit; 0: they do not
	exit   int           // with this code
}

// plan is that of a pod.
func (n *node) plan(uid string, v *podView) podPlan {
	if !v.mayEnd() {
		return podPlan{}
	}
	return podPlan{runFor: drawn(n.cluster.cfg.JobTime, n.cluster.cfg.Seed, uid)}
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
