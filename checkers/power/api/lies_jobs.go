package apipower

import (
	"fmt"
	"strings"
	"time"

	"github.com/planecheck/planecheck/checkers/history"
)

// errand is a Job of three completions. The zero value is one that counts rightly.
type errand struct {
	early   bool // it is Complete with one pod that has succeeded fewer
	unended bool // it counts a pod that still runs
	failed  bool // it counts one that failed
	twice   bool // it counts one twice
	after   bool // a pod is made long after it was Complete
}

func jobLies() []Lie {
	return []Lie{
		{Name: "a Job is Complete too early", Breaks: "JobCompletionsExact", Tell: inMaterial(runs(errand{early: true}))},
		{Name: "a Job counts a pod that still runs", Breaks: "JobCompletionsExact", Tell: inMaterial(runs(errand{unended: true}))},
		{Name: "a Job counts a pod that failed", Breaks: "JobCompletionsExact", Tell: inMaterial(runs(errand{failed: true}))},
		{Name: "a Job counts a pod twice", Breaks: "JobCompletionsExact", Tell: inMaterial(runs(errand{twice: true}))},
		{Name: "a Job makes a pod long after its end", Breaks: "JobCompletionsExact", Tell: inMaterial(runs(errand{after: true}))},
	}
}

func runs(e errand) func(*teller, *material) { return func(_ *teller, m *material) { m.run(e) } }

// errands is the namespace of the Job.
const errands = "told-errands"

// run adds a Job with its pods.
func (m *material) run(e errand) {
	const completions = 3
	job := m.elsewhere(errands, "jobs", "errand", nil, "batch", "Job", history.Pair{Name: "spec.completions", Value: fmt.Sprint(completions)},
		history.Pair{Name: "status.succeeded", Value: "0"})
	ends := completions
	switch {
	case e.early:
		ends--
	case e.twice:
		ends-- // and the one before counts for it
	}
	var counted int
	for i := range ends {
		pod := m.elsewhere(errands, "pods", fmt.Sprint("errand-", i), job, "", "Pod", history.Pair{Name: "status.phase", Value: "Pending"})
		phase, last := "Succeeded", i == ends-1
		switch {
		case last && e.unended:
			phase = "Running"
		case last && e.failed:
			phase = "Failed"
		}
		m.again(pod, history.Pair{Name: "status.phase", Value: phase})
		if counted++; last && e.twice {
			counted++
		}
		job = m.again(job, history.Pair{Name: "status.succeeded", Value: fmt.Sprint(counted)})
	}
	job = m.again(job, history.Pair{Name: "complete", Value: "True"})
	if e.after {
		m.pass(patience + 2*time.Second)
		m.elsewhere(errands, "pods", "errand-late", job, "", "Pod", history.Pair{Name: "status.phase", Value: "Pending"})
	}
}

// jobsWrong counts the pods of the Job, by the model.
func (t *teller) jobsWrong() string {
	succeeded := map[string]bool{}
	var complete history.Time
	for _, v := range t.versions {
		if !strings.Contains(v.Key, "/"+errands+"/") {
			continue
		}
		called, returned, _ := t.commit(v.Revision)
		switch n := integer(v, "status.succeeded"); {
		case v.Resource == "pods" && complete != 0 && t.b.Calm != 0 && called.Sub(max(complete, t.b.Calm)) > patience:
			return v.Name + " is made long after the end"
		case v.Resource == "pods" && v.Field("status.phase") == "Succeeded":
			succeeded[v.UID] = true
		case v.Resource != "jobs":
		case n > int64(len(succeeded)):
			return fmt.Sprintf("it counts %d pods at %d", n, v.Revision)
		case v.Field("complete") == "":
		case n != integer(v, "spec.completions"):
			return fmt.Sprintf("it is Complete with %d at %d", n, v.Revision)
		case complete == 0:
			complete = returned
		}
	}
	return ""
}
