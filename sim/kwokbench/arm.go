package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/planecheck/planecheck/sim"
)

const armKWOK = "kwok"

// arm is a running simulator.
type arm struct {
	cmd    *exec.Cmd
	stop   func() error // asks it to end
	exited chan struct{}
	err    error // of its exit; read after exited is closed
}

// stopTimeout bounds an orderly end.
const stopTimeout = 20 * time.Second

// launch starts a simulator that dies with this process.
func launch(cmd *exec.Cmd, logFile string, stop func() error) (*arm, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	defer log.Close() // the child has its own
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	a := &arm{cmd: cmd, stop: stop, exited: make(chan struct{})}
	go func() {
		defer close(a.exited)
		a.err = cmd.Wait()
	}()
	return a, nil
}

// end ends the simulator, by force if need be.
func (a *arm) end() error {
	_ = a.stop() // fails only if it is gone already
	select {
	case <-a.exited:
		return nil
	case <-time.After(stopTimeout):
		err := a.cmd.Process.Kill()
		<-a.exited
		return errors.Join(fmt.Errorf("%s did not end within %s", a.cmd.Path, stopTimeout), err)
	}
}

// alive returns an error once the simulator has ended.
func (a *arm) alive() error {
	select {
	case <-a.exited:
		return fmt.Errorf("the simulator ended: %w", errors.Join(errors.New(a.cmd.ProcessState.String()), a.err))
	default:
		return nil
	}
}

// startSim starts planecheck's simulated nodes, which register themselves.
func (p *plane) startSim(o options, profile string, logFile string) (*arm, error) {
	config, err := json.Marshal(struct {
		Servers       []string
		CA            []byte
		Nodes         int
		Profile       sim.Profile
		Seed          uint64
		ObserverToken string
	}{[]string{p.control.Addr()}, p.control.CA(), o.nodes, sim.Profile(profile), seed, p.control.AdminToken()})
	if err != nil {
		return nil, fmt.Errorf("configure simulator: %w", err)
	}
	cmd := exec.Command(o.simulator)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	a, err := launch(cmd, logFile, stdin.Close)
	if err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(stdin, "%s\n", config); err != nil {
		return nil, errors.Join(fmt.Errorf("configure simulator: %w", err), a.end())
	}
	return a, nil
}

// startKWOK starts KWOK for all nodes, which the caller creates. Leases last as
// long as a kubelet's, 40 s; by itself KWOK has none. It logs errors only: at
// its default level it writes a line for each lease renewal.
func (p *plane) startKWOK(ctx context.Context, o options, logFile string) (*arm, error) {
	config := filepath.Join(o.dir, "kwok.yaml")
	if err := writeStages(ctx, o, config); err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(o.dir, "kwok.kubeconfig")
	if err := clientcmd.WriteToFile(p.kwokConfig(), kubeconfig); err != nil {
		return nil, fmt.Errorf("write KWOK's kubeconfig: %w", err)
	}
	cmd := exec.Command(o.kwok,
		"--config="+config, "--kubeconfig="+kubeconfig, "--manage-all-nodes", "--node-ip=10.32.0.1",
		"--node-lease-duration-seconds=40", "--v=ERROR")
	cmd.Env = append(os.Environ(), "HOME="+o.dir, "KWOK_WORKDIR="+o.dir) // no settings of this machine's user
	return launch(cmd, logFile, func() error { return cmd.Process.Signal(syscall.SIGTERM) })
}

func writeStages(ctx context.Context, o options, file string) error {
	stages, err := exec.CommandContext(ctx, o.kwok, "stages").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its stages: %w", o.kwok, err)
	}
	settings := ""
	if n := o.kwokParallelism; n > 0 {
		settings = fmt.Sprintf(`---
apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options: {podPlayStageParallelism: %d, nodePlayStageParallelism: %d, nodeLeaseParallelism: %d}
`, n, n, n)
	}
	if err := os.WriteFile(file, []byte(string(stages)+"\n"+settings), 0o600); err != nil {
		return fmt.Errorf("write KWOK's configuration: %w", err)
	}
	return nil
}

func (p *plane) kwokConfig() clientcmdapi.Config {
	return clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: "https://" + p.control.Addr(), CertificateAuthorityData: p.control.CA()}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"u": {Token: kwokToken}},
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "c", AuthInfo: "u"}},
		CurrentContext: "x",
	}
}

// tail is the end of a log, for an error message.
func tail(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > 2000 {
		_, _ = f.Seek(-2000, io.SeekEnd)
	}
	var lines []string
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		lines = append(lines, scanner.Text())
	}
	return fmt.Sprint(lines)
}
