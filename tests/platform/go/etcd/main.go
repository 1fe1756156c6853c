// Command etcd is etcd's own server: its module cannot be installed by name
// (its go.mod has replace directives), so this main calls the same entry point.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
