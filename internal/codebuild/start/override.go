package start

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// Override is a member of StartBuild and what becomes of it: whether a flag
// sets it, whether --override-json may, and why.
type Override struct {
	Member string // as the API has it
	Flag   string // that sets it, without its dashes; empty: none
	JSON   bool   // --override-json may set it, where the flag does not
	Why    string
}

// Overrides are all members of StartBuild, in the order of their names.
func Overrides() []Override {
	return []Override{
		{"artifactsOverride", "artifacts-type", true, "the flag sets the type; S3 settings by JSON"},
		{"autoRetryLimitOverride", "auto-retries", false, "always sent: a retry that nobody follows would push after the job has ended"},
		{"buildStatusConfigOverride", "", true, "for a project whose own source is on a Git host, with --no-source"},
		{"buildspecOverride", "buildspec", true, "JSON may hold a whole buildspec"},
		{"cacheOverride", "cache-type", true, "with --cache-location and --cache-mode; a cacheNamespace by JSON"},
		{"certificateOverride", "certificate", true, ""},
		{"computeTypeOverride", "compute-type", true, ""},
		{"debugSessionEnabled", "debug-session", true, ""},
		{"encryptionKeyOverride", "encryption-key", true, ""},
		{"environmentTypeOverride", "environment-type", true, ""},
		{"environmentVariablesOverride", "env", true, "added to those of --env; of two of one name JSON's wins"},
		{"fleetOverride", "fleet", true, ""},
		{"gitCloneDepthOverride", "", true, "for a project whose own source is on a Git host, with --no-source"},
		{"gitSubmodulesConfigOverride", "", true, "as gitCloneDepthOverride"},
		{"idempotencyToken", "", false, "the bridge's own, by which a lost answer never starts two builds"},
		{"imageOverride", "image", true, ""},
		{"imagePullCredentialsTypeOverride", "image-credentials", true, ""},
		{"insecureSslOverride", "", true, "seldom right: certificates of a Git host are then not checked"},
		{"logsConfigOverride", "log-group", true, "with --log-stream; a log on S3 by JSON. It replaces all of the project's log settings"},
		{"privilegedModeOverride", "privileged", true, ""},
		{"projectName", "project", false, "the bridge follows and stops builds of this project"},
		{"queuedTimeoutInMinutesOverride", "queued-timeout", true, ""},
		{"registryCredentialOverride", "registry-credential", true, ""},
		{"reportBuildStatusOverride", "", true, "CodeBuild refuses it for a source on S3, so only with --no-source"},
		{"secondaryArtifactsOverride", "", true, "lists of structures; they have no short form"},
		{"secondarySourcesOverride", "", true, "as secondaryArtifactsOverride"},
		{"secondarySourcesVersionOverride", "", true, "as secondaryArtifactsOverride"},
		{"serviceRoleOverride", "service-role", true, "needs iam:PassRole; the job's policy in configs/ denies it"},
		{"sourceAuthOverride", "", true, "for a project whose own source is on a Git host, with --no-source"},
		{"sourceLocationOverride", "", true, "where the bridge has put the source; by JSON only with --no-source"},
		{"sourceTypeOverride", "", true, "S3, for the source that the bridge has put there; by JSON only with --no-source"},
		{"sourceVersion", "source-version", true, "the version of the uploaded object; with --no-source a commit, branch or tag"},
		{"timeoutInMinutesOverride", "timeout", true, "what is left of the job's time, where GitLab tells it; then only by the flag"},
	}
}

// apply merges --override-json into a request. What the request has already is
// refused rather than replaced: it would not be plain which of two holds, and
// by some of it the build is found and stopped.
func (r Request) apply(in *codebuild.StartBuildInput) error {
	text := r.OverrideJSON
	problem := func(format string, args ...any) error {
		return fmt.Errorf("reading --override-json: "+format, args...)
	}
	var members map[string]json.RawMessage
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(&members); err != nil {
		return problem("%w; it takes the members of StartBuild, as {\"imageOverride\": \"...\"}", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return problem("there is more after the object")
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(members)) {
		o, known := find(name)
		hint := ""
		if o.Flag != "" {
			hint = "; use --" + o.Flag
		}
		switch {
		case !known:
			problems = append(problems, problem("StartBuild has no member %q", name))
		case !o.JSON:
			problems = append(problems, problem("%s is not taken: %s%s", o.Member, o.Why, hint))
		case strings.HasPrefix(o.Member, "source") && o.Member != "sourceAuthOverride" && !r.OwnSource:
			problems = append(problems, problem("%s is not taken: the build's source is what the bridge uploads; give --no-source to build the project's own", o.Member))
		case o.Member != "environmentVariablesOverride" && isSet(in, o.Member):
			problems = append(problems, problem("%s is set already%s, and give it once", o.Member, hint))
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	// Decoded into what is there, an element would inherit what it does not say.
	ours := in.EnvironmentVariablesOverride
	in.EnvironmentVariablesOverride = nil
	strict := json.NewDecoder(strings.NewReader(text))
	strict.DisallowUnknownFields()
	err := strict.Decode(in)
	if err != nil {
		return problem("%w", err)
	}
	in.EnvironmentVariablesOverride, err = r.merged(ours, in.EnvironmentVariablesOverride)
	return err
}

// find looks a member up as encoding/json does, without regard to case.
func find(name string) (Override, bool) {
	for _, o := range Overrides() {
		if strings.EqualFold(o.Member, name) {
			return o, true
		}
	}
	return Override{}, false
}

// isSet tells whether a request has a member.
func isSet(in *codebuild.StartBuildInput, member string) bool {
	v := reflect.ValueOf(in).Elem().FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, member) })
	return v.IsValid() && !v.IsZero()
}

// merged are our variables and those of --override-json, which win. Ours must
// not get lost: by one of them a build is found whose start was not answered.
func (r Request) merged(ours, theirs []types.EnvironmentVariable) ([]types.EnvironmentVariable, error) {
	for _, v := range theirs {
		name := aws.ToString(v.Name)
		if name == "" || v.Value == nil {
			return nil, errors.New(`reading --override-json: a variable needs a name and a value, as {"name": "N", "value": "V"}`)
		}
		if name == TokenVariable {
			return nil, fmt.Errorf("reading --override-json: the variable %s is the bridge's own", name)
		}
		plain := v.Type == "" || v.Type == types.EnvironmentVariableTypePlaintext
		if plain && LooksSecret(name, *v.Value) && !allows(r.AllowSecrets, name) {
			return nil, fmt.Errorf("reading --override-json: the name or the value of the variable %s looks like a secret, and whoever may look at the build could read it; "+
				"give it the type PARAMETER_STORE or SECRETS_MANAGER, or say --allow-secret-env %s", name, name)
		}
		ours = slices.DeleteFunc(ours, func(o types.EnvironmentVariable) bool { return aws.ToString(o.Name) == name })
	}
	return append(ours, theirs...), nil
}
