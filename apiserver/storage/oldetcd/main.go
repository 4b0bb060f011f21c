// Command oldetcd is the etcd v3.6.16 server, unchanged and with the
// dependency versions of its own release: the last one with bugs that are
// fixed in the etcd v3.7 that planecheck itself links, so that the checkers can
// be shown both. Its command line is etcd's.
//
// It is a module of its own because one build holds one version of etcd.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
