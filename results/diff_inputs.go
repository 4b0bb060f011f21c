package results

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// inputs are the values of a run's plan, settings, versions and machine by their path,
// each one text, or the texts of a list. Null, an empty list and none at all are the same.
type inputs map[string][]string

const (
	// maxList is from how many items on a list that is no list of texts is told by
	// their number and a hash.
	maxList = 30
	// maxTexts is the same of a list of texts.
	maxTexts = 1000
	// maxInputs are the rows shown, maxItems the items of one list on one side.
	maxInputs = 60
	maxItems  = 8
	// inputPath and inputValue are the widths of the table.
	inputPath, inputValue = 44, 26
)

// fleeting are keys of the settings that are others in each run of the same plan.
var fleeting = map[string]bool{"PID": true, "Addr": true, "LogFile": true}

// port matches an address that the system has chosen.
var port = regexp.MustCompile(`\b127\.\d+\.\d+\.\d+:\d+`)

// inputsOf takes them out of the record of a run, without what is another in each run:
// processes, ports, and the name of the run directory.
func inputsOf(r *Run) inputs {
	reader := inputReader{all: inputs{}, dir: runDirIn(r.Settings)}
	reader.json("plan", r.Plan)
	reader.json("settings", r.Settings)
	for name, version := range r.Versions {
		reader.all["version of "+name] = []string{version}
	}
	h := r.Host
	for name, value := range map[string]string{
		"CPUs": fmt.Sprint(h.CPUs), "CPU": h.CPUModel, "kernel": h.Kernel, "memory": bytesText(h.MemoryBytes),
	} {
		reader.all["machine: "+name] = []string{value}
	}
	return reader.all
}

// runDirIn is the run directory as the settings of components name it, "" if there
// are none.
func runDirIn(settings json.RawMessage) string {
	var of struct {
		Components []struct{ LogFile string } `json:"components"`
	}
	if json.Unmarshal(settings, &of) != nil || len(of.Components) == 0 {
		return ""
	}
	dir, _, _ := strings.Cut(of.Components[0].LogFile, "/logs/")
	return dir
}

type inputReader struct {
	all inputs
	dir string
}

func (r *inputReader) json(path string, raw json.RawMessage) {
	if len(raw) == 0 {
		return
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // a seed has more digits than a float
	var v any
	if decoder.Decode(&v) == nil { // it is a part of JSON that was read
		r.value(path, v)
	}
}

func (r *inputReader) value(path string, v any) {
	switch v := v.(type) {
	case nil:
	case map[string]any:
		for name, of := range v {
			if !fleeting[name] {
				r.value(path+"."+name, of)
			}
		}
	case []any:
		r.list(path, v)
	default:
		r.all[path] = []string{r.text(v)}
	}
}

// text is a value without what is another in each run.
func (r *inputReader) text(v any) string {
	text := fmt.Sprint(v)
	if r.dir != "" {
		text = strings.ReplaceAll(text, r.dir, "DIR")
	}
	return port.ReplaceAllString(text, "127.0.0.1:*")
}

// list takes a list of texts as its texts, a short one of other things one by one, by
// their names if they have such, and of a long one its length and a hash.
func (r *inputReader) list(path string, list []any) {
	var texts, names []string
	for _, v := range list {
		if text, ok := v.(string); ok && !strings.HasPrefix(text, "--secure-port=") {
			texts = append(texts, r.text(text))
		} else if ok {
			texts = append(texts, "--secure-port=*")
		}
		if name := nameOf(v); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case len(list) == 0:
	case len(texts) == len(list) && len(list) <= maxTexts:
		r.all[path] = texts
	case len(list) > maxList:
		text, _ := json.Marshal(list) // it was read from JSON
		sum := fnv.New32a()
		_, _ = sum.Write(text) // never fails
		r.all[path] = []string{fmt.Sprintf("%d items, hash %08x", len(list), sum.Sum32())}
	default:
		for i, v := range list {
			name := fmt.Sprint(i)
			if len(names) == len(list) {
				name = names[i]
			}
			r.value(path+"["+name+"]", v)
		}
	}
}

// nameOf is by what an item of a list is told from the others, "" if it has no name.
func nameOf(v any) string {
	item, ok := v.(map[string]any)
	if !ok {
		return ""
	}
	for _, key := range []string{"name", "Name"} {
		if name, ok := item[key].(string); ok {
			return name
		}
	}
	return ""
}

// renderInputs shows what differs: short values in a table, and below it long ones,
// and the items of lists that only one of the runs has.
func renderInputs(a, b *Run) string {
	x, y := inputsOf(a), inputsOf(b)
	paths := maps.Clone(x)
	maps.Copy(paths, y)
	t := table{align: "l"}
	t.row("", "A", "B")
	var long strings.Builder
	shown, left := 0, 0
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		switch {
		case slices.Equal(x[path], y[path]):
		case shown == maxInputs:
			left++
		case short(path, x[path], y[path]):
			shown++
			t.row(path, first(x[path]), first(y[path]))
		default:
			shown++
			long.WriteString(renderItems(path, x[path], y[path]))
		}
	}
	if shown == 0 {
		return "  nothing\n"
	}
	text := long.String()
	if len(t.rows) > 1 {
		text = t.String() + text
	}
	if left > 0 {
		text += fmt.Sprintf("  and %d more, see run.json of both\n", left)
	}
	return text
}

// first is the only value, or that there is none.
func first(values []string) string {
	if len(values) == 0 {
		return missing
	}
	return dash(oneLine(values[0]))
}

// short says whether both values fit into the table.
func short(path string, a, b []string) bool {
	fits := func(values []string) bool {
		return len(values) <= 1 && utf8.RuneCountInString(first(values)) <= inputValue
	}
	return utf8.RuneCountInString(path) <= inputPath && fits(a) && fits(b)
}

// renderItems shows what only one side has.
func renderItems(path string, a, b []string) string {
	onlyA, onlyB := without(a, b), without(b, a)
	text := note(path)
	if len(onlyA)+len(onlyB) == 0 {
		return text + "    the same in another order or number\n"
	}
	for _, side := range []struct {
		name  string
		items []string
	}{{"A", onlyA}, {"B", onlyB}} {
		for _, item := range side.items[:min(len(side.items), maxItems)] {
			text += "    " + side.name + "  " + strings.Join(wrap(fit(item, evidenceWidth), 103), "\n       ") + "\n"
		}
		if n := len(side.items) - maxItems; n > 0 {
			text += fmt.Sprintf("    %s  and %d more\n", side.name, n)
		}
	}
	return text
}

// without are the items that the others do not have.
func without(items, others []string) []string {
	return slices.DeleteFunc(slices.Clone(items), func(item string) bool { return slices.Contains(others, item) })
}
