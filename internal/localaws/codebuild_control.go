package localaws

import (
	"encoding/json"
	"net/http"
	"strings"
)

// addCodeBuildControl adds the addresses by which a person or a script orders
// how builds and deployments of a running server go. Durations are in
// nanoseconds, as in a Fault.
//
//	PUT /_localaws/builds/plan        a BuildPlan as JSON
//	PUT /_localaws/builds/pages       a LogPages as JSON
//	PUT /_localaws/deployments/plan   a DeployPlan as JSON
//	PUT /_localaws/projects/{name}    a Project as JSON
//	GET /_localaws/builds             the builds, the oldest first
func addCodeBuildControl(s *Server) {
	s.handleControl("PUT "+controlPrefix+"builds/plan", order(func(_ *http.Request, p BuildPlan) { s.PlanBuilds(p) }))
	s.handleControl("PUT "+controlPrefix+"builds/pages", order(func(_ *http.Request, p LogPages) { s.SetLogPages(p) }))
	s.handleControl("PUT "+controlPrefix+"deployments/plan", order(func(_ *http.Request, p DeployPlan) { s.PlanDeployments(p) }))
	s.handleControl("PUT "+controlPrefix+"projects/{name}", order(func(r *http.Request, p Project) {
		p.Name = r.PathValue("name")
		s.AddProject(p)
	}))
	s.handleControl("GET "+controlPrefix+"builds", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Builds())
	}))
}

// order handles a JSON body, in which a member that is not known is a mistake.
func order[T any](do func(*http.Request, T)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v T
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			http.Error(w, "reading the order: "+strings.TrimPrefix(err.Error(), "json: "), http.StatusBadRequest)
			return
		}
		do(r, v)
	}
}
