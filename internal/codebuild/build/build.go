// Package build is a CodeBuild build as plain data: what BatchGetBuilds says
// of it, read with all its traps.
package build

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// Status is how a build or a phase stands, in CodeBuild's words.
type Status string

// The statuses that the API knows. The set is open.
const (
	Succeeded  Status = "SUCCEEDED"
	Failed     Status = "FAILED"
	Fault      Status = "FAULT"
	TimedOut   Status = "TIMED_OUT"
	Stopped    Status = "STOPPED"
	InProgress Status = "IN_PROGRESS"
)

// Build is one build.
type Build struct {
	ID       string
	ARN      string
	Number   int64
	Project  string
	Status   Status
	Complete bool // its status is final
	Phase    string
	Started  time.Time
	Ended    time.Time
	Phases   []Phase
	Log      Log
	Exported []Variable // the buildspec's exported-variables, final at the end
	// Next is the id of the build that CodeBuild has started in place of this
	// failed one.
	Next string
	// RetriesLeft tells that CodeBuild would build again if this build failed.
	RetriesLeft bool
	// DebugSession is what to give `aws ssm start-session --target`, if a debug
	// session was asked for.
	DebugSession string
}

// Phase is one step of a build.
type Phase struct {
	Name     string
	Status   Status
	Started  time.Time
	Ended    time.Time
	Duration time.Duration
	// Code and Message say what went wrong, COMMAND_EXECUTION_ERROR for one.
	Code    string
	Message string
}

// Log is where CloudWatch keeps the build's log. It is empty until the build
// is provisioned.
type Log struct {
	Group    string
	Stream   string
	URL      string // for a person
	Disabled bool   // the project keeps no log in CloudWatch
}

// Known tells whether there is a stream to read.
func (l Log) Known() bool { return l.Group != "" && l.Stream != "" }

// Variable is a name and its value.
type Variable struct{ Name, Value string }

// From reads what the SDK has got.
func From(b *types.Build) Build {
	out := Build{
		ID:      aws.ToString(b.Id),
		ARN:     aws.ToString(b.Arn),
		Number:  aws.ToInt64(b.BuildNumber),
		Project: aws.ToString(b.ProjectName),
		Status:  Status(b.BuildStatus),
		Phase:   aws.ToString(b.CurrentPhase),
		Started: aws.ToTime(b.StartTime),
		Ended:   aws.ToTime(b.EndTime),
	}
	// Any of the three means the end; which of them comes first is not promised.
	out.Complete = b.BuildComplete || b.EndTime != nil || (out.Status != InProgress && out.Status != "")
	for _, p := range b.Phases {
		out.Phases = append(out.Phases, phase(p))
	}
	if l := b.Logs; l != nil {
		// The stream's name in the answer is the real one; the name in a project's
		// settings is only its prefix. Before the build is provisioned both are
		// missing, or the text "null".
		out.Log.Group, out.Log.Stream = known(l.GroupName), known(l.StreamName)
		out.Log.URL = aws.ToString(l.DeepLink)
		if !out.Log.Known() {
			out.Log.URL = ""
		}
		out.Log.Disabled = l.CloudWatchLogs != nil && l.CloudWatchLogs.Status == types.LogsConfigStatusTypeDisabled
	}
	for _, v := range b.ExportedEnvironmentVariables {
		out.Exported = append(out.Exported, Variable{aws.ToString(v.Name), aws.ToString(v.Value)})
	}
	if r := b.AutoRetryConfig; r != nil {
		out.Next = idOf(aws.ToString(r.NextAutoRetry))
		out.RetriesLeft = aws.ToInt32(r.AutoRetryLimit) > aws.ToInt32(r.AutoRetryNumber)
	}
	if d := b.DebugSession; d != nil && aws.ToBool(d.SessionEnabled) {
		out.DebugSession = aws.ToString(d.SessionTarget)
	}
	return out
}

// idOf is the id in a build's ARN, which is what StopBuild takes.
func idOf(arn string) string {
	if _, id, ok := strings.Cut(arn, ":build/"); ok {
		return id
	}
	return arn
}

func known(s *string) string {
	if text := aws.ToString(s); text != "null" {
		return text
	}
	return ""
}

func phase(p types.BuildPhase) Phase {
	out := Phase{
		Name:     string(p.PhaseType),
		Status:   Status(p.PhaseStatus),
		Started:  aws.ToTime(p.StartTime),
		Ended:    aws.ToTime(p.EndTime),
		Duration: time.Duration(aws.ToInt64(p.DurationInSeconds)) * time.Second,
	}
	for _, c := range p.Contexts {
		code, message := strings.TrimSpace(aws.ToString(c.StatusCode)), strings.TrimSpace(aws.ToString(c.Message))
		if code == "" && message == "" {
			continue
		}
		if out.Message != "" {
			out.Message += "; "
		}
		out.Code, out.Message = code, out.Message+message
	}
	return out
}

// FailedPhase returns the first phase that did not succeed.
func (b *Build) FailedPhase() (Phase, bool) {
	for _, p := range b.Phases {
		if p.Status != "" && p.Status != Succeeded && p.Status != InProgress {
			return p, true
		}
	}
	return Phase{}, false
}

// ConsoleURL is the build's page in the AWS console, for a person.
func (b *Build) ConsoleURL() string {
	// arn:aws:codebuild:REGION:ACCOUNT:build/PROJECT:UUID
	parts := strings.SplitN(b.ARN, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	host := "console.aws.amazon.com"
	switch parts[1] {
	case "aws-cn":
		host = "console.amazonaws.cn"
	case "aws-us-gov":
		host = "console.amazonaws-us-gov.com"
	}
	return "https://" + parts[3] + "." + host + "/codesuite/codebuild/" + parts[4] + "/projects/" + b.Project +
		"/build/" + strings.ReplaceAll(b.ID, ":", "%3A") + "/?region=" + parts[3]
}
