package compare

import (
	"fmt"
	"strings"

	"github.com/planecheck/planecheck/apiserver/storage"
	"github.com/planecheck/planecheck/results/compare"
	"github.com/planecheck/planecheck/scenarios"
)

// plain is the variant without flags of its own, which those of --variant and
// --set are compared to where no backends are named.
const plain = "plain"

// Variants turns what a person wrote into what is compared, in that order:
// backends ("etcd,etcd:members=1,memory"), variants ("json:
// --apiserver-arg=--storage-media-type=application/json") and settings of the
// API servers ("json:storage-media-type=application/json"; all of one name are
// one variant). Where the backends are to be alike, those that may be with or without
// a recording proxy and do not say are behind one, as all others are. Its errors are
// usage errors.
func Variants(backends, variants, settings []string, alike bool) ([]compare.Variant, error) {
	var specs []string
	for _, list := range backends {
		specs = append(specs, storage.SplitSpecs(list)...)
	}
	l := &list{}
	for _, spec := range specs {
		if spec == "" {
			return nil, scenarios.Usagef("--backends names an empty backend")
		}
		flag := spec
		if alike {
			flag = storage.ThroughProxy(spec)
		}
		if err := l.add(spec, "--backend="+flag); err != nil {
			return nil, err
		}
	}
	if len(l.all) == 0 {
		l.all = append(l.all, compare.Variant{Name: plain})
	}
	for _, text := range variants {
		name, rest, err := named("variant", text, "NAME: --flag=value ...")
		if err != nil {
			return nil, err
		}
		flags := strings.Fields(rest)
		if len(flags) > 0 && !strings.HasPrefix(flags[0], "--") {
			return nil, scenarios.Usagef("--variant %q: %q is no flag of `planecheck run`", text, flags[0])
		}
		if err := l.add(name, flags...); err != nil {
			return nil, err
		}
	}
	if err := l.set(settings); err != nil {
		return nil, err
	}
	if len(l.all) < 2 {
		return nil, scenarios.Usagef("there is nothing to compare: name two backends or more (--backends a,b), or --variant, or --set")
	}
	return l.all, nil
}

// list is the variants so far.
type list struct{ all []compare.Variant }

func (l *list) find(name string) *compare.Variant {
	for i := range l.all {
		if l.all[i].Name == name {
			return &l.all[i]
		}
	}
	return nil
}

func (l *list) add(name string, flags ...string) error {
	if l.find(name) != nil {
		return scenarios.Usagef("%q is compared twice", name)
	}
	l.all = append(l.all, compare.Variant{Name: name, Flags: flags})
	return nil
}

// set adds settings of the API servers to the variants of their names.
func (l *list) set(settings []string) error {
	mine := map[string]bool{}
	for _, text := range settings {
		name, setting, err := named("set", text, "NAME:FLAG=VALUE, with a flag of kube-apiserver")
		if err != nil {
			return err
		}
		setting = strings.TrimLeft(setting, "-")
		if flag, _, ok := strings.Cut(setting, "="); !ok || flag == "" {
			return scenarios.Usagef("--set %q is not NAME:FLAG=VALUE", text)
		}
		if !mine[name] {
			if err := l.add(name); err != nil {
				return err
			}
			mine[name] = true
		}
		v := l.find(name)
		v.Flags = append(v.Flags, "--apiserver-arg=--"+setting)
	}
	return nil
}

// named splits "NAME: rest".
func named(flag, text, form string) (name, rest string, err error) {
	name, rest, ok := strings.Cut(text, ":")
	name = strings.TrimSpace(name)
	if !ok || name == "" || strings.HasPrefix(name, "-") {
		return "", "", scenarios.Usagef("--%s %q is not %s", flag, text, form)
	}
	return name, strings.TrimSpace(rest), nil
}

// fileName is a variant's name as part of a path.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, name)
}

// order is the variants of a round, from 1: each round begins one further on, so
// that none is always first, when the machine is cool, or always after the same.
func order(variants []compare.Variant, round int) []compare.Variant {
	n := len(variants)
	var turn []compare.Variant
	for i := range n {
		turn = append(turn, variants[(round-1+i)%n])
	}
	return turn
}

// place is the directory of a trial within the comparison's. The number keeps
// variants apart whose names become the same.
func place(round int, turn int, variant string) string {
	return fmt.Sprintf("round-%02d/%d-%s", round, turn+1, fileName(variant))
}
