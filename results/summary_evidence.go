package results

import "strings"

const (
	// evidenceWidth is how much of it is shown, on as many lines as that takes.
	evidenceWidth = 300
	// evidenceName is what the name of a fault may take of it.
	evidenceName = 46
	healedText   = "; healed: "
)

// evidenceNote is what was seen from outside of a fault and of its heal; "": nothing
// was. What does not fit is in run.json.
func evidenceNote(f *FaultFigures) string {
	evidence, healed := oneLine(f.Evidence), oneLine(f.Healed)
	if evidence == "" {
		return ""
	}
	line := fit(faultName(f.Fault, f.Target), evidenceName) + ": "
	room := evidenceWidth - len([]rune(line))
	if healed != "" {
		room -= len(healedText)
		// The heal says less than the fault: it may have a third, and what that leaves.
		healed = healedText + fit(healed, max(room/3, room-len([]rune(evidence))))
		room -= len([]rune(healed)) - len(healedText)
	}
	return note(line + fit(evidence, room) + healed)
}

// oneLine is a text without the breaks that an error may bring along.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// fit is a text of at most so many characters.
func fit(text string, width int) string {
	if r := []rune(text); len(r) > width {
		return strings.TrimRight(string(r[:width-1]), " ,;:") + "…"
	}
	return text
}
