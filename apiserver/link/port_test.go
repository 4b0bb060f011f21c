package link

import (
	"net"
	"testing"
)

// A reserved port can be listened on, again and again, but nobody gets it by
// asking for any free port.
func TestPort(t *testing.T) {
	p, err := ReservePort()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	for range 2 {
		if _, err := net.Dial("tcp", p.Addr()); err == nil {
			t.Fatal("something listens on a port that is only reserved")
		}
		listener, err := net.Listen("tcp", p.Addr())
		if err != nil {
			t.Fatalf("listen on the reserved port: %v", err)
		}
		conn, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_ = listener.Close()
	}
	seen := map[int]bool{p.Number: true}
	for range 200 {
		other, err := ReservePort()
		if err != nil {
			t.Fatal(err)
		}
		defer other.Release()
		if seen[other.Number] {
			t.Fatalf("port %d was given out twice", other.Number)
		}
		seen[other.Number] = true
	}
	p.Release()
	p.Release()
}
