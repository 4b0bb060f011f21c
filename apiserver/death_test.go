package apiserver

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// A controller manager that ends because its API server was killed may be reaped before
// the server is: the server is what died.
func TestAServerThatDiesIsTheCause(t *testing.T) {
	f := func(want string, expected bool, after time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			server := &process{name: "kube-apiserver-1", state: "signal: killed", expected: expected, exited: make(chan struct{})}
			client := ended("kube-controller-manager-0", "exit status 1")
			whole := &process{name: "kube-apiserver-0", exited: make(chan struct{})}
			c := &ControlPlane{
				died: make(chan *ComponentError, 3), log: slog.New(slog.DiscardHandler), abort: func(error) {},
				children: []child{
					{Component{Kind: KubeAPIServer}, whole}, {Component{Kind: KubeAPIServer}, server},
					{Component{Kind: KubeControllerManager}, client},
				},
			}
			go c.watch(client, KubeControllerManager)
			go c.watch(server, KubeAPIServer)
			time.Sleep(after)
			close(server.exited)
			synctest.Wait()
			time.Sleep(2 * causeBound)
			var got string
			select {
			case died := <-c.died:
				got = died.Name
			default:
			}
			if got != want {
				t.Errorf("the server ends after %s (by the plan: %t): %q is told first, want %q", after, expected, got, want)
			}
			close(whole.exited)
		})
	}
	f("kube-apiserver-1", false, 0)
	f("kube-apiserver-1", false, causeBound/2)
	f("kube-controller-manager-0", false, 2*causeBound)
	f("kube-controller-manager-0", true, causeBound/2)
}

// ended is a process that has exited by itself.
func ended(name, state string) *process {
	p := &process{name: name, state: state, exited: make(chan struct{})}
	close(p.exited)
	return p
}
