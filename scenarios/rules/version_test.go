package rules

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A version of Kubernetes that the code holds, as what simulated kubelets say they
// are, is that of go.mod: nothing else would move it. Tests may hold any.
func TestVersionsInCodeAreThatOfGoMod(t *testing.T) {
	want := requirements(parse(t, mustRead(t, "../../go.mod")))[kubernetes]
	held := files(t, func(path string) bool { return strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") })
	var holding []string
	for _, path := range held {
		versions := kubernetesVersions(t, path, mustRead(t, "../../"+path))
		if len(versions) > 0 {
			holding = append(holding, path)
		}
		for _, v := range versions {
			if v.version != want {
				t.Errorf("%s holds %s, go.mod requires %s", v.at, v.version, want)
			}
		}
	}
	if !slices.Contains(holding, "sim/nodeobject.go") {
		t.Errorf("sim/nodeobject.go holds no version; those of %q prove nothing of a simulated kubelet's", holding)
	}
}

func TestVersionsInCodeAreSeen(t *testing.T) {
	const source = "package p\n\n// v1.36.0 in a comment\nconst a = \"v1.37.1\"\n\n" +
		"var b = []string{`v1.36.0`, \"v0.37.1\", \"v1.5.0\", \"kubelet v1.36.2\", \"v1.36\"}\n"
	var got []string
	for _, v := range kubernetesVersions(t, "p.go", []byte(source)) {
		got = append(got, fmt.Sprint(v.at, " ", v.version))
	}
	if want := []string{"p.go:4:11 v1.37.1", "p.go:6:18 v1.36.0"}; !slices.Equal(got, want) {
		t.Errorf("versions %q, want %q", got, want)
	}
}

// heldVersion is a version in the code.
type heldVersion struct {
	at      token.Position
	version string
}

// kubernetesVersion is a release since v1.10.0.
var kubernetesVersion = regexp.MustCompile(`^v1\.\d\d\.\d+$`)

// kubernetesVersions are the string literals of a file that are nothing but a version
// of Kubernetes.
func kubernetesVersions(t *testing.T, name string, source []byte) (found []heldVersion) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(literal.Value); err == nil && kubernetesVersion.MatchString(text) {
			found = append(found, heldVersion{set.Position(literal.Pos()), text})
		}
		return true
	})
	return found
}
