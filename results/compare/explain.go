package compare

import (
	"fmt"
	"slices"
	"strings"
)

// withLosses is the name of a variant, and how many trials of it were done if not
// all were that have had their turn: what it did in the others nobody knows.
func (c *Comparison) withLosses(variant string) string {
	if slices.ContainsFunc(c.of(variant), func(t Trial) bool { return t.Cause != "" }) {
		return variant + " (" + c.doneText(variant) + ")"
	}
	return variant
}

// renderLegend says what the figures are.
func (c *Comparison) renderLegend() string {
	first := c.Variants[0].Name
	lines := []string{
		"±: the farther end of the median's 95 % interval; [low, high]: that interval, where the median is shown as",
		"  0, or an end is farther from it than 0 is",
		fmt.Sprintf("ratio: to %s, the median of paired rounds", first),
		"  (of n: only n gave one; the others were not done, or had 0 to divide by); none where both medians are",
		"  shown as 0; *: the difference is significant (Mann-Whitney U of all trials, not of the pairs, p < 0.05;",
		"  fewer than 4 trials cannot show it; each row is tested by itself, so of equal variants one row in twenty",
		"  has a star)",
		"told apart, >: the same test of each two variants that are ranked, not corrected for how many there are;",
		"  a ≈ b ≈ c: no two of these are told apart, which does not make them equal",
		"(in brackets): a trial did not pass, so the variant is not ranked; Pass is of this workload: planecheck run",
		"  contract/storage --backend X asks more of a store",
		"register: the nodes join; fill: the pods are created; hold: the time after it, without new pods; with",
		"  --contract-from hold, as by default, under contract traffic at its fixed rate",
		"writes, reads: from when the request was due (of contract traffic: sent) until its successful answer, of all",
		"  clients of ours; a p99 rests on at least 100 requests",
		"contract operations begun late: by more than 10 ms, machine or store being busy; where that is far from 0,",
		"  or from that of the other variants, writes and reads are not of the same load",
		"watch delivery: from the commit until a client has read the event, of the changes made in that phase",
		"CPU, store: its processes, or its share of the harness by CPU profile; recording: the harness's own, of the",
		"  histories; peak RSS: what is mapped counts (etcd's database), and what the processes of one server share",
		"  counts once (Pss); a store in the harness shares its heap and its garbage collector, and is in the",
		"  harness's row, which is then not compared to one without a store; etcd-process gives etcd's own",
		"store on disk: of all members at the end, with the space that logs take in advance (etcd: 64 MiB a file);",
		"  -: it keeps no files, or they are not ours to measure",
		"consistent lists from cache: how much of the lists of the most recent state API servers answered themselves,",
		"  after asking the store for its revision only; lists asked of the store: by API servers; both of all phases",
	}
	if !c.ranked(first) {
		lines = append(lines, fmt.Sprintf("no ratios: %s did not pass", first))
	}
	if c.anyRankedWithLosses() {
		lines = append(lines, "(n of N) in the ranking: as many trials were done, the others are named above")
	}
	text := "  " + strings.Join(lines, "\n  ") + "\n"
	if few := c.few(); len(few) > 0 {
		text += wrap(append([]string{fmt.Sprintf("no 95 %% interval, which takes %d trials:", intervalTrials)}, commas(few)...))
	}
	return text
}

// few names the variants whose trials are too few for an interval.
func (c *Comparison) few() (names []string) {
	for _, v := range c.Variants {
		n := 0
		for _, t := range c.of(v.Name) {
			if len(t.Figures) > 0 {
				n++
			}
		}
		if n < intervalTrials && v.Refused == "" {
			names = append(names, fmt.Sprintf("%s (%d)", v.Name, n))
		}
	}
	return names
}

// anyRankedWithLosses says whether the ranking names a variant with its losses.
func (c *Comparison) anyRankedWithLosses() bool {
	return slices.ContainsFunc(c.Variants, func(v Variant) bool { return c.ranked(v.Name) && c.withLosses(v.Name) != v.Name })
}

// renderNotes says what each store was, which may explain a difference, and how it
// was recorded, which costs each something else.
func (c *Comparison) renderNotes() string {
	var b strings.Builder
	for _, v := range c.Variants {
		for _, t := range c.of(v.Name) {
			if t.Store == "" && t.Recorded == "" {
				continue
			}
			note := v.Name + ": " + t.Store
			if t.Store != "" && t.Recorded != "" {
				note += "; recorded "
			}
			b.WriteString(wrap(strings.Fields(note + t.Recorded)))
			break
		}
	}
	if b.Len() == 0 {
		return ""
	}
	b.WriteString("  What recording costs is in every figure; a proxy costs each call some hops more than an interceptor.\n" + c.Proxy.render())
	return "\nThe stores, as their runs recorded them\n" + b.String()
}
