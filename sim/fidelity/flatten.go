package fidelity

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// body turns a decoded JSON body into one value per path: the path of a list's
// element has its type or name in brackets, "status.conditions[Ready].status".
func (s Side) body(body any) map[string]string {
	fields := map[string]string{}
	if body != nil {
		s.flatten("body", body, fields)
	}
	return fields
}

func (s Side) flatten(path string, value any, into map[string]string) {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 0 {
			into[path] = "{}"
		}
		for key, member := range v {
			s.flatten(path+"."+s.placeholders("", key), member, into)
		}
	case []any:
		switch {
		case len(v) == 0:
			into[path] = "[]"
		case strings.HasSuffix(path, ".managedFields"):
			into[path] = "<managed fields>"
		case strings.Contains(path, "$setElementOrder"):
			into[path] = s.order(v)
		default:
			s.flattenList(path, v, into)
		}
	default:
		into[path] = s.scalar(path, v)
	}
}

func (s Side) flattenList(path string, list []any, into map[string]string) {
	for i, element := range list {
		s.flatten(fmt.Sprintf("%s[%s]", path, s.elementKey(i, element)), element, into)
	}
}

// elementKey names an element of a list by its merge key, as far as the kinds
// that a node writes have one.
func (s Side) elementKey(i int, element any) string {
	if object, ok := element.(map[string]any); ok {
		for _, key := range []string{"type", "name"} {
			if name, ok := object[key].(string); ok {
				return s.placeholders(key, name)
			}
		}
	}
	return fmt.Sprint(i)
}

// order renders a $setElementOrder directive, whose order is its meaning.
func (s Side) order(list []any) string {
	keys := make([]string, len(list))
	for i, element := range list {
		keys[i] = s.elementKey(i, element)
	}
	return strings.Join(keys, " ")
}

func (s Side) scalar(path string, value any) string {
	text, ok := value.(string)
	if !ok {
		encoded, err := json.Marshal(value)
		if err != nil {
			return fmt.Sprint(value) // cannot be: it was decoded from JSON
		}
		return string(encoded)
	}
	return s.placeholders(path[strings.LastIndexByte(path, '.')+1:], text)
}

var (
	timeValue    = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	uidValue     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	addressValue = regexp.MustCompile(`^\d+\.\d+\.\d+\.\d+$`)
)

// placeholders replaces what differs by nature between two nodes. name is the
// last element of the field's path, or a query parameter.
func (s Side) placeholders(name, value string) string {
	switch name {
	case "resourceVersion":
		return "<version>"
	case "timeoutSeconds":
		return "<seconds>" // random in every reflector
	case "timeout":
		return "<duration>"
	case "containerID":
		return "<container>" // <runtime>://<id>
	}
	value = timeValue.ReplaceAllString(value, "<time>")
	value = uidValue.ReplaceAllString(value, "<uid>")
	value = addressValue.ReplaceAllString(value, "<address>")
	value = replaceName(value, s.Node, "<node>")
	return replaceName(value, s.Namespace, "<namespace>")
}

func replaceName(value, name, placeholder string) string {
	if name == "" {
		return value
	}
	return strings.ReplaceAll(value, name, placeholder)
}
