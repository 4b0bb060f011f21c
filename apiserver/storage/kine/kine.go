// Package kine builds kine, the etcd shim of k3s, in the versions that
// planecheck compares, and starts it as a process.
//
// kine is not linked into planecheck: one build holds one version, its drivers
// pull in databases and cloud SDKs, and it ends its process by itself when it
// is in trouble. Its own command line is built instead when it is first asked
// for, with the Go toolchain of the machine, from the versions that its go.mod
// and go.sum in folder build pin, and kept in the user's cache directory.
package kine

import (
	"encoding/json"
	"maps"
	"os"
	"slices"

	"github.com/planecheck/planecheck/apiserver/storage/child"
)

// OwnBinary is the variable of the environment that names a kine binary to use
// instead of one that is built, whatever its version.
const OwnBinary = "PLANECHECK_KINE"

// Versions lists the versions that can be built, the default first.
func Versions() []string { return []string{"v0.17.5", "v0.16.4"} }

// EmulatedEtcd is the version of etcd that kine is told to say it is: its own
// default, from which kube-apiserver concludes that it can be asked for the
// progress of watches (etcd3/feature_support_checker.go).
const EmulatedEtcd = "3.6.11"

// setting is a flag whose value is given, so that no default that changes from
// version to version matters.
type setting struct {
	flag, value string
	since       string // the first of Versions that has the flag; "": all
}

var settings = []setting{
	{flag: "emulated-etcd-version", value: EmulatedEtcd},
	{flag: "watch-progress-notify-interval", value: "5s"},
	{flag: "compact-interval", value: "0s"}, // kube-apiserver compacts
	{flag: "compact-min-retain", value: "0"},
	{flag: "compact-timeout", value: "5s"},
	{flag: "compact-batch-size", value: "1000"},
	{flag: "poll-batch-size", value: "500"},
	{flag: "datastore-poll-interval", value: "1s", since: "v0.17.5"}, // 1 s is what it was before
}

// Settings are the flags that a version is given, but for where it listens and
// keeps its data.
func Settings(version string) map[string]string {
	given := map[string]string{}
	for _, s := range settings {
		if s.since <= version {
			given[s.flag] = s.value
		}
	}
	return given
}

// Flags are what kine is told.
func Flags(version, listen, endpoint string) []string {
	flags := []string{
		"--listen-address=" + listen, "--endpoint=" + endpoint,
		"--metrics-bind-address=0",
		"--log-format=json", // as fatalEntry reads it
	}
	given := Settings(version)
	for _, flag := range slices.Sorted(maps.Keys(given)) {
		flags = append(flags, "--"+flag+"="+given[flag])
	}
	return flags
}

// Start starts a kine server.
func Start(c child.Config) (*child.Process, error) {
	c.Fatal = fatalEntry
	return child.Start(c)
}

// fatalEntry returns what a line of kine's log says if kine ends with it
// (logrus.Fatal).
func fatalEntry(line string) string {
	var entry struct{ Severity, Message string }
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Severity != "fatal" && entry.Severity != "panic" {
		return ""
	}
	return entry.Message
}

// Own is a person's binary, "" if there is none.
func Own() string { return os.Getenv(OwnBinary) }
