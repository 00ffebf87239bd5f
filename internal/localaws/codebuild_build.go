package localaws

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

type buildSource struct {
	Type      string `json:"type"`
	Location  string `json:"location,omitempty"`
	Buildspec string `json:"buildspec,omitempty"`
}

type buildSettings struct {
	Type           string   `json:"type"`
	Image          string   `json:"image"`
	ComputeType    string   `json:"computeType"`
	PrivilegedMode bool     `json:"privilegedMode"`
	Variables      []envVar `json:"environmentVariables"`
}

type phaseContext struct {
	StatusCode string `json:"statusCode"`
	Message    string `json:"message"`
}

type buildPhase struct {
	Type     string         `json:"phaseType"`
	Status   string         `json:"phaseStatus,omitempty"`
	Start    float64        `json:"startTime"`
	End      float64        `json:"endTime,omitempty"`
	Duration int64          `json:"durationInSeconds"`
	Contexts []phaseContext `json:"contexts,omitempty"`
}

type buildLogs struct {
	GroupName  string         `json:"groupName,omitempty"`
	StreamName string         `json:"streamName,omitempty"`
	DeepLink   string         `json:"deepLink,omitempty"`
	ARN        string         `json:"cloudWatchLogsArn,omitempty"`
	CloudWatch map[string]any `json:"cloudWatchLogs,omitempty"`
}

type autoRetry struct {
	Limit    int    `json:"autoRetryLimit"`
	Number   int    `json:"autoRetryNumber,omitempty"`
	Next     string `json:"nextAutoRetry,omitempty"`
	Previous string `json:"previousAutoRetry,omitempty"`
}

// build is a build; what is exported is told by BatchGetBuilds. codeBuild.mu
// guards all of it.
type build struct {
	ID                string        `json:"id"`
	ARN               string        `json:"arn"`
	BuildNumber       int64         `json:"buildNumber"`
	ProjectName       string        `json:"projectName"`
	BuildStatus       string        `json:"buildStatus"`
	BuildComplete     bool          `json:"buildComplete"`
	CurrentPhase      string        `json:"currentPhase"`
	StartTime         float64       `json:"startTime"`
	EndTime           float64       `json:"endTime,omitempty"`
	SourceVersion     string        `json:"sourceVersion,omitempty"`
	Source            buildSource   `json:"source"`
	Environment       buildSettings `json:"environment"`
	Logs              buildLogs     `json:"logs"`
	Phases            []*buildPhase `json:"phases"`
	TimeoutInMinutes  int           `json:"timeoutInMinutes"`
	AutoRetryConfig   *autoRetry    `json:"autoRetryConfig,omitempty"`
	ExportedVariables []envVar      `json:"exportedEnvironmentVariables,omitempty"`

	cb          *codeBuild
	plan        BuildPlan
	project     Project
	input       *startBuildInput
	uuid        string
	retriesLeft int
	stopped     chan struct{}
	stopReason  string // the status it ends with: STOPPED or TIMED_OUT
	process     *os.Process
	dir         string
	environment []string // of the commands
	logMu       sync.Mutex
	silentUntil time.Time // guarded by logMu
}

// describe is the build as JSON; the caller holds the lock.
func (b *build) describe() json.RawMessage {
	data, err := json.Marshal(b)
	if err != nil {
		return json.RawMessage(fmt.Sprintf(`{"id":%q}`, b.ID))
	}
	return data
}

func (b *build) plainEnvironment() map[string]string {
	env := map[string]string{}
	for _, v := range b.Environment.Variables {
		env[v.Name] = v.Value
	}
	return env
}

// stop ends the build with a status; the caller holds the lock. A build that
// has ended stays as it is.
func (b *build) stop(status string) {
	if b.stopReason != "" || b.BuildComplete {
		return
	}
	b.stopReason = status
	close(b.stopped)
	if b.process != nil {
		syscall.Kill(-b.process.Pid, syscall.SIGKILL)
	}
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// change alters the build under the lock and tells who waits.
func (b *build) change(f func()) {
	b.cb.mu.Lock()
	f()
	b.cb.mu.Unlock()
	b.cb.server.bell.ring()
}

// outcome is how a phase ended.
type outcome struct {
	status  string
	code    string
	message string
	carryOn bool // POST_BUILD runs all the same, as after a failed BUILD
}

func succeeded() outcome { return outcome{status: "SUCCEEDED"} }

// run takes the build through its phases.
func (b *build) run() {
	timeout := time.AfterFunc(time.Duration(b.TimeoutInMinutes)*b.plan.minute(), func() {
		b.change(func() { b.stop("TIMED_OUT") })
	})
	defer timeout.Stop()
	defer func() {
		if b.dir != "" {
			os.RemoveAll(b.dir)
		}
	}()
	spec := &buildspec{}
	status, aborted := "SUCCEEDED", false
	for _, p := range []struct {
		name string
		do   func() outcome
	}{
		{"SUBMITTED", succeeded},
		{"QUEUED", func() outcome { return b.wait(b.plan.Queue) }},
		{"PROVISIONING", b.provision},
		{"DOWNLOAD_SOURCE", func() outcome { return b.download(spec) }},
		{"INSTALL", func() outcome { return b.commands(spec, "INSTALL") }},
		{"PRE_BUILD", func() outcome { return b.commands(spec, "PRE_BUILD") }},
		{"BUILD", func() outcome { return b.commands(spec, "BUILD") }},
		{"POST_BUILD", func() outcome { return b.commands(spec, "POST_BUILD") }},
		{"UPLOAD_ARTIFACTS", succeeded},
		{"FINALIZING", func() outcome { return b.wait(b.plan.Finalize) }},
	} {
		// The last phases come whatever happened, and POST_BUILD comes after a
		// failed BUILD unless that says ABORT.
		ending := p.name == "UPLOAD_ARTIFACTS" || p.name == "FINALIZING"
		if status != "SUCCEEDED" && !ending && (aborted || p.name != "POST_BUILD") {
			continue
		}
		if result := b.phase(p.name, p.do); result.status != "SUCCEEDED" && status == "SUCCEEDED" {
			status, aborted = result.status, !result.carryOn
		}
	}
	b.finish(status, spec)
}

func (p BuildPlan) minute() time.Duration {
	if p.Minute == 0 {
		return time.Minute
	}
	return p.Minute
}

// phase runs one phase and notes its times and end.
func (b *build) phase(name string, do func() outcome) outcome {
	begun := time.Now()
	p := &buildPhase{Type: name, Start: unixSeconds(begun)}
	b.change(func() {
		b.CurrentPhase = name
		b.Phases = append(b.Phases, p)
	})
	inContainer := slices.Contains([]string{"DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS"}, name)
	if inContainer && name != "UPLOAD_ARTIFACTS" {
		b.logf("[Container] %s Entering phase %s\n", stamp(), name)
	}
	var result outcome
	if b.plan.Fault == name {
		result = outcome{status: "FAULT", code: "INTERNAL_SERVICE_ERROR", message: "CodeBuild is experiencing an issue"}
	} else {
		result = do()
	}
	b.change(func() {
		if b.stopReason != "" && result.status != "SUCCEEDED" {
			result = outcome{status: b.stopReason}
			if b.stopReason == "TIMED_OUT" {
				result.code, result.message = "BUILD_TIMED_OUT", "Build has timed out. "
			}
		}
		p.Status, p.End = result.status, unixSeconds(time.Now())
		p.Duration = int64(time.Since(begun).Seconds())
		if result.code != "" || result.message != "" {
			p.Contexts = []phaseContext{{result.code, result.message}}
		} else {
			p.Contexts = []phaseContext{{"", ""}}
		}
	})
	if inContainer {
		b.logf("[Container] %s Phase complete: %s State: %s\n", stamp(), name, result.status)
		b.logf("[Container] %s Phase context status code: %s Message: %s\n", stamp(), result.code, result.message)
	}
	return result
}

// stamp is the time as CodeBuild's agent writes it.
func stamp() string { return time.Now().UTC().Format("2006/01/02 15:04:05.000000") }

func (b *build) wait(d time.Duration) outcome {
	select {
	case <-time.After(d):
		return succeeded()
	case <-b.stopped:
		return outcome{status: "STOPPED"}
	}
}

func (b *build) provision() outcome {
	if result := b.wait(b.plan.Provision); result.status != "SUCCEEDED" {
		return result
	}
	if b.plan.PullFailure {
		return outcome{status: "FAILED", code: "BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE",
			message: fmt.Sprintf("Unable to pull customer's container image. CannotPullContainerError: pull access denied for %s, repository does not exist", b.Environment.Image)}
	}
	if !b.project.LogsDisabled {
		b.change(func() {
			b.Logs = buildLogs{
				GroupName:  b.project.LogGroup,
				StreamName: b.uuid,
				ARN:        b.cb.server.arn("logs", "log-group:"+b.project.LogGroup+":log-stream:"+b.uuid),
				DeepLink:   "https://console.aws.amazon.com/cloudwatch/home?region=" + b.cb.server.opts.Region + "#logsV2:log-groups/log-group/" + strings.ReplaceAll(b.project.LogGroup, "/", "$252F") + "/log-events/" + b.uuid,
				CloudWatch: map[string]any{"status": "ENABLED", "groupName": b.project.LogGroup},
			}
		})
	} else {
		b.change(func() { b.Logs = buildLogs{CloudWatch: map[string]any{"status": "DISABLED"}} })
	}
	return succeeded()
}

// finish ends the build, and begins the next where CodeBuild retries.
func (b *build) finish(status string, spec *buildspec) {
	exported := b.exported(spec)
	b.change(func() {
		if b.stopReason != "" && status != "SUCCEEDED" {
			status = b.stopReason
		}
		b.BuildStatus = status
		b.ExportedVariables = exported
		b.EndTime = unixSeconds(time.Now())
		b.CurrentPhase = "COMPLETED"
		b.Phases = append(b.Phases, &buildPhase{Type: "COMPLETED", Start: unixSeconds(time.Now())})
		b.BuildComplete = true
		switch {
		case status != "FAILED" || b.retriesLeft == 0:
		case b.plan.LateRetry > 0:
			time.AfterFunc(b.plan.LateRetry, func() { b.change(b.retry) })
		default:
			b.retry()
		}
	})
}

// retry begins the next build in place of this one.
func (b *build) retry() {
	next := b.cb.newBuild(b.project, b.input)
	next.retriesLeft = b.retriesLeft - 1
	next.AutoRetryConfig = &autoRetry{Limit: b.AutoRetryConfig.Limit, Number: b.AutoRetryConfig.Number + 1, Previous: b.ARN}
	b.AutoRetryConfig.Next = next.ARN
}

// logf writes an event of the build's log.
func (b *build) logf(format string, args ...any) { b.log(fmt.Sprintf(format, args...)) }

func (b *build) log(message string) {
	if b.project.LogsDisabled || b.plan.NoLogGroup {
		return
	}
	b.logMu.Lock()
	defer b.logMu.Unlock()
	if b.silentUntil.IsZero() {
		b.silentUntil = time.Now().Add(b.plan.Silence)
	}
	b.cb.server.logs.put(b.project.LogGroup, b.uuid, max(b.plan.LateLog, b.plan.LateStream, time.Until(b.silentUntil)), message)
}

// start runs a command in a process group of its own, unless the build is stopped.
func (b *build) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.cb.mu.Lock()
	defer b.cb.mu.Unlock()
	if b.stopReason != "" {
		return fmt.Errorf("the build is %s", b.stopReason)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	b.process = cmd.Process
	return nil
}

// workDir makes the directory that the source is unpacked into.
func (b *build) workDir() (string, error) {
	if b.dir == "" {
		dir, err := os.MkdirTemp(b.cb.server.dir, "build-")
		if err != nil {
			return "", err
		}
		b.dir = dir
	}
	src := filepath.Join(b.dir, "src")
	return src, os.MkdirAll(src, 0o755)
}
