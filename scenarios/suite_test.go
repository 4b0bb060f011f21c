package scenarios_test

import (
	"os"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/planecheck/planecheck/apiserver/component"
)

// TestMain lets the test binary re-execute itself as a Kubernetes component.
func TestMain(m *testing.M) {
	component.Hook()
	os.Exit(m.Run())
}

func TestScenarios(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "planecheck with a real control plane")
}
