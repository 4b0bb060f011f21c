package versions

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseSelector parses a label and a field selector as the API takes them in
// the labelSelector and fieldSelector parameters. It accepts what the API
// server accepts, but does not check the length of keys and values.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api
func ParseSelector(labels, fields string) (Selector, error) {
	var s Selector
	for _, text := range splitLabels(labels) {
		t, err := parseLabel(text)
		if err != nil {
			return Selector{}, fmt.Errorf("parse label selector %q: %w", labels, err)
		}
		s.labels = append(s.labels, t)
	}
	for _, text := range splitFields(fields) {
		if text == "" {
			continue
		}
		t, err := parseField(text)
		if err != nil {
			return Selector{}, fmt.Errorf("parse field selector %q: %w", fields, err)
		}
		s.fields = append(s.fields, t)
	}
	return s, nil
}

// blank are the characters that the label grammar takes for space.
const blank = " \t\r\n"

// splitLabels cuts a label selector at the commas outside of parentheses.
func splitLabels(s string) []string {
	if strings.Trim(s, blank) == "" {
		return nil
	}
	var terms []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				terms, start = append(terms, s[start:i]), i+1
			}
		}
	}
	return append(terms, s[start:])
}

func parseLabel(text string) (labelTerm, error) {
	rest := strings.Trim(text, blank)
	if after, not := strings.CutPrefix(rest, "!"); not {
		key := strings.Trim(after, blank)
		return labelTerm{key: key, op: opAbsent}, checkWord(key, text)
	}
	end := strings.IndexAny(rest, "=!<>("+blank)
	if end < 0 {
		return labelTerm{key: rest, op: opExists}, checkWord(rest, text)
	}
	t := labelTerm{key: rest[:end]}
	if err := checkWord(t.key, text); err != nil {
		return t, err
	}
	rest = strings.TrimLeft(rest[end:], blank)
	if rest == "" {
		t.op = opExists
		return t, nil
	}
	if values, found := cutKeyword(rest, "in"); found {
		t.op = opIn
		return t, t.parseSet(values, text)
	}
	if values, found := cutKeyword(rest, "notin"); found {
		t.op = opNotIn
		return t, t.parseSet(values, text)
	}
	return t, t.parseComparison(rest, text)
}

func cutKeyword(s, word string) (rest string, found bool) {
	rest, found = strings.CutPrefix(s, word)
	rest = strings.TrimLeft(rest, blank)
	return rest, found && strings.HasPrefix(rest, "(")
}

func (t *labelTerm) parseSet(s, text string) error {
	inner, closed := strings.CutSuffix(s[1:], ")")
	if !closed {
		return fmt.Errorf("%q: no closing parenthesis", text)
	}
	for _, value := range strings.Split(inner, ",") {
		value = strings.Trim(value, blank)
		if value != "" {
			if err := checkWord(value, text); err != nil {
				return err
			}
		}
		t.values = append(t.values, value)
	}
	return nil
}

func (t *labelTerm) parseComparison(s, text string) error {
	for _, c := range []struct {
		sign string
		op   operator
	}{{"==", opIn}, {"=", opIn}, {"!=", opNotIn}, {">", opGreater}, {"<", opLess}} {
		value, found := strings.CutPrefix(s, c.sign)
		if !found {
			continue
		}
		value = strings.Trim(value, blank)
		t.op, t.values = c.op, []string{value}
		if c.op == opGreater || c.op == opLess {
			var err error
			t.number, err = strconv.ParseInt(value, 10, 64)
			return err
		}
		if value == "" {
			return nil
		}
		return checkWord(value, text)
	}
	return fmt.Errorf("%q: no operator that is known", text)
}

// checkWord refuses what the API server would: a word is of letters, digits and
// -_./, and neither begins nor ends with a sign.
func checkWord(word, text string) error {
	for i := 0; i < len(word); i++ {
		c := word[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		inside := i > 0 && i < len(word)-1 && strings.IndexByte("-_./", c) >= 0
		if !letter && !inside {
			return fmt.Errorf("%q: %q is no name or value", text, word)
		}
	}
	if word == "" {
		return fmt.Errorf("%q: a name is missing", text)
	}
	return nil
}

// splitFields cuts a field selector at the commas that no backslash precedes.
func splitFields(s string) []string {
	var terms []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case ',':
			terms, start = append(terms, s[start:i]), i+1
		}
	}
	return append(terms, s[start:])
}

func parseField(text string) (fieldTerm, error) {
	i := strings.IndexByte(text, '=')
	if i < 0 {
		return fieldTerm{}, fmt.Errorf("%q: no operator", text)
	}
	t := fieldTerm{field: text[:i]}
	raw := text[i+1:]
	if cut, not := strings.CutSuffix(t.field, "!"); not {
		t.field, t.not = cut, true
	} else {
		raw = strings.TrimPrefix(raw, "=")
	}
	value, err := unescape(raw)
	t.value = value
	return t, err
}

// unescape takes the backslashes away that shield , = and \ in a value.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ',', '=':
			return "", fmt.Errorf("%q: %q without a backslash", s, c)
		case '\\':
			i++
			if i == len(s) || strings.IndexByte(`\,=`, s[i]) < 0 {
				return "", fmt.Errorf("%q: a backslash that shields nothing", s)
			}
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}
