package judge

import (
	"cmp"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/planecheck/planecheck/checkers"
	"github.com/planecheck/planecheck/checkers/cluster"
	"github.com/planecheck/planecheck/checkers/history"
)

// steps is how a history is judged that is followed.
type steps struct {
	lag, patience time.Duration
	every         int64
}

// stepwise follows a history, and also returns what was judged of the API before
// the history had its end, and whether all of it was judged twice.
func stepwise(t *testing.T, dir string, s steps, failed func(string)) (j *Judgement, before int64, again bool) {
	t.Helper()
	p, err := follow(t.Context(), dir, Options{}, failed, quickly)
	if err != nil {
		t.Fatal(err)
	}
	p.lag, p.patience, p.every = s.lag, s.patience, s.every
	if err := p.readStore(); err != nil {
		t.Fatal(err)
	}
	first := p.api
	before = first.attempts + first.messageCount
	if err := p.readRest(); err != nil {
		t.Fatal(err)
	}
	p.api.close()
	return p.Finish(nil, 0), before, first != p.api
}

func mustEqual(t *testing.T, got, want *Judgement) {
	t.Helper()
	got.Took, want.Took = 0, 0
	if len(got.Verdicts) != len(want.Verdicts) {
		t.Fatalf("%d verdicts, want %d", len(got.Verdicts), len(want.Verdicts))
	}
	for i, v := range want.Verdicts {
		if got.Verdicts[i] != v {
			t.Errorf("in steps:\n%+v\nas a whole:\n%+v", got.Verdicts[i], v)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("in steps:\n%+v\nas a whole:\n%+v", got, want)
	}
}

// alarms are the guarantees of an area that a judgement finds broken.
func alarms(j *Judgement, areas ...string) []string {
	var names []string
	for _, v := range j.Verdicts {
		if v.Outcome == checkers.Fail && slices.Contains(areas, v.Area) {
			names = append(names, Claim(v.Area, v.Guarantee))
		}
	}
	return names
}

// Both histories are judged in steps as they are judged as a whole, whatever the
// steps are.
func TestSteps(t *testing.T) {
	for seed := range uint64(4) {
		p := newPlane(seed, 3000)
		dir := p.whole(t)
		want := mustJudge(t, dir, Options{})
		if bad := alarms(want, checkers.AreaStore, checkers.AreaAPI, checkers.AreaCluster); len(bad) > 0 {
			t.Fatalf("seed %d: alarms of a good history: %q", seed, bad)
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		for range 4 {
			s := steps{lag: time.Duration(300+rng.IntN(3000)) * time.Millisecond, patience: time.Second, every: 1 + rng.Int64N(3000)}
			got, before, again := stepwise(t, dir, s, func(g string) { t.Errorf("seed %d: %s was told", seed, g) })
			mustEqual(t, got, want)
			if total := got.Attempts + got.APIMessages; before < total/3 || again {
				t.Errorf("seed %d, %+v: %d of %d records were judged beside the store's, and twice: %v", seed, s, before, total, again)
			}
		}
	}
}

// The cluster is judged at every revision from when on nothing was done to it, and
// at the moments that the run names.
func TestWhenTheClusterIsJudged(t *testing.T) {
	dir := newPlane(1, 500).whole(t)
	for _, c := range []struct {
		opt    Options
		always bool
		after  string
	}{
		{Options{}, false, ""},
		{Options{Faultless: true}, true, ""},
		{Options{Calm: 5, Settled: []cluster.Moment{{Revision: 9, After: "hold"}, {Revision: 20, After: "churn"}}}, true, "end of the churn"},
	} {
		var seen int
		for _, v := range mustJudge(t, dir, c.opt).Verdicts {
			if v.Guarantee != cluster.NoOrphans {
				continue
			}
			seen++
			if strings.Contains(v.Checked, "at every revision") != c.always || !strings.Contains(v.Checked, c.after) {
				t.Errorf("%+v: checked %s", c.opt, v.Checked)
			}
		}
		if seen != 1 {
			t.Errorf("%d verdicts", seen)
		}
	}
}

// What is broken is told, and the verdicts with their counter-examples are those
// of the whole.
func TestStepsWithLies(t *testing.T) {
	caught := map[string]bool{}
	for seed := range uint64(12) {
		p := newPlane(seed, 1500)
		for range 1 + seed%3 {
			p.lie()
		}
		dir := p.whole(t)
		want := mustJudge(t, dir, Options{})
		var told []string
		s := steps{lag: 400 * time.Millisecond, patience: time.Second, every: 1 + int64(seed)*211}
		got, _, _ := stepwise(t, dir, s, func(g string) { told = append(told, g) })
		mustEqual(t, got, want)
		failed := alarms(want, checkers.AreaAPI, checkers.AreaCluster)
		for _, g := range failed {
			caught[g] = true
			if !slices.Contains(told, g) {
				t.Errorf("seed %d: %s was not told, but %q", seed, g, told)
			}
		}
		if !slices.Equal(slices.Sorted(slices.Values(told)), slices.Sorted(slices.Values(failed))) {
			t.Errorf("seed %d: told %q, failed %q", seed, told, failed)
		}
	}
	if len(caught) < 6 {
		t.Errorf("the lies broke %d guarantees only: %v", len(caught), caught)
	}
}

// A watch of the API that shows nothing for good is wrong once the faults are
// over for long enough, as the run says, and not before.
func TestSilentWatch(t *testing.T) {
	p := newPlane(1, 1500)
	begin, ends := p.seen[2], p.seen[p.last]+history.Time(time.Minute)
	id := p.call("watch", "configmaps", "", begin, begin+tick).ID
	p.calls[id-1].ResourceVersion = "2"
	p.messages = append(p.messages, &history.APIWatch{Call: id, Type: history.APIWatchOpen, At: begin + tick},
		&history.APIWatch{Call: id, Type: history.APIWatchClosed, At: ends, Error: history.ClosedByClient})
	slices.SortStableFunc(p.calls, func(a, b *history.APICall) int { return cmp.Compare(a.Returned, b.Returned) })
	slices.SortStableFunc(p.messages, func(a, b *history.APIWatch) int { return cmp.Compare(a.At, b.At) })
	dir := p.whole(t)
	f := func(opt Options, want ...string) {
		t.Helper()
		if got := alarms(mustJudge(t, dir, opt), checkers.AreaAPI); !slices.Equal(got, want) {
			t.Errorf("faults over at %d of %d, none: %v: alarms %q, want %q", opt.Calm, ends, opt.Faultless, got, want)
		}
	}
	f(Options{})
	f(Options{Faultless: true}, "API/Delivered")
	f(Options{Calm: ends.Add(-afterFaults - time.Second)}, "API/Delivered")
	f(Options{Calm: ends.Add(-afterFaults + time.Second)})
}

// An error in the stream of a watch is judged like one that is an answer.
func TestErrorOfAWatch(t *testing.T) {
	f := func(status int32, reason string, want ...string) {
		t.Helper()
		p := newPlane(1, 1500)
		begin := p.seen[2]
		id := p.call("watch", "configmaps", "", begin, begin+tick).ID
		p.calls[id-1].ResourceVersion = "2"
		for i, m := range []history.APIWatch{{Type: history.APIWatchOpen}, {Type: "ERROR", Status: status, Reason: reason}, {Type: history.APIWatchClosed}} {
			m.Call, m.At = id, begin+tick*history.Time(1+i)
			p.messages = append(p.messages, &m)
		}
		slices.SortStableFunc(p.calls, func(a, b *history.APICall) int { return cmp.Compare(a.Returned, b.Returned) })
		slices.SortStableFunc(p.messages, func(a, b *history.APIWatch) int { return cmp.Compare(a.At, b.At) })
		if got := alarms(mustJudge(t, p.whole(t), Options{}), checkers.AreaAPI); !slices.Equal(got, want) {
			t.Errorf("%d %s: alarms %q, want %q", status, reason, got, want)
		}
	}
	f(500, "InternalError")
	f(400, "BadRequest", "API/ErrorHonest")
	f(500, "Forbidden", "API/ErrorHonest")
}

// A server that fails on a request which it has to refuse is wrong before the first
// fault and after the last one.
func TestFailsUnderFaults(t *testing.T) {
	p := newPlane(1, 1500)
	begin := p.seen[2]
	c := p.call("patch", "configmaps", "none", begin, begin+tick)
	c.Status, c.Reason, c.Illegal = 500, "InternalError", history.UnknownDryRun
	slices.SortStableFunc(p.calls, func(a, b *history.APICall) int { return cmp.Compare(a.Returned, b.Returned) })
	dir := p.whole(t)
	f := func(opt Options, want ...string) {
		t.Helper()
		if got := alarms(mustJudge(t, dir, opt), checkers.AreaAPI); !slices.Equal(got, want) {
			t.Errorf("faults from %d to %d of a call of %d: alarms %q, want %q", opt.Struck, opt.Calm, begin, got, want)
		}
	}
	f(Options{})
	f(Options{Struck: begin, Calm: begin + tick})
	f(Options{Struck: begin + 2*tick}, "API/ErrorHonest")
	f(Options{Struck: begin - tick, Calm: begin}, "API/ErrorHonest")
}

// What is missing of the API history makes every verdict Invalid, in steps too.
func TestStepsOfDamagedHistory(t *testing.T) {
	for _, stream := range []string{"api-calls", "api-watches", "versions"} {
		dir := newPlane(1, 800).whole(t)
		segment := filepath.Join(dir, stream+"-00001.parquet")
		data, err := os.ReadFile(segment)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2]++ // seen only when it is read
		if err := os.WriteFile(segment, data, 0o644); err != nil {
			t.Fatal(err)
		}
		want := mustJudge(t, dir, Options{})
		got, _, _ := stepwise(t, dir, steps{lag: time.Second, patience: time.Second, every: 300}, nil)
		mustEqual(t, got, want)
		if invalid := outcomes(want, checkers.Invalid); len(invalid) < len(want.Verdicts) || !strings.Contains(want.Verdicts[0].Detail, stream) {
			t.Errorf("%s: Invalid %q, for %s", stream, invalid, want.Verdicts[0].Detail)
		}
	}
}

// lie changes one record.
func (p *plane) lie() {
	pick := func(fits func(*history.APICall) bool) *history.APICall {
		for {
			if c := p.calls[p.rng.IntN(len(p.calls))]; fits(c) {
				return c
			}
		}
	}
	event := func() int {
		for {
			i := p.rng.IntN(len(p.messages))
			if kind := p.messages[i].Type; kind == "ADDED" || kind == "MODIFIED" || kind == "DELETED" {
				return i
			}
		}
	}
	switch p.rng.IntN(8) {
	case 0: // a read of the past
		c := pick(func(c *history.APICall) bool {
			return c.Verb == "list" && c.ResourceVersion == "" && c.ListVersion > 60 && c.Resource != absent
		})
		c.ListVersion -= 50
		c.Items = p.list(c.Resource, c.ListVersion)
	case 1:
		pick(func(c *history.APICall) bool { return c.Verb == "get" && c.Object.UID != "" }).Object.Content++
	case 2: // a read of the future
		c := pick(func(c *history.APICall) bool { return c.Verb == "list" && c.ListVersion < p.last-200 })
		c.ListVersion += 200
		c.Items = p.list(c.Resource, c.ListVersion)
	case 3:
		i := event()
		p.messages = slices.Delete(p.messages, i, i+1)
	case 4:
		p.messages[event()].Object.Version += 500
	case 5:
		c := pick(func(c *history.APICall) bool { return c.Verb == "update" && c.Object.UID != "" })
		c.Sets, c.Object.Content = []history.Pair{{Name: "client", Value: "another"}}, c.Object.Content+1
	case 6: // a pod moves
		for _, v := range p.versions[p.rng.IntN(len(p.versions)):] {
			if v.Resource == "pods" && !v.Delete && p.at(nameOf(v.Key), v.Revision-1) != nil {
				v.Fields = []history.Pair{{Name: "spec.nodeName", Value: "elsewhere"}}
				return
			}
		}
	default: // an object gets another uid in its life
		for _, v := range p.versions[p.rng.IntN(len(p.versions)/2):] {
			if !v.Delete && p.at(nameOf(v.Key), v.Revision-1) != nil {
				v.UID += "'"
				return
			}
		}
	}
}

// A violation of the API and one of the cluster are told while the history is
// still being written, each once.
func TestFollowTellsOfTheAPI(t *testing.T) {
	p := newPlane(3, 6000)
	from := len(p.calls) / 4
	i := slices.IndexFunc(p.calls[from:], func(c *history.APICall) bool { return c.Verb == "get" && c.Object.UID != "" })
	p.calls[from+i].ResourceVersion, p.calls[from+i].Object.Content = "", 1
	i = slices.IndexFunc(p.versions, func(v *history.Version) bool {
		return v.Revision > p.last/4 && v.Resource == "pods" && !v.Delete && p.at(nameOf(v.Key), v.Revision-1) != nil
	})
	p.versions[i].Fields[0].Value = "elsewhere"
	want := []string{Claim(checkers.AreaAPI, "MostRecent"), Claim(checkers.AreaCluster, "NoDoubleBind")}

	// The writer waits with the last tenth until both have been told.
	next := make(chan struct{}, 8)
	for range cap(next) {
		next <- struct{}{}
	}
	told := map[string]int{}
	s := steps{lag: time.Second, patience: time.Second, every: 500}
	j, _, _ := stepwise(t, p.put(t, 10, next), s, func(g string) {
		if told[g]++; told[want[0]]+told[want[1]] == 2 && told[g] == 1 && slices.Contains(want, g) {
			close(next)
		}
	})
	for _, g := range want {
		if told[g] != 1 {
			t.Errorf("%s was told %d times", g, told[g])
		}
	}
	for _, g := range alarms(j, checkers.AreaAPI, checkers.AreaCluster) {
		if told[g] != 1 {
			t.Errorf("%s failed and was told %d times", g, told[g])
		}
	}
}

// frozen is a history in which a deletion takes 50 s to be answered and to be
// seen, while a client learns of it at once.
func frozen() *plane {
	p := &plane{seen: map[int64]history.Time{}}
	second := history.Time(time.Second)
	op := func(method history.StoreMethod, called, returned history.Time, header int64, local bool) {
		a := history.StoreAction{Kind: history.ActionRange, Key: "/registry/configmaps/ns/a", Serializable: local}
		r := history.StoreResult{}
		switch method {
		case history.MethodPut:
			a.Kind, a.Value = history.ActionPut, uint64(header)
		case history.MethodDeleteRange:
			a.Kind, r.Count = history.ActionDelete, 1
		}
		p.store.Ops = append(p.store.Ops, &history.StoreOp{
			ID: uint64(len(p.store.Ops) + 1), Client: uint32(len(p.store.Ops) + 1), Member: "m1", Method: method,
			Called: called, Returned: returned, Then: []history.StoreAction{a}, Results: []history.StoreResult{r},
			Header: header, Succeeded: true,
		})
	}
	row := func(rev int64, at history.Time, v history.Version) {
		v.Revision, v.Key, v.Resource = rev, "/registry/configmaps/ns/a", "configmaps"
		p.versions, p.seen[rev], p.last = append(p.versions, &v), at, rev
	}
	object := history.Version{Kind: "ConfigMap", Namespace: "ns", Name: "a", UID: "u", Created: 1, Content: 7}
	for rev := int64(2); rev < 102; rev++ {
		at := history.Time(rev) * second
		op(history.MethodPut, at, at+tick, rev, false)
		row(rev, at+tick, object)
	}
	op(history.MethodDeleteRange, 102*second, 152*second, 102, false)
	for s := int64(103); s < 152; s++ { // a member that answers by itself is behind
		op(history.MethodRange, history.Time(s)*second, history.Time(s)*second+tick, 101, true)
	}
	row(102, 152*second, history.Version{Delete: true})
	object.UID = "v"
	for rev := int64(103); rev < 400; rev++ {
		at := history.Time(rev+50) * second
		op(history.MethodPut, at, at+tick, rev, false)
		row(rev, at+tick, object)
	}
	c := p.call("get", "configmaps", "a", 103*second, 104*second)
	c.Status, c.Reason, c.DetailsKind, c.DetailsName = 404, "NotFound", "configmaps", "a"
	return p
}

// The API history waits for what the store may still have to say: judged too
// early, an answer that is right looks wrong. The verdicts do not suffer.
func TestLag(t *testing.T) {
	p := frozen()
	dir := p.whole(t)
	want := mustJudge(t, dir, Options{})
	if bad := alarms(want, checkers.AreaAPI); len(bad) > 0 {
		t.Fatalf("alarms of a good history: %q", bad)
	}
	f := func(s steps, told []string, twice bool) {
		t.Helper()
		var got []string
		j, before, again := stepwise(t, dir, s, func(g string) {
			if strings.HasPrefix(g, checkers.AreaAPI) {
				got = append(got, g)
			}
		})
		mustEqual(t, j, want)
		if !slices.Equal(got, told) || again != twice || before != 1 {
			t.Errorf("%+v: told %q, judged twice %v, %d records before the end", s, got, again, before)
		}
	}
	f(steps{lag, patience, 1}, nil, false)
	f(steps{10 * time.Second, patience, 1}, []string{"API/MostRecent"}, true)
}

// Records whose times run backwards, and a version table that lacks a row, prove
// nothing of the API, whatever they show; the store's verdicts stand.
func TestUnfit(t *testing.T) {
	f := func(name string, damage func(p *plane)) {
		t.Helper()
		p := newPlane(2, 1500)
		damage(p)
		j := mustJudge(t, p.whole(t), Options{})
		for _, v := range j.Verdicts {
			if (v.Area == checkers.AreaStore) == (v.Outcome == checkers.Invalid && strings.Contains(v.Detail, name)) {
				t.Errorf("%s: %s %s: %s", name, v.Area, v.Guarantee, v)
			}
		}
	}
	f("times that run backwards", func(p *plane) {
		c := p.calls[len(p.calls)/2]
		c.Called, c.Returned = c.Returned, c.Called-1
	})
	f("the version table has", func(p *plane) { p.versions = p.versions[:len(p.versions)-1] })
	f("the version table has", func(p *plane) {
		middle := len(p.versions) / 2
		p.versions = slices.Delete(p.versions, middle, middle+1)
	})
	f("are of no watch", func(p *plane) {
		p.calls = slices.DeleteFunc(p.calls, func(c *history.APICall) bool { return c.Verb == "watch" })
	})
}
