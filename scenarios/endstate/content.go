package endstate

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// What is kept of one object is bounded: a ConfigMap may hold a mebibyte.
const (
	// longestText is the length in bytes above which a string is replaced by
	// its beginning and its digest.
	longestText = 1 << 10
	shownText   = 64
	// largestContent is the size above which what lies deeper than two levels
	// is replaced by digests, largestPart the size above which a part is.
	largestContent = 64 << 10
	largestPart    = 256
)

// encode writes down what the rules have left of an object, so that equal
// objects have equal bytes. It changes the object.
func (it *item) encode() ([]byte, error) {
	if it.resource == "secrets" {
		hideSecrets(it.object)
	}
	shorten(it.object)
	raw, err := marshal(it.object)
	if err != nil || len(raw) <= largestContent {
		return raw, err
	}
	for _, inner := range it.object {
		if m, ok := inner.(map[string]any); ok {
			if err := coarsen(m); err != nil {
				return nil, err
			}
		}
	}
	if raw, err = marshal(it.object); err != nil || len(raw) <= largestContent {
		return raw, err
	}
	return marshal(map[string]any{"object": sum(raw)})
}

// hideSecrets replaces values by digests: a State lies about in run
// directories.
func hideSecrets(object map[string]any) {
	for _, key := range []string{"data", "stringData"} {
		data := child(object, key)
		for name, value := range data {
			if s, ok := value.(string); ok && s != masked {
				data[name] = sum([]byte(s))
			}
		}
	}
	without(object, annotations, "kubectl.kubernetes.io/last-applied-configuration") // it holds them again
}

// shorten replaces long strings within a value.
func shorten(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = shorten(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = shorten(inner)
		}
	case string:
		if len(v) > longestText {
			return start(v, shownText) + "... " + sum([]byte(v))
		}
	}
	return value
}

// coarsen replaces the large ones among the values of an object by digests.
func coarsen(m map[string]any) error {
	for key, inner := range m {
		raw, err := marshal(inner)
		if err != nil {
			return err
		}
		if len(raw) > largestPart {
			m[key] = sum(raw)
		}
	}
	return nil
}

// sum is short: it is to tell accidents apart, and nobody forges them.
func sum(b []byte) string {
	digest := sha256.Sum256(b)
	return fmt.Sprintf("sha256:%x of %d bytes", digest[:8], len(b))
}

// start returns the first n bytes of a string, or less so as not to cut a
// character in two.
func start(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// marshal sorts keys, and leaves <, > and & as a person wants to read them.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode what is left of an object: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// join puts a key to a path, as people write paths.
func join(path, key string) string {
	switch {
	case key == "" || strings.ContainsAny(key, "./[] \""):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}
