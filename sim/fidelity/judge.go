package fidelity

import (
	"fmt"
	"regexp"
	"strings"
)

// Allowance is a difference between a hollow kubelet and a simulated one that
// is known and accepted. Request, Field, Hollow and Sim are matched against the
// Difference; a * stands for any text.
type Allowance struct {
	Request string
	Field   string // "": only the absence of whole requests
	Hollow  string // "": any value
	Sim     string // "": any value
	// Sometimes marks a difference that a run need not show, because it hangs
	// on a race or on timing inside the kubelet.
	Sometimes bool
	Reason    string
}

func (a Allowance) matches(d Difference) bool {
	return glob(a.Request, d.Request) && glob(a.Field, d.Field) &&
		(a.Hollow == "" || glob(a.Hollow, d.Hollow)) &&
		(a.Sim == "" || glob(a.Sim, d.Sim))
}

func glob(pattern, text string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`)
	return regexp.MustCompile(`^(?s:` + quoted + `)$`).MatchString(text)
}

// Judge returns the differences that nothing allows, and the allowances that
// nothing needed: a list that has grown stale allows too much.
func Judge(found []Difference, allowed []Allowance) (forbidden []Difference, stale []Allowance) {
	used := make([]bool, len(allowed))
	for _, d := range found {
		ok := false
		for i, a := range allowed {
			if a.matches(d) {
				used[i], ok = true, true
			}
		}
		if !ok {
			forbidden = append(forbidden, d)
		}
	}
	for i, a := range allowed {
		if !used[i] && !a.Sometimes {
			stale = append(stale, a)
		}
	}
	return forbidden, stale
}

// Table renders allowances as the Markdown table of docs/fidelity.md.
func Table(allowed []Allowance) string {
	var b strings.Builder
	b.WriteString("| request | field | hollow kubelet | simulated | why |\n|---|---|---|---|---|\n")
	for _, a := range allowed {
		field := "(the request)"
		if a.Field != "" {
			field = "`" + a.Field + "`"
		}
		reason := a.Reason
		if a.Sometimes {
			reason += " Not in every run."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", a.Request, field, cell(a.Hollow), cell(a.Sim), reason)
	}
	return b.String()
}

func cell(pattern string) string {
	if pattern == "" {
		return "any"
	}
	return "`" + pattern + "`"
}
