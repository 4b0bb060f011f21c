package manifest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Annotated is something in a manifest that has annotations: an object, or a template of
// pods in one.
type Annotated struct {
	Annotations   map[string]string
	Pod           bool   // it is a pod, or a template of pods
	RestartPolicy string // of the pods; "": it is not given, which is Always
}

// CheckAnnotations asks about every object and about every template of pods in one,
// wherever it stands. The error is an InputError.
func (m *Manifest) CheckAnnotations(check func(Annotated) error) error {
	var errs []error
	for _, o := range m.Objects {
		if _, pod := podSpec(o.Object); !pod {
			if err := check(Annotated{Annotations: o.GetAnnotations()}); err != nil {
				errs = append(errs, m.at(o.Line, refusal{fmt.Errorf("%s: %w", o, err)}))
			}
		}
		eachTemplate(o.Object, "", func(path string, a Annotated) {
			if err := check(a); err != nil {
				errs = append(errs, m.at(o.Line, refusal{fmt.Errorf("%s: %s%w", o, path, err)}))
			}
		})
	}
	return blame(errors.Join(errs...))
}

// podSpec is what makes something a pod or a template of pods: a specification with
// containers.
func podSpec(of map[string]any) (map[string]any, bool) {
	spec := child(of, "spec")
	_, ok := spec["containers"].([]any)
	return spec, ok
}

// eachTemplate finds the pods and the templates of pods in a part of an object. The path
// is empty for the object itself, and ends with a colon and a space otherwise.
func eachTemplate(value any, path string, found func(path string, a Annotated)) {
	switch value := value.(type) {
	case map[string]any:
		if spec, ok := podSpec(value); ok {
			policy, _ := spec["restartPolicy"].(string)
			at := path
			if at != "" {
				at += ": "
			}
			found(at, Annotated{Annotations: texts(child(value, "metadata")["annotations"]), Pod: true, RestartPolicy: policy})
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			below := key
			if path != "" {
				below = path + "." + key
			}
			eachTemplate(value[key], below, found)
		}
	case []any:
		for i, item := range value {
			eachTemplate(item, fmt.Sprintf("%s[%d]", path, i), found)
		}
	}
}

// texts are the texts of a map; what else is in it is for others to complain about.
func texts(of any) map[string]string {
	all, _ := of.(map[string]any)
	found := map[string]string{}
	for key, value := range all {
		if text, ok := value.(string); ok {
			found[key] = text
		}
	}
	return found
}
