package localaws

import (
	"net/http"
	"time"
)

func metadataPath(id string) string    { return controlPrefix + "tasks/" + id + "/metadata" }
func credentialsPath(id string) string { return controlPrefix + "tasks/" + id + "/credentials" }

// addTaskControl adds the addresses about tasks, for persons and for the tasks
// themselves:
//
//	POST /_localaws/tasks/{id}/interrupt      Spot reclaims it
//	POST /_localaws/tasks/{id}/stop           somebody stops it in the console
//	POST /_localaws/tasks/{id}/out-of-memory  the kernel kills it
//	GET  /_localaws/tasks/{id}/metadata/task  the task metadata endpoint, version 4
//	GET  /_localaws/tasks/{id}/credentials    those of its task role
func (e *ecsService) addTaskControl() {
	s := e.server
	for name, do := range map[string]func(string) error{
		"interrupt": s.Interrupt, "stop": s.StopByHand, "out-of-memory": s.KillForMemory,
	} {
		s.handleControl("POST "+controlPrefix+"tasks/{id}/"+name, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := do(r.PathValue("id")); err != nil {
				http.Error(w, err.Error(), http.StatusConflict)
			}
		}))
	}
	s.handleControl("GET "+metadataPath("{id}")+"/task", e.aboutTask(func(t *task) any {
		return map[string]any{
			"Cluster": t.cluster.ClusterArn, "TaskARN": t.arn, "Family": t.definition.Family, "Revision": t.definition.Revision,
			"DesiredStatus": t.desired, "KnownStatus": t.phase, "LaunchType": "FARGATE", "AvailabilityZone": t.zone,
			"PullStartedAt": t.pullStartedAt, "PullStoppedAt": t.pullStoppedAt,
			"Limits": map[string]string{"CPU": t.cpu, "Memory": t.memory},
		}
	}))
	s.handleControl("GET "+credentialsPath("{id}"), e.aboutTask(func(t *task) any {
		return map[string]any{
			"RoleArn": t.taskRole(), "AccessKeyId": "ASIAIOSFODNN7EXAMPLE", "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
			"Token": "token-of-" + t.id, "Expiration": time.Now().Add(6 * time.Hour).UTC().Format(time.RFC3339),
		}
	}))
}

func (e *ecsService) aboutTask(answer func(*task) any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		t := e.tasks[r.PathValue("id")]
		if t == nil {
			http.NotFound(w, r)
			return
		}
		writeJSON(w, http.StatusOK, answer(t))
	})
}
