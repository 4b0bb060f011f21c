// Package hollow runs Kubernetes' own hollow node: the kubelet's code over a
// fake container runtime, and kube-proxy's over a fake backend. It takes the
// process over (global flags, metrics, fatal logs), so it belongs into a process
// of its own.
package hollow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	remote "k8s.io/cri-client/pkg"
	fakeremote "k8s.io/cri-client/pkg/fake"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	cadvisortest "k8s.io/kubernetes/pkg/kubelet/cadvisor/testing"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubemark"
	proxy "k8s.io/kubernetes/pkg/proxy/kubemark"
)

// Node says which node to run, and against what.
type Node struct {
	Name       string
	Dir        string // for its files; it must exist
	Server     string // https://host:port
	CAFile     string
	Token      string // of system:node:<Name>
	ProxyToken string // of system:kube-proxy
}

// protobuf is the content type of kubelet and kube-proxy
// (contentType in KubeletConfiguration and KubeProxyConfiguration).
const protobuf = "application/vnd.kubernetes.protobuf"

// runtimeTimeout bounds the wait for the fake container runtime, which listens
// on a Unix socket in this process.
const runtimeTimeout = 15 * time.Second

// Run runs the hollow node until standard input ends, so that it cannot outlive
// the process that started it.
func Run(ctx context.Context, n Node) error {
	failed := make(chan error, 2)
	go func() { failed <- n.runKubelet(ctx) }()
	go func() { failed <- n.runProxy(ctx) }()
	parent := make(chan struct{})
	go func() {
		defer close(parent)
		_, _ = io.Copy(io.Discard, os.Stdin) // returns when the parent ends
	}()
	select {
	case <-parent:
		return nil
	case err := <-failed:
		return fmt.Errorf("run hollow node %s: %w", n.Name, err)
	}
}

func (n Node) config(agent, token string) *rest.Config {
	return &rest.Config{
		Host:            n.Server,
		BearerToken:     token,
		UserAgent:       agent,
		TLSClientConfig: rest.TLSClientConfig{CAFile: n.CAFile},
		ContentConfig:   rest.ContentConfig{ContentType: protobuf},
		QPS:             50, // kubeAPIQPS and kubeAPIBurst of KubeletConfiguration
		Burst:           100,
	}
}

func (n Node) runKubelet(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	flags, config := kubemark.GetHollowKubeletConfig(&kubemark.HollowKubeletOptions{
		NodeName: n.Name, KubeletPort: port, MaxPods: 110,
	})
	config.Address = "127.0.0.1"
	if err := n.keepFiles(flags, config); err != nil {
		return err
	}

	client, err := clientset.NewForConfig(n.config("hollow-kubelet", n.Token))
	if err != nil {
		return fmt.Errorf("create kubelet's client: %w", err)
	}
	heartbeat, err := clientset.NewForConfig(n.heartbeatConfig(config))
	if err != nil {
		return fmt.Errorf("create kubelet's heartbeat client: %w", err)
	}
	endpoint, err := fakeremote.GenerateEndpoint()
	if err != nil {
		return fmt.Errorf("place the fake runtime: %w", err)
	}
	fake := fakeremote.NewFakeRemoteRuntime()
	if err := fake.Start(endpoint); err != nil {
		return fmt.Errorf("start the fake runtime: %w", err)
	}
	runtime, err := remote.NewRemoteRuntimeServiceBuilder().
		WithEndpoint(endpoint).WithConnectionTimeout(runtimeTimeout).Build(ctx)
	if err != nil {
		return fmt.Errorf("connect to the fake runtime: %w", err)
	}
	kubemark.NewHollowKubelet(flags, config, client, heartbeat,
		&cadvisortest.Fake{NodeName: n.Name}, fake.ImageService, runtime,
		cm.NewStubContainerManager()).Run(ctx) // does not return
	return errors.New("kubelet ended")
}

// keepFiles moves the kubelet's files from the directory that kubemark makes in
// /tmp, and leaves there, to the node's own.
func (n Node) keepFiles(flags *options.KubeletFlags, config *kubeletconfig.KubeletConfiguration) error {
	if err := os.RemoveAll(flags.RootDirectory); err != nil {
		return fmt.Errorf("remove kubemark's directory: %w", err)
	}
	flags.RootDirectory = filepath.Join(n.Dir, "kubelet")
	config.StaticPodPath = filepath.Join(n.Dir, "static-pods")
	config.PodLogsDir = filepath.Join(n.Dir, "pod-logs")
	for _, dir := range []string{flags.RootDirectory, config.StaticPodPath, config.PodLogsDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the kubelet's directories: %w", err)
		}
	}
	return nil
}

// heartbeatConfig is for leases and node status, which the kubelet sends without
// a client-side rate limit and with a timeout
// (kubeClientConfigOverrides and heartbeatClientConfig in cmd/kubelet/app/server.go).
func (n Node) heartbeatConfig(kubelet *kubeletconfig.KubeletConfiguration) *rest.Config {
	config := n.config("hollow-kubelet", n.Token)
	config.QPS = -1
	lease := time.Duration(kubelet.NodeLeaseDurationSeconds) * time.Second
	config.Timeout = min(kubelet.NodeStatusUpdateFrequency.Duration, lease)
	return config
}

func (n Node) runProxy(ctx context.Context) error {
	client, err := clientset.NewForConfig(n.config("hollow-proxy", n.ProxyToken))
	if err != nil {
		return fmt.Errorf("create kube-proxy's client: %w", err)
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	recorder := broadcaster.NewRecorder(legacyscheme.Scheme, "kube-proxy")
	if err := proxy.NewHollowProxy(n.Name, client, client.CoreV1(), broadcaster, recorder).Run(); err != nil {
		return fmt.Errorf("kube-proxy: %w", err)
	}
	return errors.New("kube-proxy ended")
}

// freePort returns a port that is free now. The kubelet takes no listener, so
// somebody else may be quicker; then it ends and says so.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a port for the kubelet: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
