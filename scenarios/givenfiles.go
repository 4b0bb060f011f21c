package scenarios

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// GivenFile is a file of a person by which a run is what it is. The run directory has
// a copy, so that the run can be repeated whatever becomes of the file.
type GivenFile struct {
	Name   string `json:"name"`   // of the flag that named it, e.g. "manifest"
	Path   string `json:"path"`   // of the copy, below the run directory
	SHA256 string `json:"sha256"` // of its content, in hexadecimal
}

// The flags of such files, and the directory of their copies. Some of the files hold
// secrets, and so does the directory: it is for its owner alone.
const (
	manifestFlag        = "manifest"
	schedulerConfigFlag = "scheduler-config"
	configDir           = "config"
)

// keepFiles copies the person's files into the run directory, and has the plan name
// them.
func (x *execution) keepFiles() error {
	x.plan.Files = nil
	if m := x.plan.Manifest; m != nil {
		if err := x.keepFile(manifestFlag, m.parsed.Text); err != nil {
			return err
		}
	}
	file := x.plan.World.SchedulerConfigFile
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Usagef("--%s: %v", schedulerConfigFlag, err)
	}
	return x.keepFile(schedulerConfigFlag, text)
}

func (x *execution) keepFile(flag string, text []byte) error {
	path := filepath.Join(configDir, flag+".yaml")
	err := os.MkdirAll(x.dir.File(configDir), 0o700)
	if err == nil {
		err = os.WriteFile(x.dir.File(path), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep the file of --%s: %w", flag, err)
	}
	sum := sha256.Sum256(text)
	x.plan.Files = append(x.plan.Files, GivenFile{Name: flag, Path: path, SHA256: hex.EncodeToString(sum[:])})
	return nil
}

// world is the plan's, with the copy of each file that is read when the run has begun:
// what was recorded is what is used.
func (x *execution) world() World {
	w := x.plan.World
	for _, f := range x.plan.Files {
		if f.Name == schedulerConfigFlag {
			w.SchedulerConfigFile = x.dir.File(f.Path)
		}
	}
	return w
}
