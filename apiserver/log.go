package apiserver

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
)

const (
	// tailBytes is how much of the end of a log is looked at.
	tailBytes = 256 << 10
	// tailLines and lineBytes bound what is shown of it.
	tailLines = 12
	lineBytes = 400
)

// crash matches the line with which the end of a Go program begins: a panic, a
// fatal error of the runtime, or klog's fatal. What follows are stacks, of
// which the last lines say nothing.
var crash = regexp.MustCompile(`^(panic: |fatal error: |F[0-9]{4} )`)

// lastLines returns the lines of a log, from an offset on, that tell best how
// its program ended: those from the crash on, or else the last.
func lastLines(path string, offset int64) []string {
	text, err := tail(path, offset)
	if err != nil {
		return []string{"(" + err.Error() + ")"}
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	first := max(0, len(lines)-tailLines)
	for i, line := range lines {
		if crash.MatchString(line) {
			first = i
			break
		}
	}
	lines = lines[first:min(len(lines), first+tailLines)]
	for i, line := range lines {
		if len(line) > lineBytes {
			lines[i] = strings.ToValidUTF8(line[:lineBytes], "") + "..."
		}
	}
	return lines
}

// tail reads the end of a file, from the beginning of a line on.
func tail(path string, offset int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	start := max(offset, info.Size()-tailBytes)
	text, err := io.ReadAll(io.NewSectionReader(f, start, tailBytes))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if start > offset {
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	if len(text) == 0 {
		return []byte("(the log is empty)"), nil
	}
	return text, nil
}
