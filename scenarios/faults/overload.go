package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/history"
)

// PriorityKept is the guarantee that an overload puts to the test.
const PriorityKept = "PriorityKept"

// The priority levels of k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap: that of
// any user, and those that must not suffer from it.
const (
	levelAnybody        = "global-default"
	levelHeartbeats     = "node-high"
	levelLeaderElection = "leader-election"
)

// fewSeats leave an API server few seats, so that a flood which one machine can
// send exceeds them: of 60, the priority level of any user has 5, that of
// heartbeats 10 and that of leader election 3 (upstream: 600 in all).
var fewSeats = []string{"--max-requests-inflight=40", "--max-mutating-requests-inflight=20"}

func overloadFaults() []Fault {
	servers := func(s Shape) []string {
		return append([]string{all}, instances(apiserver.KubeAPIServer, 1, s.APIServers)...)
	}
	return []Fault{
		{
			Name: "overload", Area: Clients, For: 12 * time.Second, Blocks: true,
			Does:          "a user floods one or all API servers with LISTs of everything until priority and fairness sheds them; heartbeats and leader election survive",
			APIServerArgs: fewSeats, Slows: true,
			targets: servers, inject: overload(levelAnybody),
		},
		{
			Name: "overload-node-high", Area: Clients, For: 12 * time.Second, Blocks: true, Breaks: []string{PriorityKept},
			Does:          "a FlowSchema puts such a flood into the priority level of the heartbeats of nodes",
			APIServerArgs: fewSeats, Slows: true,
			targets: servers, inject: overload(levelHeartbeats),
		},
		{
			Name: "relist-storm", Area: Clients,
			Does:    "all kubelets are restarted at once and list anew, while 100 clients list all pods at once at every API server",
			targets: func(s Shape) []string { return atLeast(1, s.Nodes, all) }, inject: relistStorm,
		},
	}
}

// overload floods API servers with requests of one priority level. The evidence
// is what they rejected by their own count, and what the flood was refused.
func overload(level string) func(context.Context, *Env, string) (*Active, error) {
	return func(ctx context.Context, e *Env, target string) (*Active, error) {
		servers, err := serversOf(e, target)
		if err != nil {
			return nil, err
		}
		if err := awaitLeading(ctx, e); err != nil {
			return nil, err
		}
		before, err := observePriority(ctx, e)
		if err != nil {
			return nil, err
		}
		if level != levelAnybody {
			if err := prefer(ctx, e, level); err != nil { // it may have come about all the same
				return nil, errors.Join(err, unprefer(context.WithoutCancel(ctx), e))
			}
		}
		f, err := startFlood(ctx, e, servers, floodSenders, true)
		if err != nil {
			return nil, errors.Join(err, unprefer(context.WithoutCancel(ctx), e))
		}
		a := &Active{}
		a.heal = func(ctx context.Context) (string, error) {
			f.end()
			err := unprefer(ctx, e)
			after, failed := observePriority(ctx, e)
			if err = errors.Join(err, failed); err != nil {
				return "", err
			}
			v := judgePriority(before, after)
			a.Verdict = &v
			return fmt.Sprintf("the flood got %d answers and %d refusals, %d requests failed, %d were cut at its end; rejected: %s",
				f.served.Load(), f.refused.Load(), f.failed.Load(), f.cut.Load(), after.rejectedSince(before)), nil
		}
		return shown(ctx, a, "the flood to be shed", func(ctx context.Context) error {
			now, err := observePriority(ctx, e)
			if err != nil {
				return err
			}
			rejected := now.rejected[level] - before.rejected[level]
			if f.refused.Load() == 0 || rejected == 0 {
				err := fmt.Errorf("%d answers, %d refusals, %g rejections in %s", f.served.Load(), f.refused.Load(), rejected, level)
				if last := f.last.Load(); last != nil {
					err = fmt.Errorf("%w; %d failed, the last by %w", err, f.failed.Load(), *last)
				}
				return err
			}
			a.Evidence = fmt.Sprintf("%d of %d answers to the flood are 429, and the API servers count %g rejections in %s",
				f.refused.Load(), f.served.Load()+f.refused.Load(), rejected, level)
			return nil
		})
	}
}

// awaitLeading waits until one of each kind leads: a Lease still names one that
// an earlier fault has deposed until another takes it.
func awaitLeading(ctx context.Context, e *Env) error {
	for _, kind := range []string{apiserver.KubeScheduler, apiserver.KubeControllerManager} {
		if count(e.Plane, kind) < 2 { // nobody elects
			continue
		}
		err := await(ctx, "a leading "+kind, func(ctx context.Context) error {
			leaders, err := allLeading(ctx, e, kind)
			if err == nil && len(leaders) != 1 {
				err = fmt.Errorf("%d say that they lead", len(leaders))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// preference is the name of the FlowSchema that puts the flood elsewhere.
const preference = "planecheck-flood"

// prefer puts all requests of the flood's user into a priority level.
func prefer(ctx context.Context, e *Env, level string) error {
	schema := &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: preference},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: level},
			MatchingPrecedence:         50,
			Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
				Subjects: []flowcontrolv1.Subject{{
					Kind: flowcontrolv1.SubjectKindUser, User: &flowcontrolv1.UserSubject{Name: e.Strangers[0].User},
				}},
				ResourceRules: []flowcontrolv1.ResourcePolicyRule{{
					Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"*"}, ClusterScope: true,
				}},
			}},
		},
	}
	if _, err := e.API.FlowcontrolV1().FlowSchemas().Create(ctx, schema, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create FlowSchema %s: %w", preference, err)
	}
	return nil
}

// unprefer takes away what prefer made, if it did.
func unprefer(ctx context.Context, e *Env) error {
	ctx, cancel := context.WithTimeoutCause(ctx, effectBound, fmt.Errorf("it had %v", effectBound))
	defer cancel()
	return await(ctx, "FlowSchema "+preference+" to be gone", func(ctx context.Context) error {
		err := e.API.FlowcontrolV1().FlowSchemas().Delete(ctx, preference, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// priority is what is known at one moment of those who must not suffer.
type priority struct {
	at history.Time
	// By priority level, over all API servers.
	rejected, dispatched map[string]float64
	missed               int64             // deadlines of leases of nodes
	holders              map[string]string // of the lease of each kind that elects a leader
	resigned             int
}

func observePriority(ctx context.Context, e *Env) (p priority, err error) {
	p = priority{
		at: history.Now(), rejected: map[string]float64{}, dispatched: map[string]float64{}, holders: map[string]string{},
		missed: e.LeasesMissed(), resigned: len(e.Plane.Resignations()),
	}
	for _, c := range ofKind(e.Plane, apiserver.KubeAPIServer) {
		metrics, err := e.Plane.Metrics(ctx, c.Name)
		if err != nil {
			return p, err
		}
		for _, level := range []string{levelAnybody, levelHeartbeats, levelLeaderElection} {
			label := fmt.Sprintf("priority_level=%q", level)
			p.rejected[level] += sumOf(string(metrics), "apiserver_flowcontrol_rejected_requests_total", label)
			p.dispatched[level] += sumOf(string(metrics), "apiserver_flowcontrol_dispatched_requests_total", label)
		}
	}
	for _, kind := range []string{apiserver.KubeScheduler, apiserver.KubeControllerManager} {
		if count(e.Plane, kind) < 2 { // nobody elects
			continue
		}
		if p.holders[kind], err = holder(ctx, e, kind); err != nil {
			return p, err
		}
	}
	return p, nil
}

// rejectedSince is what was rejected after an earlier moment, by priority level.
func (p priority) rejectedSince(before priority) string {
	var parts []string
	for _, level := range []string{levelAnybody, levelHeartbeats, levelLeaderElection} {
		parts = append(parts, fmt.Sprintf("%s %g", level, p.rejected[level]-before.rejected[level]))
	}
	return strings.Join(parts, ", ")
}

// judgePriority says whether a flood that was shed was shed alone.
func judgePriority(before, after priority) checkers.Verdict {
	executed := func(level string) float64 { return after.dispatched[level] - before.dispatched[level] }
	v := checkers.Verdict{
		Guarantee: PriorityKept,
		Statement: "while a flood of requests was shed, no request for a heartbeat or for leader election was rejected, " +
			"no node missed the deadline of its lease, and no leader lost its lease",
		Checked: fmt.Sprintf("%g requests of nodes for their heartbeats and %g for leader election in %v",
			executed(levelHeartbeats), executed(levelLeaderElection), time.Duration(after.at-before.at).Round(time.Millisecond)),
		Outcome: checkers.Pass,
	}
	var wrong []string
	for _, level := range []string{levelHeartbeats, levelLeaderElection} {
		if n := after.rejected[level] - before.rejected[level]; n > 0 {
			wrong = append(wrong, fmt.Sprintf("%g requests of priority level %s were rejected", n, level))
		}
	}
	if n := after.missed - before.missed; n > 0 {
		wrong = append(wrong, fmt.Sprintf("%d deadlines of leases of nodes passed", n))
	}
	for kind, who := range before.holders {
		if now := after.holders[kind]; now != who {
			wrong = append(wrong, fmt.Sprintf("the lease of %s went from %s to %s", kind, who, now))
		}
	}
	if n := after.resigned - before.resigned; n > 0 {
		wrong = append(wrong, fmt.Sprintf("%d leaders gave up", n))
	}
	switch {
	case len(wrong) > 0:
		v.Outcome, v.Detail = checkers.Fail, strings.Join(wrong, "; ")
	case executed(levelHeartbeats) == 0 || len(before.holders) > 0 && executed(levelLeaderElection) == 0:
		v.Outcome, v.Detail = checkers.Invalid, "none was sent meanwhile that could have been rejected"
	}
	return v
}

// stormClients is how many others list at each API server, once.
const stormClients = 100

// relistStorm restarts all kubelets while others list. The evidence is what the
// API servers count: a request at least of each kubelet, and the lists of the
// others, all of which are answered.
func relistStorm(ctx context.Context, e *Env, target string) (*Active, error) {
	servers, err := serversOf(e, all)
	if err != nil {
		return nil, err
	}
	before, err := observePriority(ctx, e)
	if err != nil {
		return nil, err
	}
	f, err := startFlood(ctx, e, servers, stormClients, false)
	if err != nil {
		return nil, err
	}
	defer f.end()
	a, err := restartKubelets(ctx, e, target)
	if err != nil {
		return nil, err
	}
	lists := int64(stormClients * len(servers))
	err = await(ctx, "the lists of others", func(ctx context.Context) error {
		now, err := observePriority(ctx, e)
		if err != nil {
			return err
		}
		executed := now.dispatched[levelAnybody] - before.dispatched[levelAnybody]
		if f.served.Load() < lists || executed < float64(lists) {
			return fmt.Errorf("%d of %d are answered, %d refused, %d failed", f.served.Load(), lists, f.refused.Load(), f.failed.Load())
		}
		a.Evidence += fmt.Sprintf("; %d lists of others were answered", lists)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}
