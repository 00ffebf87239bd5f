package localaws

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// FaultKind is what happens to a call.
type FaultKind string

const (
	// Refused answers with an error and does nothing.
	Refused FaultKind = "refused"
	// Unanswered does the work and cuts the connection.
	Unanswered FaultKind = "unanswered"
	// HangBefore waits, before the work, until it is released.
	HangBefore FaultKind = "hang-before"
	// HangAfter does the work and waits with the answer until it is released.
	HangAfter FaultKind = "hang-after"
	// Delayed waits for Fault.Delay before the work.
	Delayed FaultKind = "delayed"
)

// faultKey finds, in the context of an operation, the fault that its call was
// hit by. A service has kinds of its own, which it acts upon itself.
type faultKey struct{}

// ordered returns the fault that this call was hit by if it is of this kind.
func ordered(ctx context.Context, kind FaultKind) *OrderedFault {
	f, _ := ctx.Value(faultKey{}).(*OrderedFault)
	if f == nil || f.Kind != kind {
		return nil
	}
	return f
}

// Fault is an order that some call shall fail.
type Fault struct {
	// Service and Operation say which calls, as "ecs" and "RunTask". Empty
	// means any.
	Service   string `json:"service,omitempty"`
	Operation string `json:"operation,omitempty"`
	// Match limits it to calls whose body contains this text.
	Match string `json:"match,omitempty"`
	// Skip is how many matching calls pass first.
	Skip int `json:"skip,omitempty"`
	// Count is how many calls it then hits: 0 means one, -1 all of them.
	Count int `json:"count,omitempty"`

	Kind FaultKind `json:"kind"`
	// Code, Message and Status are the answer of Refused. An empty message
	// becomes AWS's own where the code is a usual one; Status 0 means 400, or
	// what belongs to the code.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	Status  int    `json:"status,omitempty"`
	// Delay is the waiting time of Delayed, and the age that Lagging is about.
	Delay time.Duration `json:"delay,omitempty"`
	// ExitCode is the exit code of ExitAtOnce.
	ExitCode int `json:"exitCode,omitempty"`
}

// OrderedFault is a Fault in force. Its methods may be used from any goroutine.
type OrderedFault struct {
	Fault
	id       int
	list     *faultList
	reached  chan struct{} // closed at the first hit
	released chan struct{}

	// Guarded by list.mu.
	seen     int // matching calls
	hits     int
	spent    bool // it has hit all the calls it was ordered for
	isOpen   bool // released is closed
	lastCall request
}

// Fault orders a failure. It applies to calls from now on, the oldest order
// first when several match.
func (s *Server) Fault(f Fault) *OrderedFault { return s.faults.add(f) }

// ID names the fault in the addresses of the HTTP control interface.
func (f *OrderedFault) ID() int { return f.id }

// Reached is closed when the fault has hit its first call: a hanging one hangs
// then, and the work of HangAfter and Unanswered is done.
func (f *OrderedFault) Reached() <-chan struct{} { return f.reached }

// Hits is how many calls it has hit so far.
func (f *OrderedFault) Hits() int {
	f.list.mu.Lock()
	defer f.list.mu.Unlock()
	return f.hits
}

// Release lets the calls that hang go on, and those that would hang later pass.
func (f *OrderedFault) Release() {
	f.list.mu.Lock()
	defer f.list.mu.Unlock()
	if !f.isOpen {
		f.isOpen = true
		close(f.released)
	}
}

// Remove takes the order back and releases what hangs.
func (f *OrderedFault) Remove() {
	f.Release()
	f.list.mu.Lock()
	defer f.list.mu.Unlock()
	f.list.faults = slices.DeleteFunc(f.list.faults, func(o *OrderedFault) bool { return o == f })
}

// hit tells whoever waits that the fault has got its first call.
func (f *OrderedFault) hit() {
	f.list.mu.Lock()
	f.hits++
	if f.hits == 1 {
		close(f.reached)
	}
	f.list.mu.Unlock()
	f.list.bell.ring()
}

// before does what comes before the work: an error is the answer.
func (f *OrderedFault) before(ctx context.Context, closing <-chan struct{}) error {
	if f == nil {
		return nil
	}
	switch f.Kind {
	case Refused:
		f.hit()
		return f.answer()
	case HangBefore:
		f.hit()
		select {
		case <-f.released:
			return nil
		case <-ctx.Done(): // the client has gone: as if the call had been lost on its way
		case <-closing:
		}
		panic(http.ErrAbortHandler)
	case Delayed:
		f.hit()
		select {
		case <-time.After(f.Delay):
		case <-closing:
		}
	case Unanswered, HangAfter: // hit when the work is done
	default:
		f.hit()
	}
	return nil
}

// afterwards says whether the answer has to be held back.
func (f *OrderedFault) afterwards() bool {
	return f != nil && (f.Kind == Unanswered || f.Kind == HangAfter)
}

// after does what comes after the work and says whether to answer.
func (f *OrderedFault) after(ctx context.Context, closing <-chan struct{}) bool {
	f.hit()
	if f.Kind == Unanswered {
		return false
	}
	select {
	case <-f.released:
		return true
	case <-ctx.Done():
	case <-closing:
	}
	return false
}

// answer is the error of a Refused call.
func (f *OrderedFault) answer() *Error {
	e := &Error{Code: f.Code, Message: f.Message, Status: f.Status}
	switch e.Code {
	case "":
		e.Code = "ServerException"
		fallthrough
	case "ServerException", "InternalFailure", "InternalServerError", "ServiceUnavailable":
		e.Status = cmp.Or(e.Status, http.StatusInternalServerError)
		e.Message = cmp.Or(e.Message, "Service Unavailable. Please try again later.")
	case "ThrottlingException", "Throttling":
		e.Message = cmp.Or(e.Message, "Rate exceeded")
	case "ExpiredTokenException":
		e.Message = cmp.Or(e.Message, "The security token included in the request is expired")
	case "AccessDeniedException", "AccessDenied":
		call := f.last()
		e.Message = cmp.Or(e.Message, accessDenied(call.service, call.operation))
	}
	return e
}

// callerARN is who all callers are: the role of a manager on EC2.
const callerARN = "arn:aws:sts::" + Account + ":assumed-role/" + CallerRole + "/i-0a1b2c3d4e5f67890"

func accessDenied(service, operation string) string {
	action := service + ":" + operation
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: * because no identity-based policy allows the %s action",
		callerARN, action, action)
}

func (f *OrderedFault) last() request {
	f.list.mu.Lock()
	defer f.list.mu.Unlock()
	return f.lastCall
}

// faultList is the orders, the oldest first.
type faultList struct {
	bell *bell

	mu     sync.Mutex
	lastID int
	faults []*OrderedFault // with the spent ones, of which some may still hang
}

func (l *faultList) add(f Fault) *OrderedFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastID++
	f.Operation = cmp.Or(f.Operation, operationOf(f.Kind))
	o := &OrderedFault{Fault: f, id: l.lastID, list: l, reached: make(chan struct{}), released: make(chan struct{})}
	l.faults = append(l.faults, o)
	return o
}

// next returns the fault for this call, or nil, and counts the call.
func (l *faultList) next(req request) *OrderedFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults {
		if f.spent || !f.matches(req) {
			continue
		}
		f.seen++
		if f.seen <= f.Skip {
			continue
		}
		if f.Count >= 0 && f.seen >= f.Skip+max(f.Count, 1) {
			f.spent = true
		}
		f.lastCall = req
		return f
	}
	return nil
}

func (f *OrderedFault) matches(req request) bool {
	return (f.Service == "" || f.Service == req.service) &&
		(f.Operation == "" || f.Operation == req.operation) &&
		(f.Match == "" || bytes.Contains(req.body, []byte(f.Match)))
}

func (l *faultList) find(id int) *OrderedFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.faults {
		if f.id == id {
			return f
		}
	}
	return nil
}
