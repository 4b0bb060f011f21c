package component

import (
	"fmt"
	"runtime/debug"
	"strings"

	clientversion "k8s.io/client-go/pkg/version"
	"k8s.io/component-base/version"
)

// LinkedVersions is what is linked into this binary.
type LinkedVersions struct {
	Kubernetes string // what the components report, e.g. v1.37.1
	Client     string // what client-go reports in its user agent
	Module     string // version of the module k8s.io/kubernetes that was compiled
	Etcd       string // version of the module go.etcd.io/etcd/server/v3; "" when it is not linked
	BuildDate  string // as the components report it
	Go         string // version of the compiler
}

// Versions returns the versions of what is linked.
func Versions() LinkedVersions {
	linked := LinkedVersions{
		Kubernetes: version.Get().GitVersion,
		Client:     clientversion.Get().GitVersion,
		BuildDate:  version.Get().BuildDate,
		Go:         version.Get().GoVersion,
	}
	if build, ok := debug.ReadBuildInfo(); ok {
		linked.Module = moduleVersion(build, "k8s.io/kubernetes")
		linked.Etcd = moduleVersion(build, "go.etcd.io/etcd/server/v3")
	}
	return linked
}

func moduleVersion(build *debug.BuildInfo, path string) string {
	for _, module := range build.Deps {
		if module.Path == path {
			if module.Replace != nil {
				return module.Replace.Version
			}
			return module.Version
		}
	}
	return ""
}

// Check reports components that were linked without their version. They then
// call themselves v0.0.0-master+$Format:%H$, which clients refuse to parse.
//
// Upstream sets the version with the linker (hack/lib/version.sh), in the two
// packages that hold one, and so must every build and test of ours that links
// the components:
//
//	-ldflags "
//	  -X k8s.io/component-base/version.gitVersion=v1.37.1
//	  -X k8s.io/component-base/version.gitMajor=1
//	  -X k8s.io/component-base/version.gitMinor=37
//	  -X k8s.io/component-base/version.gitTreeState=clean
//	  -X k8s.io/component-base/version.buildDate=2026-09-23T17:06:22Z
//	  -X k8s.io/client-go/pkg/version.gitVersion=v1.37.1
//	  -X k8s.io/client-go/pkg/version.gitMajor=1
//	  -X k8s.io/client-go/pkg/version.gitMinor=37
//	  -X k8s.io/client-go/pkg/version.gitTreeState=clean
//	  -X k8s.io/client-go/pkg/version.buildDate=2026-09-23T17:06:22Z"
//
// The version is that of the module (`go list -m k8s.io/kubernetes`); the date
// is the release's, from the module proxy (`go list -m -json`, field Time), so
// that equal sources give equal binaries. gitCommit stays unset: the module
// proxy does not tell it.
func (v LinkedVersions) Check() error {
	// A test binary has no list of modules to compare with.
	want := v.Module
	for _, reported := range []string{v.Kubernetes, v.Client} {
		switch {
		case strings.HasPrefix(reported, "v0.0.0"):
			return fmt.Errorf("the linked Kubernetes reports version %s: it was built without the -X linker flags, use `make build`", reported)
		case want != "" && reported != want:
			return fmt.Errorf("the linked Kubernetes reports version %s but is module version %s: correct the -X linker flags", reported, want)
		}
	}
	return nil
}
