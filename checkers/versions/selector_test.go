package versions_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/checkers/versions"
)

var labelSelectors = []string{
	"", " ", "a", "!a", "! a", "a=x", "a==x", "a = x", "a!=x", "a in (x)", "a in (x,y)", "a in ( x , y )", "a in (x,,y)",
	"a in ()", "a notin ()", "a notin (x,y)", "a in (,x)", "a=", "a!=", "a,b", "a=x,b=y", "a in (x,y),b notin (x),!c",
	"c>5", "c<5", "c > 5", "c<x", "a>5", "in in (in)", "notin=in", "a=in", "a in(x)", "a.b/c=x", "a,", ",a", "a b", "a=x y",
	"a in x", "a in (x", "a in x)", "!a=x", "a=-x", "-a", "a=x,,b", "(a)", "a===x", "a!x", "a=!x", "!", "!!a", "a in (x))", "a in ((x)",
}

// TestLabelsAgree compares with the API server's own parser.
func TestLabelsAgree(t *testing.T) {
	sets := []labels.Set{{}, {"a": "x"}, {"a": "y", "b": "y"}, {"a": "", "c": "7"}, {"c": "3"}, {"a": "x", "b": "x"}, {"in": "in"}, {"a.b/c": "x"}, {"notin": "in"}}
	for _, text := range labelSelectors {
		theirs, wrong := labels.Parse(text)
		ours, err := versions.ParseSelector(text, "")
		if (err != nil) != (wrong != nil) {
			t.Errorf("%q: %v, the API server says %v", text, err, wrong)
			continue
		}
		if err != nil {
			continue
		}
		for _, set := range sets {
			match, known := ours.Matches(labelled(set))
			if !known || match != theirs.Matches(set) {
				t.Errorf("%q on %v: %v, known %v", text, set, match, known)
			}
		}
	}
}

func labelled(set labels.Set) *history.Version {
	v := &history.Version{Resource: "pods", Namespace: "ns", Name: "n"}
	for name, value := range set {
		v.Labels = append(v.Labels, history.Pair{Name: name, Value: value})
	}
	return v
}

func FuzzLabels(f *testing.F) {
	for _, text := range labelSelectors {
		f.Add(text)
	}
	set := labels.Set{"a": "x", "c": "7"}
	v := labelled(set)
	f.Fuzz(func(t *testing.T, text string) {
		ours, err := versions.ParseSelector(text, "")
		theirs, wrong := labels.Parse(text)
		if err != nil || wrong != nil {
			return // they also check lengths
		}
		if match, _ := ours.Matches(v); match != theirs.Matches(set) {
			t.Errorf("%q: %v", text, match)
		}
	})
}

var fieldSelectors = []string{
	"", "metadata.name=n", "metadata.name!=n", "metadata.namespace==ns", "spec.nodeName=", "spec.nodeName!=", "spec.nodeName=x,status.phase!=Failed",
	`spec.nodeName=a\,b`, `spec.nodeName=a\=b`, `spec.nodeName=a\\b`, `spec.nodeName=a\b`, `spec.nodeName=a=b`, `spec.nodeName=a\`,
	"spec.nodeName", "=x", ",metadata.name=n,", "metadata.name!==n", "metadata.name===n", "status.phase=Running", "spec.restartPolicy=Always",
}

func TestFieldsAgree(t *testing.T) {
	for _, text := range fieldSelectors {
		theirs, wrong := fields.ParseSelector(text)
		ours, err := versions.ParseSelector("", text)
		if (err != nil) != (wrong != nil) {
			t.Errorf("%q: %v, the API server says %v", text, err, wrong)
		}
		if err != nil || strings.HasPrefix(text, "=") {
			continue
		}
		for _, node := range []string{"", "x", "a,b", "a=b", `a\b`} {
			v := &history.Version{Resource: "pods", Namespace: "ns", Name: "n", Fields: []history.Pair{{Name: "status.phase", Value: "Running"}}}
			set := fields.Set{"metadata.name": "n", "metadata.namespace": "ns", "spec.nodeName": node, "status.phase": "Running", "spec.restartPolicy": ""}
			if node != "" {
				v.Fields = append(v.Fields, history.Pair{Name: "spec.nodeName", Value: node})
			}
			match, known := ours.Matches(v)
			if !known || match != theirs.Matches(set) {
				t.Errorf("%q on node %q: %v, known %v", text, node, match, known)
			}
		}
	}
}

func FuzzFields(f *testing.F) {
	for _, text := range fieldSelectors {
		f.Add(text)
	}
	v := &history.Version{Resource: "pods", Name: "n", Fields: []history.Pair{{Name: "status.phase", Value: "Running"}}}
	f.Fuzz(func(t *testing.T, text string) {
		ours, err := versions.ParseSelector("", text)
		theirs, wrong := fields.ParseSelector(text)
		if (err != nil) != (wrong != nil) {
			t.Fatalf("%q: %v, the API server says %v", text, err, wrong)
		}
		if err != nil {
			return
		}
		match, known := ours.Matches(v)
		if set := (fields.Set{"metadata.name": "n", "status.phase": "Running"}); known && match != theirs.Matches(set) {
			t.Errorf("%q: %v", text, match)
		}
	})
}

func TestUnknownFields(t *testing.T) {
	pod := &history.Version{Resource: "pods", Name: "n"}
	node := &history.Version{Resource: "nodes", Name: "n"}
	unread := &history.Version{Resource: "pods", Name: "n", Unread: true}
	service := func(kind, ip string) *history.Version {
		v := &history.Version{Resource: "services", Name: "n", Fields: []history.Pair{{Name: "spec.type", Value: kind}}}
		if ip != "" {
			v.Fields = append(v.Fields, history.Pair{Name: "spec.clusterIP", Value: ip})
		}
		return v
	}
	for _, c := range []struct {
		labels, fields string
		v              *history.Version
		match, known   bool
	}{
		{"", "status.podIP=", pod, false, false},
		{"", "status.podIP=,metadata.name=m", pod, false, true}, // whatever the IP is
		{"a", "status.podIP=", pod, false, true},
		{"", "spec.nodeName=", node, false, false},
		{"", "spec.unschedulable=false", node, true, true},
		{"", "spec.unschedulable!=false", node, false, true},
		{"", "spec.nodeName=", unread, false, false},
		{"", "spec.clusterIP!=None", service("ClusterIP", "10.96.0.1"), true, true},
		{"", "spec.clusterIP!=None", service("ClusterIP", "None"), false, true},
		{"", "spec.clusterIP!=None", service("ExternalName", ""), true, true},
		{"", "spec.clusterIP=", service("ExternalName", ""), true, true},
		{"", "spec.clusterIP!=None", service("ClusterIP", ""), false, false}, // of a history that left it out
		{"", "spec.type=ClusterIP", service("ClusterIP", ""), true, true},
		{"", "spec.clusterIP!=None", node, false, false},
		{"!a", "", unread, false, false},
		{"", "metadata.name=n", unread, true, true},
		{"", "metadata.name=m", unread, false, true},
	} {
		s, err := versions.ParseSelector(c.labels, c.fields)
		if err != nil {
			t.Fatal(err)
		}
		if match, known := s.Matches(c.v); match != c.match || known != c.known {
			t.Errorf("%q %q on %+v: match %v, known %v", c.labels, c.fields, c.v, match, known)
		}
	}
	if s, _ := versions.ParseSelector("", ","); !s.Empty() {
		t.Error("a selector of nothing is not empty")
	}
}

func TestFieldsOfResources(t *testing.T) {
	for _, c := range []struct {
		group, resource, fields string
		unknown                 []string
	}{
		{"", "services", "spec.clusterIP!=None,spec.type=ClusterIP,metadata.name=n", nil},
		{"", "pods", "spec.nodeName=n,metadata.namespace!=ns", nil},
		{"", "pods", "spec.clusterIP!=None,status.podIP=,spec.clusterIP!=x", []string{"spec.clusterIP", "status.podIP"}},
		{"apps", "services", "spec.clusterIP!=None", []string{"spec.clusterIP"}},
		{"", "configmaps", "", nil},
	} {
		s, err := versions.ParseSelector("", c.fields)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Unknown(c.group, c.resource); !slices.Equal(got, c.unknown) {
			t.Errorf("%q of %s: %q, want %q", c.fields, c.resource, got, c.unknown)
		}
	}
}

// TestRandomLabels puts random requirements together.
func TestRandomLabels(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	term := func() string {
		key, a, b := pick(rnd, "a", "b", "c"), pick(rnd, "x", "y", "7"), pick(rnd, "x", "", "z")
		return pick(rnd, key, "!"+key, key+"="+a, key+" != "+a, key+" in ("+a+", "+b+")", key+" notin("+a+","+b+")", key+">6")
	}
	for range 2000 {
		text := term()
		for range rnd.IntN(3) {
			text += pick(rnd, ",", " , ") + term()
		}
		set := labels.Set{}
		for range rnd.IntN(3) {
			set[pick(rnd, "a", "b", "c")] = pick(rnd, "x", "y", "7", "")
		}
		theirs, wrong := labels.Parse(text)
		ours, err := versions.ParseSelector(text, "")
		if (err != nil) != (wrong != nil) {
			t.Fatalf("%q: %v, the API server says %v", text, err, wrong)
		}
		if err != nil {
			continue
		}
		if match, known := ours.Matches(labelled(set)); !known || match != theirs.Matches(set) {
			t.Fatalf("%q on %v: %v", text, set, match)
		}
	}
}
