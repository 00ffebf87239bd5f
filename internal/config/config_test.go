package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// official is a file as people have it for GitLab's driver, in their spelling.
const official = `LogLevel = "info"
LogFormat = "text"

[Fargate]
  cluster = "acme"
  Region = "us-east-2"
  Subnet = "subnet-0a1b2c3d"
  securityGroup = "sg-0123abcd"
  TaskDefinition = "ci:1"
  EnablePublicIP = true
  UsePublicIP = true
  PlatformVersion = "1.4.0"

[TaskMetadata]
  Directory = "/opt/gitlab-runner/metadata"

[SSH]
  Username = "root"
  Port = 22
`

func TestOfficialDriversFileLoadsUnchanged(t *testing.T) {
	t.Parallel()
	c, warnings, err := Parse("fargate.toml", official)
	if err != nil || len(warnings) != 0 {
		t.Fatalf("warnings %v, error %v", warnings, err)
	}
	if c.Fargate.Cluster != "acme" || !reflect.DeepEqual(c.Fargate.SecurityGroup, Strings{"sg-0123abcd"}) || c.SSH.Port != 22 {
		t.Errorf("got %+v", c)
	}
	if c.Launch.Deadline.Duration != 10*time.Minute || c.Fargate.EnableExecuteCommand {
		t.Errorf("defaults are missing: %+v", c.Launch)
	}
}

func TestPropagateTagsInECSsWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Propagation{"true": true, `"TASK_DEFINITION"`: true, "false": false, `"NONE"`: false} {
		c, _, err := Parse("f", replace("UsePublicIP = true", "PropagateTags = "+text))
		if err != nil || c.Fargate.PropagateTags != want {
			t.Errorf("%s: %v, %v", text, c.Fargate.PropagateTags, err)
		}
	}
}

// replace edits the official file, so that each case shows one change.
func replace(old, new string) string { return strings.Replace(official, old, new, 1) }

func TestMistakesNameTheirPlaceAndTheCure(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want []string // parts of the message
	}{
		"malformed":                 {replace(`"acme"`, `"acme`), []string{"line 5", "not valid TOML"}},
		"required section missing":  {"[SSH]\nPort = 22\n", []string{"3 mistakes", "[Fargate] Cluster: is required", "[Fargate] Subnet", "[TaskMetadata] Directory"}},
		"required key empty":        {replace(`"acme"`, `""`), []string{"line 5", "[Fargate] Cluster", "is empty"}},
		"text where a number":       {replace("Port = 22", `Port = "22"`), []string{"line 19", "[SSH] Port", "whole number without quotes"}},
		"number where text":         {replace(`"acme"`, "7"), []string{"line 5", "text in quotes, not 7"}},
		"text where a bool":         {replace("EnablePublicIP = true", `EnablePublicIP = "yes"`), []string{"line 10", "true or false without quotes"}},
		"port outside":              {replace("Port = 22", "Port = 99999"), []string{"line 19", "99999 is not a port"}},
		"no subnet id":              {replace("subnet-0a1b2c3d", "my-subnet"), []string{"line 7", `"my-subnet" is not a subnet id`}},
		"relative directory":        {replace("/opt/gitlab-runner/metadata", "metadata"), []string{"line 15", "absolute path"}},
		"unknown log level":         {replace(`LogLevel = "info"`, `LogLevel = "loud"`), []string{"line 1", `"loud" is not known; use debug`}},
		"public IP without one":     {replace("EnablePublicIP = true", "EnablePublicIP = false"), []string{"line 11", "needs EnablePublicIP"}},
		"propagation":               {replace("EnablePublicIP = true", "EnablePublicIP = true\nPropagateTags = \"SERVICE\""), []string{"line 11", "TASK_DEFINITION"}},
		"set twice":                 {replace("cluster =", "Cluster = \"a\"\n  cluster ="), []string{"set twice"}},
		"unknown key of our own":    {official + "[Jobs]\nMaxCpus = 4096\n", []string{"line 21", "[Jobs] MaxCpus", "did you mean MaxCPU?"}},
		"unknown section":           {official + "[Job]\nMaxCPU = 4096\n", []string{"line 20", "[Job]", "unknown section", "did you mean Jobs?"}},
		"key in the wrong section":  {official + "[Launch]\nMaxMemory = 4096\n", []string{"line 21", "there is [Jobs] MaxMemory"}},
		"impossible size":           {official + "[Launch]\nCPU = 256\nMemory = 4096\n", []string{"line 22", "256 CPU units", "512, 1024, 2048 MiB"}},
		"half a size":               {official + "[Launch]\nCPU = 256\n", []string{"line 21", "go together"}},
		"storage outside":           {official + "[Launch]\nEphemeralStorage = 10\n", []string{"line 21", "21 to 200"}},
		"no duration":               {official + "[Launch]\nDeadline = \"soon\"\n", []string{"line 21", `"soon" is not a duration`}},
		"no limit":                  {official + "[Launch]\nDeadline = \"0s\"\n", []string{"line 21", "every wait has a limit"}},
		"no role":                   {official + "[Launch]\nTaskRole = \"ci\"\n", []string{"line 21", "not an IAM role's ARN"}},
		"tag of AWS's":              {official + "[Launch]\nTags = { \"aws:x\" = \"y\" }\n", []string{"aws:"}},
		"tag of the driver's":       {official + "[Launch]\nTags = { \"gitlab:job\" = \"y\" }\n", []string{"line 21", "the driver sets"}},
		"tag without a key":         {official + "[Launch]\nTags = { \"\" = \"y\" }\n", []string{"line 21", "1 to 128 characters"}},
		"tag that is no text":       {official + "[Launch]\nTags = { Team = 1 }\n", []string{"line 21", "Team wants text"}},
		"section that is a value":   {"Fargate = 3\n", []string{"line 1", "this is a section"}},
		"images without builds":     {official + "[Images]\nAllowed = \"*\"\n", []string{"line 21", "needs [Jobs] BuildsDir and CacheDir"}},
		"images on the same port":   {official + "[Images]\nServices = \"*\"\nPort = 22\n", []string{"line 22", "the helper's ([SSH] Port) already"}},
		"no family":                 {official + "[Images]\nFamily = \"a:b\"\n", []string{"line 21", "1 to 200 of the characters"}},
		"agent without a place":     {official + "[Images]\nAgentPath = \"coordinator\"\n", []string{"line 21", "must be an absolute path in the image"}},
		"several mistakes at once":  {replace(`"acme"`, "7") + "[Launch]\nCPU = 256\nMemory = 4096\nDeadlin = \"1m\"\n", []string{"3 mistakes", "line 5", "line 22", "line 23", "did you mean Deadline?"}},
		"directory that is a table": {replace(`Directory = "/opt/gitlab-runner/metadata"`, `Directory = { a = 1 }`), []string{"line 15", "not a table"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Parse("fargate.toml", test.text)
			var mistakes *Error
			if !errors.As(err, &mistakes) {
				t.Fatalf("got error %v, want an *Error", err)
			}
			for _, part := range append(test.want, "fargate.toml") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is missing in:\n%v", part, err)
				}
			}
		})
	}
}

func TestUnknownKeysOfOfficialSectionsAreWarnings(t *testing.T) {
	t.Parallel()
	_, warnings, err := Parse("fargate.toml", replace("Region =", "Regoin = \"x\"\n  Region =")+"\n")
	if err != nil {
		t.Fatalf("a file written for another version stopped the fleet: %v", err)
	}
	if len(warnings) != 1 || warnings[0].Line != 6 || !strings.Contains(warnings[0].Message, "did you mean Region?") {
		t.Errorf("got %+v", warnings)
	}
	if _, warnings, err = Parse("fargate.toml", "Concurrency = 3\n"+official); err != nil || len(warnings) != 1 {
		t.Errorf("top level: %+v, %v", warnings, err)
	}
}

func TestUnknownCPUIsLeftToAWS(t *testing.T) {
	t.Parallel()
	c, warnings, err := Parse("fargate.toml", official+"[Launch]\nCPU = 65536\nMemory = 524288\n")
	if err != nil || len(warnings) != 1 || c.Launch.CPU != 65536 {
		t.Errorf("%+v, %v", warnings, err)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "fargate.toml")
	if _, _, err := Load(missing); err == nil || !strings.Contains(err.Error(), missing) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "--config") {
		t.Errorf("missing file: %v", err)
	}
	if _, _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

// FuzzParse: whatever a file holds, it is a configuration or an error.
func FuzzParse(f *testing.F) {
	f.Add(official)
	f.Add("[Launch]\nTags = { a = [1, { b = 2 }] }\n")
	f.Add("[[Fargate]]\nCluster = \"x\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, _, err := Parse("f", text)
		if err == nil && (c.Fargate.Cluster == "" || len(c.Fargate.Subnet) == 0) {
			t.Errorf("incomplete configuration without an error: %+v", c)
		}
	})
}
