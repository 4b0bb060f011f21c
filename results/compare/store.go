package compare

import (
	"encoding/json"
	"strings"

	"github.com/planecheck/planecheck/results"
)

// linkedEtcd is what a run calls the version of the etcd that lives in its harness.
const linkedEtcd = "go.etcd.io/etcd/server/v3"

// promises are settings of stores on which it depends what outlives a loss of
// power, beside fsync.
var promises = []string{"journal_mode", "synchronous", "synchronous_commit", "innodb_flush_log_at_trx_commit"}

// described is what the settings of a run say of its store, and of how that was
// recorded. Both are empty of a run that did not come to have settings.
func described(run *results.Run) (store, recorded string) {
	var settings struct {
		Store    map[string]string `json:"store"`
		Recorded string            `json:"recorded"`
	}
	if err := json.Unmarshal(run.Settings, &settings); err != nil || len(settings.Store) == 0 {
		return "", settings.Recorded
	}
	given := settings.Store
	parts := []string{given["members"] + " members"}
	if given["members"] == "1" {
		parts[0] = "1 member"
	}
	parts = append(parts, software(given, run.Versions[linkedEtcd]), durability(given))
	for _, key := range promises {
		if value := given[key]; value != "" {
			parts = append(parts, key+"="+value)
		}
	}
	return strings.Join(parts, ", "), settings.Recorded
}

// software is what the store is: kine has a driver and a version, our own in memory
// only the former, one of somebody else's only the latter, and the etcd that is linked
// neither.
func software(given map[string]string, linked string) string {
	switch driver, version := given["driver"], given["version"]; {
	case driver != "" && version != "":
		return "kine " + version + " on " + driver
	case driver != "":
		return "planecheck's own"
	case version != "":
		return "version " + version
	default:
		return "etcd " + linked
	}
}

// durability is when what was promised to clients is safe from a loss of power.
func durability(given map[string]string) string {
	switch fsync := given["fsync"]; {
	case given["driver"] == "memory":
		return "nothing on disk"
	case fsync == "":
		return "whether commits are synced is not known"
	case fsync == "true", fsync == "on":
		return "each commit synced to disk"
	case fsync == "false", fsync == "off":
		return "never synced to disk"
	default:
		return "synced " + fsync
	}
}
