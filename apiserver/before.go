package apiserver

import "crypto/rand"

// writeFiles writes what components read: who there is, how they are set up, and how
// they reach the API servers.
func (c *ControlPlane) writeFiles() error {
	c.token = rand.Text()
	tokens := append([]Identity{{Token: c.token, User: adminUser, Groups: []string{adminGroup}}}, c.cfg.Tokens...)
	managers, err := c.standBefore()
	if err != nil {
		return err
	}
	if err := c.layout.writeTokens(append(tokens, managers...)); err != nil {
		return err
	}
	if err := c.layout.writeConfig(&c.cfg); err != nil {
		return err
	}
	server := c.Addr()
	if c.cfg.Servers == 1 {
		server = c.ports[componentName(KubeAPIServer, 0)].Addr()
	}
	if err := c.nameInstances(server); err != nil {
		return err
	}
	return c.layout.writeKubeconfigs(c.keys.cluster, c.Addr(), server)
}

// standBefore puts what Config.Before makes between each controller manager and
// the API servers. It returns who they are then, nobody if there is no such thing.
func (c *ControlPlane) standBefore() (managers []Identity, err error) {
	if c.cfg.Before == nil {
		return nil, nil
	}
	before := func() (string, []byte, error) { return c.cfg.Before(c.Addr(), c.CA()) }
	for _, name := range c.namesOf(KubeControllerManager) {
		manager := Identity{Token: rand.Text(), User: "system:" + KubeControllerManager, Groups: []string{InstanceGroup(name)}}
		if err := c.layout.writeManagerKubeconfig(name, before, manager.Token); err != nil {
			return nil, err
		}
		managers = append(managers, manager)
	}
	return managers, nil
}
