package storage

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestGuard(t *testing.T) {
	plain := errors.New("plain")
	forever := make(chan struct{})
	defer close(forever)
	for name, test := range map[string]struct {
		f    func() error
		want func(error) bool
	}{
		"success": {func() error { return nil }, func(err error) bool { return err == nil }},
		"error":   {func() error { return plain }, func(err error) bool { return errors.Is(err, plain) }},
		"panic":   {func() error { panic("ouch") }, func(err error) bool { return strings.Contains(message(err), "panic: ouch") }},
		"goexit":  {func() error { runtime.Goexit(); return nil }, func(err error) bool { return errors.Is(err, errGoexit) }},
	} {
		if err := guard(time.Minute, test.f); !test.want(err) {
			t.Errorf("%s: guard returned %v", name, err)
		}
	}
	if err := guard(time.Millisecond, func() error { <-forever; return nil }); !errors.Is(err, errBound) {
		t.Errorf("a function that hangs: guard returned %v", err)
	}
}
