package localaws

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// addControl adds the stand-in's own addresses, by which a person or a script
// orders failures on a running server:
//
//	POST   /_localaws/faults               a Fault as JSON; answers with its id
//	GET    /_localaws/faults               the faults ordered, with their hits
//	POST   /_localaws/faults/{id}/release  lets what hangs go on
//	DELETE /_localaws/faults/{id}          takes the order back
//	GET    /_localaws/calls                the calls made so far
//	POST   /_localaws/throttle?on=false    switches the token buckets
func (s *Server) addControl() {
	handle := func(pattern string, f http.HandlerFunc) { s.handleControl(pattern, f) }
	handle("POST "+controlPrefix+"faults", func(w http.ResponseWriter, r *http.Request) {
		var f Fault
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			http.Error(w, "reading the fault: "+err.Error(), http.StatusBadRequest)
			return
		}
		if !slices.Contains(FaultKinds(), f.Kind) {
			http.Error(w, fmt.Sprintf("reading the fault: there is no kind %q; there are %v", f.Kind, FaultKinds()), http.StatusBadRequest)
			return
		}
		writeJSON(w, http.StatusOK, describedFault{ID: s.Fault(f).ID(), Fault: f})
	})
	handle("GET "+controlPrefix+"faults", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, s.faults.describe())
	})
	handle("POST "+controlPrefix+"faults/{id}/release", s.withFault((*OrderedFault).Release))
	handle("DELETE "+controlPrefix+"faults/{id}", s.withFault((*OrderedFault).Remove))
	handle("GET "+controlPrefix+"calls", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, s.Calls())
	})
	handle("POST "+controlPrefix+"throttle", func(w http.ResponseWriter, r *http.Request) {
		on, err := strconv.ParseBool(r.FormValue("on"))
		if err != nil {
			http.Error(w, "on is neither true nor false", http.StatusBadRequest)
			return
		}
		s.Throttle(on)
	})
}

// FaultKinds returns every kind of failure that can be ordered.
func FaultKinds() []FaultKind {
	return []FaultKind{
		Refused, Unanswered, HangBefore, HangAfter, Delayed,
		CapacityUnavailable, VCPUQuota, RunFailure, PullFailure, InitFailure, Stuck, ExitAtOnce, Missing, Lagging,
	}
}

// Meaning says in a line what a kind does to a call, or "" if there is no such kind.
func (k FaultKind) Meaning() string {
	switch k {
	case Refused:
		return "answer with an AWS error, do nothing"
	case Unanswered:
		return "do the work, then cut the connection"
	case HangBefore:
		return "wait, until released, before the work"
	case HangAfter:
		return "do the work, wait with the answer until released"
	case Delayed:
		return "wait for --delay, then go on"
	case CapacityUnavailable:
		return "RunTask: no capacity"
	case VCPUQuota:
		return "RunTask: the account's quota of vCPUs is reached"
	case RunFailure:
		return "RunTask: no task, with --message as the reason"
	case PullFailure:
		return "RunTask: the task stops, its image cannot be pulled"
	case InitFailure:
		return "RunTask: the task stops with a ResourceInitializationError"
	case Stuck:
		return "RunTask: the task stays in PROVISIONING"
	case ExitAtOnce:
		return "RunTask: the containers exit with --exit-code at once"
	case Missing:
		return "DescribeTasks: the tasks are not known yet"
	case Lagging:
		return "ListTasks: tasks younger than --delay (0: all) are not listed yet"
	}
	return ""
}

// describedFault is a fault as the control interface shows it.
type describedFault struct {
	ID int `json:"id"`
	Fault
	Hits int `json:"hits"`
}

func (l *faultList) describe() []describedFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	described := make([]describedFault, 0, len(l.faults))
	for _, f := range l.faults {
		described = append(described, describedFault{f.id, f.Fault, f.hits})
	}
	return described
}

// withFault handles an address with a fault's id in it.
func (s *Server) withFault(do func(*OrderedFault)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.Atoi(r.PathValue("id"))
		fault := s.faults.find(id)
		if err != nil || fault == nil {
			http.Error(w, "no such fault", http.StatusNotFound)
			return
		}
		do(fault)
	}
}
