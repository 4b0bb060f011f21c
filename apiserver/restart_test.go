package apiserver

import (
	"context"
	"crypto/tls"
	"errors"
	"math/big"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRestart checks that a restarted component is another process at the same
// address, whose certificate differs, and that nobody takes it for a death.
func TestRestart(t *testing.T) {
	cfg, life := servingConfig(t)
	cfg.Servers = 2
	c := startServing(t, cfg)
	const name = "kube-apiserver-1"
	before := c.find(name)
	certificate := serial(t, c, before.Addr)
	ctx, cancel := context.WithTimeout(t.Context(), testBound)
	defer cancel()
	if err := c.Restart(ctx, name, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	after := c.find(name)
	if state, err := c.ExitState(name); err == nil {
		t.Errorf("%s runs, and ended with %q", name, state)
	}
	if after.PID == before.PID || after.Addr != before.Addr {
		t.Errorf("process %d at %s is now %d at %s", before.PID, before.Addr, after.PID, after.Addr)
	}
	if serial(t, c, after.Addr).Cmp(certificate) == 0 {
		t.Error("the certificate is still the same")
	}
	if got := len(c.Components()); got != 4 {
		t.Errorf("%d components, want 4", got)
	}
	if stats := c.Balancer().Stats(); len(stats) != 2 {
		t.Errorf("backends of the balancer: %+v", stats)
	}
	select {
	case died := <-c.Died():
		t.Errorf("taken for a death: %v", died)
	default:
	}
	if err := c.Restart(ctx, "kube-proxy-0", syscall.SIGKILL); err == nil {
		t.Error("a component that there is not was restarted")
	}

	// The new one dies of itself, and that is told.
	if err := syscall.Kill(after.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if died := <-c.Died(); died.Name != name {
		t.Errorf("%v died", died)
	}
	if state, err := c.ExitState(name); state != "signal: killed" {
		t.Errorf("%s ended with %q, %v", name, state, err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if err := c.Restart(ctx, "kube-scheduler-0", syscall.SIGTERM); err == nil {
		t.Errorf("a stopped control plane started something, see %s", life)
	}
	if _, err := c.spawn(KubeScheduler, "kube-scheduler-0"); !errors.Is(err, errStopping) {
		t.Errorf("started after Stop: %v", err)
	}
}

func serial(t *testing.T, c *ControlPlane, addr string) *big.Int {
	t.Helper()
	admin, err := c.keys.cluster.Client(adminUser, adminGroup)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{admin.TLS()}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber
}

// TestSucceed checks that a component which ends because it lost the lead is
// started again where the plan says so, and that any other end is a death.
func TestSucceed(t *testing.T) {
	const name = "kube-scheduler-0"
	resign := func(t *testing.T, supervised bool, lastWords string) *ControlPlane {
		t.Helper()
		cfg, _ := servingConfig(t)
		cfg.Supervised, cfg.Forgiven = supervised, []string{"its cache is corrupted"}
		c := startServing(t, cfg)
		before := c.find(name)
		f, err := os.OpenFile(before.LogFile, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(lastWords + strings.Repeat("\nshutting down a controller", 2*tailLines) + "\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(before.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		return c
	}
	t.Run("it lost the lead", func(t *testing.T) {
		c := resign(t, true, `E1122 07:00:00.000000 1 server.go:337] "Leaderelection lost"`)
		before := c.find(name).PID
		deadline := time.After(testBound)
		for len(c.Resignations()) == 0 || c.find(name).PID == before {
			select {
			case died := <-c.Died():
				t.Fatalf("taken for a death: %v", died)
			case <-deadline:
				t.Fatalf("not started again: %+v", c.Resignations())
			case <-time.After(time.Millisecond):
			}
		}
		if r := c.Resignations(); len(r) != 1 || r[0].Component != name || r[0].At == 0 {
			t.Errorf("resignations: %+v", r)
		}
	})
	t.Run("it is forgiven", func(t *testing.T) {
		c := resign(t, true, `E1122 07:00:00.000000 1 cache.go:662] "Its cache is corrupted and so on"`)
		before := c.find(name).PID
		deadline := time.After(testBound)
		for c.find(name).PID == before {
			select {
			case died := <-c.Died():
				t.Fatalf("taken for a death: %v", died)
			case <-deadline:
				t.Fatal("not started again")
			case <-time.After(time.Millisecond):
			}
		}
		if r := c.Resignations(); len(r) != 0 {
			t.Errorf("resignations: %+v", r)
		}
	})
	for what, c := range map[string]*ControlPlane{
		"it lost the lead, and nobody supervises it": resign(t, false, "leaderelection lost"),
		"it is forgiven, and nobody supervises it":   resign(t, false, "its cache is corrupted"),
		"it died of something else":                  resign(t, true, "panic: assignment to entry in nil map"),
	} {
		select {
		case died := <-c.Died():
			if died.Name != name || len(c.Resignations()) > 0 {
				t.Errorf("%s: %v died, resignations %+v", what, died, c.Resignations())
			}
		case <-time.After(testBound):
			t.Errorf("%s: its death was not told", what)
		}
	}
}
