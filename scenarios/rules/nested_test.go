package rules

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// `go list ./...`, and so vet and staticcheck of lint, end where another module begins.
// To compile what those link takes minutes, so lint reads them only: what can be seen
// in the files alone is looked at here.
func TestNestedModules(t *testing.T) {
	mods := files(t, func(path string) bool { return filepath.Base(path) == "go.mod" && path != "go.mod" })
	if len(mods) < 3 {
		t.Fatalf("there are only %q; the check would prove nothing", mods)
	}
	sources := files(t, func(path string) bool { return strings.HasSuffix(path, ".go") })
	for _, mod := range mods {
		dir := filepath.Dir(mod)
		var own []*ast.File
		for _, path := range sources {
			if below(path, dir) {
				own = append(own, parseGo(t, string(mustRead(t, "../../"+path))))
			}
		}
		for _, flaw := range flaws(parse(t, mustRead(t, "../../"+mod)), own) {
			t.Errorf("%s: %s", dir, flaw)
		}
	}
}

func TestFlawIsSeen(t *testing.T) {
	const mod = "module m\ngo 1.26.0\nrequire (\n\ta.org/b v1.0.0\n\ta.org/b/c v1.0.0\n\td.org/e v1.0.0 // indirect\n)\n"
	const doc = "// Package m is one.\n"
	f := func(want string, sources ...string) {
		t.Helper()
		var own []*ast.File
		for _, s := range sources {
			own = append(own, parseGo(t, s))
		}
		if got := strings.Join(flaws(parse(t, []byte(mod)), own), "; "); got != want {
			t.Errorf("%q\nit says %q, want %q", sources, got, want)
		}
	}
	both := "package m\nimport (\n\t\"fmt\"\n\t_ \"m/own\"\n\t_ \"a.org/b/x\"\n\t_ \"a.org/b/c\"\n)\n"
	f("", doc+both)
	f("", both, doc+"package m\n")
	f("package m has no comment", both)
	f("a.org/b/c is required and imported by nobody", doc+"package m\nimport _ \"a.org/b/x\"\n")
	f("d.org/e is imported, and required as indirect", doc+both+"import _ \"d.org/e/x\"\n")
	f("a.org/bad is imported, and not required", doc+both+"import _ \"a.org/bad\"\n")
	f("it has no files")
}

// flaws are what is wrong with a module of one package, as far as its files say: with
// the comment of the package, and with which modules it requires.
func flaws(mod *modfile.File, sources []*ast.File) (found []string) {
	if len(sources) == 0 {
		return []string{"it has no files"}
	}
	if !slices.ContainsFunc(sources, func(f *ast.File) bool { return f.Doc.Text() != "" }) {
		found = append(found, fmt.Sprintf("package %s has no comment", sources[0].Name))
	}
	var used []string
	for _, path := range imports(sources) {
		domain, _, _ := strings.Cut(path, "/")
		if !strings.Contains(domain, ".") || below(path, mod.Module.Mod.Path) {
			continue // of the standard library, or its own
		}
		switch r := provider(mod, path); {
		case r == nil:
			found = append(found, path+" is imported, and not required")
		case r.Indirect:
			found = append(found, r.Mod.Path+" is imported, and required as indirect")
		default:
			used = append(used, r.Mod.Path)
		}
	}
	for _, r := range mod.Require {
		if !r.Indirect && !slices.Contains(used, r.Mod.Path) {
			found = append(found, r.Mod.Path+" is required and imported by nobody")
		}
	}
	return found
}

// provider is the requirement that has a package: the longest that fits.
func provider(mod *modfile.File, path string) (best *modfile.Require) {
	for _, r := range mod.Require {
		if below(path, r.Mod.Path) && (best == nil || len(r.Mod.Path) > len(best.Mod.Path)) {
			best = r
		}
	}
	return best
}

func imports(sources []*ast.File) (paths []string) {
	for _, f := range sources {
		for _, spec := range f.Imports {
			path, _ := strconv.Unquote(spec.Path.Value) // it was parsed
			if !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

func parseGo(t *testing.T, source string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
