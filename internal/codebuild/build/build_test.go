package build

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

func TestAnyOfThreeSignsMeansTheEnd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		b    types.Build
		want bool
	}{
		{"running", types.Build{BuildStatus: types.StatusTypeInProgress}, false},
		{"just started", types.Build{}, false},
		{"complete", types.Build{BuildStatus: types.StatusTypeInProgress, BuildComplete: true}, true},
		{"an end time", types.Build{BuildStatus: types.StatusTypeInProgress, EndTime: aws.Time(time.Now())}, true},
		{"a final status", types.Build{BuildStatus: types.StatusTypeStopped}, true},
		{"a status that is new", types.Build{BuildStatus: "EVAPORATED"}, true},
	}
	for _, test := range tests {
		if got := From(&test.b).Complete; got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

// Before a build is provisioned its log has no name, or the text "null".
func TestLogThatIsNotThereYet(t *testing.T) {
	t.Parallel()
	for name, logs := range map[string]*types.LogsLocation{
		"none":     nil,
		"no names": {DeepLink: aws.String("https://console/...group=null;stream=null")},
		"null":     {GroupName: aws.String("null"), StreamName: aws.String("null"), DeepLink: aws.String("https://x")},
		"no group": {StreamName: aws.String("s"), DeepLink: aws.String("https://x")},
	} {
		if log := From(&types.Build{Logs: logs}).Log; log.Known() || log.URL != "" {
			t.Errorf("%s: got %+v", name, log)
		}
	}
	log := From(&types.Build{Logs: &types.LogsLocation{
		GroupName: aws.String("/g"), StreamName: aws.String("prefix/s"), DeepLink: aws.String("https://x"),
		CloudWatchLogs: &types.CloudWatchLogsConfig{Status: types.LogsConfigStatusTypeEnabled},
	}}).Log
	if !log.Known() || log.Stream != "prefix/s" || log.URL != "https://x" || log.Disabled {
		t.Errorf("got %+v", log)
	}
}

func TestFailedPhaseIsTheFirst(t *testing.T) {
	t.Parallel()
	b := From(&types.Build{Phases: []types.BuildPhase{
		{PhaseType: types.BuildPhaseTypeInstall, PhaseStatus: types.StatusTypeSucceeded, Contexts: []types.PhaseContext{{StatusCode: aws.String(""), Message: aws.String("")}}},
		{PhaseType: types.BuildPhaseTypeBuild, PhaseStatus: types.StatusTypeFailed, DurationInSeconds: aws.Int64(7), Contexts: []types.PhaseContext{
			{StatusCode: aws.String("A"), Message: aws.String("one ")}, {StatusCode: aws.String("B"), Message: aws.String("two")},
		}},
		{PhaseType: types.BuildPhaseTypePostBuild, PhaseStatus: types.StatusTypeFailed},
		{PhaseType: types.BuildPhaseTypeFinalizing},
	}})
	p, ok := b.FailedPhase()
	if !ok || p.Name != "BUILD" || p.Code != "B" || p.Message != "one; two" || p.Duration != 7*time.Second {
		t.Errorf("got %+v %v", p, ok)
	}
	if _, ok := new(Build).FailedPhase(); ok {
		t.Error("a build without phases has a failed one")
	}
}

func TestConsoleURL(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]string{
		"arn:aws:codebuild:eu-west-1:123456789012:build/p:1":            "https://eu-west-1.console.aws.amazon.com/codesuite/codebuild/123456789012/projects/p/build/p%3A1/?region=eu-west-1",
		"arn:aws-us-gov:codebuild:us-gov-west-1:123456789012:build/p:1": "https://us-gov-west-1.console.amazonaws-us-gov.com/codesuite/codebuild/123456789012/projects/p/build/p%3A1/?region=us-gov-west-1",
		"": "",
	} {
		b := Build{ID: "p:1", ARN: arn, Project: "p"}
		if got := b.ConsoleURL(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
