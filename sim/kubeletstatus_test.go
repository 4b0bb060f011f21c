package sim

import (
	"fmt"
	"slices"
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// kubeletStatus says with the API's own types what a kubelet would report.
func kubeletStatus(pod *corev1.Pod, r podReport) corev1.PodStatus {
	old, s := pod.Status, *pod.Status.DeepCopy()
	now := metav1.NewTime(time.Unix(r.now, 0))
	ran := old.Phase == corev1.PodRunning
	switch {
	case r.status == statusWaiting:
		s.Phase = corev1.PodPending
	case r.status == statusRunning, r.status == statusRestarting, r.status == statusCrashed, r.status == statusBackOff:
		s.Phase = corev1.PodRunning
	case r.status != statusLost && ran && r.exitCode == 0:
		s.Phase = corev1.PodSucceeded
	default:
		s.Phase = corev1.PodFailed
	}
	s.ObservedGeneration = pod.Generation
	s.HostIP, s.HostIPs = r.hostIP, []corev1.HostIP{{IP: r.hostIP}}
	if s.PodIP == "" && r.podIP != "" {
		s.PodIP, s.PodIPs = r.podIP, []corev1.PodIP{{IP: r.podIP}}
	}
	if s.StartTime == nil {
		s.StartTime = &now
	}
	s.Conditions = nil
	for _, c := range old.Conditions {
		if !isOwnCondition([]byte(c.Type)) {
			s.Conditions = append(s.Conditions, c)
		}
	}
	final := s.Phase
	if r.status == statusExited { // what generateAPIPodStatus makes the conditions from
		s.Phase = old.Phase
	}
	for _, c := range kubeletConditions(pod, final, r, ran) {
		c.ObservedGeneration, c.LastTransitionTime = pod.Generation, now
		for _, o := range old.Conditions {
			if o.Type == c.Type && o.Status == c.Status {
				c.LastTransitionTime = o.LastTransitionTime
			}
		}
		s.Conditions = append(s.Conditions, c)
	}
	s.ContainerStatuses = containerStatuses(pod, pod.Spec.Containers, *s.StartTime, now, r, ran, false)
	sort.Slice(s.ContainerStatuses, func(i, j int) bool { return s.ContainerStatuses[i].Name < s.ContainerStatuses[j].Name })
	s.InitContainerStatuses = containerStatuses(pod, pod.Spec.InitContainers, *s.StartTime, now, r, ran, true)
	return s
}

func kubeletConditions(pod *corev1.Pod, phase corev1.PodPhase, r podReport, ran bool) []corev1.PodCondition {
	var all []string
	for _, c := range pod.Spec.InitContainers {
		if c.RestartPolicy != nil {
			all = append(all, c.Name)
		}
	}
	for _, c := range pod.Spec.Containers {
		all = append(all, c.Name)
	}
	yes := func(typ corev1.PodConditionType) corev1.PodCondition {
		return corev1.PodCondition{Type: typ, Status: "True"}
	}
	no := func(typ corev1.PodConditionType, reason, message string) corev1.PodCondition {
		return corev1.PodCondition{Type: typ, Status: "False", Reason: reason, Message: message}
	}
	if r.status == statusRunning && !r.unready {
		return []corev1.PodCondition{yes("PodReadyToStartContainers"), yes("Initialized"), yes("Ready"), yes("ContainersReady"), yes("PodScheduled")}
	}
	sandbox := no("PodReadyToStartContainers", "PodSandboxNotReady", "no pod sandbox exists")
	switch {
	case slices.Contains([]podStatus{statusRunning, statusExited, statusCrashed, statusBackOff}, r.status):
		sandbox = yes("PodReadyToStartContainers")
	case ran && r.status == statusTerminated:
		sandbox.Message = "pod sandbox is not ready"
	}
	initialized := yes("Initialized")
	if len(pod.Spec.InitContainers) > 0 && !ran && r.status != statusRunning || len(pod.Spec.InitContainers) > 0 && r.status == statusWaiting {
		initialized = no("Initialized", "ContainersNotInitialized", "containers with incomplete status: [setup sidecar]")
	}
	reason, message := "ContainersNotReady", fmt.Sprintf("containers with unready status: %s", all)
	switch {
	case phase == corev1.PodSucceeded:
		reason, message = "PodCompleted", ""
		initialized.Reason = "PodCompleted"
	case phase == corev1.PodFailed:
		reason, message = "PodFailed", ""
	}
	return []corev1.PodCondition{sandbox, initialized, no("Ready", reason, message), no("ContainersReady", reason, message), yes("PodScheduled")}
}

func containerStatuses(pod *corev1.Pod, containers []corev1.Container, start, now metav1.Time, r podReport, ran, init bool) []corev1.ContainerStatus {
	var all []corev1.ContainerStatus
	for _, c := range containers {
		var old corev1.ContainerStatus
		for _, s := range slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses) {
			if s.Name == c.Name {
				old = s
			}
		}
		k := kubeletContainer{pod: pod, c: &c, old: &old, r: &r, start: start, now: now, ran: ran, once: init && c.RestartPolicy == nil}
		all = append(all, k.status())
	}
	return all
}

// kubeletContainer is one container of which a kubelet makes a status.
type kubeletContainer struct {
	pod        *corev1.Pod
	c          *corev1.Container
	old        *corev1.ContainerStatus
	r          *podReport
	start, now metav1.Time
	ran, once  bool
}

func (k *kubeletContainer) status() corev1.ContainerStatus {
	s, r := k.blank(), k.r
	s.RestartCount = int32(r.restarts)
	if k.once {
		return k.ofInit(s)
	}
	rebooted := r.status == statusRestarting || r.status == statusLost
	switch {
	case rebooted && k.old.State.Terminated != nil: // the status that there is
		return *k.old.DeepCopy()
	case rebooted && k.old.LastTerminationState.Terminated != nil:
		s.RestartCount, s.LastTerminationState = k.old.RestartCount, k.old.LastTerminationState
	case rebooted:
		s.LastTerminationState.Terminated = k.wentDown()
	case r.status != statusWaiting && (k.ran || r.status == statusRunning):
		s.LastTerminationState.Terminated = k.before()
	}
	switch present := k.present(); r.status {
	case statusRunning:
		k.created(&s)
		s.State.Running, s.Ready, s.Started = &corev1.ContainerStateRunning{StartedAt: present}, !r.unready, new(true)
	case statusLost:
		s.State.Terminated = k.neverSeen()
	case statusWaiting, statusRestarting:
		k.waits(&s)
	default:
		if k.ran {
			k.down(&s, present)
			break
		}
		if k.waits(&s); len(k.pod.Spec.InitContainers) == 0 {
			s.State = corev1.ContainerState{Terminated: k.neverSeen()}
		}
	}
	return s
}

// down is the state of a container that has ended, or has ended and waits.
func (k *kubeletContainer) down(s *corev1.ContainerStatus, began metav1.Time) {
	k.created(s)
	end := k.ended(int32(k.r.exitCode), began, k.r.restarts)
	if told := k.toldEnd(); told != nil {
		end = told
	}
	if k.r.status != statusBackOff {
		s.State.Terminated = end
		return
	}
	s.LastTerminationState.Terminated = end
	s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: fmt.Sprintf(
		"back-off %s restarting failed container=%s pod=%s_%s(%s)", k.r.backoff, k.c.Name, k.pod.Name, k.pod.Namespace, k.pod.UID)}
}

// toldEnd is how the present run ended, if that is told already.
func (k *kubeletContainer) toldEnd() *corev1.ContainerStateTerminated {
	switch {
	case k.old.RestartCount != int32(k.r.restarts):
		return nil
	case k.old.State.Terminated != nil:
		return k.old.State.Terminated
	case k.old.State.Waiting != nil:
		return k.old.LastTerminationState.Terminated
	}
	return nil
}

// present is when the present run began.
func (k *kubeletContainer) present() metav1.Time {
	switch running := k.old.State.Running; {
	case running != nil && k.old.RestartCount == int32(k.r.restarts):
		return running.StartedAt
	case k.r.restarts == 0:
		return k.start
	}
	return k.now
}

// before is how the run before the present one ended.
func (k *kubeletContainer) before() *corev1.ContainerStateTerminated {
	old, last := k.old.State, k.old.LastTerminationState.Terminated
	switch {
	case k.old.RestartCount == int32(k.r.restarts) && !k.r.lost:
		return last
	case old.Terminated != nil:
		return old.Terminated
	case k.r.lost && last == nil:
		return k.wentDown()
	case old.Running != nil && !k.r.lost:
		return k.ended(int32(k.r.exitCode), old.Running.StartedAt, uint16(k.old.RestartCount))
	}
	return last
}

func (k *kubeletContainer) ofInit(s corev1.ContainerStatus) corev1.ContainerStatus {
	switch {
	case k.r.status == statusWaiting:
		k.waits(&s)
		return s
	case k.r.status == statusTerminated && !k.ran:
		k.waits(&s)
		return s
	case k.old.State.Terminated != nil && !k.r.lost: // it does not run anew
		return *k.old.DeepCopy()
	}
	k.created(&s)
	began := k.start
	if k.r.restarts > 0 {
		began = k.now
	}
	s.State.Terminated, s.Ready = k.ended(0, began, k.r.restarts), true
	return s
}

func (k *kubeletContainer) blank() corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: k.c.Name, Image: k.c.Image, Started: new(false)}
	for _, m := range k.c.VolumeMounts {
		v := corev1.VolumeMountStatus{Name: m.Name, MountPath: m.MountPath, ReadOnly: m.ReadOnly}
		if m.ReadOnly {
			v.RecursiveReadOnly = new(corev1.RecursiveReadOnlyDisabled)
		}
		s.VolumeMounts = append(s.VolumeMounts, v)
	}
	return s
}

// created adds what the runtime knows of a container.
func (k *kubeletContainer) created(s *corev1.ContainerStatus) {
	s.ContainerID = containerID(string(k.pod.UID), []byte(k.c.Name), uint64(s.RestartCount))
	s.ImageID = string(appendImageID(nil, []byte(k.c.Image)))
	if k.r.spare {
		return
	}
	s.Resources, s.AllocatedResources = k.c.Resources.DeepCopy(), k.c.Resources.Requests
	s.User = &corev1.ContainerUser{Linux: &corev1.LinuxContainerUser{SupplementalGroups: []int64{0}}}
}

func (k *kubeletContainer) waits(s *corev1.ContainerStatus) {
	s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	if len(k.pod.Spec.InitContainers) > 0 {
		s.State.Waiting.Reason = "PodInitializing"
	}
}

func (k *kubeletContainer) ended(code int32, began metav1.Time, restarts uint16) *corev1.ContainerStateTerminated {
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, StartedAt: began, FinishedAt: k.now,
		ContainerID: containerID(string(k.pod.UID), []byte(k.c.Name), uint64(restarts))}
}

func (k *kubeletContainer) wentDown() *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown",
		Message: "The container could not be located when the pod was deleted.  The container used to be Running"}
}

func (k *kubeletContainer) neverSeen() *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown",
		Message: "The container could not be located when the pod was terminated"}
}
