package endstate

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Schema is the version of the file. It goes up whenever a field, or a rule,
// changes: states of different rules cannot be compared.
const Schema = 1

// File is the name of the file of a State within a run directory.
const File = "endstate.json"

// State is what a run has left behind.
type State struct {
	// Resources are those that were listed, as plural.group.
	Resources []string `json:"resources"`
	// Excluded are the namespaces whose objects were left out.
	Excluded []string `json:"excluded,omitempty"`
	Entries  []Entry  `json:"entries"` // sorted
}

// Entry is one object, or a number of objects that are alike.
type Entry struct {
	Resource  string `json:"resource"` // plural.group, the plural alone for core
	Namespace string `json:"namespace,omitempty"`
	// Name is the object's; of objects that are counted, kind and name of what
	// they belong to, or what their names begin with.
	Name string `json:"name"`
	// Owners of an object that is named, as kind and name.
	Owners []string `json:"owners,omitempty"`
	// Content is what the rules have left of the object, with sorted keys.
	Content json.RawMessage `json:"content"`
	// Counts are of the objects by what is said of them, such as "Running,
	// ready", or of addresses. Empty: one object, named.
	Counts map[string]int64 `json:"counts,omitempty"`
}

// String names an entry on one line.
func (e Entry) String() string {
	s := e.Resource + " " + strings.TrimPrefix(e.Namespace+"/"+e.Name, "/")
	separator := ": "
	for _, what := range slices.Sorted(maps.Keys(e.Counts)) {
		s += fmt.Sprintf("%s%d %s", separator, e.Counts[what], what)
		separator = "; "
	}
	return s
}

// Render shows an entry with its content, as YAML.
func (e Entry) Render() string {
	body, err := yaml.JSONToYAML(e.Content)
	if err != nil {
		body = append(slices.Clone(e.Content), '\n')
	}
	s := "# " + e.String() + "\n"
	if len(e.Owners) > 0 {
		s += "# of " + strings.Join(e.Owners, ", ") + "\n"
	}
	return s + string(body)
}

// envelope is the file. Schema stands outside of the checksum, so that a state
// of another schema is told from a broken one.
type envelope struct {
	Schema *int            `json:"schema"`
	SHA256 string          `json:"sha256"` // of State without white space
	State  json.RawMessage `json:"state"`
}

// Save writes the state into a run directory, so that at any moment, and after
// a crash, the file there is either the old or the new one.
func (s *State) Save(dir string) error {
	data, err := s.encode()
	if err == nil {
		err = replaceFile(filepath.Join(dir, File), data)
	}
	if err != nil {
		return fmt.Errorf("save end state: %w", err)
	}
	return nil
}

// encode gives every entry a line of its own, for grep and diff.
func (s *State) encode() ([]byte, error) {
	state, err := marshal(s)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\"schema\":%d,\n\"sha256\":\"%x\",\n\"state\":", Schema, sha256.Sum256(state))
	// A string in JSON holds no quotes without a backslash before them, so this
	// puts white space before objects only.
	b.Write(bytes.ReplaceAll(state, []byte(`{"resource":"`), []byte("\n"+`{"resource":"`)))
	b.WriteString("}\n")
	return b.Bytes(), nil
}

// Load reads the state in a run directory.
func Load(dir string) (*State, error) {
	path := filepath.Join(dir, File)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load end state: %w", err)
	}
	s, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("load end state: %s: %w", path, err)
	}
	return s, nil
}

func decode(data []byte) (*State, error) {
	var env envelope
	if err := json.Unmarshal(data, &env); err != nil {
		return nil, fmt.Errorf("the file is broken: %w", err)
	}
	switch {
	case env.Schema == nil:
		return nil, errors.New("the file is broken: it has no schema version")
	case *env.Schema != Schema:
		return nil, fmt.Errorf("it has schema %d, this planecheck reads schema %d", *env.Schema, Schema)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, env.State); err != nil {
		return nil, fmt.Errorf("the file is broken: %w", err)
	}
	if fmt.Sprintf("%x", sha256.Sum256(compact.Bytes())) != env.SHA256 {
		return nil, errors.New("the file is broken: its checksum does not fit")
	}
	s := &State{}
	if err := json.Unmarshal(compact.Bytes(), s); err != nil {
		return nil, fmt.Errorf("the file is broken: %w", err)
	}
	slices.SortFunc(s.Entries, compareEntries)
	return s, nil
}

// replaceFile writes a new file beside the old one and renames it, durably.
func replaceFile(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp*")
	if err != nil {
		return err
	}
	defer func() {
		if removeErr := os.Remove(f.Name()); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
