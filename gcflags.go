package main

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/planecheck/planecheck/scenarios"
)

// gcPercent is the flag --gogc component=percent, which may be repeated.
type gcPercent struct{ settings map[string]scenarios.GC }

func (f gcPercent) Type() string { return "component=percent" }

func (f gcPercent) String() string {
	return joinSettings(f.settings, func(g scenarios.GC) string {
		if g.Percent == 0 {
			return ""
		}
		return strconv.Itoa(g.Percent)
	})
}

// GetSlice returns what Set takes, one by one.
func (f gcPercent) GetSlice() []string { return splitSettings(f.String()) }

func (f gcPercent) Set(s string) error {
	name, value, err := splitSetting(s)
	if err != nil {
		return err
	}
	percent, err := strconv.Atoi(value)
	if err != nil || percent < 10 {
		return fmt.Errorf("%q is no GOGC of at least 10", value)
	}
	g := f.settings[name]
	g.Percent = percent
	f.settings[name] = g
	return nil
}

// gcLimit is the flag --gomemlimit component=size, which may be repeated.
type gcLimit struct{ settings map[string]scenarios.GC }

func (f gcLimit) Type() string { return "component=size" }

func (f gcLimit) String() string {
	return joinSettings(f.settings, func(g scenarios.GC) string {
		if g.MemoryLimit == 0 {
			return ""
		}
		return strconv.FormatInt(g.MemoryLimit, 10)
	})
}

// leastMemoryLimit is what an idle kube-apiserver needs.
const leastMemoryLimit = 300 << 20

// GetSlice returns what Set takes, one by one.
func (f gcLimit) GetSlice() []string { return splitSettings(f.String()) }

func (f gcLimit) Set(s string) error {
	name, value, err := splitSetting(s)
	if err != nil {
		return err
	}
	// Go writes GiB, Kubernetes Gi; both are meant.
	size, err := resource.ParseQuantity(strings.TrimSuffix(value, "B"))
	if err != nil {
		return fmt.Errorf("%q is no size such as 9GiB", value)
	}
	if size.Value() < leastMemoryLimit {
		return fmt.Errorf("%q is below 300MiB, with which no component starts", value)
	}
	g := f.settings[name]
	g.MemoryLimit = size.Value()
	f.settings[name] = g
	return nil
}

func splitSetting(s string) (name, value string, err error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return "", "", fmt.Errorf("%q is not component=value", s)
	}
	if !slices.Contains(scenarios.GCComponents(), name) {
		return "", "", fmt.Errorf("%q is no component; they are %s", name, strings.Join(scenarios.GCComponents(), ", "))
	}
	return name, value, nil
}

func splitSettings(joined string) []string {
	return strings.FieldsFunc(joined, func(r rune) bool { return r == ',' })
}

func joinSettings(settings map[string]scenarios.GC, show func(scenarios.GC) string) string {
	var parts []string
	for name, g := range settings {
		if v := show(g); v != "" {
			parts = append(parts, name+"="+v)
		}
	}
	sort.Strings(parts)
	return strings.Join(parts, ",")
}
