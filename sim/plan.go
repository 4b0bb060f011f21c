package sim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// podPlan is what the containers of a pod do of themselves once they run. The
// zero value is that of a pod which no plan touches: they run on, and are ready.
type podPlan struct {
	runFor time.Duration // after this they exit; 0: they do not
	exit   int           // with this code
	again  bool          // and are started again
	// They are ready for unreadyAfter and then not for unreadyFor, again and again,
	// each time within a quarter; 0: they are always ready.
	unreadyAfter, unreadyFor time.Duration
	shared                   bool // these two are Config.Unready, for which Cluster.Flip goes
}

// flips says whether the containers become unready of themselves.
func (p *podPlan) flips() bool { return p.unreadyAfter > 0 }

// Unready is how pods become unready of themselves: a probe fails, their containers
// run on.
type Unready struct {
	Every time.Duration // they are ready for so long; 0: for ever
	For   time.Duration // and then not for so long
	Share float64       // of the pods, from 0 to 1, drawn by Seed and their UIDs
}

// The annotations by which a pod says itself what its containers do.
const (
	annotationPrefix       = "planecheck.dev/"
	runForAnnotation       = annotationPrefix + "run-for"       // a duration: so long they run; 0s: until they are deleted
	exitCodeAnnotation     = annotationPrefix + "exit-code"     // 0 to 255
	unreadyAfterAnnotation = annotationPrefix + "unready-after" // a duration: so long they are ready; 0s: for ever
	unreadyForAnnotation   = annotationPrefix + "unready-for"   // a duration: and then not for so long
	// revisionAnnotation is of the load that planecheck makes; it tells a kubelet nothing.
	revisionAnnotation = annotationPrefix + "revision"
)

// annotation is one that is for us.
type annotation struct{ key, value string }

// wrongAnnotation is one that is left aside, and why.
type wrongAnnotation struct {
	annotation
	err error
}

// CheckAnnotations says what is wrong with the annotations of a pod, or of a template
// of pods, that are for the simulation: those that begin with planecheck.dev/. An empty
// restartPolicy is Always. The error is one line.
func CheckAnnotations(annotations map[string]string, restartPolicy string) error {
	var texts []string
	for _, wrong := range new(podPlan).annotate(forUs(annotations), restartPolicy) {
		texts = append(texts, fmt.Sprintf("annotation %s is %q: %v", wrong.key, wrong.value, wrong.err))
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// forUs are the annotations that are for the simulation, sorted.
func forUs(annotations map[string]string) (said []annotation) {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if strings.HasPrefix(key, annotationPrefix) && key != revisionAnnotation {
			said = append(said, annotation{key, annotations[key]})
		}
	}
	return said
}

// Ends says whether a pod with these annotations ends by itself: its containers exit,
// and nobody starts them again. jobTime is Config.JobTime. An empty restartPolicy is
// Always.
func Ends(annotations map[string]string, restartPolicy string, jobTime time.Duration) bool {
	p := podPlan{}
	if restartPolicy == "Never" || restartPolicy == "OnFailure" {
		p.runFor = jobTime
	}
	p.annotate(forUs(annotations), restartPolicy)
	return p.runFor > 0 && !p.again
}

// CheckNoAnnotations says that something else than a pod, or a template of pods, has
// annotations that are for the simulation: they say nothing there. The error is one line.
func CheckNoAnnotations(annotations map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if strings.HasPrefix(key, annotationPrefix) && key != revisionAnnotation {
			return fmt.Errorf("annotation %s says nothing here: it is for pods and their templates", key)
		}
	}
	return nil
}

// plan is that of a pod. What its annotations say wrongly is left aside, and said
// once for each wrong text.
func (n *node) plan(uid string, v *podView) podPlan {
	p := n.cluster.cfg.planned(uid, v)
	var said []annotation
	for _, entry := range v.annotations {
		if key := field(entry, 1); string(key) != revisionAnnotation {
			said = append(said, annotation{string(key), string(field(entry, 2))})
		}
	}
	for _, wrong := range p.annotate(said, string(v.restart)) {
		if _, told := n.cluster.wrong.LoadOrStore(wrong.key+"="+wrong.value+" "+string(v.restart), true); !told {
			n.cluster.cfg.Log.Warn("an annotation of a pod is left aside", "uid", uid,
				"annotation", wrong.key, "value", wrong.value, "error", wrong.err)
		}
	}
	return p
}

// planned is the plan of a pod that says nothing itself: those of Jobs end, and a
// share of the others flips.
func (c *Config) planned(uid string, v *podView) podPlan {
	u := c.Unready
	switch {
	case v.mayEnd():
		return podPlan{runFor: drawn(c.JobTime, c.Seed, uid)}
	case u.Every > 0 && u.For > 0 && random(c.Seed, uid+"/unready").Float64() < u.Share:
		return podPlan{unreadyAfter: u.Every, unreadyFor: u.For, shared: true}
	}
	return podPlan{}
}

// annotate takes into the plan what annotations say, and returns those that are wrong.
func (p *podPlan) annotate(said []annotation, restartPolicy string) (wrong []wrongAnnotation) {
	a := annotated{podPlan: *p, given: map[string]annotation{}}
	for _, one := range said {
		if err := a.take(one); err != nil {
			wrong = append(wrong, wrongAnnotation{one, err})
			continue
		}
		a.given[one.key] = one
	}
	wrong = append(wrong, a.leaveAside(p, restartPolicy)...)
	*p = a.podPlan
	never := restartPolicy == "Never" || restartPolicy == "OnFailure" && p.exit == 0
	p.again = p.runFor > 0 && !never
	return wrong
}

// annotated is a plan with what annotations said so far.
type annotated struct {
	podPlan
	given map[string]annotation
}

// take reads one annotation.
func (a *annotated) take(one annotation) (err error) {
	switch one.key {
	case runForAnnotation:
		a.runFor, err = parseTime(one.value, a.runFor)
	case unreadyAfterAnnotation:
		a.unreadyAfter, err = parseTime(one.value, a.unreadyAfter)
	case unreadyForAnnotation:
		var d time.Duration
		if d, err = parseTime(one.value, 0); err == nil && d == 0 {
			err = errors.New("want a duration above 0s")
		}
		if err == nil {
			a.unreadyFor = d
		}
	case exitCodeAnnotation:
		code, wrong := strconv.ParseUint(one.value, 10, 8)
		if wrong != nil {
			return errors.New("want a number from 0 to 255")
		}
		a.exit = int(code)
	default:
		return errors.New("no such annotation")
	}
	return err
}

// parseTime returns the old value with an error.
func parseTime(text string, old time.Duration) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return old, errors.New("want a duration, such as 1m30s")
	case d < 0:
		return old, errors.New("want a duration of at least 0s")
	}
	return d, nil
}

// leaveAside takes back what says nothing without another annotation, and returns it.
func (a *annotated) leaveAside(was *podPlan, restartPolicy string) (wrong []wrongAnnotation) {
	has := func(key string) bool { _, ok := a.given[key]; return ok }
	alone := func(key, other string) {
		wrong = append(wrong, wrongAnnotation{a.given[key], fmt.Errorf("says nothing without %s", other)})
	}
	job := restartPolicy == "Never" || restartPolicy == "OnFailure" // else nothing but run-for has it exit
	if has(exitCodeAnnotation) && !has(runForAnnotation) && !job {
		alone(exitCodeAnnotation, runForAnnotation)
		a.exit = was.exit
	}
	after, during := has(unreadyAfterAnnotation), has(unreadyForAnnotation)
	switch {
	case after && a.unreadyAfter == 0: // ready for ever
		a.unreadyFor, a.shared = 0, false
	case after && during:
		a.shared = false
	case after:
		alone(unreadyAfterAnnotation, unreadyForAnnotation)
		a.unreadyAfter = was.unreadyAfter
	case during:
		alone(unreadyForAnnotation, unreadyAfterAnnotation)
		a.unreadyFor = was.unreadyFor
	}
	return wrong
}

// random draws, always the same for the same seed and text.
func random(seed uint64, of string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(of)) // never fails
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// drawn is a time within a quarter of mean, always the same for the same seed and text.
func drawn(mean time.Duration, seed uint64, of string) time.Duration {
	return time.Duration((0.75 + random(seed, of).Float64()/2) * float64(mean))
}
