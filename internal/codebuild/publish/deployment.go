// Package publish follows the CodeDeploy deployment that an uploaded artifact
// triggers: something behind the bucket, a function of the receiving account
// for one, makes a deployment of each artifact from its metadata.
package publish

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// The metadata of an artifact: which application and deployment group it is
// for. S3 shows them as x-amz-meta-application-name and
// x-amz-meta-deploymentgroup-name.
const (
	MetadataApplication = "application-name"
	MetadataGroup       = "deploymentgroup-name"
)

// Deployment is where a deployment has got to.
type Deployment struct {
	ID         string
	Status     string // Created, Queued, InProgress, Baking, Ready, Succeeded, Failed, Stopped
	Created    time.Time
	Message    string // why it failed
	Code       string
	RollbackBy string // the deployment that rolls it back
	// RollsBack is what CodeDeploy rolls this deployment back on by itself.
	RollsBack []types.AutoRollbackEvent
}

// MayBeRolledBack tells whether CodeDeploy may yet begin to roll a deployment
// back that has ended: it does so by another deployment, which it makes a moment
// after this one has failed, or when an alarm goes off though it has succeeded.
func (d Deployment) MayBeRolledBack() bool {
	on := types.AutoRollbackEventDeploymentFailure
	switch d.Status {
	case string(types.DeploymentStatusSucceeded):
		on = types.AutoRollbackEventDeploymentStopOnAlarm
	case string(types.DeploymentStatusStopped):
		return d.RollbackBy == "" && len(d.RollsBack) > 0 // on an alarm or on request
	}
	return d.RollbackBy == "" && slices.Contains(d.RollsBack, on)
}

// Ended tells whether the status is final.
func (d Deployment) Ended() bool {
	return d.Status == string(types.DeploymentStatusSucceeded) ||
		d.Status == string(types.DeploymentStatusFailed) || d.Status == string(types.DeploymentStatusStopped)
}

// Succeeded tells whether it ended well and stays.
func (d Deployment) Succeeded() bool {
	return d.Status == string(types.DeploymentStatusSucceeded) && d.RollbackBy == ""
}

func from(info *types.DeploymentInfo) Deployment {
	d := Deployment{
		ID:      aws.ToString(info.DeploymentId),
		Status:  string(info.Status),
		Created: aws.ToTime(info.CreateTime),
	}
	if e := info.ErrorInformation; e != nil {
		d.Code, d.Message = string(e.Code), aws.ToString(e.Message)
	}
	if r := info.RollbackInfo; r != nil {
		d.RollbackBy = aws.ToString(r.RollbackDeploymentId)
	}
	if a := info.AutoRollbackConfiguration; a != nil && a.Enabled {
		d.RollsBack = a.Events
	}
	return d
}

// target is an instance, an ECS service or a function that is deployed to.
type target struct {
	id     string
	events []event
}

// event is a step on a target.
type event struct {
	name, status string
	took         time.Duration
	problem      string // of a failed one: script and message
	log          string // the end of what the script wrote
}

func targetFrom(t types.DeploymentTarget) target {
	var out target
	var events []types.LifecycleEvent
	switch {
	case t.InstanceTarget != nil:
		out.id, events = aws.ToString(t.InstanceTarget.TargetId), t.InstanceTarget.LifecycleEvents
	case t.EcsTarget != nil:
		out.id, events = aws.ToString(t.EcsTarget.TargetId), t.EcsTarget.LifecycleEvents
	case t.LambdaTarget != nil:
		out.id, events = aws.ToString(t.LambdaTarget.TargetId), t.LambdaTarget.LifecycleEvents
	}
	for _, e := range events {
		ev := event{name: aws.ToString(e.LifecycleEventName), status: string(e.Status)}
		if e.StartTime != nil && e.EndTime != nil {
			ev.took = e.EndTime.Sub(*e.StartTime)
		}
		if d := e.Diagnostics; d != nil {
			ev.problem, ev.log = aws.ToString(d.Message), aws.ToString(d.LogTail)
			if ev.problem == "" {
				ev.problem = string(d.ErrorCode)
			}
		}
		out.events = append(out.events, ev)
	}
	return out
}
