package apiserver

// InstancePrefix begins the groups that name instances of components.
const InstancePrefix = "planecheck:instance:"

// InstanceGroup is the group of one scheduler or controller manager, by which it is
// known in the audit logs; see Config.Accountable. It gives no rights.
func InstanceGroup(name string) string { return InstancePrefix + name }

// writersPolicyText logs what schedulers and controller managers write, the latter
// also as the service accounts of their controllers, when it is answered: who, what
// and when; of their Leases also the content. Events and reviews change nothing.
const writersPolicyText = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
omitManagedFields: true
rules:
- level: None
  verbs: [get, list, watch]
- level: None
  resources:
  - {group: "", resources: [events]}
  - {group: events.k8s.io}
  - {group: authentication.k8s.io}
  - {group: authorization.k8s.io}
- level: Request
  users: [system:kube-scheduler, system:kube-controller-manager]
  resources:
  - {group: coordination.k8s.io, resources: [leases]}
- level: Metadata
  users: [system:kube-scheduler, system:kube-controller-manager]
- level: Metadata
  userGroups: [system:serviceaccounts:kube-system]
- level: None
`

// nameInstances gives each scheduler, and each controller manager before which
// nothing stands, a kubeconfig that tells it from the others.
func (c *ControlPlane) nameInstances(server string) error {
	if !c.cfg.Accountable {
		return nil
	}
	kinds := []string{KubeScheduler}
	if c.cfg.Before == nil {
		kinds = append(kinds, KubeControllerManager)
	}
	for _, kind := range kinds {
		for _, name := range c.namesOf(kind) {
			if err := writeKubeconfig(c.keys.cluster, c.layout.kubeconfigOf(name), server, "system:"+kind, InstanceGroup(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// AuditLogs are the paths of the servers' audit logs, nil without Config.AuditLog
// and Config.Accountable.
func (c *ControlPlane) AuditLogs() []string {
	if !c.cfg.AuditLog && !c.cfg.Accountable {
		return nil
	}
	var paths []string
	for _, name := range c.namesOf(KubeAPIServer) {
		paths = append(paths, c.layout.auditLog(name))
	}
	return paths
}
