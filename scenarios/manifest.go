package scenarios

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/sim"
	"github.com/planecheck/planecheck/workloads/manifest"
)

// ManifestPlan is a person's own load.
type ManifestPlan struct {
	File    string `json:"file"`
	Objects int    `json:"objects"` // in the file
	Copies  int    `json:"copies"`
	// Size is that of all copies.
	Size manifest.Size `json:"size"`

	parsed *manifest.Manifest
}

// planManifest reads the file, so that a broken one is refused before
// anything starts. A kube-apiserver of a person's own may know other kinds and
// fields than ours: it is asked when it runs.
func planManifest(o Options) (*ManifestPlan, error) {
	parsed, err := manifest.Read(o.Manifest)
	if err == nil && !o.World.foreign() {
		err = parsed.Check()
	}
	if err == nil {
		err = parsed.CheckAnnotations(checkAnnotations)
	}
	if err != nil {
		return nil, Usagef("--manifest: %v", err)
	}
	size := parsed.Size(o.Copies, func(a manifest.Annotated) bool {
		return sim.Ends(a.Annotations, a.RestartPolicy, time.Duration(o.World.JobTime))
	})
	return &ManifestPlan{File: o.Manifest, Objects: len(parsed.Objects), Copies: o.Copies, Size: size, parsed: parsed}, nil
}

// validateCapacity refuses a manifest of which the scheduler could never place all
// pods beside those of the density load. What a ResourceQuota or an admission webhook
// keeps small all the same is for --force.
func (m *ManifestPlan) validateCapacity(o Options) error {
	nodes, room := o.World.Nodes, o.World.room()
	pods := o.Pods + m.Size.Staying.On(nodes)
	if o.Force || pods <= nodes*room {
		return nil
	}
	way := "take fewer copies"
	if free := room - m.Size.Staying.PerNode; free > 0 {
		way = fmt.Sprintf("add nodes (--nodes %d)", (o.Pods+m.Size.Staying.Fixed+free-1)/free)
	}
	return Usagef("--manifest: %d pods, those of %d copies of %s among them, do not fit on %d nodes of %d pods each; %s, or --force to try",
		pods, m.Copies, m.File, nodes, room, way)
}

// String describes it on a line of the plan.
func (m *ManifestPlan) String() string {
	text := fmt.Sprintf("manifest %s, %d objects, %d copies: %d objects and %d pods",
		m.File, m.Objects, m.Copies, m.Size.Objects, m.Size.Pods.Fixed)
	if n := m.Size.Pods.PerNode; n > 0 {
		text += fmt.Sprintf(", and %d on each node", n)
	}
	return text
}

// checkAnnotations finds what the simulated kubelets would leave aside.
func checkAnnotations(a manifest.Annotated) error {
	if a.Pod {
		return sim.CheckAnnotations(a.Annotations, a.RestartPolicy)
	}
	return sim.CheckNoAnnotations(a.Annotations)
}

// steady says that no annotation of a pod tells its containers to exit, or not to be
// ready.
func (m *ManifestPlan) steady() bool {
	return m.parsed.CheckAnnotations(func(a manifest.Annotated) error { return sim.CheckNoAnnotations(a.Annotations) }) == nil
}

// prepareManifest makes the workload that applies the plan's manifest.
func (x *execution) prepareManifest(m *ManifestPlan) error {
	workload, err := manifest.New(manifest.Config{
		REST:     x.cluster.layer.Client(x.cluster.workloadIdentity()).RESTConfig(),
		Manifest: m.parsed,
		Copies:   m.Copies,
		Log:      x.log,
	})
	x.manifest = workload
	return err
}

// applyManifest applies all copies and waits until every object is ready.
func (x *execution) applyManifest(ctx context.Context) error {
	result, err := x.manifest.Apply(ctx)
	x.applied = result
	var input *manifest.InputError
	if errors.As(err, &input) {
		x.refused = input
	}
	return err
}

// holdManifest lets the objects be, so that heartbeats fall into the run, and looks
// whether they are ready again if their pods were not now and then.
func (x *execution) holdManifest(ctx context.Context) error {
	x.flip()
	err := pause(ctx, time.Duration(x.plan.Hold))
	x.endFlips()
	if err == nil {
		x.allReady(ctx)
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	return nil
}

func (x *execution) judgeManifest() checkers.Verdict {
	v := checkers.Verdict{
		Guarantee: "ManifestReady", Statement: "every object of the manifest became ready by the rules of kstatus, and again after a hold in which its pods were not",
		Checked: fmt.Sprintf("%d objects", x.applied.Objects), Outcome: checkers.Pass,
	}
	switch {
	case x.lapsed != nil:
		v.Outcome, v.Detail = checkers.Fail, x.lapsed.Error()
	case x.phaseDone(phaseManifest):
	case x.refused != nil:
		v.Outcome, v.Detail = checkers.Invalid, x.refused.Error()
	case x.interrupted:
		v.Outcome, v.Detail = checkers.Invalid, "the load was never complete"
	default:
		v.Outcome, v.Detail = checkers.Fail, fmt.Sprintf("%d of %d objects are ready", x.applied.Ready, x.applied.Objects)
	}
	return v
}
