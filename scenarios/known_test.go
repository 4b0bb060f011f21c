package scenarios

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/planecheck/planecheck/checkers/power/known"
	"github.com/planecheck/planecheck/results"
)

// What a run says of itself is in the list of guarantees that the proof of power goes
// by, so that one about which nobody lies is named as unproven. The list is compared
// with what the source names as the guarantee of a verdict.
func TestGuaranteesOfRunsAreKnown(t *testing.T) {
	named := []string{}
	for _, dir := range []string{".", "faults"} {
		named = append(named, namedGuarantees(t, dir)...)
	}
	named = slices.DeleteFunc(named, func(g string) bool { return g == results.StorageHistory }) // no promise of anybody
	for _, g := range named {
		if !slices.Contains(known.OfRun(), g) {
			t.Errorf("%s is judged, and package known does not list it", g)
		}
	}
	if len(named) < 10 {
		t.Errorf("the source names %q only", named)
	}
}

// namedGuarantees are what the composite literals of a directory give as Guarantee: a
// text or a constant of the same directory. Others are names that come from elsewhere.
func namedGuarantees(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	constants, used := map[string]string{}, []ast.Expr{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, value := range n.Values {
					if text, ok := literal(value); ok && i < len(n.Names) {
						constants[n.Names[i].Name] = text
					}
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Guarantee" {
					used = append(used, n.Value)
				}
			}
			return true
		})
	}
	for _, value := range used {
		text, ok := literal(value)
		if name, is := value.(*ast.Ident); is {
			text, ok = constants[name.Name]
		}
		if ok {
			names = append(names, text)
		}
	}
	return names
}

func literal(e ast.Expr) (string, bool) {
	b, ok := e.(*ast.BasicLit)
	if !ok || b.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(b.Value)
	return text, err == nil
}
