package localaws

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// DeployPlan says how deployments go that are made from now on.
type DeployPlan struct {
	// Trigger is how long after an upload the deployment is made.
	Trigger time.Duration
	// Event is how long a lifecycle event takes.
	Event time.Duration
	// FailAt is the lifecycle event that fails, on the first target.
	FailAt string
	// Rollback has a failed deployment rolled back by another one.
	Rollback bool
	// Alarm has a deployment that has succeeded rolled back so long after its end,
	// as on an alarm; 0 means never.
	Alarm time.Duration
	// AutoRollback are the events on which the group says that it rolls back, as
	// DEPLOYMENT_FAILURE. Rollback and Alarm add their own.
	AutoRollback []string
	// Ignore makes no deployment of an upload: whatever should is not set up.
	Ignore bool
	// Targets is how many instances are deployed to; 0 means one.
	Targets int
}

// The metadata of an object that becomes a deployment, as the function has it
// that stands behind the artifact bucket.
const (
	deployApplication = "application-name"
	deployGroup       = "deploymentgroup-name"
)

// lifecycle is the events of an in-place deployment to instances.
func lifecycle() []string {
	return []string{"ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart", "ValidateService"}
}

// codeDeploy is the stand-in's CodeDeploy.
type codeDeploy struct {
	server *Server

	mu          sync.Mutex
	plan        DeployPlan
	deployments []*deployment
}

// deployment is one; where it has got to follows from the time.
type deployment struct {
	id, application, group string
	bucket, key, etag      string
	created                time.Time
	plan                   DeployPlan
	rollbackOf             string
}

func addCodeDeploy(s *Server) error {
	cd := &codeDeploy{server: s}
	s.codeDeploy = cd
	s.addJSON(&jsonService{name: "codedeploy", target: "CodeDeploy_20141006", operations: map[string]operation{
		"ListDeployments":           typed(cd.listDeployments),
		"GetDeployment":             typed(cd.getDeployment),
		"ListDeploymentTargets":     typed(cd.listTargets),
		"BatchGetDeploymentTargets": typed(cd.batchGetTargets),
	}})
	return nil
}

// PlanDeployments says how deployments go that are made from now on.
func (s *Server) PlanDeployments(p DeployPlan) {
	s.codeDeploy.mu.Lock()
	defer s.codeDeploy.mu.Unlock()
	s.codeDeploy.plan = p
}

// objectCreated makes a deployment of an object whose metadata ask for one.
func (s *Server) objectCreated(bucket, key, etag string) {
	object, err := s.storage.backend.HeadObject(bucket, key)
	if err != nil {
		return
	}
	object.Contents.Close()
	metadata := map[string]string{}
	for name, value := range object.Metadata {
		metadata[strings.TrimPrefix(strings.ToLower(name), "x-amz-meta-")] = value
	}
	if metadata[deployApplication] == "" || metadata[deployGroup] == "" {
		return
	}
	cd := s.codeDeploy
	cd.mu.Lock()
	defer cd.mu.Unlock()
	if cd.plan.Ignore {
		return
	}
	d := &deployment{
		id: cd.nextID(), application: metadata[deployApplication], group: metadata[deployGroup],
		bucket: bucket, key: key, etag: etag,
		created: time.Now().Add(cd.plan.Trigger), plan: cd.plan,
	}
	cd.deployments = append(cd.deployments, d)
	failed, after := d.fails()
	rolledBack := failed && d.plan.Rollback
	if !failed && d.plan.Alarm > 0 {
		rolledBack, after = true, time.Duration(len(lifecycle()))*d.plan.Event+d.plan.Alarm
	}
	if rolledBack {
		plan := d.plan
		plan.FailAt, plan.Alarm = "", 0
		cd.deployments = append(cd.deployments, &deployment{
			id: cd.nextID(), application: d.application, group: d.group, bucket: bucket, key: "previous/" + key,
			created: d.created.Add(after), plan: plan, rollbackOf: d.id,
		})
	}
}

func (cd *codeDeploy) nextID() string {
	return fmt.Sprintf("d-%09d", len(cd.deployments)+1)
}

// fails tells whether and how long after its creation a deployment fails.
func (d *deployment) fails() (bool, time.Duration) {
	for i, event := range lifecycle() {
		if event == d.plan.FailAt {
			return true, time.Duration(i+1) * d.plan.Event
		}
	}
	return false, 0
}

// rollsBackOn is what the group is set up to roll back on.
func (p DeployPlan) rollsBackOn() []string {
	events := slices.Clone(p.AutoRollback)
	if p.Rollback {
		events = append(events, "DEPLOYMENT_FAILURE")
	}
	if p.Alarm > 0 {
		events = append(events, "DEPLOYMENT_STOP_ON_ALARM")
	}
	return events
}

// status is where the deployment has got to.
func (d *deployment) status(now time.Time) string {
	elapsed := now.Sub(d.created)
	if failed, after := d.fails(); failed && elapsed >= after {
		return "Failed"
	}
	switch total := time.Duration(len(lifecycle())) * d.plan.Event; {
	case elapsed >= total:
		return "Succeeded"
	case elapsed < d.plan.Event/2:
		return "Created"
	}
	return "InProgress"
}

type listDeploymentsInput struct {
	ApplicationName     string   `json:"applicationName"`
	DeploymentGroupName string   `json:"deploymentGroupName"`
	IncludeOnlyStatuses []string `json:"includeOnlyStatuses"`
	CreateTimeRange     struct {
		Start float64 `json:"start"`
		End   float64 `json:"end"`
	} `json:"createTimeRange"`
	NextToken string `json:"nextToken"`
}

type listDeploymentsOutput struct {
	Deployments []string `json:"deployments"`
}

func (cd *codeDeploy) listDeployments(_ context.Context, in *listDeploymentsInput) (*listDeploymentsOutput, error) {
	cd.mu.Lock()
	defer cd.mu.Unlock()
	if in.DeploymentGroupName == "" && in.ApplicationName != "" {
		return nil, refuse("DeploymentGroupNameRequiredException", "Both application name and deployment group name are required")
	}
	out := &listDeploymentsOutput{Deployments: []string{}}
	now := time.Now()
	for _, d := range cd.deployments {
		if d.application == in.ApplicationName && d.group == in.DeploymentGroupName && !d.created.After(now) && unixSeconds(d.created) >= in.CreateTimeRange.Start {
			out.Deployments = append([]string{d.id}, out.Deployments...)
		}
	}
	return out, nil
}

type getDeploymentInput struct {
	DeploymentID string `json:"deploymentId"`
}

type getDeploymentOutput struct {
	Info map[string]any `json:"deploymentInfo"`
}

func (cd *codeDeploy) getDeployment(_ context.Context, in *getDeploymentInput) (*getDeploymentOutput, error) {
	cd.mu.Lock()
	defer cd.mu.Unlock()
	d, err := cd.find(in.DeploymentID)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	status := d.status(now)
	info := map[string]any{
		"deploymentId": d.id, "applicationName": d.application, "deploymentGroupName": d.group,
		"status": status, "createTime": unixSeconds(d.created), "computePlatform": "Server",
		"revision": map[string]any{"revisionType": "S3", "s3Location": map[string]any{
			"bucket": d.bucket, "key": d.key, "bundleType": "zip", "eTag": d.etag,
		}},
	}
	if events := d.plan.rollsBackOn(); len(events) > 0 {
		info["autoRollbackConfiguration"] = map[string]any{"enabled": true, "events": events}
	}
	if status == "Failed" {
		info["errorInformation"] = map[string]any{
			"code":    "HEALTH_CONSTRAINTS",
			"message": "The overall deployment failed because too many individual instances failed deployment, too few healthy instances are available for deployment, or some instances in your deployment group are experiencing problems.",
		}
		for _, other := range cd.deployments {
			if other.rollbackOf == d.id && !other.created.After(now) {
				info["rollbackInfo"] = map[string]any{"rollbackDeploymentId": other.id, "rollbackMessage": "Deployment " + d.id + " failed and was rolled back"}
			}
		}
	}
	if d.rollbackOf != "" {
		info["creator"] = "codeDeployRollback"
		info["rollbackInfo"] = map[string]any{"rollbackTriggeringDeploymentId": d.rollbackOf}
	}
	return &getDeploymentOutput{info}, nil
}

func (cd *codeDeploy) find(id string) (*deployment, error) {
	for _, d := range cd.deployments {
		if d.id == id && !d.created.After(time.Now()) {
			return d, nil
		}
	}
	return nil, refuse("DeploymentDoesNotExistException", "The deployment %s could not be found", id)
}

type listTargetsOutput struct {
	TargetIDs []string `json:"targetIds"`
}

type listTargetsInput struct {
	DeploymentID string `json:"deploymentId"`
	NextToken    string `json:"nextToken"`
}

func (cd *codeDeploy) listTargets(_ context.Context, in *listTargetsInput) (*listTargetsOutput, error) {
	cd.mu.Lock()
	defer cd.mu.Unlock()
	d, err := cd.find(in.DeploymentID)
	if err != nil {
		return nil, err
	}
	if d.status(time.Now()) == "Created" {
		return nil, refuse("DeploymentNotStartedException", "Deployment %s has not started", d.id)
	}
	out := &listTargetsOutput{}
	for i := range max(d.plan.Targets, 1) {
		out.TargetIDs = append(out.TargetIDs, fmt.Sprintf("i-0a1b2c3d4e5f6%04d", i))
	}
	return out, nil
}

type batchGetTargetsInput struct {
	DeploymentID string   `json:"deploymentId"`
	TargetIDs    []string `json:"targetIds"`
}

type batchGetTargetsOutput struct {
	Targets []map[string]any `json:"deploymentTargets"`
}

func (cd *codeDeploy) batchGetTargets(_ context.Context, in *batchGetTargetsInput) (*batchGetTargetsOutput, error) {
	cd.mu.Lock()
	defer cd.mu.Unlock()
	d, err := cd.find(in.DeploymentID)
	if err != nil {
		return nil, err
	}
	if len(in.TargetIDs) > 25 {
		return nil, refuse("DeploymentTargetListSizeExceededException", "The maximum number of targets is 25")
	}
	out := &batchGetTargetsOutput{}
	for _, id := range in.TargetIDs {
		out.Targets = append(out.Targets, map[string]any{
			"deploymentTargetType": "InstanceTarget",
			"instanceTarget":       d.target(id, strings.HasSuffix(id, "0000"), time.Now()),
		})
	}
	return out, nil
}

// target is an instance with its lifecycle events as of now; only the first
// instance is the one on which an event fails.
func (d *deployment) target(id string, first bool, now time.Time) map[string]any {
	status := "Succeeded"
	var events []map[string]any
	failed := false
	for i, name := range lifecycle() {
		begun := d.created.Add(time.Duration(i) * d.plan.Event)
		ended := begun.Add(d.plan.Event)
		event := map[string]any{"lifecycleEventName": name, "status": "Pending"}
		switch {
		case failed:
			event["status"] = "Skipped"
		case now.Before(begun):
			status = "InProgress"
		case now.Before(ended):
			event["status"], status = "InProgress", "InProgress"
			event["startTime"] = unixSeconds(begun)
		default:
			event["status"] = "Succeeded"
			event["startTime"], event["endTime"] = unixSeconds(begun), unixSeconds(ended)
			if first && name == d.plan.FailAt {
				failed, status = true, "Failed"
				event["status"] = "Failed"
				event["diagnostics"] = map[string]any{
					"errorCode": "ScriptFailed", "scriptName": "scripts/" + strings.ToLower(name) + ".sh",
					"message": "Script at specified location: scripts/" + strings.ToLower(name) + ".sh run as user root failed with exit code 1",
					"logTail": "[stderr]curl: (7) Failed to connect to localhost port 8080\n",
				}
			}
		}
		events = append(events, event)
	}
	if failed {
		status = "Failed"
	}
	return map[string]any{"deploymentId": d.id, "targetId": id, "status": status, "lifecycleEvents": events}
}
