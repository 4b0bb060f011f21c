package storage

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
)

// docs/findings/0005: the timeouts of the connections on which a member hears
// its peers are not in force: of two dialers net/http takes the one without.
// When this fails, etcd was mended. Say so there, and strike the test.
func TestReadTimeoutOfAPeersStream(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // the kernel accepts, and nobody reads

	const timeout, rounds = 50 * time.Millisecond, 10
	etcds, err := transport.NewTimeoutTransport(transport.TLSInfo{}, 0, timeout, timeout)
	if err != nil {
		t.Fatal(err)
	}
	inForce := etcds.Clone()
	inForce.DialContext = nil // so that its Dial counts

	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+silent.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		defer cancel() // an end before the control's is all there is to know
		ended <- unanswered(etcds, request)
	}()
	control := os.ErrDeadlineExceeded
	for i := 0; i < rounds && errors.Is(control, os.ErrDeadlineExceeded); i++ {
		control = unanswered(inForce, request)
	}
	cancel()
	err = <-ended
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.Errorf("etcd is mended, its timeout of %v is in force: %v", timeout, err)
	case !errors.Is(control, os.ErrDeadlineExceeded):
		t.Errorf("with etcd's own dialer in force: %v, want an i/o timeout", control)
	case !errors.Is(err, context.Canceled):
		t.Errorf("a request that nobody answers: %v, want that it waits until it is cancelled", err)
	}
}

func unanswered(via http.RoundTripper, request *http.Request) error {
	resp, err := via.RoundTrip(request)
	if err != nil {
		return err
	}
	return errors.Join(errors.New("it was answered"), resp.Body.Close())
}
