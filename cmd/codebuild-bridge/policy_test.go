package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/bridgetest"
	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// actionOf is the permission that a call takes.
func actionOf(c localaws.Call) string {
	switch c.Operation {
	case "HeadObject":
		return "s3:GetObject"
	case "HeadBucket":
		return "s3:ListBucket"
	case "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload":
		return "s3:PutObject"
	}
	return c.Service + ":" + c.Operation
}

// The documented policy of the job allows what the bridge calls, in good days
// and bad, and nothing else.
func TestJobPolicyIsWhatIsCalled(t *testing.T) {
	t.Parallel()
	j := newJob(t, "buildspec.yml", bridgetest.Commands("true"))
	j.run(0, "build")
	j.run(0, "check", "--no-color")
	j.WriteNoise()
	j.AWS.Fault(localaws.Fault{Operation: "CompleteMultipartUpload", Kind: localaws.Refused, Code: "AccessDenied", Status: 403})
	j.run(6, "build")
	hang := j.AWS.Fault(localaws.Fault{Operation: "StartBuild", Count: -1, Kind: localaws.HangAfter})
	p := j.start(nil, "build")
	p.wait(t, hang.Reached())
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.code(t)

	var called []string
	for _, c := range j.AWS.Calls("codebuild:", "logs:", "s3:") {
		called = append(called, actionOf(c))
	}
	text, err := os.ReadFile("../../configs/codebuild-bridge-job-policy.json")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct {
			Effect string
			Action any
		}
	}
	if err := json.Unmarshal(text, &policy); err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, s := range policy.Statement {
		if s.Effect != "Allow" {
			continue
		}
		switch actions := s.Action.(type) {
		case string:
			allowed = append(allowed, actions)
		case []any:
			for _, a := range actions {
				allowed = append(allowed, a.(string))
			}
		}
	}
	for _, list := range []*[]string{&called, &allowed} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	if !slices.Equal(called, allowed) {
		t.Errorf("called  %v\nallowed %v", called, allowed)
	}
}

// Every exit code is in the documentation and in what `build --help` says.
func TestDocsHaveEveryExitCode(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../internal/codebuild/report/exit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Exit") {
			want = append(want, v.Values[0].(*ast.BasicLit).Value)
		}
		return true
	})
	if len(want) != 8 {
		t.Fatalf("found the codes %v, want eight", want)
	}
	text, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Exit codes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var got []string
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(section, -1) {
		got = append(got, row[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("the documentation has the codes %v, want %v", got, want)
	}
	help := command(t, "build").Long
	for _, code := range want {
		if !regexp.MustCompile(`\b` + code + ` [A-Za-z]`).MatchString(help) {
			t.Errorf("the help of build has no code %s:\n%s", code, help)
		}
	}
}
