// Package component is the real Kubernetes: the commands of kube-apiserver,
// kube-scheduler, kube-controller-manager and kubectl, linked into this binary
// and run in a process of their own when the binary re-executes itself as
// `<self> component <kind> args...`.
//
// Importing it links all of k8s.io/kubernetes, so only the root package does, and
// it has no tests of its own: those of scenarios look at it through bin/planecheck.
package component

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // time zones of CronJobs, as upstream's kube-controller-manager has them

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/storage/cacher/consistency"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // what upstream's kubectl links
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserverapp "k8s.io/kubernetes/cmd/kube-apiserver/app"
	kcmapp "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	schedulerapp "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
)

// exitUsage is the status for a kind that is not known.
const exitUsage = 2

// Kubectl is a kind that the control plane does not have: the client, for a
// person and for tests.
const Kubectl = "kubectl"

// Kinds lists what Run can run.
func Kinds() []string { return append(apiserver.Kinds(), Kubectl) }

// Hook runs a component and exits with its status if this process was started
// as one, and returns at once otherwise; a member of the backend etcd-process
// counts as one. It belongs at the very beginning of main and of TestMain,
// before flags are parsed. It may call os.Exit because the process then is
// nothing but the component.
func Hook() {
	etcdproc.Hook()
	if len(os.Args) > 1 && os.Args[1] == apiserver.Subcommand {
		os.Exit(Run(kindAndArgs(os.Args[2:])))
	}
}

func kindAndArgs(args []string) (kind string, rest []string) {
	if len(args) == 0 {
		return "", nil
	}
	return args[0], args[1:]
}

// Run runs one component until it ends and returns its exit status. It takes
// the process over: signal handlers, os.Args, feature gates and metrics are
// the component's, so it can be called once, and the component may also end
// the process itself.
func Run(kind string, args []string) int {
	if !slices.Contains(Kinds(), kind) {
		fmt.Fprintf(os.Stderr, "planecheck %s: unknown component %q, known are %s\n",
			apiserver.Subcommand, kind, strings.Join(Kinds(), ", "))
		return exitUsage
	}
	// The commands look at os.Args in places, e.g. for kubectl's plugins: let
	// it be what their own main would have seen.
	os.Args = append([]string{kind}, args...)
	if name := os.Getenv(apiserver.HostnameEnv); name != "" && kind == apiserver.KubeAPIServer {
		genericapiserver.SetHostnameFuncForTests(name)
	}
	if text := os.Getenv(apiserver.ConsistencyEnv); text != "" && kind == apiserver.KubeAPIServer {
		period, err := time.ParseDuration(text)
		if err != nil || period <= 0 {
			fmt.Fprintf(os.Stderr, "planecheck %s: %s=%q is no period\n", apiserver.Subcommand, apiserver.ConsistencyEnv, text)
			return exitUsage
		}
		consistency.CheckPeriod = period
	}
	switch kind {
	case apiserver.KubeAPIServer:
		return cli.Run(apiserverapp.NewAPIServerCommand())
	case apiserver.KubeScheduler:
		return cli.Run(schedulerapp.NewSchedulerCommand())
	case apiserver.KubeControllerManager:
		return cli.Run(kcmapp.NewControllerManagerCommand())
	default:
		return runKubectl()
	}
}

// runKubectl does what upstream's cmd/kubectl does: verbosity is set before
// the command is built, and errors are printed kubectl's own way.
func runKubectl() int {
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args)) // a wrong -v is reported by the flag itself
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err) // exits with the status that belongs to the error
	}
	return 0
}
