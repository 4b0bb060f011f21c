package database

import (
	"fmt"
	"strings"
)

// MariaDB returns a MariaDB server as Debian has it, with its own settings but
// for where it listens and that it takes everybody on loopback. It syncs every
// commit.
func MariaDB(logs string) *Server {
	return newServer(product{
		name: "mariadb", pkg: "mariadb-server-core mariadb-client-core", user: "mysql",
		programs: []string{"mariadb-install-db", "mariadbd", "my_print_defaults"}, places: []string{"/usr/sbin", "/usr/bin"},
		marker: "mysql",
		create: func(bin map[string]string, data string) []string {
			return []string{bin["mariadb-install-db"], "--no-defaults", "--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db"}
		},
		serve: func(bin map[string]string, data string, port int) []string {
			return []string{
				bin["mariadbd"], "--no-defaults", "--datadir=" + data, "--port=" + fmt.Sprint(port), "--bind-address=127.0.0.1",
				"--socket=s", "--pid-file=pid", // in the data directory
				"--innodb-flush-log-at-trx-commit=1", "--skip-log-bin",
			}
		},
		endpoint: func(port int) string { return fmt.Sprintf("mysql://root@tcp(127.0.0.1:%d)/kine", port) },
		fatal: func(line string) string {
			if _, text, ok := strings.Cut(line, "[ERROR]"); ok {
				return strings.TrimSpace(text)
			}
			return ""
		},
		settings: map[string]string{"fsync": "on", "innodb_flush_log_at_trx_commit": "1"},
	}, logs)
}
