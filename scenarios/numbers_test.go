package scenarios

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// What is no number, or has no end, is refused by the name of its flag.
func TestNumbersAreFinite(t *testing.T) {
	flags := map[string]func(o *Options, to float64){
		"churn-rate":    func(o *Options, to float64) { o.Churn.Pods, o.Churn.Rate = 10, to },
		"contract":      func(o *Options, to float64) { o.Contract = to },
		"unready-share": func(o *Options, to float64) { o.World.UnreadyEvery, o.World.UnreadyShare = seconds(5), to },
		"rate":          func(o *Options, to float64) { o.Rate = fmt.Sprint(to) },
	}
	plan := func(s Scenario, set func(o *Options, to float64), to float64) error {
		o := DefaultOptions()
		o.World.Nodes, o.Pods = 10, 100
		set(&o, to)
		_, err := NewPlan(s, o, testHost())
		return err
	}
	two, err := Find("scale/two-apiservers")
	if err != nil {
		t.Fatal(err)
	}
	for flag, set := range flags {
		for _, to := range []float64{math.Inf(1), math.Inf(-1), math.NaN()} {
			for _, s := range []Scenario{{Name: "t"}, two[0]} {
				err := plan(s, set, to)
				var usage *UsageError
				if !errors.As(err, &usage) || !strings.HasPrefix(err.Error(), "--"+flag) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s with --%s %g: %v, want one line that begins with the flag", s.Name, flag, to, err)
				}
			}
		}
		if err := plan(Scenario{Name: "t"}, set, 1); err != nil {
			t.Errorf("--%s 1: %v", flag, err)
		}
	}
}
