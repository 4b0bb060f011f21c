package object

import (
	"fmt"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/history/wire"
)

// serviceLabel names the Service of an EndpointSlice.
// https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetesioservice-name
const serviceLabel = "kubernetes.io/service-name"

func readService(v *history.Version, raw []byte) error {
	spec, err := text(raw, 2)
	if err != nil {
		return err
	}
	var selector []string
	f := wire.Walk(spec)
	for f.Next() {
		switch f.Number() {
		case 2:
			name, value, err := entry(f.Bytes())
			f.Nest(err)
			selector = append(selector, string(name)+"="+string(value))
		case 3:
			set(v, FieldClusterIP, string(f.Bytes()))
		case 4:
			set(v, "spec.type", word(f.Bytes()))
		case 13:
			if f.Integer() != 0 {
				set(v, FieldPublishNotReady, "true")
			}
		}
	}
	slices.Sort(selector)
	set(v, FieldSelector, strings.Join(selector, ","))
	return f.Err()
}

// labelSelector writes a metav1.LabelSelector as the labelSelector parameter
// has it, its terms sorted.
func labelSelector(b []byte) (string, error) {
	var terms []string
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			name, value, err := entry(f.Bytes())
			f.Nest(err)
			terms = append(terms, string(name)+"="+string(value))
		case 2:
			term, err := requirement(f.Bytes())
			f.Nest(err)
			terms = append(terms, term)
		}
	}
	slices.Sort(terms)
	return strings.Join(terms, ","), f.Err()
}

func requirement(b []byte) (string, error) {
	var key, operator string
	var values []string
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 1:
			key = string(f.Bytes())
		case 2:
			operator = string(f.Bytes())
		case 3:
			values = append(values, string(f.Bytes()))
		}
	}
	if f.Err() != nil {
		return "", f.Err()
	}
	slices.Sort(values)
	switch operator {
	case "In", "NotIn":
		return key + " " + strings.ToLower(operator) + " (" + strings.Join(values, ",") + ")", nil
	case "Exists":
		return key, nil
	case "DoesNotExist":
		return "!" + key, nil
	}
	return "", fmt.Errorf("label selector: no operator %q", operator)
}

func readSlice(v *history.Version, raw []byte) error {
	var list []string
	f := wire.Walk(raw)
	for f.Next() {
		if f.Number() == 2 {
			endpoint, err := readEndpoint(f.Bytes())
			f.Nest(err)
			list = append(list, endpoint)
		}
	}
	slices.Sort(list)
	set(v, FieldEndpoints, strings.Join(list, ","))
	service, _ := v.Label(serviceLabel)
	set(v, FieldService, service)
	return f.Err()
}

// readEndpoint follows the rule that a missing condition means ready
// (EndpointConditions in k8s.io/api/discovery/v1).
func readEndpoint(b []byte) (string, error) {
	var uid []byte
	ready := true
	f := wire.Walk(b)
	for f.Next() {
		switch f.Number() {
		case 2:
			conditions := wire.Walk(f.Bytes())
			for conditions.Next() {
				if conditions.Number() == 1 {
					ready = conditions.Integer() != 0
				}
			}
			f.Nest(conditions.Err())
		case 4:
			target, err := text(f.Bytes(), 4)
			f.Nest(err)
			uid = target
		}
	}
	return fmt.Sprintf("%s:%t", uid, ready), f.Err()
}
