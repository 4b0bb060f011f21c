package scenarios

import (
	"errors"
	"strings"
	"testing"
)

func TestUnversionedIsRefused(t *testing.T) {
	check := func(v linkedVersions, want string) {
		t.Helper()
		err := v.check()
		var usage *UsageError
		switch {
		case want == "" && err != nil:
			t.Errorf("%+v: %v", v, err)
		case want != "" && (!errors.As(err, &usage) || !strings.Contains(err.Error(), want)):
			t.Errorf("%+v: got %v, want a usage error with %q", v, err, want)
		}
	}
	const placeholder = "v0.0.0-master+$Format:%H$"
	check(linkedVersions{kubernetes: "v1.37.1", client: "v1.37.1", module: "v1.37.1"}, "")
	check(linkedVersions{kubernetes: "v1.37.1", client: "v1.37.1"}, "")
	check(linkedVersions{kubernetes: placeholder, client: "v1.37.1", module: "v1.37.1"}, "without the -X")
	check(linkedVersions{kubernetes: "v1.37.1", client: placeholder, module: "v1.37.1"}, "without the -X")
	check(linkedVersions{kubernetes: "v1.37.0", client: "v1.37.0", module: "v1.37.1"}, "module version v1.37.1")
}
