package results

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const runFile = "run.json"

// Dir is the directory of a run: run.json, logs, time series and profiles.
type Dir struct {
	Path string

	reserve *os.File // see takeReserve
}

// Create makes the directory <base>/<time>-<name> and takes a reserve of space there,
// which a full disk refuses where it still makes directories. Slashes in the name become
// dashes.
func Create(base, name string) (*Dir, error) {
	stamp := time.Now().UTC().Format("20060102T150405Z")
	path := filepath.Join(base, stamp+"-"+strings.ReplaceAll(name, "/", "-"))
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, fmt.Errorf("create run directory: %w", err)
	}
	// Two runs within a second must not share a directory.
	unique := path
	err := os.Mkdir(unique, 0o755)
	for i := 2; errors.Is(err, fs.ErrExist) && i < 100; i++ {
		unique = fmt.Sprintf("%s-%d", path, i)
		err = os.Mkdir(unique, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("create run directory: %w", err)
	}
	d := &Dir{Path: unique}
	if err := d.takeReserve(); err != nil {
		return nil, errors.Join(fmt.Errorf("create run directory %s: %w", unique, err), os.RemoveAll(unique))
	}
	return d, nil
}

// File returns the path of a file in the directory.
func (d *Dir) File(elem ...string) string {
	return filepath.Join(append([]string{d.Path}, elem...)...)
}

// Save writes run.json so that at any moment, and after a crash, the file is
// either the old or the new one.
func (d *Dir) Save(r *Run) error {
	r.Schema = Schema
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("save run: %w", err)
	}
	if err := d.Write(runFile, append(b, '\n')); err != nil {
		return fmt.Errorf("save run: %w", err)
	}
	return nil
}

// Write writes a file of the directory so that at any moment, and after a
// crash, it is either the old or the new one.
func (d *Dir) Write(name string, b []byte) error {
	path := d.File(name)
	rename := func(tmp string) error { return os.Rename(tmp, path) }
	if err := writeDurably(path+".tmp", b, rename); err != nil {
		return err
	}
	return syncDir(d.Path)
}

// writeDurably writes a temporary file to the disk and hands its name to
// finish; the file is removed if anything fails.
func writeDurably(tmp string, b []byte, finish func(tmp string) error) error {
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = finish(tmp)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(tmp)))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncDir makes a rename within the directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Load reads the run.json of a run directory. An error is one line.
func Load(dir string) (*Run, error) {
	file := filepath.Join(dir, runFile)
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load run: %w", err)
	}
	r, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("load run: %s %w", file, err)
	}
	return r, nil
}

// decode reads the content of a run.json. Its error says what is wrong with that.
func decode(b []byte) (*Run, error) {
	var version struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return nil, fmt.Errorf("is not the record of a run: %w", err)
	}
	if version.Schema != Schema {
		return nil, fmt.Errorf("has schema %d, this planecheck reads schema %d", version.Schema, Schema)
	}
	r := &Run{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("is not the record of a run: %w", err)
	}
	return r, nil
}
