package storage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/planecheck/planecheck/apiserver/storage/database"
	"github.com/planecheck/planecheck/apiserver/storage/kine"
)

// kind is one sort of backend.
type kind struct {
	name    string
	options []option
	// proxied: its members are behind a proxy, so something can stand before them.
	proxied bool
	open    func(values map[string]string, opt Options) (Backend, error)
}

// option is one key of a spec with the values that it takes. The first value
// is the default.
type option struct {
	key    string
	values []string
}

func (o option) String() string { return o.key + "=" + strings.Join(o.values, "|") }

// kinds lists every backend; it is a function so that nothing is registered
// behind anybody's back.
func kinds() []kind {
	return []kind{
		orThroughProxy(cluster(etcdName, func(size int, c *embed.Config, opt Options) (Backend, error) { return newEtcd(size, c, opt) })),
		behindProxy(cluster(processName, func(size int, c *embed.Config, opt Options) (Backend, error) { return newProcesses(size, c, opt) })),
		onKine(kineSQLiteName, func(string) kineData { return sqlite{} }, kine.Versions()...),
		onKine(kinePostgresName, func(logs string) kineData { return database.Postgres(logs) }, kine.Versions()...),
		onKine(kineMariaDBName, func(logs string) kineData { return database.MariaDB(logs) }, kine.Versions()...),
		onKine(kineMemoryName, func(string) kineData { return kineInMemory{} }, kine.Versions()...),
		onKine(kineNATSName, func(string) kineData { return kineOnNATS{} }, "v0.17.5"),
		onKine(kineT4Name, func(string) kineData { return kineOnT4{} }, "v0.17.5"),
		orThroughProxy(kind{name: memoryName, open: func(_ map[string]string, opt Options) (Backend, error) { return newMemory(opt), nil }}),
		{name: externalName, open: func(_ map[string]string, opt Options) (Backend, error) { return newExternal(opt) }},
	}
}

// cluster is a kind that has members of etcd. With fsync=off they never wait
// for the disk (etcd's --unsafe-no-fsync): what a cluster without a disk could
// give, at the price that a machine without power loses what it had promised.
func cluster(name string, open func(size int, c *embed.Config, opt Options) (Backend, error)) kind {
	return kind{
		name:    name,
		options: []option{{key: "members", values: []string{"3", "1", "5"}}, {key: "fsync", values: []string{"on", "off"}}},
		open: func(values map[string]string, opt Options) (Backend, error) {
			size, err := strconv.Atoi(values["members"])
			if err != nil {
				return nil, fmt.Errorf("storage backend %s: members: %w", name, err)
			}
			c := etcdConfig()
			c.UnsafeNoFsync = values["fsync"] == "off"
			return open(size, c, opt)
		},
	}
}

func behindProxy(k kind) kind {
	k.proxied = true
	return k
}

// onKine is a kind that is kine on a database.
func onKine(name string, data func(logs string) kineData, versions ...string) kind {
	return kind{
		name: name, proxied: true,
		options: []option{{key: "version", values: versions}},
		open: func(values map[string]string, opt Options) (Backend, error) {
			return newKine(name, values["version"], data, opt)
		},
	}
}

// usage is the form in which a person may write the spec, the default value
// of each option first.
func (k kind) usage() string {
	if len(k.options) == 0 {
		return k.name
	}
	return k.name + "[:" + k.optionUsage() + "]"
}

func (k kind) optionUsage() string {
	if len(k.options) == 0 {
		return "none"
	}
	var opts []string
	for _, o := range k.options {
		opts = append(opts, o.String())
	}
	return strings.Join(opts, ",")
}

// Known lists the backends with their options, the default value of each
// option first: "etcd[:members=3|1|5]".
func Known() []string {
	var known []string
	for _, k := range kinds() {
		known = append(known, k.usage())
	}
	return known
}

// interferes says whether something can stand before the members of a backend with
// these options.
func (k kind) interferes(options map[string]string) bool {
	return k.proxied || options["proxy"] == "on"
}

// proxied lists the backends before whose members something can stand.
func proxied() []string {
	var names []string
	for _, k := range kinds() {
		through := ThroughProxy(k.name)
		if k.proxied || through != k.name {
			names = append(names, through)
		}
	}
	return names
}

// SplitSpecs splits a list of specs at its commas, but for those that separate
// the options of one: "etcd:members=1,fsync=off,memory" holds two.
func SplitSpecs(list string) []string {
	var specs []string
	for field := range strings.SplitSeq(list, ",") {
		last := len(specs) - 1
		field = strings.TrimSpace(field)
		option := strings.Contains(field, "=") && !strings.Contains(field, ":")
		if option && last >= 0 && strings.Contains(specs[last], ":") {
			specs[last] += "," + field
			continue
		}
		specs = append(specs, field)
	}
	return specs
}

// ThroughProxy is the spec of the same backend behind a recording proxy, as the
// others are, where it may be and the spec does not choose. Any other spec stays as
// it is, a wrong one too.
func ThroughProxy(spec string) string {
	with := spec + ":proxy=on"
	if strings.Contains(spec, ":") {
		with = spec + ",proxy=on"
	}
	if _, _, err := parseSpec(with); err != nil { // it has no such option, or says it already
		return spec
	}
	return with
}

// Interferes says whether Options.Interference can stand before the members of the
// backend that spec names.
func Interferes(spec string) bool {
	k, options, err := parseSpec(spec)
	return err == nil && k.interferes(options)
}

// parseSpec splits "name[:key=value[,key=value...]]" and fills in defaults.
func parseSpec(spec string) (kind, map[string]string, error) {
	name, rest, given := strings.Cut(spec, ":")
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, nil, fmt.Errorf("unknown storage backend %q, known: %s", name, strings.Join(Known(), ", "))
	}
	k := all[i]
	values := make(map[string]string)
	if given {
		for field := range strings.SplitSeq(rest, ",") {
			if err := k.parseOption(field, values); err != nil {
				return kind{}, nil, err
			}
		}
	}
	for _, o := range k.options {
		if _, ok := values[o.key]; !ok {
			values[o.key] = o.values[0]
		}
	}
	return k, values, nil
}

func (k kind) parseOption(field string, values map[string]string) error {
	key, value, _ := strings.Cut(field, "=")
	i := slices.IndexFunc(k.options, func(o option) bool { return o.key == key })
	if i < 0 {
		return fmt.Errorf("storage backend %s: unknown option %q, known: %s", k.name, field, k.optionUsage())
	}
	if !slices.Contains(k.options[i].values, value) {
		return fmt.Errorf("storage backend %s: unknown value in %q, known: %s", k.name, field, k.options[i])
	}
	if _, ok := values[key]; ok {
		return fmt.Errorf("storage backend %s: option %q is given twice", k.name, key)
	}
	values[key] = value
	return nil
}
