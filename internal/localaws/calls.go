package localaws

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Call is a call that was made: answered or not.
type Call struct {
	Time      time.Time `json:"time"`
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	Body      []byte    `json:"-"` // of JSON and Query calls
	Status    int       `json:"status"`
	Err       string    `json:"error,omitempty"` // the code and message answered
	UserAgent string    `json:"userAgent"`
}

// callLog is the calls made, the oldest first.
type callLog struct {
	bell *bell

	mu    sync.Mutex
	calls []Call
}

func (l *callLog) add(c Call) {
	l.mu.Lock()
	l.calls = append(l.calls, c)
	l.mu.Unlock()
	l.bell.ring()
}

// Calls returns the calls of these operations, each "RunTask" or "ecs:RunTask",
// or "ecs:" for all of a service; without names, all calls. The oldest is first.
func (s *Server) Calls(names ...string) []Call {
	s.calls.mu.Lock()
	defer s.calls.mu.Unlock()
	var found []Call
	for _, c := range s.calls.calls {
		if len(names) == 0 || c.named(names) {
			found = append(found, c)
		}
	}
	return found
}

func (c Call) named(names []string) bool {
	for _, name := range names {
		service, operation, qualified := strings.Cut(name, ":")
		if !qualified {
			service, operation = "", name
		}
		if (service == "" || service == c.Service) && (operation == "" || operation == c.Operation) {
			return true
		}
	}
	return false
}

// WaitCalls returns when an operation, named as for Calls, has been called n
// times.
func (s *Server) WaitCalls(ctx context.Context, name string, n int) error {
	return s.Wait(ctx, func() bool { return len(s.Calls(name)) >= n })
}

func (s *Server) logCall(c Call) {
	if s.opts.Log == nil {
		return
	}
	result := "ok"
	if c.Err != "" {
		result = c.Err
	}
	fmt.Fprintf(s.opts.Log, "%s %s %s: %s\n", c.Time.Format("15:04:05.000"), c.Service, c.Operation, result)
}
