package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// State is the state of the process as /proc shows it, one letter (proc(5)):
// "T" is stopped by a signal. It is "" when the process has ended.
func (p *Process) State() (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return "", nil
	}
	state, err := taskState(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return "", fmt.Errorf("look at the process of %s: %w", p.name, err)
	}
	return string(state), nil
}

// threadStates lists the states of all threads of a process, a letter each.
func threadStates(pid int) (string, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return "", err
	}
	var states []byte
	for _, file := range files {
		state, err := taskState(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended meanwhile
		}
		if err != nil {
			return "", err
		}
		states = append(states, state)
	}
	return string(states), nil
}

// taskState reads the third field of a stat file, which follows the name of
// the program in parentheses; the name may hold any character.
func taskState(file string) (byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(text[bytes.LastIndexByte(text, ')')+1:], []byte(" "))
	if !ok || len(rest) == 0 {
		return 0, fmt.Errorf("%s holds %q", file, text)
	}
	return rest[0], nil
}

// tailBytes is how much of a log is searched for the reason of an end.
const tailBytes = 64 << 10

// Said is what the server's log says of its end, or says last while it runs.
func (p *Process) Said() string { return p.reason() }

// reason finds in the log of this life why the server ended: a panic's own
// line, else the last entry that Config.Fatal knows, else the last line.
func (p *Process) reason() string {
	text, err := tail(p.logFile, p.logOffset)
	if err != nil {
		return ""
	}
	found, last := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "):
			return line
		case line != "":
			last = line
		}
		if p.fatal == nil {
			continue
		}
		if entry := p.fatal(line); entry != "" {
			found = entry
		}
	}
	if found != "" {
		return found
	}
	return last
}

func tail(logFile string, offset int64) (string, error) {
	log, err := os.Open(logFile)
	if err != nil {
		return "", err
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		return "", err
	}
	if _, err := log.Seek(max(offset, info.Size()-tailBytes), io.SeekStart); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(log, tailBytes))
	return string(text), err
}

// Head returns the first lines that the server has written in this life, 64 KiB
// of them; none if there is no log.
func (p *Process) Head() string {
	log, err := os.Open(p.logFile)
	if err != nil {
		return ""
	}
	defer log.Close()
	if _, err := log.Seek(p.logOffset, io.SeekStart); err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(log, tailBytes))
	if err != nil {
		return ""
	}
	return string(text)
}
