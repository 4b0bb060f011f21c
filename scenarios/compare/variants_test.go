package compare

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/planecheck/planecheck/results/compare"
	"github.com/planecheck/planecheck/scenarios"
)

type words = []string

func TestVariants(t *testing.T) {
	f := func(backends, variants, settings words, want ...compare.Variant) {
		t.Helper()
		got, err := Variants(backends, variants, settings, false)
		if err != nil {
			t.Errorf("%q %q %q: %v", backends, variants, settings, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q %q %q (-want +got):\n%s", backends, variants, settings, diff)
		}
	}
	etcd, memory := compare.Variant{Name: "etcd", Flags: words{"--backend=etcd"}}, compare.Variant{Name: "memory", Flags: words{"--backend=memory"}}
	f(words{"etcd,memory"}, nil, nil, etcd, memory)
	f(words{"memory", "etcd"}, nil, nil, memory, etcd)
	// The comma between options is none between backends.
	f(words{"etcd:members=1,fsync=off,memory,etcd"}, nil, nil,
		compare.Variant{Name: "etcd:members=1,fsync=off", Flags: words{"--backend=etcd:members=1,fsync=off"}}, memory, etcd)
	json := compare.Variant{Name: "json", Flags: words{"--apiserver-arg=--storage-media-type=application/json"}}
	f(nil, words{"json: --apiserver-arg=--storage-media-type=application/json"}, nil, compare.Variant{Name: plain}, json)
	f(nil, nil, words{"json:storage-media-type=application/json"}, compare.Variant{Name: plain}, json)
	f(nil, nil, words{"x:--a=1", "y:b=2", "x:c=d=3"}, compare.Variant{Name: plain},
		compare.Variant{Name: "x", Flags: words{"--apiserver-arg=--a=1", "--apiserver-arg=--c=d=3"}},
		compare.Variant{Name: "y", Flags: words{"--apiserver-arg=--b=2"}})
	f(words{"etcd"}, words{"gc: --backend etcd --gogc=kube-apiserver=50"}, nil, etcd,
		compare.Variant{Name: "gc", Flags: words{"--backend", "etcd", "--gogc=kube-apiserver=50"}})
}

// In a comparison of alikes the stores that need no proxy have one all the same,
// under the names that the person gave them.
func TestVariantsBehindProxies(t *testing.T) {
	got, err := Variants(words{"etcd,kine-sqlite,etcd:proxy=off"}, words{"mine: --backend=etcd"}, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	want := []compare.Variant{
		{Name: "etcd", Flags: words{"--backend=etcd:proxy=on"}},
		{Name: "kine-sqlite", Flags: words{"--backend=kine-sqlite"}},
		{Name: "etcd:proxy=off", Flags: words{"--backend=etcd:proxy=off"}},
		{Name: "mine", Flags: words{"--backend=etcd"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVariantsRefuse(t *testing.T) {
	f := func(message string, backends, variants, settings words) {
		t.Helper()
		_, err := Variants(backends, variants, settings, true)
		var usage *scenarios.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), message) {
			t.Errorf("%q %q %q: %v, want a usage error with %q", backends, variants, settings, err, message)
		}
	}
	f("nothing to compare", nil, nil, nil)
	f("nothing to compare", words{"etcd"}, nil, nil)
	f("twice", words{"etcd,memory,etcd"}, nil, nil)
	f("twice", nil, words{"plain: --backend=memory"}, nil)
	f("twice", nil, words{"a: --backend=memory"}, words{"a:b=c"})
	f("empty backend", words{"etcd,,memory"}, nil, nil)
	f("empty backend", words{""}, nil, nil)
	f("--variant", nil, words{"json"}, nil)
	f("--variant", nil, words{": --backend=memory"}, nil)
	f("no flag", nil, words{"json: storage-media-type"}, nil)
	f("--set", nil, nil, words{"json"})
	f("--set", nil, nil, words{"json:storage-media-type"})
	f("--set", nil, nil, words{"json:=x"})
}

// Over as many rounds as there are variants, each has every place once, and in
// each round each variant runs once.
func TestOrderTurns(t *testing.T) {
	var variants []compare.Variant
	for _, name := range []string{"a", "b", "c"} {
		variants = append(variants, compare.Variant{Name: name})
	}
	var got words
	for round := range 4 {
		turn := ""
		for _, v := range order(variants, round+1) {
			turn += v.Name
		}
		got = append(got, turn)
	}
	if diff := cmp.Diff(words{"abc", "bca", "cab", "abc"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPlacesAreApart(t *testing.T) {
	if a, b := place(1, 0, "x:y"), place(1, 1, "x/y"); a == b || strings.Count(a, "/") != 1 || strings.Count(b, "/") != 1 {
		t.Errorf("%q and %q", a, b)
	}
}

// What a trial says last is known although the disk takes nothing of it.
func TestLastWords(t *testing.T) {
	f := func(want string, writes ...string) {
		t.Helper()
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer full.Close()
		o := &output{file: full}
		for _, text := range writes {
			if n, err := o.Write([]byte(text)); n != len(text) || err != nil {
				t.Errorf("wrote %d of %d bytes, %v", n, len(text), err)
			}
		}
		if got := o.lastWords(); got != want {
			t.Errorf("%.60q: %q, want %q", writes, got, want)
		}
		if len(o.tail) > 2*tailBytes {
			t.Errorf("%d bytes are kept", len(o.tail))
		}
	}
	f("")
	f("", "")
	f("two", "x\nplanecheck: one\ny\nplane", "check: two\nthe rest\n")
	f("the end", strings.Repeat("a line\n", tailBytes), "planecheck: the end")
	var kept strings.Builder
	o := &output{file: &kept}
	if _, err := o.Write([]byte("all of it")); err != nil || kept.String() != "all of it" {
		t.Errorf("the file has %q, %v", kept.String(), err)
	}
}
