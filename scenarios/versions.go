package scenarios

import (
	"runtime"
	"runtime/debug"

	componentversion "k8s.io/component-base/version"
)

// Version is a name and the version that is linked under it.
type Version struct{ Name, Version string }

// reported are the modules whose versions decide what a run means.
var reported = []string{
	"k8s.io/kubernetes",
	"k8s.io/apiserver",
	"k8s.io/client-go",
	"go.etcd.io/etcd/server/v3",
	"go.etcd.io/etcd/tests/v3",
	"google.golang.org/grpc",
}

// LinkedVersions reports the versions of planecheck, of the Kubernetes that
// the components will say they are, of Go, and of the modules that were really
// linked (after replacement), as the build recorded them.
func LinkedVersions(planecheck string, info *debug.BuildInfo) []Version {
	versions := []Version{
		{"planecheck", planecheck},
		{"kubernetes (as served)", componentversion.Get().GitVersion},
		{"go", runtime.Version()},
	}
	if info == nil {
		return versions
	}
	linked := linkedModules(info)
	for _, path := range reported {
		if v, ok := linked[path]; ok {
			versions = append(versions, Version{path, v})
		}
	}
	return versions
}

// linkedModules are the versions of all modules, by path, after replacement.
func linkedModules(info *debug.BuildInfo) map[string]string {
	linked := map[string]string{}
	for _, m := range info.Deps {
		version := m.Version
		if m.Replace != nil {
			version = m.Replace.Version
		}
		linked[m.Path] = version
	}
	return linked
}
