package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// Object is one object of a manifest.
type Object struct {
	*unstructured.Unstructured
	Line int // of the document that it comes from, counted from 1
}

// String names the object for people.
func (o Object) String() string {
	if ns := o.GetNamespace(); ns != "" {
		return o.GetKind() + " " + ns + "/" + o.GetName()
	}
	return o.GetKind() + " " + o.GetName()
}

// Manifest is what was read from a file.
type Manifest struct {
	File    string
	Text    []byte // of the file
	Objects []Object
}

// at says where an error comes from, in the form that editors understand.
func (m *Manifest) at(line int, err error) error { return fmt.Errorf("%s:%d: %w", m.File, line, err) }

// Read parses a file.
func Read(file string) (*Manifest, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return Parse(file, data)
}

// Parse reads a manifest: YAML documents, or JSON objects one after the other,
// each an object or a list of objects. Errors begin with file and line.
func Parse(file string, data []byte) (*Manifest, error) {
	m := &Manifest{File: file, Text: data}
	docs, err := splitJSON(data)
	if err != nil {
		docs = splitYAML(data) // which JSON is a part of
	}
	for _, d := range docs {
		content, err := d.decode()
		if err != nil {
			return nil, m.located(d, err)
		}
		if content == nil { // only comments
			continue
		}
		if err := m.add(content, d.line); err != nil {
			return nil, err
		}
	}
	if len(m.Objects) == 0 {
		return nil, m.at(1, errors.New("no objects in this file"))
	}
	return m, nil
}

// document is one document of a file.
type document struct {
	first int // line of the file that text begins with
	line  int // first line of the file with content
	text  []byte
}

// splitJSON takes a sequence of JSON objects apart.
func splitJSON(data []byte) ([]document, error) {
	if t := bytes.TrimSpace(data); len(t) == 0 || t[0] != '{' {
		return nil, errors.New("not JSON")
	}
	var docs []document
	decoder := json.NewDecoder(bytes.NewReader(data))
	for {
		begin := decoder.InputOffset()
		var raw json.RawMessage
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		blank := len(data[begin:]) - len(bytes.TrimLeft(data[begin:], " \t\r\n"))
		line := 1 + bytes.Count(data[:int(begin)+blank], []byte("\n"))
		docs = append(docs, document{first: line, line: line, text: raw})
	}
}

// splitYAML takes a stream of YAML documents apart. A line that begins with
// "---" or "..." can be nothing else: inside of a document, text in the first
// column would end a block scalar.
func splitYAML(data []byte) []document {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	docs := []document{{first: 1}}
	for i, line := range bytes.SplitAfter(data, []byte("\n")) {
		last := &docs[len(docs)-1]
		if marker(line, "---") || marker(line, "...") {
			// What follows on the line belongs to the new document.
			docs = append(docs, document{first: i + 1})
			last = &docs[len(docs)-1]
			line = append([]byte("   "), line[3:]...)
		} else if last.line == 0 && bytes.HasPrefix(line, []byte("%")) {
			line = []byte("\n") // a directive, such as %YAML 1.2
		}
		last.text = append(last.text, line...)
		if text := bytes.TrimSpace(line); last.line == 0 && len(text) > 0 && text[0] != '#' {
			last.line = i + 1
		}
	}
	for i := range docs {
		docs[i].line = max(docs[i].line, docs[i].first)
	}
	return docs
}

func marker(line []byte, mark string) bool {
	return bytes.HasPrefix(line, []byte(mark)) && (len(line) == 3 || strings.ContainsRune(" \t\r\n", rune(line[3])))
}

// decode returns what the document holds, nil if it is empty. A key that is
// there twice is an error, as it is to kubectl.
func (d document) decode() (any, error) {
	text, err := yaml.YAMLToJSONStrict(d.text)
	if err != nil {
		return nil, err
	}
	var content any
	if err := utiljson.Unmarshal(text, &content); err != nil {
		return nil, err
	}
	return content, nil
}

// yamlLine finds the line in an error of the YAML decoder, which has no type
// that tells it.
var yamlLine = regexp.MustCompile(`^(?s)(?:error converting YAML to JSON: )?yaml: (?:unmarshal errors:\s+)?line (\d+): (.*)$`)

func (m *Manifest) located(d document, err error) error {
	match := yamlLine.FindStringSubmatch(err.Error())
	if match == nil {
		text := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
		return m.at(d.line, errors.New(text))
	}
	n, convErr := strconv.Atoi(match[1])
	if convErr != nil {
		return m.at(d.line, err)
	}
	return m.at(d.first+n-1, errors.New(match[2]))
}

// add takes in the content of a document: an object, or the items of a list.
func (m *Manifest) add(content any, line int) error {
	object, ok := content.(map[string]any)
	if !ok {
		return m.at(line, fmt.Errorf("want an object with apiVersion and kind, not %s", describe(content)))
	}
	u := &unstructured.Unstructured{Object: object}
	if kind, _, _ := unstructured.NestedString(object, "kind"); strings.HasSuffix(kind, "List") {
		if items, ok := object["items"].([]any); ok {
			for i, item := range items {
				if err := m.add(item, line); err != nil {
					return fmt.Errorf("%w (item %d of the list)", err, i+1)
				}
			}
			return nil
		}
	}
	if err := check(object); err != nil {
		return m.at(line, err)
	}
	m.Objects = append(m.Objects, Object{Unstructured: u, Line: line})
	return nil
}

func describe(content any) string {
	switch content.(type) {
	case []any:
		return "a sequence"
	case nil:
		return "nothing"
	}
	return fmt.Sprintf("the value %.40v", content)
}

// check finds what would make an object impossible to apply and to find again.
func check(object map[string]any) error {
	text := func(fields ...string) (string, error) {
		s, _, err := unstructured.NestedString(object, fields...)
		if err != nil {
			return "", fmt.Errorf("%s is not a text", strings.Join(fields, "."))
		}
		return s, nil
	}
	for _, field := range [][]string{{"apiVersion"}, {"kind"}} {
		s, err := text(field...)
		if err != nil {
			return err
		}
		if s == "" {
			return fmt.Errorf("%s is missing", field[0])
		}
	}
	if _, err := schema.ParseGroupVersion(object["apiVersion"].(string)); err != nil {
		return err
	}
	if _, ok := object["metadata"].(map[string]any); !ok {
		return fmt.Errorf("%s: metadata is missing", object["kind"])
	}
	name, err := text("metadata", "name")
	if err != nil {
		return err
	}
	if name == "" {
		return fmt.Errorf("%s: metadata.name is missing (a generateName would not be found again)", object["kind"])
	}
	if _, err := text("metadata", "namespace"); err != nil {
		return err
	}
	if _, _, err := unstructured.NestedStringMap(object, "metadata", "labels"); err != nil {
		return errors.New("metadata.labels is not a map of texts")
	}
	return nil
}
