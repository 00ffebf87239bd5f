package start

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// Variable is an environment variable of a build.
type Variable struct {
	Name  string
	Value string // for a reference, its name in the store
	Type  VariableType
}

// VariableType says where a variable's value comes from.
type VariableType string

const (
	// Plain values are shown in the console, by BatchGetBuilds and in CloudTrail.
	Plain VariableType = "PLAINTEXT"
	// Parameter is read by CodeBuild from the SSM Parameter Store.
	Parameter VariableType = "PARAMETER_STORE"
	// Secret is read by CodeBuild from Secrets Manager.
	Secret VariableType = "SECRETS_MANAGER"
)

// TokenVariable is a variable of every build that the bridge starts, by which
// it is found again if its id was never learnt.
const TokenVariable = "BRIDGE_TOKEN"

// defaultVariables is what every build is told of its job. None of them is a
// secret. CI_JOB_TOKEN, CI_REGISTRY_PASSWORD, CI_REPOSITORY_URL and their like
// are not in it: whoever may look at a build could read them.
func defaultVariables() []string {
	return []string{
		"CI", "GITLAB_CI",
		"CI_COMMIT_SHA", "CI_COMMIT_SHORT_SHA", "CI_COMMIT_REF_NAME", "CI_COMMIT_REF_SLUG",
		"CI_COMMIT_BRANCH", "CI_COMMIT_TAG", "CI_COMMIT_TIMESTAMP", "CI_DEFAULT_BRANCH",
		"CI_PIPELINE_ID", "CI_PIPELINE_IID", "CI_PIPELINE_SOURCE", "CI_PIPELINE_URL",
		"CI_JOB_ID", "CI_JOB_NAME", "CI_JOB_URL", "CI_JOB_STAGE",
		"CI_PROJECT_ID", "CI_PROJECT_NAME", "CI_PROJECT_PATH", "CI_PROJECT_PATH_SLUG", "CI_PROJECT_URL",
		"CI_MERGE_REQUEST_IID", "CI_SERVER_URL",
	}
}

// EnvironmentOptions says which variables a build gets.
type EnvironmentOptions struct {
	// Set is NAME=VALUE, NAME=ssm:PARAMETER, NAME=secret:ID[:KEY[:STAGE[:VERSION]]],
	// NAME (the job's own value) or a pattern of names as APP_*.
	Set []string
	// NoDefaults leaves the CI_* variables out.
	NoDefaults bool
	// AllowSecrets are names, or patterns, that may be sent as plain text though
	// they look like secrets.
	AllowSecrets []string
	// Job is the job's environment.
	Job map[string]string
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	secretName   = regexp.MustCompile(`(?i)(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|PRIVATE|API_?KEY|_KEY$|^KEY$|AUTH(_CONFIG)?$|_PASS$|_PWD$|NETRC|NPMRC|JWT)`)
	// A password in a URL, a private key, tokens of GitLab and GitHub, a key of AWS.
	secretValue = regexp.MustCompile(`://[^/?#\s:@]*:[^/?#\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|\bgl[a-z]{1,5}-[A-Za-z0-9_-]{20}|\bgh[a-z]_[A-Za-z0-9]{36}|\bA[KS]IA[A-Z0-9]{16}\b`)
)

// LooksSecret tells whether a variable holds a credential by its name or value.
func LooksSecret(name, value string) bool {
	return credentialName(name) || secretValue.MatchString(value)
}

// credentialName tells names that hold credentials without saying so.
func credentialName(name string) bool {
	return secretName.MatchString(name) || strings.HasPrefix(name, "AWS_") || name == "CI_REPOSITORY_URL"
}

// Environment makes the list of variables, in the order of their names, and
// says which a pattern has matched but are left out.
func Environment(o EnvironmentOptions) (list []Variable, leftOut []string, err error) {
	found := map[string]Variable{}
	if !o.NoDefaults {
		for _, name := range defaultVariables() {
			if value, ok := o.Job[name]; ok {
				found[name] = Variable{name, value, Plain}
			}
		}
	}
	for _, set := range o.Set {
		name, value, given := strings.Cut(set, "=")
		if !given && strings.ContainsAny(name, "*?[") {
			left, err := o.matching(name, found)
			if err != nil {
				return nil, nil, err
			}
			leftOut = append(leftOut, left...)
			continue
		}
		v, err := o.variable(name, value, given)
		if err != nil {
			return nil, nil, err
		}
		found[name] = v
	}
	list = slices.SortedFunc(maps.Values(found), func(a, b Variable) int { return strings.Compare(a.Name, b.Name) })
	return list, leftOut, nil
}

// matching adds the job's variables that a pattern matches.
func (o EnvironmentOptions) matching(pattern string, found map[string]Variable) (leftOut []string, err error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("reading --env %s: %w", pattern, err)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Job)) {
		if ok, _ := path.Match(pattern, name); !ok || !variableName.MatchString(name) || strings.HasPrefix(name, "CODEBUILD_") || name == TokenVariable {
			continue
		}
		if LooksSecret(name, o.Job[name]) && !o.Allows(name) {
			leftOut = append(leftOut, name)
			continue
		}
		found[name] = Variable{name, o.Job[name], Plain}
	}
	return leftOut, nil
}

// variable is one that was named.
func (o EnvironmentOptions) variable(name, value string, given bool) (Variable, error) {
	switch {
	case !variableName.MatchString(name):
		return Variable{}, fmt.Errorf("reading --env: %q is no name of a variable; write NAME=VALUE, NAME=ssm:PARAMETER or NAME=secret:ID", name)
	case strings.HasPrefix(name, "CODEBUILD_"):
		return Variable{}, fmt.Errorf("reading --env %s: names that begin with CODEBUILD_ are CodeBuild's own", name)
	case name == TokenVariable:
		return Variable{}, fmt.Errorf("reading --env %s: that name is the bridge's own", name)
	}
	if given {
		for prefix, kind := range map[string]VariableType{"ssm:": Parameter, "secret:": Secret} {
			if reference, ok := strings.CutPrefix(value, prefix); ok {
				if reference == "" {
					return Variable{}, fmt.Errorf("reading --env %s: %s needs a name after it", name, prefix)
				}
				return Variable{name, reference, kind}, nil
			}
		}
	} else {
		var ok bool
		if value, ok = o.Job[name]; !ok {
			return Variable{}, fmt.Errorf("reading --env %s: the job has no such variable; write %s=VALUE to give it one", name, name)
		}
	}
	if LooksSecret(name, value) && !o.Allows(name) {
		return Variable{}, fmt.Errorf("reading --env %s: the name or the value looks like a secret, and whoever may look at the build could read it; "+
			"keep it in a store and write %s=ssm:PARAMETER or %s=secret:ID, or say --allow-secret-env %s", name, name, name, name)
	}
	return Variable{name, value, Plain}, nil
}

// Allows tells whether a variable may be sent though it looks like a secret.
func (o EnvironmentOptions) Allows(name string) bool { return allows(o.AllowSecrets, name) }

func allows(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

func variables(list []Variable) []types.EnvironmentVariable {
	var out []types.EnvironmentVariable
	for _, v := range list {
		out = append(out, types.EnvironmentVariable{
			Name: aws.String(v.Name), Value: aws.String(v.Value), Type: types.EnvironmentVariableType(v.Type),
		})
	}
	return out
}
