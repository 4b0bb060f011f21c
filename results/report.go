package results

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Summary is all that a run prints at its end: the closing summary, and where the rest
// of what was measured is, with dir as it stands. `planecheck report` prints the same from
// the directory, whose name may be given there in another way than the run gave it.
func Summary(r *Run, dir string) string {
	return Render(r) + renderLeftOut(r) + "\nEverything measured: " + dir + "\n"
}

// renderLeftOut says what is not among everything.
func renderLeftOut(r *Run) string {
	var b strings.Builder
	for _, file := range slices.Sorted(maps.Keys(r.LeftOut)) {
		fmt.Fprintf(&b, "\n%s was kept below %s: %s rows are left out, the later the more\n",
			file, bytesText(maxSeriesBytes), number(r.LeftOut[file]))
	}
	return b.String()
}

// Gaps says in a sentence each what is missing in the directory of a run; there are none
// where the run has come to its end. No figure of the summary is taken from a time
// series, so one that is cut off makes none of them wrong.
func Gaps(r *Run, dir string) (gaps []string) {
	if r.Ended.IsZero() {
		gaps = append(gaps, "the run has not ended, or was killed: of what it measured there is what it had saved by then, phase by phase")
	}
	var series []string
	if r.Peak != nil || len(r.Phases) > 0 { // else nothing was measured
		series = append(series, TimeSeries)
	}
	if r.Availability != nil {
		series = append(series, AvailabilitySeries)
	}
	for _, name := range series {
		if gap := seriesGap(filepath.Join(dir, name)); gap != "" {
			gaps = append(gaps, name+" "+gap+"; no figure here comes from it")
		}
	}
	return gaps
}

// seriesGap is what is wrong with the end of a time series, "": nothing.
func seriesGap(path string) string {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "is missing"
	}
	if err != nil {
		return fmt.Sprintf("cannot be read (%v)", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		return "" // of a run that ended within a second
	}
	last := []byte{0}
	if err == nil {
		_, err = f.ReadAt(last, info.Size()-1)
	}
	switch {
	case err != nil:
		return fmt.Sprintf("cannot be read (%v)", err)
	case last[0] != '\n':
		return "ends within a row"
	}
	return ""
}
