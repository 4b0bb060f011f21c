package apipower

import (
	"fmt"
	"strings"

	"github.com/planecheck/planecheck/checkers/history"
)

// flaws are the status codes that are documented for what a sender says that is
// illegal of its request.
var flaws = map[string][]int32{
	history.ForceWithoutApply: {422}, history.ApplyWithoutManager: {422}, history.LongManager: {422},
	history.UnknownDryRun: {422}, history.UnknownFieldValidation: {422}, history.UnknownPropagation: {422},
	history.PropagationTwice: {422}, history.CollectionWithoutVersion: {422}, history.BadName: {422},
	history.PatchNoJSON: {400}, history.OtherName: {400}, history.UnknownFieldSelector: {400},
	history.BadLabelSelector: {400}, history.MalformedContinue: {400, 422}, // 422 where the match is illegal, too
	history.UnknownPatch: {415}, history.StrategicCustom: {415},
	history.MissingNamespace: {404}, history.UnknownResource: {404}, history.CollectionEverywhere: {404, 405},
}

// flawWrong says what is wrong with the answer to a request with a flaw, "":
// nothing. What a server answers for lack of something of its own, or while there
// are faults, says nothing of the flaw.
func flawWrong(calm history.Time, c *history.APICall) string {
	if c.Illegal == history.TooLarge && c.Status >= 200 && c.Status < 400 {
		return fmt.Sprintf("%s was answered with %d", c.Illegal, c.Status)
	}
	want := flaws[c.Illegal]
	shed := c.Status == 0 || c.Status == 401 || c.Status == 403 || c.Status == 429
	broken := c.Status >= 500 && (calm == 0 || c.Called < calm || strings.Contains(c.Message, "etcdserver"))
	if want == nil || shed || broken {
		return ""
	}
	for _, status := range want {
		if c.Status == status {
			return ""
		}
	}
	return fmt.Sprintf("%s was answered with %d", c.Illegal, c.Status)
}

// flawLies are about requests that no server may carry out, of every kind.
func flawLies() []Lie {
	return []Lie{
		{Name: "a request with a flaw succeeds", Breaks: "ErrorHonest", Tell: flawAs(200, "", false)},
		{Name: "a request with a flaw finds nothing", Breaks: "ErrorHonest", Tell: flawAs(404, "NotFound", false)},
		{Name: "a request with a flaw is a bad request instead", Breaks: "ErrorHonest", Tell: flawAs(400, "BadRequest", false)},
		{Name: "a request with a flaw is invalid instead", Breaks: "ErrorHonest", Tell: flawAs(422, "Invalid", false)},
		{Name: "a request with a flaw meets a conflict", Breaks: "ErrorHonest", Tell: flawAs(409, "Conflict", false)},
		{Name: "a request with a flaw fails in a healthy server", Breaks: "ErrorHonest", Tell: flawAs(500, "InternalError", true)},
		{Name: "a request with a flaw comes to no healthy server", Breaks: "ErrorHonest", Tell: flawAs(503, "ServiceUnavailable", true)},
	}
}

// flawAs gives a request with a flaw another answer.
func flawAs(status int32, reason string, calm bool) func(*teller) bool {
	return func(t *teller) bool {
		kind, ok := draw(t, t.flawed(), func(string) bool { return true })
		if !ok {
			return false
		}
		c, ok := t.edit(func(c *history.APICall) bool {
			return c.Illegal == kind && c.Status >= 400 && (c.Status < 500 || kind == history.TooLarge) && c.Status != 429 && c.Status != status &&
				(c.Illegal != history.TooLarge || status == 200) && !(c.Illegal == history.CollectionEverywhere && status == 404) && !(c.Illegal == history.MalformedContinue && status == 422) &&
				(!calm || t.b.Calm != 0 && c.Called >= t.b.Calm)
		})
		if ok {
			forget(c)
			c.Status, c.Reason = status, reason
		}
		return ok
	}
}

// flawed are the flaws in a history, so that each is drawn as often as another.
func (t *teller) flawed() []string {
	var kinds []string
	seen := map[string]bool{}
	for _, c := range t.calls {
		if c.Illegal != "" && !seen[c.Illegal] {
			seen[c.Illegal] = true
			kinds = append(kinds, c.Illegal)
		}
	}
	return kinds
}
