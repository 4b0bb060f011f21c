package endstate

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The objects of the tests are written as an API server would answer, with marks
// for what a run decides: <uid a>, <rnd a> five characters, <ip a>, <port a>,
// <node a>, <zone a>, <time a>, <num a>, <pem a>. Each run has values of its own.
var mark = regexp.MustCompile(`<(uid|rnd|ip|port|node|zone|time|num|pem) ([a-z0-9-]+)>`)

func inRun(run, text string) string {
	return mark.ReplaceAllStringFunc(text, func(m string) string {
		parts := mark.FindStringSubmatch(m)
		h := fnv.New64a()
		fmt.Fprint(h, run, parts[2])
		n := h.Sum64()
		switch parts[1] {
		case "uid":
			return fmt.Sprintf("%08x-%04x-4000-8000-%012x", n>>32, n>>16&0xffff, n&0xffffffffffff)
		case "rnd":
			return fmt.Sprintf("%05x", n&0xfffff)
		case "ip":
			return fmt.Sprintf("10.%d.%d.%d", n>>16&0xff, n>>8&0xff, n&0xff)
		case "port":
			return fmt.Sprint(30000 + n%2768)
		case "node", "zone":
			return fmt.Sprintf("%s-%s", parts[1], run) // surely not the same
		case "time":
			return fmt.Sprintf("2026-11-%02dT10:%02d:%02dZ", 1+n%28, n>>8%60, n>>16%60)
		case "pem":
			return fmt.Sprintf(`-----BEGIN CERTIFICATE-----\n%x\n-----END CERTIFICATE-----\n`, n)
		}
		return fmt.Sprint(n % 1_000_000)
	})
}

// listed is one object with the resource in whose list it was.
type listed struct {
	resource string
	object   map[string]any
}

// expand puts in the parts: $podspec and $running, and for "meta":"a" what servers
// put into metadata.
func expand(text string) string {
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		text = strings.ReplaceAll(text, "$"+name, parts[name])
	}
	return meta.ReplaceAllString(text, `"uid":"<uid $1>","resourceVersion":"<num $1>","creationTimestamp":"<time $1>","generation":1,`+
		`"managedFields":[{"manager":"m","operation":"Update","time":"<time $1>"}]`)
}

// parseObjects reads lines of "resource {json}", as they are in one run.
func parseObjects(t testing.TB, run, text string) []listed {
	t.Helper()
	var list []listed
	for line := range strings.Lines(inRun(run, expand(text))) {
		resource, body, found := strings.Cut(strings.TrimSpace(line), " ")
		if !found {
			continue
		}
		object := map[string]any{}
		if err := json.Unmarshal([]byte(body), &object); err != nil {
			t.Fatalf("test object: %v\n%s", err, body)
		}
		list = append(list, listed{resource, object})
	}
	return list
}

var meta = regexp.MustCompile(`"meta":"([a-z0-9-]+)"`)

var parts = map[string]string{
	"podspec": `"spec":{"nodeName":"<node a>","serviceAccountName":"default","containers":[{"name":"app","image":"shop/web:2",` +
		`"volumeMounts":[{"name":"kube-api-access-<rnd v>","mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","readOnly":true}]}],` +
		`"volumes":[{"name":"kube-api-access-<rnd v>","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}}]}}]}`,
	"running": `"status":{"phase":"Running","podIP":"<ip a>","startTime":"<time a>","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"<time a>"}]}`,
}

func capturedBy(t testing.TB, rules []rule, objects []listed) *State {
	t.Helper()
	b := newBuilder(rules, nil)
	for _, o := range objects {
		if err := b.add(o.resource, o.object); err != nil {
			t.Fatal(err)
		}
	}
	return b.state()
}

// said are differences as a person reads them.
func said(list []Difference) []string {
	var lines []string
	for _, d := range list {
		lines = append(lines, d.String())
	}
	return lines
}
