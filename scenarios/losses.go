package scenarios

import (
	"strings"
	"sync"

	"github.com/planecheck/planecheck/checkers/history"
	"github.com/planecheck/planecheck/scenarios/faults"
)

// losses are the requests and watches of clients that broke off, by the API server
// that they had reached. What a server ended, or a client gave up, was not lost.
type losses struct {
	mu   sync.Mutex
	open map[uint64]string      // guarded by mu; the servers of open watches, by the attempt that opened them
	lost map[string]faults.Loss // guarded by mu; by server
}

func newLosses() *losses { return &losses{open: map[uint64]string{}, lost: map[string]faults.Loss{}} }

// Request implements history.Observer. An attempt that reached no server has lost
// nothing.
func (l *losses) Request(r *history.Request) {
	server, _, _ := strings.Cut(r.Server, "/")
	if server == "" || r.Verb != "watch" && r.Err == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case r.Err == "" && r.Reason == "" && r.Status == 200:
		l.open[r.ID] = server
	case brokeOff(r.Err):
		one := l.lost[server]
		one.Requests, one.Last = one.Requests+1, cause(r.Err)
		l.lost[server] = one
	}
}

// WatchEvent implements history.Observer.
func (l *losses) WatchEvent(e *history.WatchEvent) {
	if e.Type != "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	server, ok := l.open[e.Request]
	delete(l.open, e.Request)
	if !ok || !brokeOff(e.End) {
		return
	}
	one := l.lost[server]
	one.Watches, one.Last = one.Watches+1, cause(e.End)
	l.lost[server] = one
}

// of is what was lost so far of an API server.
func (l *losses) of(server string) faults.Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost[server]
}

// brokeOff says whether it is the transport that has ended something.
func brokeOff(why string) bool {
	return why != "" && why != history.ClosedByClient && !strings.HasSuffix(why, "context canceled") && !strings.HasSuffix(why, "context deadline exceeded")
}

// cause is the end of what the transport says, without addresses.
func cause(why string) string { return why[strings.LastIndex(": "+why, ": "):] }
