package start

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
)

// A new member of StartBuild has to be decided about.
func TestOverridesAreAllOfStartBuild(t *testing.T) {
	t.Parallel()
	var want []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[codebuild.StartBuildInput]()) {
		if f.IsExported() {
			want = append(want, strings.ToLower(f.Name[:1])+f.Name[1:])
		}
	}
	slices.Sort(want)
	var got []string
	for _, o := range Overrides() {
		got = append(got, o.Member)
		if !o.JSON && o.Why == "" {
			t.Errorf("%s is refused without a reason", o.Member)
		}
		if o.Flag == "" && o.Why == "" {
			t.Errorf("%s has no flag, without a reason", o.Member)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestOverrideJSON(t *testing.T) {
	t.Parallel()
	uploaded := Request{Project: "p", SourceLocation: "b/k.zip", SourceVersion: "v", Image: "mine", Timeout: time.Hour}
	own := Request{Project: "p", OwnSource: true}
	tests := []struct {
		name    string
		request Request
		json    string
		want    string // in the error; empty: taken
	}{
		{"a member with a flag that was not given", uploaded, `{"computeTypeOverride": "BUILD_GENERAL1_SMALL"}`, ""},
		{"one that was", uploaded, `{"imageOverride": "theirs"}`, "imageOverride is set already; use --image"},
		{"in another case", uploaded, `{"ImageOVERRIDE": "theirs"}`, "imageOverride is set already"},
		{"the job's time", uploaded, `{"timeoutInMinutesOverride": 10}`, "use --timeout"},
		{"retries", uploaded, `{"autoRetryLimitOverride": 2}`, "autoRetryLimitOverride is not taken: always sent: a retry that nobody follows would push after the job has ended; use --auto-retries"},
		{"the project", uploaded, `{"projectName": "other"}`, "use --project"},
		{"the token", own, `{"idempotencyToken": "x"}`, "idempotencyToken is not taken"},
		{"the source", uploaded, `{"sourceLocationOverride": "b/other.zip"}`, "give --no-source"},
		{"its type", uploaded, `{"sourceTypeOverride": "GITLAB"}`, "give --no-source"},
		{"its version", uploaded, `{"sourceVersion": "main"}`, "give --no-source"},
		{"the source before it is uploaded", Request{Project: "p"}, `{"sourceVersion": "main"}`, "give --no-source"},
		{"a source of the project's own", own, `{"sourceTypeOverride": "GITLAB", "sourceLocationOverride": "https://host/p.git", "sourceVersion": "main", "gitCloneDepthOverride": 1}`, ""},
		{"a version that was given", Request{Project: "p", OwnSource: true, SourceVersion: "v1"}, `{"sourceVersion": "main"}`, "use --source-version"},
		{"two mistakes", uploaded, `{"projectName": "other", "imageOverride": "x"}`, "imageOverride is set already; use --image, and give it once\nreading --override-json: projectName is not taken"},
		{"unknown inside", uploaded, `{"cacheOverride": {"typ": "S3"}}`, `unknown field "typ"`},
		{"unknown", uploaded, `{"noSuchOverride": 1}`, `no member "noSuchOverride"`},
		{"a secret", own, `{"environmentVariablesOverride": [{"name": "NPM_TOKEN", "value": "x"}]}`, "--allow-secret-env NPM_TOKEN"},
		{"a secret by reference", own, `{"environmentVariablesOverride": [{"name": "NPM_TOKEN", "value": "ci/npm", "type": "SECRETS_MANAGER"}]}`, ""},
		{"a secret that is allowed", Request{Project: "p", AllowSecrets: []string{"NPM_*"}}, `{"environmentVariablesOverride": [{"name": "NPM_TOKEN", "value": "x"}]}`, ""},
		{"the bridge's variable", own, `{"environmentVariablesOverride": [{"name": "BRIDGE_TOKEN", "value": "x"}]}`, "the bridge's own"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.request.OverrideJSON = test.json
			err := test.request.Check()
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want one with %q", err, test.want)
			}
		})
	}
	in, err := Request{Project: "p", OwnSource: true, OverrideJSON: `{"sourceVersion": "main"}`}.input()
	if err != nil || aws.ToString(in.SourceVersion) != "main" {
		t.Errorf("got %v %v, want the version", aws.ToString(in.SourceVersion), err)
	}
}
