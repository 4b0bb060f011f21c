package database

import (
	"fmt"
	"strings"
)

// Postgres returns a PostgreSQL server as Debian has it, with its own settings
// but for where it listens. It syncs every commit.
func Postgres(logs string) *Server {
	return newServer(product{
		name: "postgres", pkg: "postgresql-15", user: "postgres",
		programs: []string{"initdb", "postgres"}, places: []string{"/usr/lib/postgresql/*/bin"},
		marker: "PG_VERSION",
		create: func(bin map[string]string, data string) []string {
			return []string{bin["initdb"], "--pgdata=" + data, "--username=kine", "--auth=trust", "--encoding=UTF8", "--locale=C"}
		},
		serve: func(bin map[string]string, data string, port int) []string {
			return []string{
				bin["postgres"], "-D", data, "-p", fmt.Sprint(port),
				// No socket file: its path would be too long in many a run directory.
				"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
				"-c", "fsync=on", "-c", "synchronous_commit=on",
			}
		},
		endpoint: func(port int) string {
			// A database that is there: kine makes another only if the server is up by
			// the time that it asks, which it does once.
			return fmt.Sprintf("postgres://kine@127.0.0.1:%d/postgres?sslmode=disable", port)
		},
		fatal: func(line string) string {
			for _, level := range []string{"PANIC:", "FATAL:"} {
				if _, text, ok := strings.Cut(line, level); ok {
					return strings.TrimSpace(text)
				}
			}
			return ""
		},
		settings: map[string]string{"fsync": "on", "synchronous_commit": "on"},
	}, logs)
}
