package scenarios

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/results"
)

// Matrix prints what the runs in some directories came to, guarantee by guarantee
// and backend by backend, the backends in the order in which they come first, and
// below it what these runs were. A run that did not come to its end is told of there
// and at its column, and so is each line "BACKEND CAUSE" of the file absent, of a
// backend that could not be run at all; "": there is no such file.
func (r *Runner) Matrix(dirs []string, absent string) error {
	var columns []results.Column
	var notes []string
	for _, dir := range dirs {
		run, err := loadRun(dir)
		if err != nil {
			return err
		}
		var plan struct{ World World }
		if err := json.Unmarshal(run.Plan, &plan); err != nil {
			return fmt.Errorf("read the plan in %s: %w", dir, err)
		}
		columns = addTo(columns, plan.World.Backend, run)
		if cause := cutShort(run); cause != "" {
			notes = append(notes, fmt.Sprintf("`%s`, seed %d, was cut short: %s", plan.World.Backend, run.Seed, cause))
		}
	}
	missing, err := readAbsent(absent)
	if err != nil {
		return err
	}
	if len(columns)+len(missing) == 0 {
		return Usagef("no run directory is named")
	}
	about := aboutRuns(columns)
	for i := range columns {
		if slices.ContainsFunc(columns[i].Runs, func(run *results.Run) bool { return cutShort(run) != "" }) {
			columns[i].Backend += " (cut short)"
		}
	}
	for _, m := range missing {
		columns = append(columns, results.Column{Backend: m.backend + " (not run)"})
		notes = append(notes, fmt.Sprintf("`%s` was not run: %s", m.backend, m.cause))
	}
	fmt.Fprint(r.Out, results.RenderMatrix(columns))
	if about != "" {
		fmt.Fprintf(r.Out, "\n%s\n", about)
	}
	if len(notes) > 0 {
		fmt.Fprintf(r.Out, "\n* %s\n", strings.Join(notes, "\n* "))
	}
	return nil
}

func addTo(columns []results.Column, backend string, run *results.Run) []results.Column {
	for i := range columns {
		if columns[i].Backend == backend {
			columns[i].Runs = append(columns[i].Runs, run)
			return columns
		}
	}
	return append(columns, results.Column{Backend: backend, Runs: []*results.Run{run}})
}

// cutShort is why a run did not come to its end, on one line, "" if it did.
func cutShort(run *results.Run) string {
	for _, v := range run.Verdict.Guarantees {
		if v.Guarantee == planComplete && v.Outcome != checkers.Pass {
			return oneLine(lastOfLog(v.Detail))
		}
	}
	if run.Verdict.Outcome == "" {
		return "it has no verdict"
	}
	return ""
}

// crashed matches the line that begins the end of a Go program, see apiserver/log.go.
var crashed = regexp.MustCompile(`^(panic: |fatal error: |F[0-9]{4} )`)

// lastOfLog keeps of the lines that a component left in its log the one that says
// why it ended: where it crashed that is the first, see apiserver.ComponentError.
// Where the log lies says nothing to who reads the page.
func lastOfLog(text string) string {
	died, log, ok := strings.Cut(text, "; from its log ")
	_, lines, found := strings.Cut(log, "\n")
	if !ok || !found {
		return text
	}
	all := strings.Split(strings.TrimSpace(lines), "\n")
	why := all[len(all)-1]
	if crashed.MatchString(all[0]) {
		why = all[0]
	}
	return died + "; its log ends with: " + why
}

// oneLine is a text on one line, of which a page shows so much.
func oneLine(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + " ..."
	}
	return text
}

// notRun is a backend that could not be run.
type notRun struct{ backend, cause string }

func readAbsent(file string) (all []notRun, err error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, Usagef("--absent: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		backend, cause, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			return nil, Usagef("--absent %s: the line %q is not of a backend and the cause why it could not be run", file, strings.TrimSpace(line))
		}
		all = append(all, notRun{backend, oneLine(cause)})
	}
	return all, nil
}

// aboutRuns says what the runs were: a table that is written by one command and
// kept in a page would be out of date in whatever the page says of it.
func aboutRuns(columns []results.Column) string {
	var names, seeds, sizes, days, versions []string
	most := 0
	for _, c := range columns {
		most = max(most, len(c.Runs))
		for _, run := range c.Runs {
			add(&names, "`"+run.Name+"`")
			add(&seeds, fmt.Sprint(run.Seed))
			add(&sizes, fmt.Sprint(run.Nodes))
			add(&days, run.Started.UTC().Format("2 January 2006"))
			for _, v := range versionsOf(run) {
				add(&versions, v)
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	many := "one run on each"
	if most > 1 {
		many = fmt.Sprintf("up to %d runs on each", most)
	}
	return fmt.Sprintf("%s, %s, seed %s, %s nodes, %s (UTC); %s.", strings.Join(names, ", "), many,
		strings.Join(seeds, ", "), strings.Join(sizes, ", "), strings.Join(days, ", "), strings.Join(versions, ", "))
}

func add(list *[]string, text string) {
	if !slices.Contains(*list, text) {
		*list = append(*list, text)
	}
}

// versionsOf are those that decide what a run says of a store.
func versionsOf(run *results.Run) (all []string) {
	for _, v := range []struct{ name, key string }{
		{"planecheck", "planecheck"}, {"Kubernetes", "kubernetes (as served)"}, {"etcd", "go.etcd.io/etcd/server/v3"},
	} {
		if version := run.Versions[v.key]; version != "" {
			all = append(all, v.name+" "+version)
		}
	}
	var settings struct{ Store map[string]string }
	if json.Unmarshal(run.Settings, &settings) == nil && settings.Store["driver"] != "" && settings.Store["version"] != "" { // kine has both
		all = append(all, "kine "+settings.Store["version"])
	}
	return all
}
