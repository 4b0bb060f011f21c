package apiserver

import "crypto/rand"

// standBefore puts what Config.Before makes between each controller manager and
// the API servers. It returns who they are then, nobody if there is no such thing.
func (c *ControlPlane) standBefore() ([]Identity, error) {
	if c.cfg.Before == nil {
		return nil, nil
	}
	manager := Identity{Token: rand.Text(), User: "system:" + KubeControllerManager}
	before := func() (string, []byte, error) { return c.cfg.Before(c.Addr(), c.CA()) }
	err := c.layout.writeManagerKubeconfigs(c.namesOf(KubeControllerManager), before, manager.Token)
	return []Identity{manager}, err
}
