// Package etcdproc runs an etcd member in a process of its own: the main of
// the real server, linked into this binary, which re-executes itself as
// `<self> etcd-member flags...`. Such a member can be killed with SIGKILL and
// frozen with SIGSTOP, which a member inside the harness cannot.
//
// It knows processes, not clusters: who its peers are and what its flags mean
// is the business of package storage.
package etcdproc

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
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
