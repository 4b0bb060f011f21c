// Package etcdproc runs an etcd member in a process of its own: the main of
// the real server, linked into this binary, which re-executes itself as
// `<self> etcd-member flags...`. Such a member can be killed with SIGKILL and
// frozen with SIGSTOP, which a member inside the harness cannot.
//
// It knows processes, not clusters: who its peers are and what its flags mean
// is the business of package storage.
package etcdproc

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/planecheck/planecheck/apiserver/storage/child"
)

// subcommand is the first argument of a process that is to be a member.
const subcommand = "etcd-member"

// Hook runs the member until it ends, and the process with it, if this process
// was started as one, and returns at once otherwise. It belongs at the very
// beginning of main and of TestMain, before flags are parsed. It may end the
// process because that is nothing but the member.
func Hook() {
	if len(os.Args) < 2 || os.Args[1] != subcommand {
		return
	}
	if err := slowSync(); err != nil {
		fmt.Fprintln(os.Stderr, "etcd member:", err)
		os.Exit(1)
	}
	// etcd shall see what its own main would have seen.
	os.Args = append([]string{"etcd"}, os.Args[2:]...)
	etcdmain.Main(os.Args)
	os.Exit(0)
}

// Start starts a member with etcd's flags. On SIGTERM it hands its leadership
// over and closes its files (pkg/osutil, HandleInterrupts).
func Start(c child.Config) (*child.Process, error) {
	c.Path, c.Args, c.Fatal = "", append([]string{subcommand}, c.Args...), fatalEntry
	return child.Start(c)
}

// fatalEntry returns what a line of etcd's log says if etcd ends with it.
func fatalEntry(line string) string {
	var entry struct{ Level, Msg, Error string }
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Level != "fatal" && entry.Level != "panic" {
		return ""
	}
	if entry.Error == "" {
		return entry.Msg
	}
	return entry.Msg + ": " + entry.Error
}

// Began is the last entry of raft's log that the member knew to be committed
// when its process began on its data, as its log tells (etcdserver/
// bootstrap.go); 0: it does not, because there was no data.
func Began(p *child.Process) uint64 {
	for line := range strings.Lines(p.Head()) {
		var entry struct {
			Msg    string
			Commit uint64 `json:"commit-index"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "restarting local member" {
			return entry.Commit
		}
	}
	return 0
}
