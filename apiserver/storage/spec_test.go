package storage

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSpec(t *testing.T) {
	const known = "etcd[:members=3|1|5,fsync=on|off,proxy=off|on], etcd-process[:members=3|1|5,fsync=on|off], " +
		"kine-sqlite[:version=v0.17.5|v0.16.4], kine-postgres[:version=v0.17.5|v0.16.4], " +
		"kine-mariadb[:version=v0.17.5|v0.16.4], kine-memory[:version=v0.17.5|v0.16.4], kine-nats[:version=v0.17.5], kine-t4[:version=v0.17.5], memory[:proxy=off|on], external"
	for _, test := range []struct {
		spec    string
		members string
		err     string
	}{
		{spec: "etcd", members: "3"},
		{spec: "etcd:members=1", members: "1"},
		{spec: "etcd:members=3", members: "3"},
		{spec: "etcd:members=5", members: "5"},
		{spec: "etcd-process", members: "3"},
		{spec: "etcd-process:members=5", members: "5"},
		{spec: "etcd-process:members=4", err: `storage backend etcd-process: unknown value in "members=4", known: members=3|1|5`},
		{spec: "etcd:members=1,fsync=off", members: "1"},
		{spec: "etcd-process:fsync=on", members: "3"},
		{spec: "etcd:fsync=false", err: `storage backend etcd: unknown value in "fsync=false", known: fsync=on|off`},
		{spec: "memory"},
		{spec: "memory:members=1", err: `storage backend memory: unknown option "members=1", known: proxy=off|on`},
		{spec: "memory:proxy=on"},
		{spec: "etcd:proxy=on,members=1", members: "1"},
		{spec: "etcd-process:proxy=on", err: `storage backend etcd-process: unknown option "proxy=on", known: members=3|1|5,fsync=on|off`},
		{spec: "kine-sqlite"},
		{spec: "kine-sqlite:version=v0.16.4"},
		{spec: "kine-sqlite:version=v0.1", err: `storage backend kine-sqlite: unknown value in "version=v0.1", known: version=v0.17.5|v0.16.4`},
		{spec: "external:members=1", err: `storage backend external: unknown option "members=1", known: none`},
		{spec: "", err: `unknown storage backend "", known: ` + known},
		{spec: "kine", err: `unknown storage backend "kine", known: ` + known},
		{spec: "Etcd:members=1", err: `unknown storage backend "Etcd", known: ` + known},
		{spec: "etcd:", err: `storage backend etcd: unknown option "", known: members=3|1|5,fsync=on|off,proxy=off|on`},
		{spec: "etcd:nodes=3", err: `storage backend etcd: unknown option "nodes=3", known: members=3|1|5,fsync=on|off,proxy=off|on`},
		{spec: "etcd:members=2", err: `storage backend etcd: unknown value in "members=2", known: members=3|1|5`},
		{spec: "etcd:members", err: `storage backend etcd: unknown value in "members", known: members=3|1|5`},
		{spec: "etcd:members=1,members=3", err: `storage backend etcd: option "members" is given twice`},
	} {
		_, values, err := parseSpec(test.spec)
		if got := message(err); got != test.err {
			t.Errorf("%q: error %q, want %q", test.spec, got, test.err)
		}
		if got := values["members"]; got != test.members {
			t.Errorf("%q: members=%s, want %s", test.spec, got, test.members)
		}
		if _, err := Open(test.spec, Options{Dir: t.TempDir()}); message(err) != test.err {
			t.Errorf("Open(%q): error %q, want %q", test.spec, message(err), test.err)
		}
	}
	if diff := cmp.Diff(known, strings.Join(Known(), ", ")); diff != "" {
		t.Errorf("known backends (-want +got):\n%s", diff)
	}
}

func TestOpenWantsDirectory(t *testing.T) {
	if _, err := Open("etcd", Options{}); err == nil {
		t.Error("Open took options without a directory")
	}
}

// A list of specs has commas of two kinds.
func TestSpecThroughProxy(t *testing.T) {
	for spec, want := range map[string]string{
		"etcd": "etcd:proxy=on", "memory": "memory:proxy=on", "etcd:members=1,fsync=off": "etcd:members=1,fsync=off,proxy=on",
		"etcd:proxy=off": "etcd:proxy=off", "etcd:members=1,proxy=on": "etcd:members=1,proxy=on",
		"etcd-process:members=1": "etcd-process:members=1", "kine-sqlite": "kine-sqlite", "external": "external",
		"etcd:members=2": "etcd:members=2", "nats": "nats", "": "",
	} {
		if got := ThroughProxy(spec); got != want {
			t.Errorf("%q becomes %q, want %q", spec, got, want)
		}
	}
}

// Before which members something can stand: those behind a proxy, wherever from.
func TestInterferes(t *testing.T) {
	for spec, want := range map[string]bool{
		"etcd": false, "memory:proxy=off": false, "memory:proxy=on": true, "etcd:proxy=on,members=1": true,
		"etcd-process": true, "kine-memory": true, "external": false, "nats": false,
	} {
		if got := Interferes(spec); got != want {
			t.Errorf("%s: %v, want %v", spec, got, want)
		}
	}
}

func TestSplitSpecs(t *testing.T) {
	for list, want := range map[string][]string{
		"etcd":                            {"etcd"},
		"etcd,memory":                     {"etcd", "memory"},
		"etcd:members=1,fsync=off,memory": {"etcd:members=1,fsync=off", "memory"},
		"memory,etcd:fsync=off,members=5": {"memory", "etcd:fsync=off,members=5"},
		"memory,fsync=off":                {"memory", "fsync=off"}, // which is no backend
		"fsync=off":                       {"fsync=off"},
		"etcd:members=1,etcd:members=3":   {"etcd:members=1", "etcd:members=3"},
		"":                                {""},
		"etcd,":                           {"etcd", ""},
	} {
		if diff := cmp.Diff(want, SplitSpecs(list)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", list, diff)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, spec := range []string{"etcd", "etcd:members=5", "etcd:members=1,x=", ":", "etcd:,"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		k, values, err := parseSpec(spec)
		if err != nil {
			return
		}
		for _, o := range k.options {
			if values[o.key] == "" {
				t.Errorf("%q: option %s has no value", spec, o.key)
			}
		}
	})
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
