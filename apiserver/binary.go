package apiserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// versionBound is how long a binary may take to print its version. Ours takes
// a tenth of a second; a cold one comes from disk first.
const versionBound = 30 * time.Second

// binary is the program of a kind of component.
type binary struct {
	path    string   // absolute
	prefix  []string // arguments before the component's own
	version string   // what it prints, e.g. v1.37.1
}

// findBinaries finds and checks the programs of all kinds.
func findBinaries(ctx context.Context, cfg *Config) (map[string]binary, error) {
	program, err := cfg.program()
	if err != nil {
		return nil, err
	}
	found := map[string]binary{}
	for _, kind := range Kinds() {
		b := binary{path: program, prefix: []string{Subcommand, kind}}
		if own := cfg.binaryPath(kind); own != "" {
			if b, err = ownBinary(kind, own); err != nil {
				return nil, err
			}
		}
		if err := b.check(ctx, kind); err != nil {
			return nil, err
		}
		found[kind] = b
	}
	return found, nil
}

// program is the absolute path of Program.
func (cfg *Config) program() (string, error) {
	find := os.Executable
	if cfg.Program != "" {
		find = func() (string, error) { return filepath.Abs(cfg.Program) }
	}
	path, err := find()
	if err != nil {
		return "", fmt.Errorf("find the binary with the components: %w", err)
	}
	return path, nil
}

// ownBinary looks at the file of a person's own binary.
func ownBinary(kind, path string) (binary, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return binary{}, fmt.Errorf("%s is no %s: %w", path, kind, err)
	}
	info, err := os.Stat(absolute)
	switch {
	case err != nil:
		return binary{}, fmt.Errorf("%s is no %s: %w", path, kind, err)
	case info.IsDir():
		return binary{}, fmt.Errorf("%s is no %s: it is a directory", path, kind)
	case info.Mode().Perm()&0o111 == 0:
		return binary{}, fmt.Errorf("%s is no %s: it is not executable", path, kind)
	}
	return binary{path: absolute}, nil
}

var versionLine = regexp.MustCompile(`(?m)^Kubernetes (v[0-9]\S*)`)

// check asks the binary for its version, and for its usage, because all
// components print their version alike.
func (b *binary) check(ctx context.Context, kind string) error {
	output, err := b.ask(ctx, "--version")
	match := versionLine.FindStringSubmatch(output)
	if match == nil {
		if err != nil {
			return fmt.Errorf("%s is no %s: --version: %w: %s", b.path, kind, err, excerpt(output))
		}
		return fmt.Errorf("%s is no %s: --version prints %s and not a Kubernetes version", b.path, kind, excerpt(output))
	}
	b.version = match[1]
	if b.prefix != nil {
		return nil // our own binary is what we say that it is
	}
	usage, err := b.ask(ctx, "--help")
	if err != nil {
		return fmt.Errorf("%s is no %s: --help: %w: %s", b.path, kind, err, excerpt(usage))
	}
	for _, other := range Kinds() {
		if other != kind && strings.Contains(usage, "\n  "+other+" [flags]") {
			return fmt.Errorf("%s is no %s: it is a %s", b.path, kind, other)
		}
	}
	return nil
}

// ask runs the binary until it ends by itself, and returns all that it says.
func (b *binary) ask(ctx context.Context, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, b.path, slices.Concat(b.prefix, arguments)...)
	cmd.Env = componentEnv(os.Environ(), "", "", GC{}, 0)
	// A script's own children may hold its output open after it was killed.
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("gave up: %w", context.Cause(ctx))
	}
	return string(output), err
}

// excerpt shows the beginning of an output on one line.
func excerpt(output string) string {
	const most = 120
	line := strings.Join(strings.Fields(output), " ")
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "..."
	}
	return fmt.Sprintf("%q", line)
}
