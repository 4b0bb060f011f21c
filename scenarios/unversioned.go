package scenarios

import (
	"runtime/debug"
	"strings"

	clientversion "k8s.io/client-go/pkg/version"
	componentversion "k8s.io/component-base/version"
)

// linkedVersions are those of the Kubernetes that is linked into this binary.
type linkedVersions struct {
	kubernetes string // what the components report, e.g. v1.37.1
	client     string // what client-go reports in its user agent
	module     string // version of the module k8s.io/kubernetes that was compiled; "" in a test binary, which has no list of modules
}

// RefuseUnversioned refuses a binary that a plain `go build` has made: its servers
// would call themselves v0.0.0-master+$Format:%H$, which clients do not parse, and so
// would every record of a run.
func RefuseUnversioned() error {
	linked := linkedVersions{kubernetes: componentversion.Get().GitVersion, client: clientversion.Get().GitVersion}
	if build, ok := debug.ReadBuildInfo(); ok {
		linked.module = linkedModules(build)["k8s.io/kubernetes"]
	}
	return linked.check()
}

// check finds Kubernetes versions that the linker was not told, or wrongly.
//
// Upstream sets the version with the linker (hack/lib/version.sh), in the two packages
// that hold one, and so must every build of ours that links the components: see
// K8S_LDFLAGS in the Makefile. The version is that of the module. The build date and
// gitCommit stay unset: the module proxy does not tell the commit.
func (v linkedVersions) check() error {
	for _, reported := range []string{v.kubernetes, v.client} {
		switch {
		case strings.HasPrefix(reported, "v0.0.0"):
			return Usagef("the linked Kubernetes reports version %s: it was built without the -X linker flags, use `make build`", reported)
		case v.module != "" && reported != v.module:
			return Usagef("the linked Kubernetes reports version %s but is module version %s: correct the -X linker flags", reported, v.module)
		}
	}
	return nil
}
