package scenarios_test

import (
	"fmt"
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/apiserver"
	"github.com/planecheck/planecheck/apiserver/storage/etcdproc"
	"github.com/planecheck/planecheck/scenarios"
)

// TestMain lets the test binary re-execute itself as an etcd member. The Kubernetes
// components are those of bin/planecheck, so that no test links them: see program.
func TestMain(m *testing.M) {
	etcdproc.Hook()
	if len(os.Args) > 1 && os.Args[1] == apiserver.Subcommand { // it would run these specs
		fmt.Fprintln(os.Stderr, "a test binary is no component: World.Program is not set")
		os.Exit(scenarios.ExitUsage)
	}
	os.Exit(m.Run())
}

func TestScenarios(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "planecheck with a real control plane")
}
