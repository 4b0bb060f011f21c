package sim

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// course is how far a pod has come with its plan. Only pods that a plan
// touches have one.
type course struct {
	uid  string
	plan podPlan
	due  time.Time // of the next turn; zero: there is none until something else happens

	ends    time.Time // when its containers exit; zero: they do not
	flips   time.Time // when their readiness changes; zero: it does not
	flipped uint32    // how often it has
	exited  time.Time // podCrashed: when its containers did
	backoff backoff
	told    bool // podCrashed: that they wait is reported, or about to be
}

// schedule has the next turn at the earlier of the two.
func (c *course) schedule() {
	c.due = c.ends
	if c.due.IsZero() || !c.flips.IsZero() && c.flips.Before(c.due) {
		c.due = c.flips
	}
}

// rest has no turn come before the next run: the containers are told to stop.
func (c *course) rest() {
	c.due, c.ends, c.flips, c.told = time.Time{}, time.Time{}, time.Time{}, false
}

// courses are those of a node's pods: few, like the pods. One timer, of the
// next of all turns, serves them.
type courses []course

func (c courses) index(uid string) int {
	return slices.IndexFunc(c, func(c course) bool { return c.uid == uid })
}

// find returns the course of a pod, or nil. It is valid until the next begin or drop.
func (c courses) find(uid string) *course {
	if i := c.index(uid); i >= 0 {
		return &c[i]
	}
	return nil
}

func (c *courses) drop(uid string) {
	if i := c.index(uid); i >= 0 {
		*c = slices.Delete(*c, i, i+1)
	}
}

// begin sets a pod on its course, now that a run of its containers is reported. One
// that is on it stays where it is. It is called with n.mu held.
func (n *node) begin(uid string, plan podPlan) {
	if plan.runFor == 0 && !plan.flips() {
		n.courses.drop(uid)
		return
	}
	c := n.courses.find(uid)
	if c == nil {
		n.courses = append(n.courses, course{uid: uid})
		c = &n.courses[len(n.courses)-1]
	} else if !c.due.IsZero() {
		return
	}
	now := time.Now()
	c.plan, c.told, c.ends, c.flips = plan, false, time.Time{}, time.Time{}
	if plan.runFor > 0 {
		c.ends = now.Add(plan.runFor)
	}
	if plan.flips() && (!plan.shared || n.cluster.flipping.Load()) {
		c.flips = now.Add(n.interval(c, plan.unreadyAfter))
	}
	c.schedule()
	n.armCourses()
}

// interval is how long the readiness of a pod stays as it is, by its mean.
func (n *node) interval(c *course, mean time.Duration) time.Duration {
	return drawn(mean, n.cluster.cfg.Seed, c.uid+"/"+strconv.FormatUint(uint64(c.flipped), 10))
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
		if due := n.courses[i].due; !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
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
		if c.due.IsZero() || c.due.After(now) {
			continue
		}
		c.due = time.Time{}
		p := n.pods.find(c.uid)
		switch {
		case p == nil:
		case p.state == podRunning && !c.ends.IsZero() && !c.ends.After(now):
			n.exit(c, p, now)
		case p.state == podRunning:
			if !c.flips.IsZero() && !c.flips.After(now) {
				n.flip(c, p, now)
			}
			c.schedule()
		case p.state == podCrashed:
			n.lookAgain(c, p, now)
		}
	}
	n.armCourses()
}

// exit has the containers of a pod exit of themselves. It is called with n.mu held.
func (n *node) exit(c *course, p *pod, now time.Time) {
	n.countRunning(podRunning, podExited)
	p.down, p.unready = true, false
	c.exited, c.ends, c.flips = now, time.Time{}, time.Time{}
	if !c.plan.again {
		p.state = podExited
		n.enqueue(podJob{action: doEnd, uid: c.uid})
		return
	}
	p.state = podCrashed
	job, inSteps := podJob{action: doCrash, uid: c.uid}, n.cluster.behaviour.endsInSteps
	if left := c.backoff.left(now, now); left > 0 {
		c.due = now.Add(n.requeued(left))
		job.backoff, c.told = c.backoff.wait, !inSteps
	} else if !inSteps {
		n.startAgain(c, p, now) // and that says it all
		return
	}
	n.enqueue(job)
}

// requeued is how long the kubelet lets a pod be that has to wait for so long. One
// that has nothing to tell in between looks no earlier than it is due. It is called
// with n.mu held.
func (n *node) requeued(left time.Duration) time.Duration {
	d := requeued(left, n.rng.Float64())
	if !n.cluster.behaviour.endsInSteps {
		d += max(0, left-resyncInterval)
	}
	return d
}

// lookAgain is a look at a pod whose containers wait to be started again: by now they
// are known to wait, and that is told; and they are started if they are due. It is
// called with n.mu held.
func (n *node) lookAgain(c *course, p *pod, now time.Time) {
	left := c.backoff.left(c.exited, now)
	if left > 0 {
		c.due = now.Add(n.requeued(left))
	}
	switch {
	case !c.told:
		c.told = true // the start, if it is due, comes with the answer
		n.enqueue(podJob{action: doBackOff, uid: c.uid, backoff: c.backoff.wait})
	case left == 0:
		n.startAgain(c, p, now)
	}
}

// startAgain starts the containers of a pod anew. It is called with n.mu held; c is nil
// for a pod that an earlier process has left so.
func (n *node) startAgain(c *course, p *pod, now time.Time) {
	if c != nil {
		c.backoff.next(c.exited, now)
		c.due, c.told = time.Time{}, false
	}
	if p.restarts < math.MaxUint16 {
		p.restarts++
	}
	p.state, p.down, p.unsaid = podStarting, false, true
	n.cluster.stats.podRestarts.Add(1)
	n.enqueue(podJob{action: doStart, uid: p.uid})
}

// crashed goes on with a pod after it is told that its containers have exited, or that
// they wait: they are started unless they have to wait. It is called with n.mu held.
func (n *node) crashed(uid string) {
	p := n.pods.find(uid)
	if p == nil || p.state != podCrashed {
		return
	}
	if c := n.courses.find(uid); c == nil || c.due.IsZero() {
		n.startAgain(c, p, time.Now())
	}
}

// flip changes the readiness of a pod. It is called with n.mu held.
func (n *node) flip(c *course, p *pod, now time.Time) {
	p.unready = !p.unready
	c.flipped++
	mean := c.plan.unreadyAfter
	if p.unready {
		mean = c.plan.unreadyFor
	}
	c.flips = now.Add(n.interval(c, mean))
	n.cluster.stats.podFlips.Add(1)
	n.enqueue(podJob{action: doFlip, uid: c.uid})
}

// Flip has the flips of Config.Unready begin, or end: then all pods become ready that
// are not because of them. At first there are none. What a pod's own annotations say is
// not touched. It may be called at any time after Start.
func (c *Cluster) Flip(on bool) {
	c.flipping.Store(on)
	for _, n := range c.nodes {
		n.flipAll(on, time.Now())
	}
}

func (n *node) flipAll(on bool, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.courses {
		c := &n.courses[i]
		p := n.pods.find(c.uid)
		if !c.plan.shared || p == nil || p.state != podRunning || on == !c.flips.IsZero() {
			continue
		}
		c.flips = time.Time{}
		switch {
		case on: // they are somewhere in the middle of it
			part := random(n.cluster.cfg.Seed, c.uid+"/begin").Float64()
			c.flips = now.Add(time.Duration(part * float64(c.plan.unreadyAfter)))
		case p.unready:
			p.unready = false
			n.enqueue(podJob{action: doFlip, uid: c.uid})
		}
		c.schedule()
	}
	if n.life != nil {
		n.armCourses()
	}
}

// ended lets go of what a pod held that has come to its end. It is called with
// n.mu held.
func (n *node) ended(p *pod) {
	n.pods.release(p.slot) // its address: the sandbox is no more
	p.slot = 0
	n.courses.drop(p.uid)
}
